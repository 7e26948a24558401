"""FLOPs of a stage, of an evaluation and of a run: the cost of a row, times the rows.

Only rows that were trained on or measured are counted, at their own lengths, without padding. Not
counted: the forward that judges an update which no further step looks at (one for each evaluation, and one at the end).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from forgetting.core.record import Record
from forgetting.data.encode import Encoded
from forgetting.data.plan import StepPlan
from forgetting.training.row_cost import RowCost, StageCost, Uncounted, Work


@dataclass(frozen=True, slots=True)
class StageFlops:
    """FLOPs of a stage up to its last step; if `reason` is set, the rest is empty."""

    roles: Mapping[str, int] = field(default_factory=dict)
    """Forward and backward by role."""
    reference: int = 0
    importance: int = 0
    """The data pass of the adapter's initialisation."""
    forward: RowCost = field(default_factory=RowCost)
    """The cost of evaluating it."""
    reason: str = ""


def stage_flops(
    cost: StageCost | Uncounted,
    plan: StepPlan,
    data: Mapping[str, Sequence[Encoded]],
    steps: int,
    *,
    importance: Mapping[str, RowCost] | Uncounted = MappingProxyType({}),
    weighed: Mapping[str, Sequence[Encoded]] = MappingProxyType({}),
) -> StageFlops:
    """FLOPs of the rows that `steps` steps of the plan trained on, by role, and of their preparation.

    Roles share a forward pass; each is charged its own rows. A stored reference is charged once, even if the run found
    it on disk.

    Args:
        importance: cost of a row of each role in the data pass of the adapter's initialisation.
        weighed: the rows of that pass, by role.
    """
    if isinstance(cost, Uncounted) or isinstance(importance, Uncounted):
        return StageFlops(reason=next(c.reason for c in (cost, importance) if isinstance(c, Uncounted)))
    times = {role: np.zeros(size, dtype=np.int64) for role, size in plan.sizes.items()}
    for step in range(steps):
        for role, members in plan.at(step).items():
            np.add.at(times[role], members, 1)
    roles: dict[str, int] = {}
    reference = 0
    for group, its in cost.groups.items():
        twice = _longer(data, group, cost.chunk) if its.again else np.zeros(1, dtype=bool)
        for role in group:
            done = rows_work(data[role], times[role])
            more = rows_work(data[role], times[role] * twice).supervised
            roles[role] = its.train.of(done) + its.again * more
            reference += its.compared * (done.supervised + more)
            if its.reference is not None:
                reference += its.reference.of(rows_work(data[role]) if cost.stored else done)
    weighing = sum(its.of(rows_work(weighed[role])) for role, its in importance.items())
    return StageFlops(roles, reference, weighing, cost.forward)


def _longer(data: Mapping[str, Sequence[Encoded]], group: tuple[str, ...], chunk: int) -> np.ndarray:
    """Which examples, or pairs of them, have more supervised positions than a chunk of the head."""
    return sum(np.array([e.supervised for e in data[role]]) for role in group) > chunk  # type: ignore[return-value]


def rows_work(rows: Sequence[Encoded], times: Sequence[int] | np.ndarray | None = None) -> Work:
    """The work of encoded rows, each processed `times` times (default: once)."""
    count = np.ones(len(rows), dtype=np.int64) if times is None else np.asarray(times, dtype=np.int64)
    length = np.array([len(e.ids) for e in rows], dtype=np.int64)
    supervised = np.array([e.supervised for e in rows], dtype=np.int64)
    return Work(int(count @ length), int(count @ length**2), int(count @ supervised))


def records_work(records: Sequence[Record], tokens: Callable[[str], int]) -> Work:
    """An estimate of the useful work behind records: every scored answer after its prompt, every generated token.

    Records do not contain templates around prompts, nor paraphrased prompts; padding of batches is not useful work.

    Args:
        tokens: the number of tokens of a text.
    """
    return sum((_record_work(record, tokens) for record in records), Work())


def run_flops(
    stages: Sequence[Mapping[str, Any]], evaluated: Sequence[tuple[str, Mapping[str, int] | None]]
) -> dict[str, Any]:
    """FLOPs of a run, summed over its stages: by role, `reference`, `importance`, `evaluation`, `total`, `reason`.

    Unknown values are None, and so is the total then; `reason` says why.

    Args:
        stages: `name` and `flops` (of a `StageFlops` as plain values, or None) of each.
        evaluated: by evaluation during or after a stage, the stage's name and the `Work` as plain values, or None.
    """
    found: dict[str, dict[str, Any]] = {s["name"]: s.get("flops") or {"reason": "not counted"} for s in stages}
    reasons = [f["reason"] for f in found.values() if f["reason"]]
    if reasons:
        names = dict.fromkeys(("forget", "retain", "reference", "importance", "evaluation", "total"))
        return {**names, "reason": reasons[0]}
    sums: dict[str, Any] = {"forget": 0, "retain": 0}
    for flops in found.values():
        for role, value in flops["roles"].items():
            sums[role] = sums.get(role, 0) + value
    sums |= {part: sum(f[part] for f in found.values()) for part in ("reference", "importance")}
    if any(work is None for _, work in evaluated):
        return {**sums, "evaluation": None, "total": None, "reason": "the cost of the evaluations was not recorded"}
    sums["evaluation"] = sum(RowCost(**found[name]["forward"]).of(Work(**work)) for name, work in evaluated if work)
    return {**sums, "total": sum(sums.values()), "reason": ""}


def _record_work(record: Record, tokens: Callable[[str], int]) -> Work:
    if record.extraction and record.score is not None:
        return _extraction_work(record.score.ranks, record.score.tokens + 1, min(record.extraction))
    prompt = tokens(record.prompt)
    scores = [s for s in (record.score, record.paraphrase, *record.perturbed) if s is not None]
    rows = [(prompt + s.tokens, s.tokens) for s in scores]
    work = Work(sum(t for t, _ in rows), sum(t * t for t, _ in rows), sum(n for _, n in rows))
    if record.generation is None:
        return work
    written = tokens(record.generation) + 1  # the end token
    later = range(prompt + 1, prompt + written)
    return work + Work(prompt + len(later), prompt**2 + sum(later), written)


def _extraction_work(ranks: Sequence[int], length: int, shortest: int) -> Work:
    """One forward over a text, and one step at a time from each prefix where the model's continuation differs."""
    wrong = [p for p, rank in enumerate(ranks, 1) if rank]
    begun = wrong[: sum(p <= length - shortest for p in wrong) + 1]
    steps = [range(p, length - 1) for p in begun]
    alone = sum(len(s) for s in steps)
    return Work(length + alone, length**2 + sum(p + 1 for s in steps for p in s), length - 1 + alone)
