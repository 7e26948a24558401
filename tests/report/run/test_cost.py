"""What runs took is told in full where it is known, and runs are placed by it."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from forgetting.report.run.cost import Bill, bills, cost_figure
from forgetting.runs.cost import method_flops
from forgetting.runs.results import Results
from tests.report.fixtures import GA_RUN, IHL, IHL_RUN, NPO_RUN, Story, load, write_run

SVG = "{http://www.w3.org/2000/svg}"
FLOPS = {"forget": 1e12, "retain": 2e12, "reference": 0, "importance": 4e11, "evaluation": 5e12, "total": 8.4e12}


def priced(story: Story, factor: float = 1.0, **keys: float | str | None) -> Story:
    return replace(story, flops={**{k: v * factor for k, v in FLOPS.items()}, "reason": "", **keys})


def figure_of(tmp_path: Path, *stories: Story) -> ElementTree.Element:
    figure = cost_figure(load(tmp_path, *stories))
    assert figure is not None
    return ElementTree.fromstring(figure)


def texts(figure: ElementTree.Element, kind: str) -> list[str]:
    return [t.text or "" for t in figure.iter(f"{SVG}text") if t.get("class") == kind]


def test_a_bill_names_every_part_that_took_something(tmp_path: Path) -> None:
    (bill,) = bills(load(tmp_path, priced(IHL_RUN)))
    parts = ("forget 1.00 TFLOP", "retain 2.00 TFLOP", "importance 400 GFLOP", "evaluation 5.00 TFLOP")
    assert bill == Bill("12.0", "8.40 TFLOP", parts, "")


def test_a_run_without_flops_says_why(tmp_path: Path) -> None:
    names = dict.fromkeys(FLOPS)
    old, experts = bills(load(tmp_path, IHL_RUN, replace(IHL_RUN, flops={**names, "reason": "experts"})))
    assert old == Bill("12.0", "—", (), "not counted")
    assert experts == Bill("12.0", "—", (), "experts")


def test_without_the_evaluations_the_rest_is_summed_and_the_reason_given(tmp_path: Path) -> None:
    runs = load(tmp_path, priced(IHL_RUN, evaluation=None, total=None, reason="not recorded"))
    (bill,) = bills(runs)
    assert (bill.flops, bill.reason) == ("3.40 TFLOP", "not recorded")
    assert method_flops(runs[0]) == 3.4e12


def test_what_a_method_took_leaves_evaluations_out(tmp_path: Path) -> None:
    assert [method_flops(run) for run in load(tmp_path, priced(IHL_RUN), IHL_RUN)] == [3.4e12, None]


def test_runs_are_placed_by_flops_and_score_between_the_levels_of_start_and_oracle(tmp_path: Path) -> None:
    figure = figure_of(tmp_path, priced(IHL_RUN), priced(NPO_RUN, 2.0))
    (point,) = [c for c in figure.iter(f"{SVG}circle") if c.get("class") == "point s0"]
    left, right = 52, 700 - 60
    assert float(point.get("cx", "")) == pytest.approx(left + 3.4 / (1.12 * 6.8) * (right - left), abs=0.01)
    bottom, top = 380 - 44, 14
    assert float(point.get("cy", "")) == pytest.approx(bottom + (0.86 + 0.02) / 1.05 * (top - bottom), abs=0.01)
    assert texts(figure, "hint") == ["oracle", "start"]
    assert texts(figure, "title")[0] == "FLOPs of preparing and training"
    assert {"0 FLOP", "2.00 TFLOP"} <= set(texts(figure, "tick"))
    adapter = "LoRA rank 8, alpha 16, initialised by FILA"[:11]
    assert all(label.startswith(("ihl, " + adapter, "npo, " + adapter)) for label in texts(figure, "label"))


def test_a_wide_range_is_drawn_by_powers_of_ten(tmp_path: Path) -> None:
    figure = figure_of(tmp_path, priced(IHL_RUN), priced(NPO_RUN, 100.0))
    assert texts(figure, "title")[0] == "FLOPs of preparing and training, log scale"
    assert {"10.0 TFLOP", "100 TFLOP"} <= set(texts(figure, "tick"))


def test_where_a_run_has_no_flops_all_are_placed_by_seconds(tmp_path: Path) -> None:
    figure = figure_of(tmp_path, priced(IHL_RUN), replace(NPO_RUN, seconds=4.0))
    assert texts(figure, "title")[0] == "seconds of preparing and training"
    points = [e for e in figure.iter() if (e.get("class") or "").startswith("point")]
    said = [p.findtext(f"{SVG}title") or "" for p in points]
    assert [text.split("\n")[1] for text in said] == ["9.0 s", "4.0 s"]


def test_balance_goes_before_model_utility_and_has_start_and_oracle_by_definition(tmp_path: Path) -> None:
    stories = [priced(replace(s, after={**(s.after or {}), "all/balance": 0.7})) for s in (IHL_RUN, NPO_RUN)]
    figure = figure_of(tmp_path, *stories)
    assert texts(figure, "title")[1] == "balance ↑"
    levels = [float(line.get("y1", "")) for line in figure.iter(f"{SVG}line") if line.get("class") == "level"]
    bottom, top = 380 - 44, 14
    assert levels == pytest.approx([bottom + (v + 0.02) / 1.05 * (top - bottom) for v in (1.0, 0.0)], abs=0.01)


def test_runs_that_differ_in_neither_method_nor_adapter_go_by_their_names(tmp_path: Path) -> None:
    figure = figure_of(tmp_path, priced(IHL_RUN), priced(replace(IHL_RUN, name="second", after={**IHL})))
    assert set(texts(figure, "label")) == {"ihl", "second"}


def test_one_run_or_one_score_is_no_comparison(tmp_path: Path) -> None:
    assert cost_figure(load(tmp_path / "one", priced(IHL_RUN))) is None
    assert cost_figure(load(tmp_path / "two", priced(IHL_RUN), priced(GA_RUN))) is None  # GA has no model utility


def test_results_of_an_older_version_are_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", IHL_RUN)
    file = folder / "results.json"
    raw = json.loads(file.read_text())
    raw["cost"] = {"seconds": 3.0, "something_new": 1}
    file.write_text(json.dumps(raw))
    run = Results.load(folder)
    assert (run.cost.prepare_seconds, run.cost.flops, method_flops(run)) == (None, {}, None)
