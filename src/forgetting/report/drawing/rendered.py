"""An SVG file's text as a PDF page or a PNG picture, drawn by Typst."""

from __future__ import annotations

import re
from typing import Literal

from forgetting.core.errors import RecipeError

DOTS = 288.0
"""Dots per inch of a PNG: three for each pixel of the page."""
_POINTS = 0.75
"""Of a pixel: 96 pixels and 72 points are an inch."""
_SIZE = re.compile(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"')
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
        RecipeError: the extra is not installed.
        ValueError: the text says no size.
    """
    check_rendering()
    import typst

    size = _SIZE.search(svg)
    if size is None:
        raise ValueError("an SVG file says its width and height")
    width, height = (float(number) * _POINTS for number in size.groups())
    page = _PAGE.format(width=width, height=height).encode()
    return typst.compile(page, format=form, ppi=DOTS, sys_inputs={"svg": svg})
