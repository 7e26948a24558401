"""Runs beside each other: paired differences against a brute-force oracle, and what cannot be compared."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forgetting.core.errors import RunError
from forgetting.core.record import Record, Score, write_records
from forgetting.metrics.changes import change_intervals
from forgetting.report.comparison.differences import compare
from forgetting.report.comparison.page import as_json, build_comparison, render, tables
from forgetting.runs.results import Results
from tests.report.fixtures import HOSTILE, HOSTILE_RUN, IHL_RUN, NPO_RUN, write_run


def made(folder: Path, shift: float, *, questions="q", count=24, suite="own", more=(), recipe=None) -> Path:
    """A run of one measure, whose records have p = base − shift, three records to a cluster."""
    folder.mkdir(parents=True)
    (folder / "records").mkdir()
    rng = np.random.default_rng(5)
    base = rng.uniform(0.3, 0.9, count)
    values = np.clip(base - shift * rng.uniform(0.5, 1.5, count), 0.01, 1)
    records = [
        Record(
            id=str(i),
            split="forget",
            prompt=f"{questions}{i}",
            answer="a",
            score=Score(logp=float(np.log(v)), tokens=1),
            group=f"g{i // 3}",
        )
        for i, v in enumerate(values)
    ]
    write_records(folder / "records" / "after.jsonl", records)
    measure = {"name": "probability", "split": "forget", "value": float(values.mean()), "count": count}
    evaluation = {"point": "after", "records": "records/after.jsonl", "measures": [measure, *more]}
    results = {"format": 1, "name": folder.name, "status": "complete", "suite": suite, "recipe": recipe or {}}
    (folder / "results.json").write_text(json.dumps({**results, "evaluations": [evaluation]}))
    return folder


def loaded(*folders: Path) -> list[Results]:
    return [Results.load(folder) for folder in folders]


def test_the_difference_is_paired_and_its_interval_is_that_of_resampled_clusters(tmp_path):
    one, two = made(tmp_path / "one", 0.0), made(tmp_path / "two", 0.1)
    found = compare(loaded(one, two))
    [shared] = found.shared
    [difference] = shared.differences
    sides = [
        np.array([np.exp(json.loads(line)["score"]["logp"]) for line in (f / "records/after.jsonl").open()])
        for f in (one, two)
    ]
    per_record = sides[1] - sides[0]
    clusters = sorted({f"g{i // 3}" for i in range(24)})
    sums = np.array([sum(per_record[i] for i in range(24) if f"g{i // 3}" == c) for c in clusters])
    assert difference.estimate.value == pytest.approx(per_record.mean(), rel=1e-12)
    [ends] = change_intervals(sums[None], np.full((1, 8), 3.0), key="probability")
    assert (difference.estimate.low, difference.estimate.high) == pytest.approx(tuple(ends), rel=1e-9)
    assert difference.estimate.count == 24
    assert difference.told_apart


def test_equal_runs_are_not_told_apart(tmp_path):
    found = compare(loaded(made(tmp_path / "one", 0.1), made(tmp_path / "two", 0.1)))
    [difference] = found.shared[0].differences
    assert difference.estimate.value == 0
    assert not difference.told_apart


def test_pairs_are_only_the_same_questions(tmp_path):
    one, two = made(tmp_path / "one", 0.0), made(tmp_path / "two", 0.1, questions="other ")
    [difference] = compare(loaded(one, two)).shared[0].differences
    assert difference.estimate.value is None
    assert difference.reason == "the same ids are other questions"
    fewer = made(tmp_path / "fewer", 0.1, count=9)
    assert compare(loaded(one, fewer)).shared[0].differences[0].estimate.count == 9


def test_records_that_do_not_give_the_value_are_not_paired(tmp_path):
    one, two = made(tmp_path / "one", 0.0), made(tmp_path / "two", 0.1)
    results = json.loads((two / "results.json").read_text())
    results["evaluations"][0]["measures"][0]["value"] += 0.01
    (two / "results.json").write_text(json.dumps(results))
    assert compare(loaded(one, two)).shared[0].differences[0].reason == "its records do not give its value again"
    results["evaluations"][0]["records"] = None
    (two / "results.json").write_text(json.dumps(results))
    assert compare(loaded(one, two)).shared[0].differences[0].reason == "no records were kept"


def test_only_what_differs_in_the_recipes_is_told_by_dotted_keys(tmp_path):
    stage = {"name": "unlearn", "learning_rate": 1e-4, "method": {"name": "npo", "beta": 0.1}}
    recipe = {"name": "x", "output": "o", "seed": 0, "stages": [stage], "data": {"forget": [{"path": "a"}]}}
    changed = {**recipe, "name": "y", "stages": [{**stage, "method": {"name": "ga"}}, {**stage, "name": "second"}]}
    one, two = made(tmp_path / "one", 0.0, recipe=recipe), made(tmp_path / "two", 0.1, recipe=changed)
    found = dict(compare(loaded(one, two)).recipes)
    assert found["stages.unlearn.method.name"] == ("npo", "ga")
    assert found["stages.unlearn.method.beta"] == (0.1, ...)
    assert found["stages.second"] == (..., "npo")
    assert not any(key.startswith("stages.second.") for key in found)
    assert not {"name", "output", "seed", "data.forget", "stages.unlearn.learning_rate"} & found.keys()


def test_what_not_all_runs_measured_is_said(tmp_path):
    extra = {"name": "perplexity", "split": "story", "value": 3.0, "count": 5}
    found = compare(loaded(made(tmp_path / "one", 0.0, more=[extra]), made(tmp_path / "two", 0.1, suite="other")))
    assert found.only == {"one": ("story/perplexity",)}
    assert [s.key for s in found.shared] == ["forget/probability"]
    assert "story/perplexity" in render(found)
    assert "different suites (own, other)" in found.caution
    assert found.caution in render(found)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda one, two: [one], "two or more run folders"),
        (lambda one, two: [one, two, one], "is named twice"),
        (lambda one, two: [one, replace(two, evaluations=())], "was not measured at its end"),
        (
            lambda one, two: [
                one,
                replace(
                    two,
                    suite="z",
                    evaluations=tuple(
                        replace(e, measures=tuple(replace(m, name="zest") for m in e.measures)) for e in two.evaluations
                    ),
                ),
            ],
            "no measure has a value in all of these runs",
        ),
    ],
)
def test_nonsense_is_refused_in_a_line(spoil, message, tmp_path):
    one, two = loaded(made(tmp_path / "one", 0.0), made(tmp_path / "two", 0.1))
    with pytest.raises(RunError, match=message) as told:
        compare(spoil(one, two))
    assert "\n" not in str(told.value)


def test_the_page_runs_nothing_asks_for_nothing_and_escapes_everything(tmp_path):
    folders = [write_run(tmp_path / str(i), story) for i, story in enumerate((IHL_RUN, NPO_RUN, HOSTILE_RUN))]
    build_comparison(folders, tmp_path / "compare.html")
    page = (tmp_path / "compare.html").read_text()
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert not re.search(r'(src|href)="(?!#)', page)
    assert HOSTILE[0] not in page
    for title in ("Paired differences", "Side by side", "What differs", "Cost"):
        assert title in page


def test_terminal_tables_and_json_hold_the_same_numbers(tmp_path):
    found = compare(loaded(made(tmp_path / "one", 0.0), made(tmp_path / "two", 0.1)))
    headers, rows = tables(found)["measures"]
    assert headers == ["", "one", "two", "two − one"]
    values = as_json(found)["measures"][0]
    assert f"n {values['differences'][0]['count']}" in rows[0][3]
    json.dumps(as_json(found))
