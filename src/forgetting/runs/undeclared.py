"""Infers the declaration of old results from the names of their measures; no other module does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from forgetting.core.declaration import Declaration, Headline, Keys

_KNOWING = ("probability", "exact_match", "rouge_l_recall")
_MATCHING = ("exact_match", "rouge_l_recall")
_EXTRACTION = re.compile(r"forget/(el_\d+|memorization_accuracy)")


def guessed(keys: Sequence[str], stages: Sequence[str], *, trains: bool) -> Declaration:
    """The declaration of a run without one in its file.

    Args:
        keys: the keys of its measures, those of its end first.
        stages: the names of its stages, in order.
        trains: whether it also learns new data.
    """
    known = set(keys)

    def of(splits: Iterable[str], names: Iterable[str]) -> Keys:
        return tuple(key for split in splits for name in names if (key := f"{split}/{name}") in known)

    splits = list(dict.fromkeys(key.split("/")[0] for key in keys))
    last_first = list(reversed(stages))
    extraction = [key for key in keys if _EXTRACTION.fullmatch(key)]
    names = [key.split("/")[1] for key in extraction] or [
        name for name in dict.fromkeys(key.split("/")[1] for key in keys) if re.fullmatch(r"el_\d+", name)
    ]
    forms = [split for split in splits if split.startswith("forget") and split != "forget"]
    headline = Headline(
        forgotten=of(("forget", *(f"{stage}-forget" for stage in last_first)), _KNOWING),
        forgotten_too=_some([of(("forget",), _MATCHING), *((key,) for key in extraction)]),
        quality=of(("forget",), ("forget_quality", "forget_quality_mean_probability")),
        sets=_some(of((f"{stage}-forget",), (*names[:1], *_KNOWING)) for stage in stages),
        forms=_some(of((split,), _KNOWING) for split in forms),
        kept=of(("retain", *(f"{stage}-retain" for stage in last_first)), _KNOWING),
        kept_too=_some([of(("retain",), (*_MATCHING, "perplexity"))]),
        learned=of(("holdout",), _KNOWING) if trains else (),
        utility=of(("utility",), (*_MATCHING, "probability")),
        overall=of(("all",), ("model_utility", "model_utility_mean_probability")),
    )
    forget, retain = guessed_splits(keys)
    unseen = [split for split in ("unseen", *(() if trains else ("holdout",))) if split in splits]
    return Declaration(headline=headline, forget_splits=forget, retain_splits=retain, unseen_splits=tuple(unseen))


def guessed_splits(keys: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The splits to forget, and the splits to keep."""
    splits = dict.fromkeys(key.split("/")[0] for key in keys)
    forget, retain = (tuple(split for split in splits if split.startswith(role)) for role in ("forget", "retain"))
    return forget, retain


def _some(columns: Iterable[Keys]) -> tuple[Keys, ...]:
    return tuple(column for column in columns if column)
