"""FLOPs of a stage, of evaluations and of a run: sums over the rows that were really gone through."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from forgetting.core.cache import Cache
from forgetting.core.record import Record, Score
from forgetting.data.encode import Encoded
from forgetting.data.plan import StepPlan
from forgetting.evaluation.extraction import Continued, Verbatim, continue_all
from forgetting.objectives.losses import nll
from forgetting.objectives.objective import Objective, Term
from forgetting.training.counter import counted
from forgetting.training.flops import (
    StageFlops,
    records_work,
    run_flops,
    stage_flops,
)
from forgetting.training.loop import Trainer
from forgetting.training.reference import LiveReference, Reference
from forgetting.training.row_cost import RoleCost, RowCost, StageCost, Uncounted, Work
from forgetting.training.row_counts import stage_cost
from forgetting.training.stored_reference import store_reference
from tests.evaluation.test_extraction import memorized
from tests.models.tiny import tiny_model
from tests.training.making import OBJECTIVES, examples, settings
from tests.training.test_row_counts import with_adapter

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("name", ["npo", "kl_to"])
def test_a_stage_has_the_flops_of_everything_it_really_computed(
    tmp_path: Path, kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of one length, so that there is no padding; 5 steps of 2 rows per role, on 3 and 8 examples."""
    monkeypatch.setattr(Trainer, "_judge", lambda self, step: None)  # a look at the last update, which is not counted
    objective = OBJECTIVES[name]
    model = with_adapter(tiny_model("llama"), kind)
    data = {r: examples(n, shortest=9, longest=9) for r, n in zip(objective.roles, (3, 8), strict=True)}
    stored = kind == "full"
    cost = stage_cost(model, objective, data, stored=stored)
    found: list[Reference] = []

    def prepare() -> None:
        found.append(
            store_reference(model, objective, data, Cache(tmp_path), pad_id=0)
            if stored
            else LiveReference(model, objective)
        )

    preparing = counted(prepare)
    keys = settings(batch_size=2, micro_batch_size=1, duration="5 steps")
    trainer = Trainer(model, objective, data, keys, folder=tmp_path / "s", pad_id=0, seed=3, reference=found[0])
    training = counted(trainer.run)
    flops = stage_flops(cost, trainer.plan, trainer.data, 5)
    assert flops.reason == ""
    assert flops.roles.keys() == {"forget", "retain"}
    assert sum(flops.roles.values()) + flops.reference == preparing + training


COST = StageCost({("train",): RoleCost(RowCost(100, 3, 7))}, RowCost(30, 1, 2), chunk=5, stored=False)


def test_every_row_counts_at_its_own_length_as_often_as_it_was_seen() -> None:
    rows = examples(7)
    plan = StepPlan({"train": 7}, 3, seed=1)
    brute = 0
    for step in range(5):  # the second epoch is broken off
        for i in plan.at(step)["train"]:
            length = len(rows[i].ids)
            brute += 100 * length + 3 * length * length + 7 * (length - 2)
    assert stage_flops(COST, plan, {"train": rows}, 5) == StageFlops({"train": brute}, 0, 0, RowCost(30, 1, 2))


def test_sequences_and_pairs_longer_than_a_chunk_cost_more() -> None:
    def row(supervised: int) -> Encoded:
        return Encoded("", (1,) * 9, (0.0,) * (9 - supervised) + (1.0,) * supervised)

    alone = StageCost({("forget",): RoleCost(RowCost(), again=10, compared=1)}, RowCost(), chunk=5, stored=False)
    data = {"forget": [row(6), row(5)]}
    flops = stage_flops(alone, StepPlan({"forget": 2}, 2, seed=0), data, 1)
    assert (flops.roles, flops.reference) == ({"forget": 60}, 11 + 6)
    pair = StageCost({("forget", "alternate"): RoleCost(RowCost(), again=10)}, RowCost(), chunk=5, stored=False)
    data = {"forget": [row(3), row(3)], "alternate": [row(2), row(4)]}
    plan = StepPlan({"forget": 2, "alternate": 2}, 2, seed=0, partners={"forget": "alternate"})
    assert stage_flops(pair, plan, data, 1).roles == {"forget": 30, "alternate": 40}


def test_a_stored_reference_is_charged_once_and_a_live_one_every_time() -> None:
    rows, plan = examples(4, shortest=9, longest=9), StepPlan({"train": 4}, 2, seed=0)
    of_role: dict[tuple[str, ...], RoleCost] = {("train",): RoleCost(RowCost(), reference=RowCost(1, 0, 0))}
    live, stored = (StageCost(of_role, RowCost(), 5, stored=s) for s in (False, True))
    assert stage_flops(live, plan, {"train": rows}, 6).reference == 6 * 2 * 9
    assert stage_flops(stored, plan, {"train": rows}, 6).reference == 4 * 9


