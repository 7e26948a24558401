"""Builds popularity-aware benchmarks of facts that a model knows (`forget build facts`).

Source → facts that can be asked → popularity → what the model knows → rare, popular and retained facts, plain and
matched, with what confounds them. Every step is counted in `build.json`.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from forgetting.core.errors import DataError
from forgetting.core.folder import check_replaceable
from forgetting.core.progress import SILENT, Voice
from forgetting.forget_sets.facts.clean import Steps, cleaned
from forgetting.forget_sets.facts.confounders import confounders
from forgetting.forget_sets.facts.fact import Fact, FactSource
from forgetting.forget_sets.facts.known import Asked, Knower, Shown, as_question, known_by
from forgetting.forget_sets.facts.plan import Plan
from forgetting.forget_sets.facts.popularity import Combine, popularities, popularity_named
from forgetting.forget_sets.facts.relations import Relations
from forgetting.forget_sets.facts.splits import Split, drawn, matched_split, plain_split
from forgetting.forget_sets.facts.write import Made, cache_of, write_made

_SPOKEN = 50_000
"""Facts between two reports of how many were read."""


def build_facts(
    source: FactSource,
    relations: Relations,
    out: Path,
    *,
    plan: Plan,
    knower: Callable[[], Knower] | None = None,
    voice: Voice = SILENT,
) -> dict[str, Any]:
    """Writes the folder `out` and returns its account, `build.json`.

    Args:
        source: where facts come from.
        relations: how they are asked.
        out: a new folder, or one that this wrote.
        plan: what is chosen.
        knower: loads the model whose facts are wanted; None: every fact counts as known.
        voice: log lines and progress.

    Raises:
        ForgettingError: bad input, or nothing left to divide.
    """
    check_replaceable(out)
    found = _read(source, voice)
    if not found:
        why = ", ".join(f"{count:,} {why}" for why, count in source.left_out.items()) or "nothing"
        raise DataError(f"the source gives no fact; left out: {why}")
    facts, steps, measure = cleaned(
        found,
        relations,
        lambda read: popularity_named(plan.popularity, read, plan.date),
        several=plan.several,
        leaks=plan.leaks,
    )
    _say_left_out(source, steps, voice)
    if not facts:
        raise DataError(f"no fact can be asked; {_where_they_went(steps)}")
    numbers = popularities(facts, measure, plan.combine)
    rated = [as_question(f, relations, n) for f, n in zip(facts, numbers, strict=True) if n is not None]
    steps.counts["with popularity"] = len(rated)
    if not rated:
        raise DataError(
            f"popularity: no fact has {plan.popularity} of {_ends(plan.combine)}; name another measure, or --combine"
        )
    shown, rest = _shots(rated, plan) if knower is not None else ([], rated)
    asked = drawn(rest, plan.ask, plan.seed) if plan.ask is not None else rest
    steps.counts["drawn to be asked"] = len(asked)
    known, unknown, about = asked, list[Asked](), None
    if knower is not None:
        model = knower()
        judged, before = known_by(model, asked, shown, cache_of(out), voice)
        if before:
            voice.say(f"{before:,} of {len(asked):,} answers are those of an earlier build")
        known, unknown = [one for one in judged if one.is_known], [one for one in judged if not one.is_known]
        about = model.about
        steps.counts["known by the model"] = len(known)
    if not known:
        raise DataError(f"the model knows none of {len(asked):,} facts; show it more shots, or name another model")
    plain, matched = _splits(known, plan, voice)
    return write_made(
        Made(source, relations, measure.about, plan, steps, known, unknown, shown, about, plain, matched), out
    )


def _read(source: FactSource, voice: Voice) -> list[Fact]:
    found = []
    for fact in source.facts():
        found.append(fact)
        if len(found) % _SPOKEN == 0:
            voice.progress(len(found), len(found), "reading facts")
    return found


def _say_left_out(source: FactSource, steps: Steps, voice: Voice) -> None:
    for why, count in source.left_out.items():
        voice.say(f"left out: {count:,} {why}")
    for what, said in ((steps.without, "cannot be asked (no template)"), (steps.generic, "are asked in the '*' form")):
        if what:
            first = ", ".join(f"{name} ({count:,})" for name, count in what.most_common(5))
            more = f" and {len(what) - 5} more" if len(what) > 5 else ""
            relations = "1 relation" if len(what) == 1 else f"{len(what)} relations"
            voice.say(f"{sum(what.values()):,} facts of {relations} {said}: {first}{more}")


def _where_they_went(steps: Steps) -> str:
    if steps.without and not steps.counts.get("asked by the relations file"):
        first = ", ".join(f"'{name}'" for name, _ in steps.without.most_common(3))
        return f"the relations file has no question for {first}; write one, or a relation '*'"
    return "left after each step: " + ", ".join(f"{step} {count:,}" for step, count in steps.counts.items())


def _ends(combine: Combine) -> str:
    return "its subject" if combine == "subject" else "both its subject and its object"


def _shots(facts: Sequence[Asked], plan: Plan) -> tuple[list[Shown], list[Asked]]:
    """Facts that are shown, of as many relations as there are, and all others that are not about their subjects."""
    if not plan.shots:
        return [], list(facts)
    order = list(facts)
    random.Random(plan.seed).shuffle(order)
    by_relation: defaultdict[str, list[Asked]] = defaultdict(list)
    for one in order:
        by_relation[one.relation].append(one)
    often = [name for name, _ in Counter(one.relation for one in facts).most_common()]
    chosen: list[Asked] = []
    for round in range(min(plan.shots, len(facts))):
        for name in often:
            if round < len(by_relation[name]) and len(chosen) < plan.shots:
                chosen.append(by_relation[name][round])
    if len(chosen) < plan.shots:
        raise DataError(f"shots: {plan.shots} are asked for, and there are {len(facts)} facts; lower --shots")
    subjects = {one.fact.subject.key for one in chosen}
    rest = [one for one in facts if one.fact.subject.key not in subjects]
    return [Shown(one.question, one.answer) for one in chosen], rest


def _splits(
    known: Sequence[Asked], plan: Plan, voice: Voice
) -> tuple[dict[float, tuple[Split, dict[str, Any]]], dict[float, tuple[Split, dict[str, Any]]]]:
    """Plain and matched splits by N, each with its confounders."""
    plain, matched = {}, {}
    for percent in plan.percents:
        split = plain_split(known, percent)
        plain[percent] = (split, confounders(split, known))
        if not plan.matched:
            continue
        try:
            split = matched_split(known, percent, plan.matched, plan.most)
        except DataError as error:
            voice.say(f"no matched split of {percent:g}%: {error}")
            continue
        if len(split.rare) < split.wanted:
            voice.say(
                f"matched split of {percent:g}%: {len(split.rare):,} rare and popular facts instead of "
                f"{split.wanted:,}, since no more pairs agree in {' and '.join(plan.matched)}"
            )
        matched[percent] = (split, confounders(split, known))
    return plain, matched
