"""A purged run holds nothing more of what was to be forgotten, and can still be looked at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forgetting.core.errors import RunError
from forgetting.core.locks import locked
from forgetting.core.progress import Voice
from forgetting.pipeline.finished_run import purge as purging
from forgetting.pipeline.finished_run.purge import plan_purge, purge
from forgetting.pipeline.run.run import run
from forgetting.report.run.answers import compare_answers
from forgetting.report.run.page import build_report
from forgetting.report.table import main_table
from forgetting.runs import folder as run_folder
from forgetting.runs import stage_folder
from forgetting.runs.output import OutputFolder
from forgetting.runs.redact import key_file
from forgetting.runs.results import Results
from forgetting.runs.sweep import SweepFolder
from tests.pipeline.run.leaks import leaks
from tests.runs.test_redact import Make, ids_of, maker, numbers, texts_of

Finished = Callable[..., Path]


@pytest.fixture
def make(world: Path, recipe_file: Path, tmp_path: Path) -> Make:
    return maker(world, recipe_file, tmp_path)


@pytest.fixture
def finished(make: Make, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run of a kind that was finished once for all tests, copied with its cache."""

    def found(kind: str = "loku", *, redact: bool = False, output: str = "copy") -> Path:
        kept = tmp_path_factory.getbasetemp() / f"purge-{kind}-{redact}"
        if not kept.is_dir():
            shutil.copytree(run(make(kind, f"made-{kind}", f"redact={str(redact).lower()}")).parent, kept)
        return Path(shutil.copytree(kept, tmp_path / output)) / "run"

    return found


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.mark.parametrize("kind", ["loku", "undial", "select"])
@pytest.mark.parametrize("redact", [False, True])
def test_nothing_of_the_texts_is_left_and_every_number_is(
    finished: Finished, world: Path, kind: str, redact: bool
) -> None:
    folder = finished(kind, redact=redact)
    texts, ids = texts_of(world), ids_of(world)
    assert bool(leaks([folder.parent], texts, ids)) is not redact
    measured, model = numbers(folder), files_of(folder / "model")
    purge(folder)
    assert leaks([folder.parent], texts, ids) == []
    assert numbers(folder) == measured
    assert files_of(folder / "model") == model
    assert not (folder.parent / ".cache").exists()
    kept = {Path(name).name for name in files_of(folder / "stages")}
    assert kept <= {"history.jsonl", "result.json", "prepared.json", "selection.json", "thresholds.json"}
    assert not list(folder.rglob(".*"))


def test_a_purged_run_can_be_looked_at_and_says_what_it_is(make: Make) -> None:
    recipe = make("loku", "out")
    folder, other = run(recipe), run(make("loku", "out", "name=other", "seed=1"))
    purge(folder)
    results = Results.load(folder)
    assert results.purged
    assert "Purged: texts" in (folder / "report.html").read_text()
    build_report([folder, other], folder.parent / "both.html")
    assert len(main_table([results, Results.load(other)]).rows) > 2
    answers = compare_answers([results])
    assert {len(q.answers) for block in answers.blocks for q in block.shown} == {2}
    assert all(q.redacted for block in answers.blocks for q in block.shown)
    lines: list[str] = []
    assert run(recipe, voice=Voice(say=lines.append)) == folder
    assert [line for line in lines if "purged on" in line]
    with pytest.raises(RunError, match="another recipe"):
        run(make("loku", "out", "seed=5"))


def test_a_second_purge_changes_nothing(finished: Finished) -> None:
    folder = finished()
    first = purge(folder)
    before = files_of(folder)
    again = purge(folder)
    assert first.items
    assert not again.items
    assert again.purged
    assert files_of(folder) == before


class Died(BaseException):
    """What no handler stops."""


PLACES: list[tuple[Any, str]] = [
    *((purging, name) for name in ("remove", "_mark", "build_report")),
    *((run_folder, name) for name in ("write_hidden", "write_object")),
    (stage_folder, "write_object"),
]


