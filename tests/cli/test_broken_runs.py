"""A run folder that is none, or lacks a file: every command that takes one says in one line what is wrong where."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import command
from tests.conftest import write_rows

OF_MODELS = ("eval", "ask", "generate", "run")
"""Commands that take any model, and so a run's."""
OF_RUNS = ("report", "compare", "audit", "analyse", "push", "purge")
BOTH = (*OF_MODELS, *OF_RUNS)


Say = Callable[[str, Path], str]


@pytest.fixture
def said(world: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """What a command says of a broken run: it must end with code 2 and one line, and leave nothing behind."""
    prompts = write_rows(tmp_path / "prompts.jsonl", [{"instruction": "Say it"}])
    whole = shutil.copytree(finished, tmp_path / "whole")
    data = (f"data.forget={world / 'forget.jsonl'}", f"data.retain={world / 'retain.jsonl'}")

    def call(verb: str, run: Path) -> str:
        there = sorted(tmp_path.rglob("*"))
        arguments: dict[str, tuple[object, ...]] = {
            "eval": (run, "--forget", world / "forget.jsonl"),
            "ask": (run, "Where does guest 1 live?"),
            "generate": (run, prompts),
            "run": ("unlearn", f"model={run}", *data, f"output={tmp_path / 'new'}"),
            "compare": (whole, run),
            "push": (run, "a/b", "--prepare-only", tmp_path / "card"),
            "purge": (run, "--yes"),
        }
        code, out, err = command(capsys, verb, *arguments.get(verb, (run,)))
        lines = [line for line in err.splitlines() if line.startswith("forget: ")]
        assert (code, out, len(lines)) == (2, "", 1), err
        assert "Errno" not in err and sorted(tmp_path.rglob("*")) == there
        return lines[0].removeprefix("forget: ")

    return call


@pytest.mark.parametrize("verb", BOTH)
def test_a_folder_that_is_no_run(verb: str, tmp_path: Path, said: Say) -> None:
    (tmp_path / "empty").mkdir()
    line = said(verb, tmp_path / "empty")
    assert line.startswith(f"{tmp_path / 'empty'}: ") and ("; give a folder" in line or "; name the folder" in line)


@pytest.mark.parametrize("verb", BOTH)
def test_no_folder(verb: str, tmp_path: Path, said: Say) -> None:
    line = said(verb, tmp_path / "gone")
    what = "model folder" if verb in OF_MODELS else "folder"
    assert line.startswith(f"{tmp_path / 'gone'}: no such {what}; ")


@pytest.mark.parametrize("verb", BOTH)
@pytest.mark.parametrize("sweep", [True, False])
def test_a_sweep_or_another_folder_of_runs(sweep: bool, verb: str, run_folder: Path, said: Say) -> None:
    if sweep:
        (run_folder.parent / "sweep.json").write_text("{}")
    line = said(verb, run_folder.parent)
    assert line.startswith(f"{run_folder.parent}: is a {'sweep' if sweep else 'folder of 1 run'}; ")
    assert line.endswith(f"forget purge {run_folder.parent}/NAME)" if sweep and verb == "purge" else ": one")


@pytest.mark.parametrize("verb", [verb for verb in BOTH if verb != "report"])  # which shows it as far as it is
def test_an_unfinished_run(verb: str, run_folder: Path, said: Say) -> None:
    (run_folder / "results.json").unlink()
    shutil.rmtree(run_folder / "model")
    line = said(verb, run_folder)
    assert line.startswith(f"{run_folder}: ") and ("finish" in line or "start it again" in line)


@pytest.mark.parametrize("verb", [*OF_MODELS, "audit", "analyse", "purge"])
def test_a_run_without_its_recipe(verb: str, run_folder: Path, said: Say) -> None:
    (run_folder / "recipe.yaml").unlink()
    line = said(verb, run_folder)
    assert line.startswith(f"{run_folder}: its recipe.yaml is missing; bring it back")
    assert line.endswith(f", or name its model, {run_folder / 'model'}") == (verb in OF_MODELS)


@pytest.mark.parametrize("verb", [*OF_MODELS, "audit", "analyse"])
@pytest.mark.parametrize(
    "file", ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"]
)
def test_a_run_whose_model_lacks_a_file(file: str, verb: str, run_folder: Path, said: Say) -> None:
    (run_folder / "model" / file).unlink()
    line = said(verb, run_folder)
    assert line.startswith(f"{run_folder / 'model'}: {file} is missing; bring it back")


@pytest.mark.parametrize("verb", ["report", "compare"])
def test_a_run_without_its_records(verb: str, run_folder: Path, said: Say) -> None:
    file = run_folder / "records" / "unlearn-after.jsonl"
    file.unlink()
    assert said(verb, run_folder).startswith(f"{file}: no such record file; bring it back")


def test_a_purge_is_done_where_the_report_cannot_be_written_again(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = run_folder / "stages" / "unlearn" / "history.jsonl"
    history.unlink()
    code, _, err = command(capsys, "purge", run_folder, "--yes")
    assert code == 2
    assert err.startswith(f"forget: {run_folder}: is purged, but its report cannot be written again: {history}: ")
    assert "lane" not in (run_folder / "records" / "before.jsonl").read_text()


def test_a_run_is_no_model_folder_where_only_those_are_taken(
    world: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    for arguments in (
        ("derive", world / "forget.jsonl", "--model", run_folder, "--out", out),
        ("score", run_folder, world / "retain.jsonl", "--reference", run_folder / "model", "--scores", out),
    ):
        code, _, err = command(capsys, *arguments)
        expected = f"forget: {run_folder}: is a run's folder; name its model, {run_folder / 'model'}\n"
        assert (code, err, out.exists()) == (2, expected, False)


@pytest.mark.parametrize("verb", ["rescore", "import"])
def test_a_folder_is_no_log(verb: str, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("--out", tmp_path / "imported") if verb == "import" else ()
    code, _, err = command(capsys, verb, run_folder, *out)
    assert (code, err) == (2, f"forget: {run_folder}: not a JSON evaluation log (Is a directory); give one\n")
    assert not (tmp_path / "imported").exists()
