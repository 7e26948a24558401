"""The figures that a sweep's file asks for: every run where its numbers are, in the colour of its axis."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forgetting.report.sweep.figures import asked_figures, legend
from forgetting.report.sweep.page import build_sweep_report
from tests.report.sweeps import measure, run, sweep_results, write_sweep

LEFT, RIGHT, TOP, BOTTOM = 52, 400 - 14, 14, 300 - 44


def with_rank(method: str, rank: str, values: Mapping[str, float | None], **more: Any) -> dict[str, Any]:
    return {**run(method, "0", values, **more), "point": {"method": method, "rank": rank}, "name": f"{method}-{rank}"}


def figures(runs: Sequence[Mapping[str, Any]], *asked: Mapping[str, Any], **more: Any) -> Any:
    return sweep_results(runs, file={"recipe": "lab", "figures": list(asked)}, **{"replicates": [], **more})


def dots(text: str, kind: str = "circle") -> list[tuple[float, float, str]]:
    found = re.findall(rf'<{kind} cx="([0-9.]+)" cy="([0-9.]+)" r="[0-9.]+" class="([a-z0-9 ]+)"', text)
    return [(float(x), float(y), style) for x, y, style in found]


COSTLY = [
    with_rank("GD", "4", {"run/flops": 1e15, "all/score": 0.2}),
    with_rank("GD", "8", {"run/flops": 2e15, "all/score": 0.4}, success=False),
    with_rank("LoKU", "4", {"run/flops": 3e15, "all/score": 0.6}),
    with_rank("LoKU", "8", {"run/flops": None, "all/score": 0.8}),
]


def test_cost_stands_across_and_quality_up_a_point_a_run() -> None:
    [panel] = asked_figures(figures(COSTLY, {"x": "run/flops", "y": "all/score"}))
    [(x, y, style), (far, low, other)] = dots(str(panel.figure))
    assert (style, other) == ("point s0", "point s1")  # the run without a cost is in no figure
    assert LEFT < x < far < RIGHT and BOTTOM > y > low > TOP
    assert str(panel.figure).count('<path d="') == 1, "the run that missed its goal is a cross"
    assert "PFLOP" in str(panel.figure) and "curve" not in str(panel.figure)


def test_beside_an_axis_a_line_joins_the_means_of_the_runs_that_reached_their_goal() -> None:
    runs = [
        with_rank("GD", rank, {"all/score": value}, success=success)
        for rank, value, success in (("4", 0.2, True), ("4", 0.4, True), ("8", 0.6, True), ("8", 0.0, False))
    ]
    runs = [{**r, "name": str(i)} for i, r in enumerate(runs)]
    [panel] = asked_figures(figures(runs, {"x": "rank", "y": "all/score"}))
    [line] = re.findall(r'<polyline points="([^"]+)" class="curve s0"', str(panel.figure))
    (_, first), (_, second) = (map(float, pair.split(",")) for pair in line.split())
    heights = [y for *_, y, _ in [(d[0], d[1], d[2]) for d in dots(str(panel.figure))]]
    assert abs(first - (heights[0] + heights[1]) / 2) < 0.1, "the mean of 0.2 and 0.4"
    assert abs(second - heights[2]) < 0.1, "the run that missed its goal does not count"


def test_every_point_of_a_panels_axis_has_a_panel_of_its_own() -> None:
    panels = asked_figures(figures(COSTLY, {"x": "rank", "y": "all/score", "panels": ["method"]}))
    assert [panel.title.rpartition(": ")[2] for panel in panels] == ["GD", "LoKU"]
    assert all(panel.figure.count("<polyline") == 1 for panel in panels)


def stop(point: str, stage: int, epoch: float, **values: float) -> dict[str, Any]:
    found = [measure(f"all/{name}", value) for name, value in values.items()]
    return {"point": point, "stage": stage, "epoch": epoch, "measures": found}


WAY = [
    stop("before", 0, 0.0, kept=0.9, quality=0.1),
    stop("oracle", 0, 0.0, kept=0.85, quality=0.95),
    stop("epoch", 0, 1.0, kept=0.8, quality=0.3),
    stop("epoch", 0, 2.0, kept=0.7, quality=0.5),
    stop("after", 1, 2.0, kept=0.69, quality=0.52),
    stop("after", 2, 1.0, kept=0.6, quality=0.7),
]


def test_along_its_epochs_a_run_is_a_line_from_the_model_before_and_the_oracle_is_no_part_of_it() -> None:
    runs = [with_rank("GD", "4", {"all/kept": 0.6}, way=WAY)]
    [panel] = asked_figures(figures(runs, {"x": "all/kept", "y": "all/quality", "along": "epochs"}))
    text = str(panel.figure)
    [line] = re.findall(r'<polyline points="([^"]+)"', text)
    assert len(line.split()) == 3, "before and two epochs"
    assert [style for *_, style in dots(text)] == ["start", "point s0", "point s0"]
    assert 'class="oracle"' in text and "epoch 2.00 (n = 10)" in text


def test_along_its_stages_a_run_goes_from_stage_0_to_the_last() -> None:
    runs = [with_rank("GD", "4", {"all/kept": 0.6}, way=WAY)]
    [panel] = asked_figures(figures(runs, {"x": "stage", "y": "all/kept", "along": "stages"}))
    [line] = re.findall(r'<polyline points="([^"]+)"', str(panel.figure))
    heights = [float(pair.split(",")[1]) for pair in line.split()]
    assert len(heights) == 3 and heights == sorted(heights), "0.9, 0.69, 0.6: lower is farther down"
    assert "oracle" not in str(panel.figure)


def test_the_legend_names_the_colours_of_the_axis_without_panels() -> None:
    asked = {"x": "rank", "y": "all/score"}
    assert [label for _, label in legend(figures(COSTLY, asked))] == ["GD", "LoKU"]
    found = [label for _, label in legend(figures(COSTLY, {**asked, "x": "run/flops", "panels": ["method"]}))]
    assert found == ["4", "8"]


def test_a_figure_that_no_run_measures_is_named_and_left_out(tmp_path: Path) -> None:
    file = {"recipe": "lab", "figures": [{"x": "run/flops", "y": "all/scoer"}]}
    runs = [run("GD", "0", {"run/flops": 1e15, "all/score": 0.2})]
    text = build_sweep_report(write_sweep(tmp_path / "s", runs, file=file)).read_text(encoding="utf-8")
    assert "a figure&#39;s &#39;all/scoer&#39; is measured by no run" in text and "<h2>Figures</h2>" not in text
