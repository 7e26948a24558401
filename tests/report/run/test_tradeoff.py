"""The main figure: every point where its values are, labels that keep apart."""

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from forgetting.report.drawing import svg
from forgetting.report.run.tradeoff import P_FLOOR, path, tradeoff
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


def test_the_way_of_the_main_figure_ends_at_the_checkpoint_that_was_kept(tmp_path: Path) -> None:
    kept_early = replace(IHL_RUN, steps=20, epochs=(5, 10, 20, 40))
    (line,) = parse(tradeoff(load(tmp_path, kept_early))).iter(f"{SVG}polyline")
    assert len((line.get("points") or "").split()) == 4  # start, 5, 10 and the checkpoint of step 20


def over_and_off(quality: str | None = "forget/forget_quality") -> Story:
    """A run that passes the oracle and falls off again; kept at its 10th step of 40."""

    def at(utility: float, p: float, left: float) -> dict[str, float | None]:
        of_quality: dict[str, float | None] = {quality: p} if quality else {}
        return {"all/model_utility": utility, "forget/probability": left, **of_quality}

    way = {5: at(0.8, 1e-7, 0.5), 10: at(0.7, 0.4, 0.2), 20: at(0.5, 1e-3, 0.1), 40: at(0.2, 1e-9, 0.01)}
    after = {**IHL, "all/model_utility": 0.69, "forget/forget_quality": 0.3}
    return Story(name="over", after=after, steps=10, epochs=tuple(way), path=way)


def ticks_of(figure: ElementTree.Element) -> list[str]:
    return [t.text or "" for t in figure.iter(f"{SVG}text") if t.get("class") == "tick"]


def test_a_path_goes_through_every_evaluation_also_beyond_the_kept_one(tmp_path: Path) -> None:
    found = path(load(tmp_path, over_and_off()))
    assert found is not None
    assert found.quality
    figure = parse(found.figure)
    (line,) = figure.iter(f"{SVG}polyline")
    points = [tuple(float(v) for v in pair.split(",")) for pair in (line.get("points") or "").split()]
    assert len(points) == 5  # the start and four steps; the kept one is not gone to twice
    left, right, bottom, top = 52, 700 - 24, 440 - 44, 14
    low, high = P_FLOOR / 3, 3.0
    for (x, y), (utility, p) in zip(points[1:], [(0.8, 1e-7), (0.7, 0.4), (0.5, 1e-3), (0.2, 1e-9)], strict=True):
        up = (math.log10(p) - math.log10(low)) / (math.log10(high) - math.log10(low))
        assert y == pytest.approx(bottom + up * (top - bottom), abs=0.06)
        assert x == pytest.approx(left + (utility + 0.02) / 1.05 * (right - left), abs=0.06)
    assert points[0][1] == bottom  # 9.6e-29 is below the floor
    assert {t.text for t in labels_of(figure)} == {"start", "oracle", "over"}
    words = {t.text for t in figure.iter(f"{SVG}text") if t.get("class") == "hint"}
    assert words == {"p = 0.05", "step 40"}
    assert {"1", "0.01", "10⁻⁴"} <= set(ticks_of(figure))


def test_without_forget_quality_on_the_way_what_is_left_stands_in_with_the_oracles_level(tmp_path: Path) -> None:
    found = path(load(tmp_path, over_and_off(quality=None)))
    assert found is not None
    assert not found.quality
    figure = parse(found.figure)
    assert "oracle’s level" in {t.text for t in figure.iter(f"{SVG}text")}
    assert "forget · probability (lower: more forgotten)" in {t.text for t in figure.iter(f"{SVG}text")}


def test_every_run_has_its_path(tmp_path: Path) -> None:
    found = path(load(tmp_path, over_and_off(), replace(over_and_off(), name="other")))
    assert found is not None
    lines = [line.get("class") for line in parse(found.figure).iter(f"{SVG}polyline")]
    assert lines == ["curve s0", "curve s1"]


def test_nothing_measured_on_the_way_gives_no_path(tmp_path: Path) -> None:
    assert path(load(tmp_path, replace(IHL_RUN, epochs=()))) is None
