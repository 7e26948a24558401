"""Parts of a run's own data that are measured under names of their own: sets of stages, sources of what should stay."""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import PurePath

from forgetting.benchmarks.suite import Suite
from forgetting.core.declaration import Declaration
from forgetting.core.digest import examples_digest
from forgetting.core.example import Example, Role
from forgetting.core.measure import Measure
from forgetting.core.subset import Subset
from forgetting.metrics.likelihood import probability
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.statistics import FEWEST
from forgetting.pipeline.run.prepare import StageData

OF_A_SOURCE = 32
"""Examples that are measured of every source, if it has so many."""
MOST_SOURCES = 6
"""Sources that are measured each by itself; a table holds about a dozen columns."""


def with_stages(suite: Suite, data: Mapping[str, StageData]) -> Suite:
    """The suite; if stages forget different sets, with measures of each set under its stage's name."""
    forgotten = {name: d.examples[Role.FORGET] for name, d in data.items() if Role.FORGET in d.examples}
    if len({examples_digest(members) for members in forgotten.values()}) < 2:
        return suite
    subsets = {f"{stage}-{Role.FORGET}": _subset(suite, Role.FORGET, _ids(m)) for stage, m in forgotten.items()}
    sets = [_only(suite.metrics, name, subset) for name, subset in subsets.items()]
    stages = {stage: _of_stage(suite.declares, stage) for stage in forgotten}
    column = (*suite.declares.headline.one, *suite.declares.headline.forgotten)
    columns = tuple(tuple(f"{stage}-{key}" for key in column) for stage in forgotten)
    declared = replace(suite.declares, headline=replace(suite.declares.headline, sets=columns))
    return replace(suite, metrics=(*suite.metrics, *sets), declares=declared, stages=stages, subsets=subsets)


def sampled(examples: Sequence[Example], limit: int, data: Mapping[str, StageData] | None = None) -> list[Example]:
    """The first `limit` of a fixed shuffle, in their original order; a smaller sample is part of a larger one.

    Args:
        examples: distinct ones.
        limit: how many.
        data: with it, at least `OF_A_SOURCE` of every source of retained examples are among them, or all that it has,
            beyond the limit if need be: a small source beside a large one would hardly be measured.
    """
    order = random.Random(0).sample(range(len(examples)), len(examples))
    chosen = set(order[:limit])
    sources = _sources(data or {})
    for ids in sources.values() if 1 < len(sources) <= MOST_SOURCES else ():
        chosen |= set([i for i in order if examples[i].id in ids][:OF_A_SOURCE])
    return [examples[i] for i in sorted(chosen)]


def with_sources(suite: Suite, data: Mapping[str, StageData]) -> Suite:
    """The suite; where what should stay comes from several sources, with measures of each as far as it is measured.

    The mean of all hides what becomes of a part: 30 records may be lost among 220 questions and passages that are not.
    The probability of each is a column (as far as the table has room), rings the alarm, and counts as damage. A source
    with fewer than `FEWEST` measured examples shows no change and is left out, and so are all where there are more than
    `MOST_SOURCES`.
    """
    found = _sources(data)
    if not 1 < len(found) <= MOST_SOURCES:
        return suite
    named = dict(zip(_names(list(found)), found.values(), strict=True))
    subsets = {name: _subset(suite, Role.RETAIN, ids) for name, ids in named.items()}
    subsets = {name: subset for name, subset in subsets.items() if len(subset.ids) >= FEWEST}
    keys = tuple(f"{name}/{probability.name}" for name in subsets)

    def labelled(declared: Declaration) -> Declaration:
        headline = replace(declared.headline, others=(*declared.headline.others, *((key,) for key in keys)))
        return replace(declared, headline=headline, alarm=(*declared.alarm, *keys))

    return replace(
        suite,
        metrics=(*suite.metrics, *(_only(suite.metrics, name, subset) for name, subset in subsets.items())),
        declares=labelled(suite.declares),
        stages={stage: labelled(declared) for stage, declared in suite.stages.items()},
        subsets={**suite.subsets, **subsets},
    )


def _sources(data: Mapping[str, StageData]) -> dict[str, set[str]]:
    """By source, the ids of the examples that any stage retains."""
    found: dict[str, set[str]] = {}
    for one in data.values():
        for source, members in one.parts.get(Role.RETAIN, {}).items():
            found.setdefault(source, set()).update(members)
    return found


def _names(sources: Sequence[str]) -> list[str]:
    """A split's name for each source: `retain-` and the last parts of its place, as many as tell it from the others."""
    names: list[str] = []
    for source in sources:
        depth = next((n for n in (1, 2, 3) if [_last(other, n) for other in sources].count(_last(source, n)) == 1), 3)
        name = f"{Role.RETAIN}-{_last(source, depth)}".rstrip("-")
        numbered = chain([name], (f"{name}-{n}" for n in count(1)))
        names.append(next(each for each in numbered if each not in (*names, str(Role.RETAIN))))
    return names


def _last(source: str, depth: int) -> str:
    """The last parts of a place without the kind of file: `data-books`."""
    *folders, file = PurePath(source).parts or ("",)
    return re.sub(r"[^\w.-]+", "-", "-".join([*folders, file.split(".")[0]][-depth:])).strip("-")


def _ids(members: Sequence[Example]) -> set[str]:
    return {example.id for example in members}


def _subset(suite: Suite, role: str, ids: Collection[str]) -> Subset:
    """Which of the measured examples of a role have these ids."""
    measured = [e.id for split in suite.splits if split.name == role for e in split.examples]
    return Subset(of=str(role), ids=tuple(id for id in measured if id in ids))


def _of_stage(whole: Declaration, stage: str) -> Declaration:
    """The declaration for a stage: its own forget set, and the whole suite's declaration of the rest."""
    assert whole.balance is not None, "data with a forget role have a balance"
    balance = replace(whole.balance, forget=f"{stage}-{whole.balance.forget}")
    pair = whole.extraction and replace(whole.extraction, forget=f"{stage}-{whole.extraction.forget}")
    return replace(whole, balance=balance, extraction=pair)


def _only(metrics: Sequence[Metric], name: str, subset: Subset) -> Metric:
    """The metrics of a split, of some of its examples, under another name: `stage-forget/probability`."""
    ids = {*subset.ids}

    def narrowed(splits: Splits | None) -> Splits | None:
        return None if splits is None else {subset.of: [r for r in splits.get(subset.of, ()) if r.id in ids]}

    def measures(records: Splits, oracle: Splits | None) -> list[Measure]:
        found = [m for metric in metrics for m in metric(narrowed(records) or {}, narrowed(oracle))]
        return [replace(m, split=name) for m in found if m.split == subset.of]

    return measures
