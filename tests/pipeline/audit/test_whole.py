"""A recipe's analyses and audits are made after its run, and resume; analyses stand in its report."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from forgetting.core.errors import ForgettingError, ModelError, RecipeError
from forgetting.core.progress import Voice
from forgetting.pipeline.audit.whole import run
from forgetting.recipe import load_recipe
from forgetting.runs.folder import RunFolder
from tests.pipeline.finished_run.test_ask import made


def recipe(world: Path, tmp_path: Path, analyse: object = None, **keys: object):
    stages = [{"method": "graddiff", "adapter": {"rank": 2}}]
    folder = made(world, tmp_path / "runs", "plain", stages)
    return load_recipe(
        str(RunFolder(folder).recipe_file),
        {"name": "analysed", **({} if analyse is None else {"analyse": analyse}), **keys},
    )


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


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"layer": 99}, r"sae\.layer=99: the model has 2 blocks, 0 to 1"),
        ({"text": "gone.jsonl"}, r"gone\.jsonl: no such file"),
        ({"coder": "gone/nowhere"}, r"sae\.coder=gone/nowhere: no coder that can be read"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_before_the_run(
    world: Path, tmp_path: Path, parameters: dict[str, object], message: str
) -> None:
    asked = recipe(world, tmp_path, {"sae": parameters})
    with pytest.raises(ForgettingError, match=message):
        run(asked, report=False)
    assert not asked.folder.exists()


def test_names_alone_have_no_parameters(world: Path, tmp_path: Path) -> None:
    assert recipe(world, tmp_path, "weights").analyse == {"weights": {}}
    assert recipe(world, tmp_path, ["weights", "shifts"]).analyse == {"weights": {}, "shifts": {}}


def test_a_run_is_audited_as_its_recipe_says_and_resumes(world: Path, tmp_path: Path) -> None:
    asked = recipe(world, tmp_path, audit={"sample": {"n": 2}, "greedy": None})
    folder = run(asked, report=False)
    assert sorted(f.name for f in (folder / "audits").glob("*.json")) == ["greedy.json", "sample.json"]
    said: list[str] = []
    run(asked, report=False, voice=Voice(say=said.append))
    assert "sample: the model after is already finished" in said


@pytest.mark.parametrize(
    ("audit", "message"),
    [("fats", "unknown attack 'fats'; did you mean 'fast'"), ({"sample": {"n": 0}}, "n is 0; write a whole number")],
)
def test_an_attack_that_does_not_exist_is_refused_before_the_run(
    world: Path, tmp_path: Path, audit: object, message: str
) -> None:
    asked = recipe(world, tmp_path, audit=audit)
    with pytest.raises(RecipeError, match=message):
        run(asked, report=False)
    assert not asked.folder.exists()
