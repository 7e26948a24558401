"""A recipe's analyses are made after its run, stand in its report, and resume."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from forgetting.core.errors import ModelError, RecipeError
from forgetting.core.progress import Voice
from forgetting.pipeline.finished_run.whole import run
from forgetting.recipe import load_recipe
from forgetting.runs.folder import RunFolder
from tests.pipeline.finished_run.test_ask import made


def recipe(world: Path, tmp_path: Path, analyse: object):
    stages = [{"method": "graddiff", "adapter": {"rank": 2}}]
    folder = made(world, tmp_path / "runs", "plain", stages)
    return load_recipe(str(RunFolder(folder).recipe_file), {"name": "analysed", "analyse": analyse})


def test_a_run_is_analysed_and_its_report_shows_it(world: Path, tmp_path: Path) -> None:
    asked = recipe(world, tmp_path, {"weights": None, "sensitivity": {"reading": "sequence_mean"}})
    folder = run(asked)
    assert sorted(f.name for f in (folder / "analyses").iterdir()) == ["sensitivity.json", "weights.json"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "What changed inside" in page and "Relative change of the weights" in page
    said: list[str] = []
    assert run(asked, voice=Voice(say=said.append)) == folder
    assert "weights: already finished" in said
    (folder / "analyses" / "weights.json").unlink()
    (folder / "report.html").unlink()
    run(asked)
    assert (folder / "analyses" / "weights.json").is_file()
    assert "Relative change of the weights" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("analyse", "message"),
    [(["wieghts"], "did you mean 'weights'"), ({"sensitivity": {"reading": "mean"}}, "sequence_sum")],
)
def test_what_does_not_exist_is_refused_before_the_run(
    world: Path, tmp_path: Path, analyse: object, message: str
) -> None:
    asked = recipe(world, tmp_path, analyse)
    with pytest.raises(RecipeError, match=message):
        run(asked)
    assert not asked.folder.exists()


def test_a_library_that_is_not_there_is_missed_before_the_run(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sparsify", None)
    asked = recipe(world, tmp_path, "sae")
    with pytest.raises(ModelError, match=r"the analysis sae needs sparsify; pip install 'forgetting\[sae\]'"):
        run(asked, report=False)
    assert not asked.folder.exists()


def test_names_alone_have_no_parameters(world: Path, tmp_path: Path) -> None:
    assert recipe(world, tmp_path, "weights").analyse == {"weights": {}}
    assert recipe(world, tmp_path, ["weights", "shifts"]).analyse == {"weights": {}, "shifts": {}}
