"""Several requests: a line for each, and one that rose again after a later one says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.declaration import Declaration, Extraction, Headline
from forgetting.core.measure import Measure
from forgetting.core.record import write_records
from forgetting.core.subset import Subset
from forgetting.metrics.likelihood import probability
from forgetting.metrics.per_example import mean
from forgetting.report.verdict import forgotten
from forgetting.report.verdict.models import Models
from forgetting.report.verdict.requests import requests
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult
from tests.report.verdict.recorded import records_of, spread

SETS = (("march-forget/el_10", "march-forget/probability"), ("april-forget/el_10", "april-forget/probability"))
PASSAGES = Declaration(headline=Headline(sets=SETS), extraction=Extraction(forget="forget", unseen="unseen", n=10))
OWN = Declaration(headline=Headline(sets=tuple(keys[1:] for keys in SETS)))


def evaluation(point: str, stage: str | None, march: float, april: float) -> Evaluation:
    values = {
        f"{split}/{name}": value
        for split, value in {"march-forget": march, "april-forget": april, "unseen": 0.2}.items()
        for name in ("el_10", "memorization_accuracy", "probability")
    }
    measures = [Measure(name=k.split("/")[1], split=k.split("/")[0], value=v, count=1) for k, v in values.items()]
    return Evaluation(point=point, stage=stage, measures=tuple(measures))  # type: ignore[arg-type]


def run(declared: Declaration, *, later: float, success: bool | None = None) -> Results:
    stages = [StageResult(name=name, method="ihl", success=success) for name in ("march", "april")]
    points = (
        evaluation("before", None, 0.9, 0.9),
        evaluation("after", "march", 0.1, 0.8),
        evaluation("after", "april", later, 0.3),
    )
    return Results(
        folder=Path("x"), name="x", status="complete", stages=tuple(stages), evaluations=points, declaration=declared
    )


def test_requests_without_goals_are_compared_with_unseen_text() -> None:
    march, april = requests(run(PASSAGES, later=0.1))
    assert (march.tone, april.tone) == ("good", "bad")
    assert march.text == (
        "After its stage, request march is no easier to extract than unseen text: march-forget has "
        "EL_10 0.100 (unseen: 0.200 before, 0.200 now) and MA 0.100 (unseen: 0.200 before, 0.200 now)."
    )
    assert april.text.startswith("After its stage, request april is still easier to extract than unseen text: ")


def test_requests_measured_as_answers_are_not_compared_with_unseen_text() -> None:
    assert requests(run(OWN, later=0.1)) == []


@pytest.mark.parametrize(("later", "rose"), [(0.1, False), (0.17, False), (0.19, True), (0.05, False)])
@pytest.mark.parametrize(("declared", "name"), [(PASSAGES, "el 10"), (OWN, "probability")])
def test_a_request_that_became_known_again_rose(later: float, rose: bool, declared: Declaration, name: str) -> None:
    found = requests(run(declared, later=later, success=True))
    if not rose:
        assert found == []
        return
    [finding] = found
    assert (finding.tone, finding.text) == (
        "bad",
        f"Request march rose again after stage april: march-forget · {name} 0.100 after its own stage, 0.190 after "
        "that one.",
    )


def test_one_request_is_none_of_several() -> None:
    one = Declaration(headline=Headline(sets=SETS[:1]))
    assert requests(run(one, later=0.9)) == []


@pytest.mark.parametrize(
    ("moved", "again"),
    [
        ([0.1] * 20, False),  # nothing rose
        ([0.11 + 0.001 * (i % 3) for i in range(20)], False),  # every example rose, by a hundredth of what was lowered
        ([0.25 + 0.01 * (i % 3) for i in range(20)], True),
        ([0.9, 0.9, 0.9, 0.9, *[0.1] * 16], False),  # a fifth of what was lowered, in four examples of twenty
    ],
)
def test_a_rise_of_paired_examples_is_said_where_it_is_shown_and_not_small(
    tmp_path: Path, moved: list[float], again: bool
) -> None:
    folder = tmp_path / "run"
    start, own = spread(0.9, 20), [0.1] * 20
    answers = {"before": start, "march-after": own, "april-after": moved}
    folder.mkdir()
    evaluations = []
    for name, values in answers.items():
        records = records_of({"forget": [*values, *start]}, "q")
        write_records(folder / f"{name}.jsonl", records)
        march = {"forget": [r for r in records if r.id in {f"q{i}" for i in range(20)}]}
        measures = [
            *mean(probability, ("forget",), "down")({"forget": records}, None),
            *(replace(m, split="march-forget") for m in mean(probability, ("forget",), "down")(march, None)),
        ]
        stage, _, point = name.rpartition("-")
        evaluations.append(
            Evaluation(
                point=point,  # type: ignore[arg-type]
                stage=stage or None,
                records=f"{name}.jsonl",
                measures=(*measures, replace(measures[-1], split="april-forget")),
            )
        )
    found = Results(
        folder=folder,
        name="x",
        status="complete",
        stages=tuple(StageResult(name=name, method="ihl") for name in ("march", "april")),
        evaluations=tuple(evaluations),
        declaration=OWN,
        subsets={"march-forget": Subset(of="forget", ids=tuple(f"q{i}" for i in range(20)))},
    )
    said = [f.text for f in requests(found) if "rose again" in f.text]
    assert bool(said) is again


@pytest.mark.parametrize("label", ["first", "april"])
def test_a_request_that_rose_again_is_said_under_a_label_too(label: str) -> None:
    plain = run(OWN, later=0.6)
    names = {split: f"{label}-{split}" for split in ("march-forget", "april-forget", "unseen")}
    labelled = replace(plain.with_names(names), recipe={"evaluate": {label: "extraction"}})
    (finding,) = requests(labelled)
    assert finding.text.startswith("Request march rose again after stage april: ")
    assert [r.name for r in forgotten.requests(Models.of(labelled))] == ["march", "april"]
