"""Templates → pages that need no network and run no script: one file holds style and figures."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from forgetting.core.folder import write_text
from forgetting.core.text import marked
from forgetting.report import wording


def page(template: str, **context: Any) -> str:
    """A template filled in. All text from recipes, data and models is escaped, control characters are replaced."""
    environment = Environment(
        loader=PackageLoader("forgetting.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": wording.count,
        "moment": wording.moment,
        "number": wording.number,
        "seconds": wording.seconds,
        "size": wording.size,
        "plain": wording.plain,
        "text": wording.one_line,
    }
    css = style_sheet("report.css") + style_sheet("figures.css")
    return marked(environment.get_template(template).render(css=css, **context))


def style_sheet(name: str) -> str:
    """A style sheet of the pages: `report.css`, or `figures.css` with what is drawn in figures."""
    return resources.files("forgetting.report").joinpath("templates", name).read_text(encoding="utf-8")


def write_out(path: Path, text: str) -> None:
    """Writes a file that is whole or absent; half a character, as broken data hold, has no UTF-8 and is spelled out."""
    write_text(path, text.encode("utf-8", errors="backslashreplace").decode("utf-8"))
