"""Curves and losses are whole and escaped; what is left out is said."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from forgetting.report.drawing import curves
from forgetting.report.run.tradeoff import tradeoff
from tests.report.fixtures import GA_RUN, HOSTILE_RUN, IHL_RUN, NPO_RUN, load

SVG = "{http://www.w3.org/2000/svg}"


def parse(markup: str | None) -> ElementTree.Element:
    assert markup is not None
    return ElementTree.fromstring(markup)


def test_a_hostile_name_stays_text(tmp_path: Path) -> None:
    runs = load(tmp_path, HOSTILE_RUN)
    for figure in (tradeoff(runs), *(p.figure for p in (*curves.curves(runs), *curves.losses(runs)))):
        assert "img" not in {element.tag.removeprefix(SVG) for element in parse(figure).iter()}


def test_curves_show_what_is_forgotten_kept_and_left_with_the_oracles_level(tmp_path: Path) -> None:
    panels = curves.curves(load(tmp_path, IHL_RUN, NPO_RUN))
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
    assert curves.curves(load(tmp_path, replace(IHL_RUN, epochs=()))) == []


def test_losses_have_a_line_per_term(tmp_path: Path) -> None:
    panels = curves.losses(load(tmp_path, IHL_RUN, GA_RUN))
    assert [panel.title for panel in panels] == ["ihl", "ga"]
    assert [len(list(parse(p.figure).iter(f"{SVG}polyline"))) for p in panels] == [2, 1]


def test_a_long_history_is_averaged_and_says_so(tmp_path: Path) -> None:
    (panel,) = curves.losses(load(tmp_path, replace(IHL_RUN, steps=1000)))
    assert panel.note == "mean of every 5 steps"
    line = next(parse(panel.figure).iter(f"{SVG}polyline"))
    assert len((line.get("points") or "").split()) == 200


def test_values_that_are_not_finite_are_left_out_and_counted(tmp_path: Path) -> None:
    (run,) = load(tmp_path, GA_RUN)
    file = run.folder / "stages" / "unlearn" / "history.jsonl"
    file.write_text(file.read_text() + '{"step": 21, "terms": {"forget": NaN}}\n')
    (panel,) = curves.losses([run])
    assert panel.note == "1 values that are not finite left out"
    assert not re.search("nan", panel.figure, re.IGNORECASE)


def test_runs_look_different_in_colour_or_shape(tmp_path: Path) -> None:
    drawn = curves.series(load(tmp_path, *(replace(IHL_RUN, name=f"r{i}", epochs=()) for i in range(20))))
    assert len({(one.colour, one.shape) for one in drawn}) == 20
