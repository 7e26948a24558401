"""A figure as a file: whole XML, no variables, the colours of the page."""

from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from forgetting.report.drawing import svg
from forgetting.report.drawing.standalone import figure_style, standalone

FIGURE = svg.Frame.of(200, 100, (0, 1), (0, 1)).svg([svg.marker("circle", 5, 5, "point s1", "a & b")], "a figure")
NAMESPACE = "{http://www.w3.org/2000/svg}"


def test_the_file_is_xml_with_title_figure_and_legend() -> None:
    root = ElementTree.fromstring(standalone("What <it> shows", FIGURE, [(Markup("<g/>"), "one & two")]))
    words = [e.text for e in root.iter(f"{NAMESPACE}text")]
    assert words[0] == "What <it> shows" and words[-1] == "one & two"
    assert root.find(f".//{NAMESPACE}circle").get("class") == "point s1"


def test_the_legend_lies_below_the_figure_and_inside_the_file() -> None:
    root = ElementTree.fromstring(standalone("t", FIGURE, [(Markup("<g/>"), "w" * 70)]))
    *_, last = root.iter(f"{NAMESPACE}text")
    assert 130 < float(last.get("y")) < float(root.get("height"))
    assert float(root.get("width")) > 70 * 7


def test_no_variable_is_left_and_every_colour_is_written_out() -> None:
    style = figure_style()
    assert "var(" not in style
    assert ".point.s0 { fill: #2b6cb0" in style and ".point.s7 { fill: #7a4a32" in style
    assert ".error { stroke: #1b1d22" in style and ".error.s1 { stroke: #c8570f" in style


def test_what_has_no_size_is_no_figure() -> None:
    with pytest.raises(ValueError, match="width and height"):
        standalone("t", Markup("<svg></svg>"))
