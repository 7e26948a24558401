"""Figures are whole, escaped, and their labels keep apart."""

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from forgetting.report import figures, svg
from forgetting.report.results import Results
from forgetting.report.tradeoff import tradeoff
from tests.report.fixtures import GA_RUN, HOSTILE_RUN, IHL, IHL_RUN, NPO_RUN, Story, write_run

SVG = "{http://www.w3.org/2000/svg}"


def load(tmp_path: Path, *stories: Story) -> list[Results]:
    return [Results.load(write_run(tmp_path / str(i), replace(s, questions=0))) for i, s in enumerate(stories)]


def parse(markup: str | None) -> ElementTree.Element:
    assert markup is not None
    return ElementTree.fromstring(markup)


def labels_of(figure: ElementTree.Element) -> list[ElementTree.Element]:
    return [t for t in figure.iter(f"{SVG}text") if t.get("class") == "label"]


def test_the_main_figure_names_the_start_the_oracle_and_every_run(tmp_path: Path) -> None:
    figure = parse(tradeoff(load(tmp_path, IHL_RUN, NPO_RUN, GA_RUN)))
    assert {t.text for t in labels_of(figure)} == {"start", "oracle", "ihl", "npo + retain", "ga"}
    ideal = [r for r in figure.iter(f"{SVG}rect") if r.get("class") == "ideal"]
    assert len(ideal) == 1


def test_points_stand_where_their_values_are(tmp_path: Path) -> None:
    figure = parse(tradeoff(load(tmp_path, IHL_RUN)))
    (point,) = [c for c in figure.iter(f"{SVG}circle") if c.get("class") == "point s0"]
    left, right, bottom, top = 52, 700 - 24, 440 - 44, 14  # y from 0.7 to 1.02: everything that was kept lies high
    assert float(point.get("cx", "")) == pytest.approx(left + (0.19 + 0.02) / 1.05 * (right - left), abs=0.01)
    assert float(point.get("cy", "")) == pytest.approx(bottom + (0.941 - 0.7) / 0.32 * (top - bottom), abs=0.01)


def test_a_run_that_ruins_the_rest_is_drawn_down_to_zero(tmp_path: Path) -> None:
    ticks = {t.text for t in parse(tradeoff(load(tmp_path, IHL_RUN, GA_RUN))).iter(f"{SVG}text")}
    assert {"0", "0.25", "1"} <= ticks


def test_labels_never_overlap(tmp_path: Path) -> None:
    crowd = [
        replace(IHL_RUN, name=f"variant {i}", after={**IHL, "forget/probability": 0.1 + 0.04 * i}) for i in range(9)
    ]
    boxes = []
    for text in labels_of(parse(tradeoff(load(tmp_path, *crowd)))):
        x, y, width = float(text.get("x", "")), float(text.get("y", "")), svg.LETTER * len(text.text or "")
        boxes.append(svg.Box(x, y - svg.LINE / 2 - 4, x + width, y + svg.LINE / 2 - 4))
    assert len(boxes) >= 4
    assert not any(a.meets(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_without_an_oracle_only_a_corner_is_called_ideal(tmp_path: Path) -> None:
    figure = parse(tradeoff(load(tmp_path, replace(IHL_RUN, oracle=None))))
    assert not list(figure.iter(f"{SVG}rect"))
    assert "↖ ideal corner" in {t.text for t in figure.iter(f"{SVG}text")}


def test_without_values_there_is_no_main_figure(tmp_path: Path) -> None:
    assert tradeoff(load(tmp_path, Story(name="x", after=None, before=None, oracle=None, epochs=()))) is None


def test_a_hostile_name_stays_text(tmp_path: Path) -> None:
    runs = load(tmp_path, HOSTILE_RUN)
    for figure in (tradeoff(runs), *(p.figure for p in (*figures.curves(runs), *figures.losses(runs)))):
        assert "img" not in {element.tag.removeprefix(SVG) for element in parse(figure).iter()}


def test_curves_show_what_is_forgotten_kept_and_left_with_the_oracles_level(tmp_path: Path) -> None:
    panels = figures.curves(load(tmp_path, IHL_RUN, NPO_RUN))
    assert [panel.title for panel in panels] == [
        "forget · probability → oracle",
        "forget narrative · probability → oracle",
        "retain · probability ↑",
        "utility · exact match ↑",
    ]
    for panel in panels:
        figure = parse(panel.figure)
        assert [line.get("class") for line in figure.iter(f"{SVG}polyline")] == ["curve s0", "curve s1"]
        assert sum(line.get("class") == "level" for line in figure.iter(f"{SVG}line")) == 1


def test_nothing_measured_on_the_way_gives_no_curves(tmp_path: Path) -> None:
    assert figures.curves(load(tmp_path, replace(IHL_RUN, epochs=()))) == []


def test_losses_have_a_line_per_term(tmp_path: Path) -> None:
    panels = figures.losses(load(tmp_path, IHL_RUN, GA_RUN))
    assert [panel.title for panel in panels] == ["ihl", "ga"]
    assert [len(list(parse(p.figure).iter(f"{SVG}polyline"))) for p in panels] == [2, 1]


def test_a_long_history_is_averaged_and_says_so(tmp_path: Path) -> None:
    (panel,) = figures.losses(load(tmp_path, replace(IHL_RUN, steps=1000)))
    assert panel.note == "mean of every 5 steps"
    line = next(parse(panel.figure).iter(f"{SVG}polyline"))
    assert len((line.get("points") or "").split()) == 200


def test_values_that_are_not_finite_are_left_out_and_counted(tmp_path: Path) -> None:
    (run,) = load(tmp_path, GA_RUN)
    file = run.folder / "stages" / "unlearn" / "history.jsonl"
    file.write_text(file.read_text() + '{"step": 21, "terms": {"forget": NaN}}\n')
    (panel,) = figures.losses([run])
    assert panel.note == "1 values that are not finite left out"
    assert not re.search("nan", panel.figure, re.IGNORECASE)


def test_runs_look_different_in_colour_or_shape(tmp_path: Path) -> None:
    drawn = figures.series(load(tmp_path, *(replace(IHL_RUN, name=f"r{i}", epochs=()) for i in range(20))))
    assert len({(one.colour, one.shape) for one in drawn}) == 20


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 7.0), (0.12, 0.13), (0.0, 1e9), (-1e-5, 1e-5)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    ticks = svg.Scale(low, high, 0, 100).ticks()
    assert 3 <= len(ticks) <= 11
    assert all(low - 1e-12 <= t <= high * (1 + 1e-9) for t in ticks)
    steps = {round((b - a) / 10 ** math.floor(math.log10(b - a)), 6) for a, b in pairwise(ticks)}
    assert steps <= {1.0, 2.0, 2.5, 5.0}


def test_log_ticks_are_powers_of_ten() -> None:
    scale = svg.Scale(1e-3, 1e2, 0, 100, log=True)
    assert scale.ticks() == [1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0]
    assert scale(1e-3) == 0
    assert scale(10.0) == pytest.approx(80)
