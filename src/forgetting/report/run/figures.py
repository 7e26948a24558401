"""The figures of a page of runs as files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from markupsafe import Markup

from forgetting.core.errors import RunError
from forgetting.core.folder import check_named, unwritable, write_bytes
from forgetting.core.text import marked
from forgetting.report.aligned import aligned
from forgetting.report.audits.beside import beside
from forgetting.report.audits.figure import after_attack
from forgetting.report.drawing import curves, svg
from forgetting.report.drawing.rendered import check_rendering, rendered
from forgetting.report.drawing.standalone import standalone
from forgetting.report.run.cost import cost_figure
from forgetting.report.run.inside import inside
from forgetting.report.run.popularity import section
from forgetting.report.run.tradeoff import path, tradeoff
from forgetting.report.template import write_out
from forgetting.report.tokens.section import qualities
from forgetting.runs.results import Results, labels

FigureForm = Literal["svg", "pdf", "png"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure of the page: the file's name, what stands above it, and its legend."""

    name: str
    title: str
    figure: Markup
    legend: tuple[tuple[Markup, str], ...]


def write_figures(runs: Sequence[Path], folder: Path, form: FigureForm = "svg") -> list[Path]:
    """Writes every figure that the page of these runs has as a file, and returns their paths.

    Raises:
        RecipeError: PDF or PNG without the extra that draws them.
        RunError: no run, one that cannot be read, runs without a figure, or a folder that cannot be written.
    """
    if form != "svg":
        check_rendering()
    if not runs:
        raise RunError("no run folder was given; name at least one")
    found = figures([Results.load(run) for run in runs])
    if not found:
        raise RunError(f"{runs[0]}: has no figures; its page holds tables alone")
    check_named(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    files = [folder / f"{one.name}.{form}" for one in found]
    for file, one in zip(files, found, strict=True):
        text = marked(standalone(one.title, one.figure, one.legend))
        if form == "svg":
            write_out(file, text)
        else:
            write_bytes(file, rendered(text, form))
    return files


def figures(runs: Sequence[Results]) -> list[Drawn]:
    """The figures of the page of these runs, in its order, no name twice."""
    names: list[str] = []
    drawn = []
    for name, title, figure, legend in _all(runs, aligned(runs)):
        stem = re.sub(r"\W+", "-", name.lower()).strip("-")[:80] or "figure"
        names.append(stem)
        number = names.count(stem)
        drawn.append(Drawn(stem if number == 1 else f"{stem}-{number}", title, figure, tuple(legend)))
    return drawn


def _all(
    given: Sequence[Results], runs: Sequence[Results]
) -> Iterator[tuple[str, str, Markup, Sequence[tuple[Markup, str]]]]:
    marks = [curves.legend_mark(one) for one in curves.series(runs)]
    own = list(zip(marks, labels(runs), strict=True))
    several = own if len(runs) > 1 else []
    points = [(svg.marker("circle", 8, 8, "start", r=5), "start"), *own]
    if any(run.oracle_evaluation for run in runs):
        points.insert(1, (svg.marker("star", 8, 8, "oracle"), "oracle"))
    audits = beside(given) if len(given) > 1 else None
    if audits and (figure := after_attack(audits, curves.series(runs))):
        yield "after-attack", "Forgetting against retention, after attack", figure, own
    if figure := tradeoff(runs):
        yield "tradeoff", "Forgetting against retention", figure, points
    if way := path(runs):
        yield "path", "The whole way", way.figure, points
    for panel in curves.curves(runs):
        yield f"curve {panel.title}", _words(panel), panel.figure, several
    for panel in curves.losses(runs):
        yield f"loss {panel.title}", f"Training loss per term: {_words(panel)}", panel.figure, ()
    if popular := section(runs):
        for panel in popular.panels:
            yield f"popularity {panel.title}", _words(panel), panel.figure, several
    for quality in qualities(runs):
        for panel in (*quality.histograms, *quality.curves):
            yield f"quality {panel.title}", _words(panel), panel.figure, ()
    for analysis in inside(runs):
        for one in analysis.figures:
            yield f"{analysis.of} {one.title}", f"{analysis.of}: {one.title}", one.figure, one.legend
    if figure := cost_figure(runs):
        yield "cost", "What was reached for its cost", figure, own


def _words(panel: curves.Panel) -> str:
    return f"{panel.title} ({panel.note})" if panel.note else panel.title
