"""The precision that a model is loaded in, and where it is said to come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from forgetting.core.progress import Voice
from forgetting.pipeline.run.load import load_measured, loaded_for
from forgetting.recipe import Recipe, recipe_from
from forgetting.runs.folder import RunFolder
from forgetting.runs.reading import write_object
from tests.models.tiny import tiny_model, tiny_tokenizer


def recipe_of(tmp_path: Path, model: str, **keys: object) -> Recipe:
    values = {"name": "now", "model": model, "output": str(tmp_path), "device": "cpu"}
    return recipe_from({**values, "stages": [{"method": "sft", "adapter": {"rank": 2}}], **keys})


def earlier(tmp_path: Path, name: str, *, asked: str, began: str | None = None) -> str:
    """A run whose model is stored in fp32, and which asked for, or began in, another precision."""
    run = RunFolder(tmp_path / name)
    run.path.mkdir(exist_ok=True)
    run.write_recipe(recipe_of(tmp_path, "m", name=name, dtype=asked).to_yaml())
    tiny_model("llama").save_pretrained(run.model)
    tiny_tokenizer().save_pretrained(run.model)
    if began is not None:
        begin(run, began)
    return str(run.path)


def begin(run: RunFolder, precision: str) -> None:
    run.path.mkdir(exist_ok=True)
    write_object(run.environment_file, {"dtype": precision})
    run.results_file.write_text("{}")


def measured(recipe: Recipe) -> tuple[torch.dtype, str]:
    loaded, settled = load_measured(recipe)
    assert settled.dtype == loaded.precision.dtype
    return loaded.model.dtype, str(loaded.precision)


def test_an_earlier_runs_precision_is_taken_and_the_run_named(tmp_path: Path) -> None:
    asking = earlier(tmp_path, "asking", asked="bfloat16")
    beginning = earlier(tmp_path, "beginning", asked="auto", began="bfloat16")
    for run in (asking, beginning):
        said = f"precision: bfloat16 (as in the run {run})"
        assert measured(recipe_of(tmp_path, run)) == (torch.bfloat16, said)
    assert measured(recipe_of(tmp_path, asking, dtype="float32")) == (torch.float32, "precision: float32 (as asked)")


def test_of_several_runs_the_widest_precision_is_taken_and_the_first_such_run_named(tmp_path: Path) -> None:
    runs = [earlier(tmp_path, name, asked=dtype) for name, dtype in (("a", "bfloat16"), ("b", "float32"))]
    third = earlier(tmp_path, "c", asked="float32")
    said = f"precision: float32 (as in the run {runs[1]})"
    assert measured(recipe_of(tmp_path, f"{runs[0]} - 0.5*{runs[1]} + {third}")) == (torch.float32, said)


def test_a_run_that_says_no_precision_leaves_it_to_the_weights(tmp_path: Path) -> None:
    run = earlier(tmp_path, "silent", asked="auto")
    assert measured(recipe_of(tmp_path, run)) == (torch.float32, "precision: float32 (as stored)")


@pytest.mark.parametrize(("kind", "expected"), [("lora", "bfloat16"), ("full", "float32")])
def test_sixteen_bits_of_an_earlier_run_are_not_taken_over_where_all_weights_train(
    kind: str, expected: str, tmp_path: Path
) -> None:
    run = earlier(tmp_path, "before", asked="bfloat16")
    adapter = {"kind": "full"} if kind == "full" else {"kind": "lora", "rank": 2}
    recipe = recipe_of(tmp_path, run, stages=[{"method": "sft", "adapter": adapter}])
    loaded, settled = loaded_for(recipe)
    why = {"bfloat16": f"as in the run {run}", "float32": "as stored"}[expected]
    assert (settled.dtype, str(loaded.precision)) == (expected, f"precision: {expected} ({why})")


@pytest.mark.parametrize("began", ["bfloat16", "float64"])
def test_a_run_that_goes_on_keeps_the_precision_that_it_began_in_and_says_so(began: str, tmp_path: Path) -> None:
    tiny_model("llama").save_pretrained(tmp_path / "m")
    tiny_tokenizer().save_pretrained(tmp_path / "m")
    recipe = recipe_of(tmp_path, str(tmp_path / "m"))
    begin(RunFolder(recipe.folder), began)
    said: list[str] = []
    loaded, _ = loaded_for(recipe, Voice(said.append))
    assert str(loaded.model.dtype) == f"torch.{began}"
    assert said[0] == f"precision: {began} (as the run began)"
