"""Tables for papers, notebooks and other programs: LaTeX (booktabs), Markdown, and CSV with every measure in full."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence

from forgetting.core.text import marked
from forgetting.report import headline_measures, wording
from forgetting.report.aligned import aligned
from forgetting.report.table import Cell, Table, main_table
from forgetting.runs.results import Results

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "<": "$<$",
    ">": "$>$",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "·": r"$\cdot$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\to$",
    "\u202f": r"\,",
    "\u00a0": "~",
}
_POWER = re.compile("·10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_PLAIN = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_ABOUT = "Each value with its 95% interval, where it has one. Better: ↑ higher, ↓ lower, → closer to the oracle's."


def latex_table(runs: Sequence[Results]) -> str:
    r"""The main table as a `tabular` for `\usepackage{booktabs}`; why a value is missing follows as comments."""
    return as_latex(main_table(aligned(runs)))


def as_latex(table: Table) -> str:
    """The same of any table of measures."""
    heads, rows, missing = _laid_out(table, _latex_cell)
    body = [" & ".join([_latex(row[0]), *row[1:]]) + r" \\" for row in rows]
    return "\n".join(
        [
            f"% {_ABOUT}",
            r"% \usepackage{booktabs}",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            r"\toprule",
            " & ".join(map(_latex, heads)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *(f"% {line}" for line in missing),
            "",
        ]
    )


def markdown_table(runs: Sequence[Results]) -> str:
    """The main table as GitHub's Markdown; why a value is missing follows as a list."""
    return as_markdown(main_table(aligned(runs)))


def as_markdown(table: Table) -> str:
    """The same of any table of measures."""
    heads, rows, missing = _laid_out(table, lambda cell: cell.plain)
    ruler = ["---", *["---:"] * (len(heads) - 1)]
    lines = ["| " + " | ".join(row) + " |" for row in ([_markdown(h) for h in heads], ruler)]
    lines += ["| " + " | ".join(map(_markdown, row)) + " |" for row in rows]
    return "\n".join(
        [*lines, "", _ABOUT, *(["", *(f"- {_markdown(line)}" for line in missing)] if missing else []), ""]
    )


def csv_table(runs: Sequence[Results]) -> str:
    """Every measure of every model, a line each, in full precision; an absent value is empty and has its reason."""
    runs = aligned(runs)
    table = main_table(runs, headline_measures.all_keys(runs))
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n")
    write.writerow(
        ["model", "kind", "split", "measure", "value", "low", "high", "count", "better", "meaning", "reason"]
    )
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            split, _, name = column.key.partition("/")
            m = cell.measure
            ends = (m.value, m.low, m.high, m.count, m.direction) if m else (None, None, None, None, None)
            write.writerow([marked(row.label), row.kind, split, name, *ends, column.meaning, marked(cell.reason)])
    return text.getvalue()


FORMATS: Mapping[str, tuple[str, Callable[[Sequence[Results]], str]]] = {
    "latex": (".tex", latex_table),
    "md": (".md", markdown_table),
    "csv": (".csv", csv_table),
}
"""By name: the suffix of its files, and what writes it."""


def _laid_out(table: Table, text: Callable[[Cell], str]) -> tuple[list[str], list[list[str]], list[str]]:
    """Heads, rows, and a line for each absent value. A table of more measures than models has the measures below one
    another, so that it fits a page."""
    names = [marked(wording.shortened(row.label, 60)) for row in table.rows]
    titles = [f"{column.title} {column.arrow}".strip() for column in table.columns]
    cells = [[text(cell) for cell in row.cells] for row in table.rows]
    missing = [
        " ".join(marked(f"{title}, {name}: {cell.reason}").split())
        for name, row in zip(names, table.rows, strict=True)
        for title, cell in zip(titles, row.cells, strict=True)
        if cell.reason
    ]
    if len(titles) <= len(names):
        return ["", *titles], [[name, *row] for name, row in zip(names, cells, strict=True)], missing
    turned = [[title, *(row[i] for row in cells)] for i, title in enumerate(titles)]
    return ["", *names], turned, missing


def _latex_cell(cell: Cell) -> str:
    between = f"({_latex(cell.interval)})" if cell.interval else ""
    small = " ".join(part for part in (between, _latex(cell.spread)) if part)
    return rf"{_latex(cell.value)} {{\scriptsize {small}}}" if small else _latex(cell.value)


def _latex(text: str) -> str:
    parts = _POWER.split(text)
    written = []
    for place, part in enumerate(parts):
        if place % 2:
            written.append(rf"$\cdot 10^{{{part.translate(_PLAIN)}}}$")
        else:
            written.append("".join(_LATEX.get(sign, sign) for sign in part.replace("\n", " ")))
    return "".join(written)


def _markdown(text: str) -> str:
    return re.sub(r"([\\|<>`*\[\]])", r"\\\1", " ".join(text.split("\n")))
