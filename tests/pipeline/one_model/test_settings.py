"""What commands on one model take of a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.core.errors import RecipeError
from forgetting.pipeline.one_model.settings import WITHOUT, as_settings, rewritten, settled, with_settings
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe

FORMAT = ("format",)


def test_keys_are_those_of_a_recipe_and_may_be_paths() -> None:
    found = settled("lab", {"max_new_tokens": 4}, {"format.prefix": "So: ", "max_new_tokens": 9}, FORMAT)
    assert (found.format.prefix, found.max_new_tokens) == ("So: ", 9)
    with pytest.raises(RecipeError, match=r"settings: unknown key 'format\.shot'; did you mean 'shots'"):
        settled("lab", {}, {"format.shot": 3}, FORMAT)
    with pytest.raises(RecipeError, match=r"unknown key 'format\.shots\.cout'; did you mean 'count'"):
        settled("lab", {}, {"format.shots.cout": 3, "format.shots.role": "retain"}, FORMAT)
    with pytest.raises(RecipeError, match="unknown key 'learning_rate'"):
        settled("lab", {}, {"learning_rate": 1.0}, FORMAT)


@pytest.mark.parametrize("key", ["stages.unlearn.method", "output", "export", "corpus.size"])
def test_keys_of_a_run_alone_are_refused(key: str) -> None:
    with pytest.raises(RecipeError, match=f"settings: '{key}' belongs to a run; leave it out"):
        settled("lab", {}, {key: "x"}, FORMAT)


def test_a_run_that_is_named_brings_its_format_and_its_shots_until_they_are_asked_anew(
    recipe_file: Path, world: Path
) -> None:
    folder = run(load_recipe(str(recipe_file), ["format.shots.role=retain", "duration=1 steps"]), report=False)
    own = settled(str(folder), {}, {}, FORMAT)
    assert len(own.format.shots.examples) == 4
    fewer = settled(str(folder), {}, {"format.shots.count": 1}, FORMAT)
    assert fewer.format.shots.examples is None and fewer.format.shots.role == "retain"
    assert with_settings(own, {"format.prefix": "So: "}).format.shots == own.format.shots
    assert with_settings(own, {"format.shots.seed": 5}).format.shots.examples is None
    assert with_settings(own, {}) is own


def test_settings_as_yaml_hold_no_stage_and_are_read_again() -> None:
    recipe = settled("lab", {}, {"format.stop": ["\n"], "data.forget": "f.jsonl"}, FORMAT)
    text = as_settings(recipe)
    assert not any(f"\n{key}:" in f"\n{text}" for key in WITHOUT)
    assert rewritten(text) == text
    assert rewritten("just words") == "just words"
    assert "max_length: 1024" in rewritten("model: lab\nformat: {}\n")
