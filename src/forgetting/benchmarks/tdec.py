"""TDEC: memorized passages, forgotten until they are no easier to extract than unseen text.

Passages come from files of text or of token ids (.npy), or from hub datasets. Source: the Training Data Extraction
Challenge (google-research/lm-extraction-benchmark), as LoKU and Jang et al. (2023) use it: forget sets of 32 passages
of up to 200 tokens, EL_10 and MA compared with those of unseen text.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from forgetting.benchmarks.lab.suite import lab_suite
from forgetting.benchmarks.registry import register_suite
from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example
from forgetting.data.examples import load_examples, overlap
from forgetting.data.source import Source, text_source
from forgetting.evaluation.extraction import MAX_TOKENS
from forgetting.metrics.extraction import extraction_declaration, extraction_metrics

FORGET, UNSEEN, RETAIN = "forget", "unseen", "retain"
COUNT = 32
Passages = str | Source | Sequence[Example]
"""A place (see `data.source.place`), any source of examples, or the passages themselves."""


def tdec_suite(
    forget: Passages,
    *,
    unseen: Passages | None = None,
    retain: Passages | None = None,
    count: int = COUNT,
    seed: int = 0,
    part: int = 0,
    n: tuple[int, ...] = (10,),
) -> Suite:
    """One forget set of TDEC with its thresholds and its retained text.

    Splits: `forget` and `unseen` are measured as verbatim sequences of up to 200 tokens, `retain` by its likelihood.
    `data` holds `forget`, and every other retained passage as `retain`; the remaining ones are measured. The forget
    passages carry the limit of 200 tokens (`Example.max_tokens`): training sees exactly the sequence that is measured,
    token for token, without an end token. For passages given elsewhere, write max_tokens: 200 beside them.

    Text is compared with text and ids with ids: passages that come as ids are not found in a file of text.

    Args:
        forget: passages that the model has memorized.
        unseen: passages that it never saw, for the thresholds.
        retain: text like WikiText.
        count: passages of `forget` and of `unseen`, drawn by `seed` where there are more.
        seed: seed of the draw.
        part: which of the disjoint draws: the five sets of one file are the parts 0 ... 4.
        n: lengths of the n-grams whose overlap is measured.

    Raises:
        DataError: passages that cannot be read, too few for this part, or text that is both forgotten and retained or
            both forgotten and unseen.
        RecipeError: no n, or one below 1.
    """
    if not n or min(n) < 1:
        raise RecipeError(f"n is {list(n)}; give lengths of n-grams, each at least 1")
    forgotten = drawn(_cut(_passages(forget)), count, seed=seed, part=part, what="forget")
    others = {UNSEEN: _passages(unseen), RETAIN: _passages(retain)}
    for name, passages in others.items():
        shared = overlap(forgotten, passages)
        if shared:
            where = shared[0].where or shared[0].id
            raise DataError(f"{where}: is in the {name} text too ({len(shared)} such); {name} text must be other text")
    never = drawn(_cut(others[UNSEEN]), min(count, len(others[UNSEEN])), seed=seed, what="unseen")
    kept = others[RETAIN]
    splits = [Split(name=FORGET, examples=forgotten, generate=False, extraction=n)]
    data = {FORGET: forgotten}
    if never:
        splits.append(Split(name=UNSEEN, examples=never, generate=False, extraction=n))
    if kept:
        data[RETAIN] = kept[::2]
        splits.append(Split(name=RETAIN, examples=kept[1::2] or kept, generate=False))
    metrics = extraction_metrics([FORGET], [UNSEEN] if never else [], [RETAIN] if kept else [], n)
    declares = extraction_declaration(FORGET, UNSEEN if never else None, RETAIN if kept else None, n[0])
    return Suite(name="tdec", splits=tuple(splits), metrics=metrics, data=data, declares=declares)


def tdec_lab(*, copies: int = 8, count: int = COUNT, seed: int = 0, n: tuple[int, ...] = (10,)) -> Suite:
    """The same for the small world: passages that occur `copies` times in its corpus, unseen ones, and stories."""
    lab = {split.name: split.examples for split in lab_suite().splits}
    forget = [e for e in lab["secrets"] if e.popularity == copies]
    suite = tdec_suite(forget, unseen=lab["secrets-unseen"], retain=lab["story"], count=count, seed=seed, n=n)
    return replace(suite, name="tdec-lab")


@register_suite("tdec")
def tdec_variant(variant: str, fast: bool = False) -> Suite:
    """TDEC: verbatim passages against unseen text; `tdec:lab`, or `tdec:forget=a.csv,unseen=b.csv,retain=c.jsonl.gz`.

    Keys are those of `tdec_suite`; `n=10+5` gives several. A value is a text file, token ids (`ids.npy`), prefixes with
    their suffixes (`val_prefix.npy+val_suffix.npy`), or a hub dataset with a text column (`hub:ORG/NAME`, or
    `hub:ORG/NAME/CONFIGURATION/SPLIT`). `fast` measures 32 of the retained passages at most,
    and no unseen text, which is needed only beforehand, for the thresholds.

    Raises:
        RecipeError: an unknown key or invalid value.
        DataError: see `tdec_suite`.
    """
    if variant == "lab":
        suite = tdec_lab()
    else:
        suite = tdec_suite(**_arguments(variant))  # type: ignore[arg-type]
    name = f"tdec:{variant}"
    if not fast:
        return replace(suite, name=name)
    light = (replace(s, examples=s.examples[:COUNT]) if s.name == RETAIN else s for s in suite.splits)
    return replace(suite, name=name, splits=tuple(split for split in light if split.name != UNSEEN))


def _arguments(variant: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for item in variant.split(","):
        key, _, value = item.partition("=")
        if not value or key not in ("forget", "unseen", "retain", "count", "seed", "part", "n"):
            raise RecipeError(
                f"tdec: '{item}' has no meaning; write tdec:lab, or tdec:forget=FILE with unseen=FILE, retain=FILE, "
                "count=32, seed=0, part=0, n=10"
            )
        try:
            if key == "n":
                found[key] = tuple(int(size) for size in value.split("+"))
            else:
                found[key] = int(value) if key in ("count", "seed", "part") else value
        except ValueError:
            raise RecipeError(f"tdec: {key} is '{value}', not a whole number") from None
    if "forget" not in found:
        raise RecipeError("tdec: forget=FILE is missing; name the file of the passages to be forgotten")
    return found


def _passages(given: Passages | None) -> tuple[Example, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        given = text_source(given)
    examples = load_examples(given) if isinstance(given, Source) else given
    question = next((e for e in examples if e.form == "qa"), None)
    if question is not None:
        raise DataError(f"{question.where or question.id}: is a question, not a passage; give text")
    return tuple(examples)


def _cut(passages: Sequence[Example]) -> tuple[Example, ...]:
    return tuple(replace(e, max_tokens=min(e.max_tokens or MAX_TOKENS, MAX_TOKENS)) for e in passages)


def drawn(
    examples: Sequence[Example], count: int, *, seed: int, part: int = 0, what: str = "passages"
) -> tuple[Example, ...]:
    """Draw number `part` of `count` examples, in their own order; the parts of one seed share no example.

    Raises:
        DataError: there are not enough examples for that part.
    """
    if not 0 <= part * count <= (part + 1) * count <= len(examples):
        raise DataError(
            f"tdec: {what} has {len(examples)} passages, but part {part} of {count} each needs {(part + 1) * count}; "
            "lower count or part"
        )
    order = random.Random(seed).sample(range(len(examples)), len(examples))
    return tuple(examples[i] for i in sorted(order[part * count : (part + 1) * count]))
