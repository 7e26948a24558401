"""The examples of a finished run by role: what it forgot, what it kept, and what it never saw."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from forgetting.benchmarks.registry import get_suite
from forgetting.core.example import Example, Role
from forgetting.core.progress import SILENT
from forgetting.data.examples import overlap
from forgetting.pipeline.run.own_data import VERBATIM
from forgetting.pipeline.run.prepare import StageData, load_data, of_role
from forgetting.pipeline.run.prepared import digests_of
from forgetting.recipe import Recipe
from forgetting.runs.folder import RunFolder
from forgetting.runs.same_run import check_data

FACTS = 400
"""The default number of forget examples."""
_FEWEST_OTHERS = 100
"""The minimum number of examples of other roles, which otherwise have as many as the forget set."""


def data_of(folder: Path, recipe: Recipe) -> dict[str, StageData]:
    """The data of every stage, unchanged since the start of the run.

    Raises:
        DataError: a file or row that cannot be read.
        RunError: the data changed since the start of the run.
    """
    data = load_data(recipe, SILENT)
    check_data(RunFolder(folder), digests_of(data))
    return data


def examples_of(
    recipe: Recipe, data: Mapping[str, StageData], *, facts: int = FACTS, without: Collection[str] = ()
) -> dict[str, tuple[Example, ...]]:
    """The examples of all stages by role, once each: `forget`, `retain`, `holdout`, `train`. Empty roles are left out.

    If the recipe has no holdout data, those of its suites are used. Retain and holdout examples that are also in the
    forget set, or share a group with one there, are left out. Long roles are sampled, in the same way for any run of
    these data.

    Args:
        recipe: the run's.
        data: of its stages, see `data_of`.
        facts: maximum number of forget examples.
        without: clusters of forget examples that are left out.
    """
    roles = (Role.FORGET, Role.RETAIN, Role.HOLDOUT, Role.TRAIN)
    found: dict[str, list[Example]] = {str(role): of_role(data, role) for role in roles}
    found[Role.HOLDOUT] = found[Role.HOLDOUT] or _shipped(recipe, Role.HOLDOUT)
    forget = found[Role.FORGET]
    for role in (Role.RETAIN, Role.HOLDOUT):
        found[role] = _without(found[role], forget)
    found[Role.FORGET] = [e for e in forget if e.cluster not in without]
    kept = {role: _sample(members, facts) for role, members in found.items() if members}
    others = max(len(kept.get(Role.FORGET, ())), _FEWEST_OTHERS) if forget else facts
    return {role: members if role == Role.FORGET else _sample(members, others) for role, members in kept.items()}


def _shipped(recipe: Recipe, role: str) -> list[Example]:
    """The examples of the recipe's suites for a role."""
    named = recipe.evaluate.values() if isinstance(recipe.evaluate, dict) else recipe.evaluate
    return [e for name in named if name != VERBATIM for e in get_suite(name).data.get(role, ())]


def _without(examples: Sequence[Example], others: Sequence[Example]) -> list[Example]:
    same = {e.id for e in overlap(examples, others)}
    clusters = {e.cluster for e in others}
    return [e for e in examples if e.id not in same and e.cluster not in clusters]


def _sample(examples: Sequence[Example], limit: int) -> tuple[Example, ...]:
    """The first `limit` of a fixed shuffle, in their original order."""
    chosen = random.Random(0).sample(range(len(examples)), len(examples))[:limit]
    return tuple(examples[i] for i in sorted(chosen))
