"""Bars add up to what was counted, both sides are named, and no axis carries two units."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from forgetting.report.tokens.colours import Words
from forgetting.report.tokens.figures import (
    forgets,
    histograms,
    losses_in_words,
    quality_curves,
    source_bars,
)
from forgetting.runs.stage_result import Step
from forgetting.runs.token_selection import TokenSelection, read_selection
from tests.report.tokens.test_section_made import plausible

SVG = "{http://www.w3.org/2000/svg}"


def read(**change: Any) -> TokenSelection:
    return read_selection({**plausible(), **change}, "x")


def bars(markup: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(markup).iter(f"{SVG}rect"))


def texts(markup: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(markup).iter(f"{SVG}text")]


def test_the_threshold_parts_the_bars_by_colour_and_cuts_its_own() -> None:
    selection = read(
        threshold=0.25, histogram={"edges": [-1, 0, 0.5, 1], "counts": [10, 40, 20], "below": 3, "above": 27}
    )
    figure = histograms(selection, Words())[0].figure
    assert [bar.get("class") for bar in bars(figure)] == ["bar s1", "bar s1", "bar s0", "bar s0"]
    left, cut, rest, right = bars(figure)
    assert cut.get("height") == rest.get("height")
    heights = [float(bar.get("height") or 0) for bar in (left, cut, right)]
    assert heights[1] / heights[0] == pytest.approx(4, rel=1e-3)
    assert heights[1] / heights[2] == pytest.approx(2, rel=1e-3)
    assert "threshold +0.250" in texts(figure)
    assert {"← forgotten", "learnt →"} <= set(texts(figure))


def test_the_heights_are_shares_of_everything_counted() -> None:
    selection = read(histogram={"edges": [0, 1, 2], "counts": [25, 25], "below": 25, "above": 25}, threshold=1.0)
    ticks = [text for text in texts(histograms(selection, Words())[0].figure) if text in {"10", "20", "25", "30"}]
    assert ticks == ["10", "20"]


def test_both_histograms_hold_the_same_bars() -> None:
    linear, log = histograms(read(), Words())
    assert len(bars(linear.figure)) == len(bars(log.figure)) >= 60
    assert "% of tokens, log scale" in texts(log.figure)


def test_tokens_below_the_threshold_that_are_not_forgotten_are_named() -> None:
    selection = read_selection(plausible(forget=0.15), "x")
    assert "← forgotten or ignored" in texts(histograms(selection, Words())[0].figure)
    assert "← ignored" in texts(histograms(selection, Words("ignored"))[0].figure)


def test_where_answers_were_selected_the_figure_counts_answers() -> None:
    selection = read(level="sequence", threshold=0.5, histogram={"edges": [0, 1], "counts": [100]})
    assert "% of answers" in texts(histograms(selection, Words())[0].figure)


@pytest.mark.parametrize(("threshold", "colour"), [(-9.0, "bar s0"), (9.0, "bar s1"), (None, "bar both")])
def test_a_threshold_outside_has_no_line_but_the_bars_have_its_side(threshold: float | None, colour: str) -> None:
    selection = read(threshold=threshold, histogram={"edges": [0, 1], "counts": [100]})
    figure = histograms(selection, Words())[0].figure
    assert [bar.get("class") for bar in bars(figure)] == [colour]
    assert "learnt →" not in texts(figure)


@pytest.mark.parametrize("histogram", [None, {"edges": [0, 1], "counts": [0]}, {"edges": [1.0], "counts": []}])
def test_nothing_counted_nothing_drawn(histogram: dict[str, Any] | None) -> None:
    assert histograms(read(histogram=histogram), Words()) == []


def test_equal_qualities_give_a_whole_figure() -> None:
    figure = histograms(read(threshold=0.0, histogram={"edges": [0, 0], "counts": [9]}), Words())[0].figure
    assert not re.search("nan|inf", figure)


def test_sources_are_sorted_by_their_share_and_summed() -> None:
    sources = [
        {"source": "a", "tokens": 100, "negative": 10},
        {"source": "b", "tokens": 50, "negative": 30},
        {"source": "empty", "tokens": 0, "negative": 0},
    ]
    rows = source_bars(read(sources=sources))
    assert [(r.source, r.tokens, r.negative, r.share) for r in rows] == [
        ("b", "50", "30", "60.0\N{NO-BREAK SPACE}%"),
        ("a", "100", "10", "10.0\N{NO-BREAK SPACE}%"),
        ("all", "150", "40", "26.7\N{NO-BREAK SPACE}%"),
    ]
    widths = [float(ElementTree.fromstring(r.bar)[1].get("width") or 0) for r in rows]
    assert widths[0] / widths[1] == pytest.approx(6)


def steps(count: int, weight: float = 0.25) -> list[Step]:
    return [
        Step(
            step=i + 1,
            terms={"positive": 2.0 - i / count, "negative": 3.0 + i / count},
            weights={"positive": 1.0, "negative": -weight * i / count},
        )
        for i in range(count)
    ]


def test_losses_and_the_weight_of_forgetting_are_two_figures() -> None:
    losses, weight = quality_curves(steps(100), Words())
    assert texts(losses.figure)[-2:] == ["forgotten", "learnt"]
    assert texts(weight.figure)[-1] == "λ"
    assert [len(list(ElementTree.fromstring(p.figure).iter(f"{SVG}polyline"))) for p in (losses, weight)] == [2, 1]


def test_a_weight_of_zero_throughout_is_not_drawn_and_means_ignored() -> None:
    ignoring = steps(100, weight=0.0)
    assert not forgets(ignoring)
    assert len(quality_curves(ignoring, Words("ignored"))) == 1
    assert forgets(steps(100))
    assert forgets([])


def test_a_stage_of_other_terms_has_no_curves() -> None:
    assert quality_curves([Step(step=1, terms={"train": 1.0})], Words()) == []
    assert quality_curves([], Words()) == []


def test_long_histories_are_averaged_and_values_that_are_not_finite_left_out() -> None:
    long = [*steps(1000), Step(step=1001, terms={"positive": float("nan"), "negative": None}, weights={})]
    losses, weight = quality_curves(long, Words())
    assert losses.note == "mean of every 5 steps"
    lines = [*ElementTree.fromstring(losses.figure).iter(f"{SVG}polyline")]
    assert [len((line.get("points") or "").split()) for line in lines] == [200, 200]
    assert not re.search("nan", losses.figure + weight.figure, re.IGNORECASE)


def test_the_losses_are_told_as_means_of_tenths() -> None:
    told = losses_in_words(steps(100), Words())
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", told)]
    # The mean of i/100 over the first ten steps is 0.045, over the last ten 0.945.
    assert numbers == pytest.approx([2 - 0.045, 2 - 0.945, 3.045, 3.945], abs=0.0051)
    assert re.search("loss of the learnt tokens went from .*, that of the forgotten tokens went from ", told)
    assert losses_in_words(steps(1), Words()) == ""
