"""DUET's suite: `duet`, `duet:city_forget_popular_5`, `duet:city_forget_rare_5,paraphrases=yes@FOLDER`.

Source: Borisiuk et al., "Anatomy of Unlearning: The Dual Impact of Fact Salience and Model Fine-Tuning";
`SwetieePawsss/DUET` on the hub. Its measure is ROUGE-L recall of a greedy answer of up to 64 tokens.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Sequence
from pathlib import Path

from forgetting.benchmarks.duet.groups import Groups, groups_of
from forgetting.benchmarks.duet.rows import DRAWN, PARAPHRASES, RETAIN, drawn_rows, published_rows
from forgetting.benchmarks.registry import register_suite
from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.declaration import Balance, Declaration, Headline
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example, Role
from forgetting.metrics.breakdown import by_group, by_popularity
from forgetting.metrics.correlation import with_popularity
from forgetting.metrics.likelihood import probability
from forgetting.metrics.metric import Metric
from forgetting.metrics.per_example import PerExample, mean, toward_oracle
from forgetting.metrics.repetition import answer_words, copies_question, loops
from forgetting.metrics.standard import keys_of
from forgetting.metrics.text import exact_match, rouge_l_f1, rouge_l_recall

SYSTEM = "You are terse and fact-only QA assistant. Reply to the question clearly with few-words correct answer."
"""The published system prompt: a recipe's `format.system`."""
DATE = datetime.date(2025, 4, 10)
"""The day that the published prompts write: a recipe's `format.date`."""
ANSWER_TOKENS = 64
FORGET = "city_forget_rare_5"
QUESTIONS_FAST = 100
_FORGET, _PARAPHRASED, _RETAIN = "forget", "paraphrased", "retain"


def duet_suite(
    forget: Sequence[str] = (FORGET,),
    folder: Path | None = None,
    *,
    retain: str | None = RETAIN,
    paraphrases: bool = False,
    fast: bool = False,
) -> Suite:
    """DUET with one of its forget sets, or several as one.

    Splits: `forget`, `paraphrased` (the same facts in other words, if asked for) and `retain`. Measures: ROUGE-L recall
    (the paper's), and beside it F1, exact match and probability; the shares of answers that loop and that copy their
    question, which raise recall. Recall and probability also by popularity, and on these groups of rows: each forget
    set, if there are several; the rows without a known fault (`[sound]`) and those of every fault
    (`benchmarks.duet.flags`); retained rows that share their answer or a subject with the forget set.

    `data` holds the roles `forget`, `retain` and `train` (both). The published system prompt and date belong to the
    recipe's `format`: those of the recipe `duet`.

    Args:
        forget: names of published splits, or of sets that are drawn from the whole (`rows.drawn_rows`).
        folder: of local files named like the splits; None: the hub.
        retain: a published split; None: none. With a drawn set its own retain set takes the default's place.
        paraphrases: whether the published paraphrases of the forget sets are asked too.
        fast: 100 questions per split, for measuring in the middle of a stage.

    Raises:
        RecipeError: an unknown split, or drawn and published sets together.
        DataError: the hub cannot be reached, a file is missing, or a row is not a question with an answer.
    """
    forgotten, kept = _sets(forget, folder, retain)
    to_forget = {e.id: e for members in forgotten.values() for e in members}
    anew = [e for name in forget for e in published_rows(f"{PARAPHRASES}{name}", folder)] if paraphrases else []
    limit = QUESTIONS_FAST if fast else None
    members = {
        _FORGET: list(to_forget.values()),
        _PARAPHRASED: anew,
        _RETAIN: [e for e in kept if e.id not in to_forget],
    }
    measured = {name: tuple(_spread(some, limit)) for name, some in members.items() if some}
    sets = {name: {e.cluster for e in rows} for name, rows in forgotten.items()}
    groups = groups_of(members, (_FORGET, _PARAPHRASED), sets if len(sets) > 1 else {})
    asked, kept_too = [s for s in measured if s != _RETAIN], [s for s in measured if s == _RETAIN]
    return Suite(
        name=f"duet-{'+'.join(forget)}",
        splits=tuple(Split(name=name, examples=some, max_new_tokens=ANSWER_TOKENS) for name, some in measured.items()),
        metrics=(*duet_metrics(asked, kept_too), *group_metrics(groups, asked, kept_too)),
        data={
            str(Role.FORGET): tuple(members[_FORGET]),
            **({str(Role.RETAIN): tuple(members[_RETAIN])} if members[_RETAIN] else {}),
            str(Role.TRAIN): (*members[_RETAIN], *members[_FORGET]),
        },
        declares=_declared(asked, kept_too),
    )


