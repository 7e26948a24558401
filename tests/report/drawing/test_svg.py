"""Text is escaped, ticks are round, labels find free places."""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from forgetting.report.drawing import svg

SVG = "{http://www.w3.org/2000/svg}"


def test_text_and_attributes_are_escaped() -> None:
    markup = svg.element("text", '<b> & "x"', class_='a"b', stroke_width=1.0, title=None)
    assert markup == '<text class="a&#34;b" stroke-width="1.00">&lt;b&gt; &amp; &#34;x&#34;</text>'
    assert svg.element("g", svg.element("b", "<")) == "<g><b>&lt;</b></g>"


def test_shares_are_drawn_on_the_unit_interval_and_others_on_their_range() -> None:
    assert svg.spread([0.2, 0.9]) == (-0.02, 1.03)
    assert svg.spread([10.0, 20.0]) == (9.5, 20.5)
    assert svg.spread([3.0, float("nan")]) == (1.5, 4.5)
    assert svg.spread([]) == (0.0, 1.0)


def test_a_label_takes_the_free_place_farthest_from_other_points() -> None:
    frame = svg.Frame.of(400, 300, (0, 1), (0, 1))
    right_of_it = svg.place("abc", (200, 100), [(120, 100)], [], frame)
    left_of_it = svg.place("abc", (200, 100), [(280, 100)], [], frame)
    assert right_of_it is not None
    assert left_of_it is not None
    assert right_of_it[0] > 200 > left_of_it[2].right


def test_a_label_without_a_free_place_is_left_out() -> None:
    frame = svg.Frame.of(400, 300, (0, 1), (0, 1))
    assert svg.place("abc", (200, 100), [], [svg.Box(0, 0, 400, 300)], frame) is None


@pytest.mark.parametrize("shape", svg.SHAPES)
def test_every_marker_stands_around_its_point(shape: str) -> None:
    drawn = ElementTree.fromstring(svg.marker(shape, 50, 20, "point", "a < b"))
    assert drawn.findtext("title") == "a < b"
    if shape != "circle":
        numbers = [float(n) for n in re.findall(r"-?[0-9.]+", drawn.get("d", ""))]
        xs, ys = numbers[::2], numbers[1::2]
        assert min(xs) < 50 < max(xs)
        assert min(ys) < 20 < max(ys)


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


def test_a_short_log_scale_has_ticks_between_the_powers() -> None:
    assert svg.Scale(3, 70, 0, 100, log=True).ticks() == [5.0, 10.0, 20.0, 50.0]
    assert svg.Scale(1e-12, 1, 0, 100, log=True).ticks()[-1] == 1.0


@pytest.mark.parametrize(("low", "high"), [(0.9990, 0.9999), (0.12341, 0.12349), (1000.1, 1000.9), (0.0, 1.0)])
def test_no_two_ticks_have_one_text(low: float, high: float) -> None:
    said = [text for _, text in svg.tick_texts(svg.Scale(low, high, 0, 100).ticks())]
    assert len(said) > 2
    assert len(set(said)) == len(said)


def test_of_ticks_that_no_digit_tells_apart_one_is_named() -> None:
    assert svg.tick_texts([9.6, 9.8, 10.0, 12.0], lambda value: f"{value:.0f} s") == [(9.6, "10 s"), (12.0, "12 s")]


def test_ticks_are_short() -> None:
    assert [svg.tick_text(v) for v in (0.0, -0.2, 1_500.0, 20_000.0, 1e-4)] == ["0", "−0.2", "1500", "20k", "10⁻⁴"]
    assert svg.tick_text(2e-5) == "2·10⁻⁵"
