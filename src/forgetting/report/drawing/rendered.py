"""An SVG file's text as a PDF page or a PNG picture, drawn by Typst."""

from __future__ import annotations

from typing import Literal

from forgetting.core.errors import RecipeError
from forgetting.report.drawing.svg import size_of

DOTS = 288.0
"""Dots per inch of a PNG: three for each pixel of the page."""
_POINTS = 0.75
"""Of a pixel: 96 pixels and 72 points are an inch."""
_PAGE = """#set page(width: {width:g}pt, height: {height:g}pt, margin: 0pt)
#image(bytes(sys.inputs.svg), format: "svg", width: 100%)
"""


def check_rendering() -> None:
    """Checks that the extra is there.

    Raises:
        RecipeError: it is not; the message says what to install.
    """
    try:
        import typst  # noqa: F401
    except ImportError as error:
        raise RecipeError(
            f"figures as PDF or PNG: need Typst ({error}); pip install 'forgetting[figures]', or write SVG"
        ) from error


def rendered(svg: str, form: Literal["pdf", "png"]) -> bytes:
    """The file's bytes; one page, as large as the figure.

    Args:
        svg: the text of an SVG file that says its width and height, pixels.
        form: `pdf` (lines and letters, not dots) or `png`.

    Raises:
        ImportError: the extra is not installed; `check_rendering` says so beforehand.
        ValueError: the text says no size.
    """
    import typst

    width, height = (number * _POINTS for number in size_of(svg))
    page = _PAGE.format(width=width, height=height).encode()
    return typst.compile(page, format=form, ppi=DOTS, sys_inputs={"svg": svg})