def test_cut_off_anywhere_it_ends_when_called_again(
    finished: Finished, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = False
    call = 0
    while not done:
        call += 1
        folder = finished("undial", output=f"cut-{call}")
        measured = numbers(folder)
        with monkeypatch.context() as patch:
            left = iter(range(1, call))
            for owner, name in PLACES:
                patch.setattr(owner, name, dying(getattr(owner, name), left))
            try:
                purge(folder)
                done = True
            except Died:
                assert Results.load(folder).status == "complete"
        purge(folder)
        results = Results.load(folder)
        assert results.purged
        assert numbers(folder) == measured
        assert leaks([folder.parent], texts_of(world), ids_of(world)) == []
        shown = [question for block in compare_answers([results]).blocks for question in block.shown]
        assert all(None not in question.answers for question in shown)  # ids of before and after are by one key
        assert "Purged" in (folder / "report.html").read_text()
    assert call > 8


def dying(function: Callable[..., Any], left: Iterator[int]) -> Callable[..., Any]:
    """The function, which may be called as often as there is something left, together with others."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if next(left, None) is None:
            raise Died
        return function(*args, **kwargs)

    return wrapper


def test_the_plan_names_what_goes_with_its_size_and_changes_nothing(finished: Finished) -> None:
    folder = finished()
    before = files_of(folder.parent)
    plan = plan_purge(folder)
    assert files_of(folder.parent) == before
    named = {str(item.path.relative_to(folder.parent)): item for item in plan.items}
    stage = "run/stages/unlearn"
    assert {f"{stage}/last", "run/records/before.jsonl", ".cache/records", ".cache/initialisations"} < set(named)
    assert named["run/records/before.jsonl"].rewritten
    last = sum(f.stat().st_size for f in (folder / "stages" / "unlearn" / "last").iterdir())
    assert named[f"{stage}/last"].bytes == last
    assert plan.bytes == sum(item.bytes for item in plan.items if not item.rewritten)


def test_the_key_goes_with_the_last_run_of_the_folder(make: Make) -> None:
    one = run(make("loku", "out", "redact=true"))
    two = run(make("loku", "out", "redact=true", "name=two"))
    purge(one)
    assert key_file(one.parent).is_file()
    purge(two)
    assert not (one.parent / ".cache").exists()
    answers = compare_answers([Results.load(one), Results.load(two)])
    assert all(None not in q.answers for block in answers.blocks for q in block.shown)  # ids still say the same


def test_a_run_beside_it_that_is_not_finished_is_named_and_goes_on(make: Make) -> None:
    folder = run(make("npo", "out"))
    other = make("npo", "out", "name=other")
    expected = numbers(run(other))
    (other.folder / "results.json").unlink()
    assert "other" in plan_purge(folder).notes[0]
    purge(folder)
    assert numbers(run(other)) == expected


def test_other_pages_and_links_are_named(finished: Finished, tmp_path: Path) -> None:
    folder = finished()
    build_report([folder], folder.parent / "all.html")
    shutil.move(folder / "stages" / "unlearn" / "last", tmp_path / "elsewhere")
    (folder / "stages" / "unlearn" / "last").symlink_to(tmp_path / "elsewhere")
    plan = purge(folder)
    assert any("all.html" in note for note in plan.notes)
    assert any("is a link" in note for note in plan.notes)
    assert (tmp_path / "elsewhere" / "weights.safetensors").is_file()
    assert not (folder / "stages" / "unlearn" / "last").is_symlink()


def test_broken_records_and_left_over_files_are_removed(finished: Finished, world: Path) -> None:
    folder = finished("select")
    (folder / "records" / "before.jsonl").write_bytes(b'{"id": "Where does guest 1 live?"\n\xff')
    (folder / "records" / ".after.jsonl.7.partial").write_text("Where does guest 1 live?")
    (folder / "stages" / "train" / "selection.json").write_text('["Where does guest 1 live?"]')
    (folder / ".results.json.7.partial").write_text("Where does guest 1 live?")
    (folder / "stages" / "train" / ".last.old").mkdir()
    purge(folder)
    assert leaks([folder.parent], texts_of(world)) == []
    assert Results.load(folder).before is not None
    assert not list(folder.rglob(".*"))
    assert (folder / "report.html").is_file()


def test_a_run_that_is_not_finished_or_under_way_is_left(finished: Finished, tmp_path: Path) -> None:
    folder = finished()
    with locked(folder), pytest.raises(RunError, match="is using it"):
        purge(folder)
    other = folder.parent / "other"
    shutil.copytree(folder, other)
    with locked(other), pytest.raises(RunError, match="is using it"):
        plan_purge(folder)
    with OutputFolder(folder.parent).records.entry("held"), pytest.raises(RunError, match="is using it"):
        plan_purge(folder)
    shutil.rmtree(OutputFolder(folder.parent).records.folder / "held")
    (other / "results.json").unlink()
    before = files_of(other)
    with pytest.raises(RunError, match="has not finished"):
        purge(other)
    assert files_of(other) == before
    for wrong in (tmp_path / "none", tmp_path, other / "recipe.yaml"):
        with pytest.raises(RunError) as error:
            purge(wrong)
        assert "\n" not in str(error.value)
    assert not json.loads((folder / "results.json").read_text())["purged"]


def test_a_folder_given_as_a_dot(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = finished()
    monkeypatch.chdir(folder)
    purge(Path())
    assert not (folder.parent / ".cache").exists()


def test_what_a_sweep_wrote_of_the_run_goes_and_its_errors_are_named(finished: Finished, world: Path) -> None:
    folder = finished()
    text = texts_of(world)[0]
    sweep = SweepFolder(folder.parent)
    sweep.write_failures({"other": f"forget.jsonl:1: {text}"})
    for name in ("run", "other"):
        sweep.log(name).parent.mkdir(exist_ok=True)
        sweep.log(name).write_text(text)
    plan = purge(folder)
    assert sweep.log("run") in [item.path for item in plan.items]
    assert [Path(file).name for file, _ in leaks([folder.parent], [text])] == ["failures.json", "other.log"]
    note = next(note for note in plan.notes if note.startswith(f"{sweep.failures_file}: "))
    assert "(other)" in note
    assert "logs/other.log" in note


def test_a_sweep_whose_failed_runs_were_mended_needs_no_note(finished: Finished) -> None:
    folder = finished()
    sweep = SweepFolder(folder.parent)
    for failures in ({"other": "no"}, {}):
        sweep.write_failures(failures)
    assert not [note for note in plan_purge(folder).notes if sweep.failures_file.name in note]
