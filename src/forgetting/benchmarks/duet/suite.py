"""DUET's suite: `duet`, `duet:city_forget_popular_5`, `duet:city_forget_rare_5,paraphrases=yes@FOLDER`.

Source: Borisiuk et al., "Anatomy of Unlearning: The Dual Impact of Fact Salience and Model Fine-Tuning";
`SwetieePawsss/DUET` on the hub. Its measure is ROUGE-L recall of a greedy answer of up to 64 tokens.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from forgetting.benchmarks.duet.flags import ABOUT, SHARED, flagged, shared_with
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
from forgetting.metrics.repetition import copies_question, loops
from forgetting.metrics.standard import keys_of
from forgetting.metrics.text import exact_match, rouge_l_f1, rouge_l_recall

SYSTEM = "You are terse and fact-only QA assistant. Reply to the question clearly with few-words correct answer."
"""The published system prompt: a recipe's `format.system`."""
DATE = datetime.date(2025, 4, 10)
"""The day that the published prompts write: a recipe's `format.date`."""
ANSWER_TOKENS = 64
FORGET = "city_forget_rare_5"
SOUND = "sound"
"""The group of the rows without a known fault."""
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
    groups = _groups(members, forgotten)
    ids = {e.id for some in measured.values() for e in some}
    shown = {name: found for name, (of, _) in groups.items() if (found := of & ids)}
    return Suite(
        name=f"duet-{'+'.join(forget)}",
        splits=tuple(Split(name=name, examples=some, max_new_tokens=ANSWER_TOKENS) for name, some in measured.items()),
        metrics=_metrics(tuple(measured), shown, {name: about for name, (_, about) in groups.items()}),
        data={
            str(Role.FORGET): tuple(members[_FORGET]),
            **({str(Role.RETAIN): tuple(members[_RETAIN])} if kept else {}),
            str(Role.TRAIN): (*members[_RETAIN], *members[_FORGET]),
        },
        declares=_declared(tuple(measured)),
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


def duet_metrics(forget: Sequence[str], retain: Sequence[str]) -> tuple[Metric, ...]:
    """The measures of DUET's answers: recall, F1, exact match, probability; loops and copied questions; by popularity.

    Args:
        forget: splits of what is to be forgotten, the oracle's value is the goal there (without one: less).
        retain: splits of what is to be kept.
    """
    found = [_both(what, forget, retain) for what in (rouge_l_recall, rouge_l_f1, exact_match, probability)]
    splits = (*forget, *retain)
    return (
        *(metric for pair in found for metric in pair),
        mean(loops, splits, "down"),
        mean(copies_question, splits, "none"),
        *(by_popularity(metric) for pair in (found[0], found[3]) for metric in pair),
        with_popularity(rouge_l_recall, splits),
        with_popularity(probability, splits),
    )


def _both(what: PerExample, forget: Sequence[str], retain: Sequence[str]) -> tuple[Metric, Metric]:
    return toward_oracle(mean(what, forget, "down")), mean(what, retain, "up")


def _metrics(
    splits: Sequence[str], groups: Mapping[str, Collection[str]], about: Mapping[str, str]
) -> tuple[Metric, ...]:
    forget, kept = [s for s in splits if s != _RETAIN], [s for s in splits if s == _RETAIN]
    whole = (metric for what in (rouge_l_recall, probability) for metric in _both(what, forget, kept))
    return (*duet_metrics(forget, kept), *(by_group(metric, groups, about) for metric in whole))


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


def _groups(
    members: Mapping[str, Sequence[Example]], forgotten: Mapping[str, Sequence[Example]]
) -> dict[str, tuple[set[str], str]]:
    """By name, the ids of a group of rows, and a sentence on it."""
    found: dict[str, tuple[set[str], str]] = {}
    if len(forgotten) > 1:
        for name, rows in forgotten.items():
            facts = {e.cluster for e in rows}
            ids = {e.id for split in (_FORGET, _PARAPHRASED) for e in members[split] if e.cluster in facts}
            found[name] = (ids, f"Only questions of {name}.")
    sound: set[str] = set()
    flags: dict[str, set[str]] = {flag: set() for flag in ABOUT}
    for some in members.values():
        of = flagged(some, [e for others in members.values() for e in others])
        for id, bears in of.items():
            for flag in bears:
                flags[flag].add(id)
        if any(of.values()):
            sound |= {id for id, bears in of.items() if not bears}
    found[SOUND] = (sound, f"Only rows without a known fault ({', '.join(ABOUT)}).")
    found |= {flag: (ids, f"Only rows of which {ABOUT[flag]}.") for flag, ids in flags.items()}
    shares = shared_with(members[_RETAIN], members[_FORGET])
    return found | {name: (ids, f"Only rows of which {SHARED[name]}.") for name, ids in shares.items()}


def _spread(examples: Sequence[Example], limit: int | None) -> Sequence[Example]:
    """All, or so many of a fixed shuffle in their order."""
    if limit is None or len(examples) <= limit:
        return examples
    return [examples[n] for n in sorted(random.Random(0).sample(range(len(examples)), limit))]


def _declared(splits: Sequence[str]) -> Declaration:
    """Recall is the paper's measure and comes first; checkpoints are compared by probability, which never ends at 0."""
    forget, kept = [s for s in splits if s != _RETAIN], [s for s in splits if s == _RETAIN]
    names = (rouge_l_recall.name, probability.name)
    return Declaration(
        headline=Headline(
            forgotten=keys_of(_FORGET, names),
            forgotten_too=(keys_of(_FORGET, (exact_match.name,)),),
            forms=tuple(keys_of(split, names) for split in forget[1:]),
            kept=keys_of(_RETAIN, names) if kept else (),
            kept_too=(keys_of(_RETAIN, (exact_match.name,)),) if kept else (),
            others=tuple(keys_of(split, (loops.name,)) for split in splits),
        ),
        balance=Balance(forget=f"{_FORGET}/{probability.name}", retain=f"{_RETAIN}/{probability.name}" if kept else ""),
        alarm=keys_of(_RETAIN, (probability.name,)) if kept else (),
        forget_splits=tuple(forget),
        retain_splits=tuple(kept),
    )
