"""Forgetting SFT as one recipe: a reference set aside, tokens scored, some of them learned and some forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetting.core.errors import DataError, RecipeError, RunError
from forgetting.core.example import Role
from forgetting.pipeline import score as scoring
from forgetting.pipeline.prepare import load_data
from forgetting.pipeline.run import run
from forgetting.pipeline.voice import SILENT, Voice
from forgetting.recipe import Recipe, load_recipe, selection_from
from forgetting.training import scoring as token_scoring
from forgetting.training.loop import Trainer
from tests.conftest import write_rows


@pytest.fixture
def make(world: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """The recipe with overrides, each call under its own output folder unless one is given."""
    adapter = {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.1}
    stage = {"learning_rate": 5e-3, "batch_size": 4, "checkpoint_every": "2 steps", "adapter": adapter}
    train = {"method": "forgetting", "duration": "2 epochs", "select": {"reference": "stage:reference"}}
    recipe = {
        "name": "run",
        "model": str(world / "model"),
        "dtype": "float32",
        "threads": 1,
        "max_new_tokens": 2,
        "data": {"train": [str(world / "forget.jsonl"), str(world / "retain.jsonl")]},
        "corpus": {"reference": 8, "near": None},
        "stages": [
            {**stage, "name": "reference", "method": "sft", "part": "reference", "between": "aside"},
            {**stage, **train, "name": "train"},
        ],
    }
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return lambda output, *overrides: load_recipe(str(file), [f"output={tmp_path / output}", *overrides])


def weights_of(folder: Path) -> bytes:
    return (folder / "model" / "adapter_model.safetensors").read_bytes()


def lines_of(recipe: Recipe) -> list[str]:
    """What a run says."""
    lines: list[str] = []
    run(recipe, voice=Voice(say=lines.append), report=False)
    return lines


def test_the_parts_share_no_example_and_the_reference_is_not_trained_on(make: Callable[..., Recipe]) -> None:
    data = load_data(make("a"), SILENT)
    reference, train = ({e.id for e in data[s].examples[Role.TRAIN]} for s in ("reference", "train"))
    assert (len(reference), len(train)) == (8, 20)
    assert not reference & train


def test_the_training_starts_from_the_base_whoever_trained_the_reference(make: Callable[..., Recipe]) -> None:
    """A run without the reference's stage, given the scores, ends with the same bytes."""
    whole = run(make("a"), report=False)
    (scores,) = (whole.parent / ".cache" / "scores").iterdir()
    given = make("b", f"stages.train.select.scores={scores}", "stages.train.select.reference=null")
    assert [stage.name for stage in given.stages] == ["train"]
    assert weights_of(run(given, report=False)) == weights_of(whole)


def test_reference_and_scores_are_shared_by_runs_that_select_otherwise(make: Callable[..., Recipe]) -> None:
    first = lines_of(make("a"))
    second = lines_of(make("a", "name=other", "stages.train.select.positives=0.5"))
    found = [line for line in second if "found" in line]
    assert len(found) == 2 and not [line for line in first if "found" in line]
    folder = make("a").folder.parent
    shares = [json.loads((folder / n / "stages/train/selection.json").read_text()) for n in ("run", "other")]
    assert shares[0]["positive"] > shares[1]["positive"]
    assert shares[0]["tokens"] == shares[1]["tokens"]


def interrupt_at(times: int, original: Callable[..., Any]) -> Callable[..., Any]:
    calls = 0

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == times:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    return interrupted


def places() -> Iterator[tuple[object, str, int]]:
    yield Trainer, "_step", 2  # in the reference
    yield token_scoring, "write_part", 1
    yield Trainer, "_step", 6  # in the training: the reference has two steps
    yield Trainer, "_step", 9


