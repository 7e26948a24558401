"""The main figure: every point where its values are, labels that keep apart."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from forgetting.report import svg
from forgetting.report.tradeoff import tradeoff
from tests.report.fixtures import GA_RUN, IHL, IHL_RUN, NPO_RUN, Story, load

SVG = "{http://www.w3.org/2000/svg}"


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