def test_importance_is_its_own_part() -> None:
    rows, plan = examples(4, shortest=9, longest=9), StepPlan({"train": 4}, 2, seed=0)
    flops = stage_flops(
        COST, plan, {"train": rows}, 1, importance={"train": RowCost(1000)}, weighed={"train": rows[:3]}
    )
    assert flops.importance == 3 * 9 * 1000


@pytest.mark.parametrize(
    ("cost", "importance"),
    [(Uncounted("experts"), {"train": RowCost()}), (COST, Uncounted("experts")), (Uncounted("experts"), {})],
)
def test_what_is_not_counted_is_missing_with_its_reason(
    cost: StageCost | Uncounted, importance: dict[str, RowCost] | Uncounted
) -> None:
    flops = stage_flops(cost, StepPlan({"train": 1}, 1, seed=0), {"train": examples(1)}, 1, importance=importance)
    assert flops == StageFlops(reason="experts")


def plain(name: str, flops: StageFlops) -> dict[str, Any]:
    return {"name": name, "flops": asdict(flops)}


def test_a_run_adds_its_stages_and_the_evaluations_of_each() -> None:
    stages = [
        plain("a", StageFlops({"forget": 1, "retain": 2}, 30, 400, RowCost(1))),
        plain("b", StageFlops({"train": 5000, "forget": 6}, forward=RowCost(0, 2, 3))),
    ]
    work = asdict(Work(100_000, 10, 20))
    assert run_flops(stages, [("a", work), ("b", work), ("b", work)]) == {
        "forget": 7,
        "retain": 2,
        "reference": 30,
        "importance": 400,
        "train": 5000,
        "evaluation": 100_000 + 2 * (20 + 60),
        "total": 7 + 2 + 30 + 400 + 5000 + 100_160,
        "reason": "",
    }


@pytest.mark.parametrize(
    "missing", [{"name": "b", "flops": None}, {"name": "b"}, plain("b", StageFlops(reason="experts"))]
)
def test_a_stage_without_a_count_leaves_the_run_without_one(missing: dict[str, Any]) -> None:
    found = run_flops([plain("a", StageFlops({"forget": 1})), missing], [])
    assert found["reason"] == ("experts" if missing.get("flops") else "not counted")
    assert {found[key] for key in ("forget", "retain", "reference", "importance", "evaluation", "total")} == {None}


def test_evaluations_that_recorded_no_work_leave_the_rest() -> None:
    found = run_flops([plain("a", StageFlops({"forget": 1}))], [("a", None)])
    assert (found["forget"], found["evaluation"], found["total"]) == (1, None, None)
    assert found["reason"] == "the cost of the evaluations was not recorded"


def words(text: str) -> int:
    return len(text.split())


def record(**keys: object) -> Record:
    return Record(id="r", split="forget", prompt="who is she", answer="", **keys)  # type: ignore[arg-type]


def test_scores_cost_a_row_each_and_answers_a_token_at_a_time() -> None:
    scored = record(score=Score(-1.0, 4), paraphrase=Score(-1.0, 5), perturbed=(Score(-1.0, 2),))
    assert records_work([scored], words) == Work(7 + 8 + 5, 49 + 64 + 25, 4 + 5 + 2)
    # A prompt of 3 gives the first token; 2 more words and the end are written by steps that see 4, 5 (and no more).
    assert records_work([record(generation="a baker")], words) == Work(3 + 2, 9 + 4 + 5, 3)
    assert records_work([record(), scored], words) == records_work([scored], words)


@pytest.mark.parametrize(("level", "shortest"), [(0.0, 4), (0.5, 4), (0.5, 1)])
def test_extraction_costs_what_its_steps_take(level: float, shortest: int) -> None:
    """Beside a text known by heart, which costs one forward and what is the same for every text."""
    model = tiny_model("llama")
    cost = stage_cost(model, Objective(Term("train", nll)), {"train": examples(1)})
    assert isinstance(cost, StageCost)
    flops, works = [], []
    for text in (Verbatim(tuple(memorized(model, known, seed=0))) for known in (level, 1.0)):
        found: list[Continued] = []
        flops.append(counted(partial(_continue, model, text, shortest, found)))
        works.append(records_work([record(score=found[0].score, extraction={shortest: (0.0,)})], words))
    assert works[1] == Work(18, 18**2, 17)
    assert cost.forward.of(works[0]) - cost.forward.of(works[1]) == flops[0] - flops[1]


def _continue(model: PreTrainedModel, text: Verbatim, shortest: int, found: list[Continued]) -> None:
    found.extend(continue_all(model, [text], shortest=shortest))


def test_nothing_is_trained_and_nothing_is_charged() -> None:
    objective = Objective(Term("train", nll))
    cost = stage_cost(tiny_model("llama"), objective, {"train": examples(1)})
    plan = StepPlan({"train": 4}, 2, seed=0)
    assert stage_flops(cost, plan, {"train": examples(4)}, 0).roles == {"train": 0}