def test_killed_anywhere_and_started_again_it_ends_with_the_same_bytes(
    make: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = weights_of(run(make("whole"), report=False))
    for number, (owner, name, times) in enumerate(places()):
        recipe = make(f"cut{number}")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(owner, name, interrupt_at(times, getattr(owner, name)))
            run(recipe, report=False)
        assert weights_of(run(recipe, report=False)) == whole, (name, times)


def test_the_ignoring_baseline_is_the_same_training_without_the_negative_term(make: Callable[..., Recipe]) -> None:
    ignoring = run(make("a", "stages.train.method=ignoring"), report=False)
    still = run(make("b", 'stages.train.method={"name": "forgetting", "forget_weight": 0}'), report=False)
    forgetting = run(make("c"), report=False)
    assert weights_of(ignoring) == weights_of(still) != weights_of(forgetting)
    history = (ignoring / "stages/train/history.jsonl").read_text().splitlines()
    assert all(json.loads(line)["terms"]["negative"] > 0 for line in history)  # recorded all the same


def test_full_tokens_leaves_the_reference_out_and_trains_on_the_same_part(make: Callable[..., Recipe]) -> None:
    full = make("a", "stages.train.method=sft", "stages.train.select=null")
    assert [stage.name for stage in full.stages] == ["train"]
    ids = [[e.id for e in load_data(r, SILENT)["train"].examples[Role.TRAIN]] for r in (full, make("a"))]
    assert ids[0] == ids[1]
    both = make("a", "stages.train.method=sft", "stages.train.select=null", "stages.train.part=all")
    assert len(load_data(both, SILENT)["train"].examples[Role.TRAIN]) == 28


def test_weights_written_for_others_train_as_the_recipe_does(make: Callable[..., Recipe], tmp_path: Path) -> None:
    whole = run(make("a"), report=False)
    examples = load_data(make("a"), SILENT)["train"].examples[Role.TRAIN]
    rows = write_rows(tmp_path / "train.jsonl", [{"prompt": e.prompt, "response": e.response} for e in examples])
    shown = scoring.score(
        make("a").model,
        [str(rows)],
        reference=str(whole / "stages/reference/model"),
        folder=tmp_path / "scores",
        dtype="float32",
        out=tmp_path / "weights.parquet",
        page=tmp_path / "page.html",
    )
    recorded = json.loads((whole / "stages/train/selection.json").read_text())
    assert {k: shown[k] for k in ("threshold", "positive", "negative")} == {
        k: recorded[k] for k in ("threshold", "positive", "negative")
    }
    given = make("b", f"data.train={tmp_path / 'weights.parquet'}", "corpus=null", "stages.train.select=null")
    assert weights_of(run(given, report=False)) == weights_of(whole)
    assert "quality" in (tmp_path / "page.html").read_text()


def test_scores_of_other_data_are_refused_with_both_hashes(make: Callable[..., Recipe]) -> None:
    whole = run(make("a"), report=False)
    (scores,) = (whole.parent / ".cache" / "scores").iterdir()
    other = make("b", "seed=1", f"stages.train.select.scores={scores}", "stages.train.select.reference=null")
    with pytest.raises(RunError, match=r"scores of another data \([0-9a-f]{16} there, [0-9a-f]{16} here\)"):
        run(other, report=False)


def test_a_method_that_forgets_tokens_needs_signs(make: Callable[..., Recipe]) -> None:
    with pytest.raises(DataError, match=r"no token of the train data has a negative weight.*select\.reference"):
        run(make("a", "stages.train.select=null"), report=False)
    assert not make("a").folder.exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.train.select.reference=stage:refrence", "did you mean 'reference'"),
        ("stages.train.select.positives=1.5", "write a share between 0 and 1"),
        ("stages.train.between=aside", "last stage cannot be set aside"),
        ("stages.reference.adapter={kind: full}", "give a LoRA"),
        ("corpus=null", "no part is set off"),
        ("stages.train.method=npo", "'npo' reads none"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(make: Callable[..., Recipe], override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make("a", override)


def test_a_selection_from_the_command_is_checked_alike() -> None:
    with pytest.raises(RecipeError, match="positives"):
        selection_from(positives=2.0)
