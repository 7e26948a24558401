"""Series as figures: numbers or names along the axis, bands, points, and nothing where nothing is known."""

from __future__ import annotations

from forgetting.core.series import Series
from forgetting.report.drawing.figure import Line, draw


def series(x: tuple[float | str, ...], y: tuple[float | None, ...], **more: object) -> Series:
    return Series(figure="f", name="n", x_label="layer", y_label="CKA", x=x, y=y, **more)  # type: ignore[arg-type]


def test_a_line_has_a_band_and_a_place_in_the_legend() -> None:
    one = Line("forget", series((0.0, 1.0, 2.0), (0.9, None, 0.7), low=(0.8, None, 0.6), high=(1.0, None, 0.8)), 0)
    found = draw("Title", [one])
    assert found is not None
    assert found.figure.count("<polyline") == 1 and found.figure.count("<polygon") == 1
    assert [label for _, label in found.legend] == ["forget"]
    assert "CKA against layer: forget" in found.figure


def test_names_stand_along_the_axis_in_their_order() -> None:
    lines = [
        Line("a", series(("start", "after"), (1.0, 2.0)), 0),
        Line("b", series(("after", "oracle"), (2.0, 3.0)), 1),
    ]
    found = draw("Title", lines)
    assert found is not None
    places = [found.figure.index(f">{name}<") for name in ("start", "after", "oracle")]
    assert places == sorted(places)


def test_points_have_no_line_between_them() -> None:
    found = draw("Title", [Line("a", series((0.0, 1.0), (1.0, 2.0), points=True), 0)])
    assert found is not None and "<polyline" not in found.figure


def test_points_have_an_interval_each() -> None:
    ends = {"low": (0.5, None, 2.0), "high": (1.5, None, 4.0)}
    found = draw("Title", [Line("a", series((0.0, 1.0, 2.0), (1.0, 2.0, 3.0), points=True, **ends), 0)])
    assert found is not None and "<polygon" not in found.figure
    assert found.figure.count('class="error s0"') == 2


def test_without_a_value_there_is_no_figure() -> None:
    assert draw("Title", [Line("a", series((0.0,), (None,)), 0)]) is None
    assert draw("Title", []) is None