@register_suite("duet")
def duet_variant(variant: str, fast: bool = False) -> Suite:
    """DUET: rare and popular facts; `duet:city_forget_popular_5`, `duet:SPLIT+SPLIT,retain=SPLIT@FOLDER`.

    Splits are the published ones, read from the hub or from FOLDER/SPLIT.jsonl, or drawn from `full_`: `full_rare_5`,
    `domains_popular`. Keys: `retain` (city_fast_retain_500; `none`), `paraphrases=yes`.

    Raises:
        RecipeError: an unknown key or split.
        DataError: see `duet_suite`.
    """
    asked, at, folder = variant.partition("@")
    if at and not (folder and Path(folder).is_dir()):
        raise DataError(f"duet:{variant}: no such folder '{folder}'; write duet:{FORGET}@FOLDER, or leave @ out")
    names, *items = asked.split(",")
    retain: str | None = RETAIN
    paraphrases = False
    for item in items:
        key, _, value = item.partition("=")
        if item == "paraphrases=yes":
            paraphrases = True
        elif key == "retain" and value:
            retain = None if value == "none" else value
        else:
            raise RecipeError(f"duet: '{item}' has no meaning; keys: retain=SPLIT (or none), paraphrases=yes")
    forget = tuple(dict.fromkeys(names.split("+"))) if names else (FORGET,)
    if not all(forget):
        raise RecipeError(f"duet: '{names}' names no split; write duet:{FORGET}, or duet:SPLIT+SPLIT")
    return duet_suite(forget, Path(folder) if at else None, retain=retain, paraphrases=paraphrases, fast=fast)


def duet_metrics(forget: Sequence[str], retain: Sequence[str], *, likelihood: bool = True) -> tuple[Metric, ...]:
    """The measures of DUET's answers: recall, F1, exact match, probability; loops and copied questions; by popularity.

    Args:
        forget: splits of what is to be forgotten, the oracle's value is the goal there (without one: less).
        retain: splits of what is to be kept.
        likelihood: whether there are probabilities: logs of answers have none.
    """
    splits = (*forget, *retain)
    compared = (rouge_l_recall, probability) if likelihood else (rouge_l_recall,)
    shown = (rouge_l_recall, rouge_l_f1, exact_match, *compared[1:])
    return (
        *(metric for what in shown for metric in _both(what, forget, retain)),
        mean(loops, splits, "down"),
        mean(copies_question, splits, "none"),
        mean(answer_words, splits, "none"),
        *(by_popularity(metric) for what in compared for metric in _both(what, forget, retain)),
        *(with_popularity(what, splits) for what in compared),
    )


def group_metrics(
    groups: Groups, forget: Sequence[str], retain: Sequence[str], *, likelihood: bool = True
) -> list[Metric]:
    """Recall and probability of the groups of `groups_of`."""
    ids = {name: members for name, (members, _) in groups.items()}
    about = {name: sentence for name, (_, sentence) in groups.items()}
    compared = (rouge_l_recall, probability) if likelihood else (rouge_l_recall,)
    return [by_group(metric, ids, about) for what in compared for metric in _both(what, forget, retain)]


def _both(what: PerExample, forget: Sequence[str], retain: Sequence[str]) -> tuple[Metric, Metric]:
    return toward_oracle(mean(what, forget, "down")), mean(what, retain, "up")


def _sets(
    forget: Sequence[str], folder: Path | None, retain: str | None
) -> tuple[dict[str, tuple[Example, ...]], tuple[Example, ...]]:
    """Each forget set by its name, and what is retained."""
    drawn = [name for name in forget if DRAWN.fullmatch(name)]
    if drawn and len(forget) > 1:
        raise RecipeError(f"duet: '{drawn[0]}' is drawn with a retain set of its own; name no other set beside it")
    if drawn:
        rows, own = drawn_rows(drawn[0], folder)
        found = {drawn[0]: rows}
    else:
        own = ()
        found = {name: published_rows(name, folder) for name in forget}
    if retain is None or (drawn and retain == RETAIN):
        return found, own if retain else ()
    return found, published_rows(retain, folder)


def _spread(examples: Sequence[Example], limit: int | None) -> Sequence[Example]:
    """All, or so many of a fixed shuffle in their order."""
    if limit is None or len(examples) <= limit:
        return examples
    return [examples[n] for n in sorted(random.Random(0).sample(range(len(examples)), limit))]


def _declared(forget: Sequence[str], kept: Sequence[str]) -> Declaration:
    """Recall is the paper's measure and comes first; checkpoints are compared by probability, which never ends at 0."""
    names = (rouge_l_recall.name, probability.name)
    return Declaration(
        headline=Headline(
            forgotten=keys_of(_FORGET, names),
            forgotten_too=(keys_of(_FORGET, (exact_match.name,)),),
            forms=tuple(keys_of(split, names) for split in forget[1:]),
            kept=keys_of(_RETAIN, names) if kept else (),
            kept_too=(keys_of(_RETAIN, (exact_match.name,)),) if kept else (),
            others=tuple(keys_of(split, (loops.name,)) for split in (*forget, *kept)),
        ),
        balance=Balance(forget=f"{_FORGET}/{probability.name}", retain=f"{_RETAIN}/{probability.name}" if kept else ""),
        alarm=keys_of(_RETAIN, (probability.name,)) if kept else (),
        forget_splits=tuple(forget),
        retain_splits=tuple(kept),
    )
