"""A map of layer by layer: squares on a fixed scale, and crosses where there is no value."""

from __future__ import annotations

from forgetting.core.grid import Grid
from forgetting.report.drawing.heat import draw


def grid(*values: tuple[float | None, ...], **more: object) -> Grid:
    labels = {"label": "SVCCA", "x_label": "layer after", "y_label": "layer at the start"}
    return Grid(name="forget", values=values, **labels, **more)  # type: ignore[arg-type]


def test_a_square_for_each_pair_on_a_scale_from_0_to_1() -> None:
    found = draw("Title", grid((1.0, 0.25), (0.5, None), reason="1 by counting alone", marks=(("random", 0.1),)))
    assert found is not None
    assert found.figure.count('class="cell"') == 3 and found.figure.count('class="nothing"') == 1
    for share in ("1.00", "0.25", "0.50"):
        assert f'fill-opacity="{share}"' in found.figure
    assert "layer at the start 1, layer after 0: 0.5" in found.figure
    assert [label for _, label in found.legend] == ["0", "0.5", "1", "0.100: random", "1 by counting alone"]


def test_the_first_row_is_below_and_the_first_column_left() -> None:
    found = draw("Title", grid((0.11, 0.22), (0.33, 0.44)))
    assert found is not None
    places = {}
    for square in found.figure.split("<rect ")[1:]:
        words = dict(word.split("=") for word in square.split(">")[0].replace('"', "").split() if "=" in word)
        places[words["fill-opacity"]] = float(words["x"]), float(words["y"])
    assert places["0.11"][1] > places["0.33"][1] and places["0.11"][0] < places["0.22"][0]


def test_a_map_without_values_is_not_drawn_and_a_large_one_has_no_notes() -> None:
    assert draw("Title", grid((None, None))) is None
    large = draw("Title", grid(*[(0.5,) * 21] * 20))
    assert large is not None and "<title>" not in large.figure
    assert len([label for _, label in large.legend]) == 3
