"""The figures of a page as files: all of them, each whole."""

import re
import struct
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from forgetting.core.errors import RecipeError, RunError
from forgetting.core.series import Series
from forgetting.report.drawing.standalone import standalone
from forgetting.report.run.figures import figures, write_figures
from forgetting.report.run.page import render
from forgetting.runs.audits import Analysed
from forgetting.runs.paths import RunPaths
from forgetting.runs.results import Results
from tests.report.audits.test_beside import CLOSE, LEAKY, made
from tests.report.fixtures import GA_RUN, HOSTILE_RUN, IHL_RUN, NPO_RUN, Story, load, write_run

SAID = re.compile(r'<svg xmlns[^>]* role="img" aria-label="([^"]*)"')
SIZE = re.compile(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"')


@pytest.mark.parametrize("stories", [(IHL_RUN,), (IHL_RUN, NPO_RUN, GA_RUN), (HOSTILE_RUN,)])
def test_every_figure_of_the_page_is_there(stories: tuple[Story, ...], tmp_path: Path) -> None:
    runs = load(tmp_path, *stories)
    on_page = SAID.findall(render(runs))
    assert on_page and sorted(SAID.findall("".join(one.figure for one in figures(runs)))) == sorted(on_page)


def test_the_figure_of_audits_is_among_them(tmp_path: Path) -> None:
    runs = [Results.load(made(tmp_path, name, one)) for name, one in (("close", CLOSE), ("leaky", LEAKY))]
    on_page = SAID.findall(render(runs))
    assert sorted(SAID.findall("".join(one.figure for one in figures(runs)))) == sorted(on_page)
    assert figures(runs)[0].name == "after-attack"


def test_the_files_are_whole_and_their_names_differ(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / f"run{i}", story) for i, story in enumerate((HOSTILE_RUN, NPO_RUN))]
    files = write_figures(folders, tmp_path / "new" / "figures")
    assert len({file.name for file in files}) == len(files) > 3
    for file in files:
        assert ElementTree.parse(file).getroot().tag.endswith("svg")
    assert "npo + retain" in (tmp_path / "new" / "figures" / "tradeoff.svg").read_text()


@pytest.mark.parametrize(("form", "begin"), [("pdf", b"%PDF-"), ("png", b"\x89PNG")])
def test_for_a_paper_figures_are_pdf_pages_or_pictures_of_their_size(form: str, begin: bytes, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", NPO_RUN)
    files = write_figures([folder], tmp_path / "figures", form)  # type: ignore[arg-type]
    assert {file.suffix for file in files} == {f".{form}"} and len(files) == len(figures([Results.load(folder)]))
    for file, drawn in zip(files, figures([Results.load(folder)]), strict=True):
        content = file.read_bytes()
        assert content.startswith(begin)
        if form == "png":
            size = SIZE.search(standalone(drawn.title, drawn.figure, drawn.legend))
            assert size is not None
            wanted = [round(3 * float(number)) for number in size.groups()]
            assert [*struct.unpack(">II", content[16:24])] == pytest.approx(wanted, abs=1)


def test_without_typst_a_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(RecipeError, match=r"pip install 'forgetting\[figures\]', or write SVG"):
        write_figures([write_run(tmp_path / "run", NPO_RUN)], tmp_path / "figures", "pdf")
    assert not (tmp_path / "figures").exists()


def test_a_figure_of_another_model_than_that_after_the_run_names_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", IHL_RUN)
    line = Series(figure="lens", name="forget", x_label="layer", y_label="log p", x=(0.0, 1.0), y=(0.0, 1.0))
    for at, against in (("after", "before"), ("stage-first", "before"), ("stage-first", "oracle")):
        file = RunPaths(folder).analysis_file("lens", against, at)
        Analysed(analysis="lens", key="k", at=at, against=against, series=(line,)).save(file)
    titles = [one.title.partition(":")[0] for one in figures([Results.load(folder)]) if one.title.startswith("lens")]
    assert titles == ["lens", "lens at stage-first", "lens at stage-first since oracle"]


def test_runs_without_a_figure_leave_nothing(tmp_path: Path) -> None:
    story = Story(name="x", after=None, before=None, oracle=None, epochs=(), questions=0, selected=False)
    folder = write_run(tmp_path / "run", story)
    for history in folder.rglob("history.jsonl"):
        history.unlink()
    with pytest.raises(RunError, match="has no figures"):
        write_figures([folder], tmp_path / "figures")
    assert not (tmp_path / "figures").exists()
