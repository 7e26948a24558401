"""Forgetting SFT as one recipe: a reference set aside, tokens scored, some of them learned and some forgotten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from forgetting.core.errors import DataError, RecipeError, RunError
from forgetting.core.example import Role
from forgetting.core.folder import MARK
from forgetting.core.progress import SILENT, Voice
from forgetting.data.encode import encode
from forgetting.data.examples import to_example
from forgetting.data.formatting import Formatting
from forgetting.data.source import Source
from forgetting.pipeline.one_model import score_tokens as scoring
from forgetting.pipeline.run.plan import check
from forgetting.pipeline.run.prepare import load_data
from forgetting.pipeline.run.run import run
from forgetting.recipe import Recipe, load_recipe, selection_from
from forgetting.token_selection import scoring as token_scoring
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
        options=scoring.ScoreOptions(dtype="float32", out=tmp_path / "weights.parquet", page=tmp_path / "page.html"),
    )
    recorded = json.loads((whole / "stages/train/selection.json").read_text())
    assert {k: getattr(shown, k) for k in ("threshold", "positive", "negative")} == {
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


def test_a_run_that_never_came_to_train_takes_up_no_reference_of_other_settings(make: Callable[..., Recipe]) -> None:
    """The first run fails in its selection; the second, in the same folder, trains its own reference."""
    with pytest.raises(DataError, match="nothing is left to forget"):
        run(make("a", "stages.reference.learning_rate=1e-12", "stages.train.select.positives=zero"), report=False)
    corrected = make("a", "seed=3", "corpus.reference=6")
    fresh = make("b", "seed=3", "corpus.reference=6")
    assert weights_of(run(corrected, report=False)) == weights_of(run(fresh, report=False))


def test_a_reference_that_changed_under_a_run_is_refused(
    make: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(make("a"), report=False)
    own = shutil.copytree(first / "stages/reference/model", tmp_path / "own")
    recipe = make("b", f"stages.train.select.reference={own}")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "_step", interrupt_at(5, Trainer._step))
        run(recipe, report=False)
    weights = load_file(own / "adapter_model.safetensors")
    save_file({name: -3 * tensor for name, tensor in weights.items()}, own / "adapter_model.safetensors")
    (own / MARK).unlink()
    with pytest.raises(RunError, match="reference of its token scores changed since it began"):
        run(recipe, report=False)


@pytest.mark.parametrize(
    "damaged",
    ["stages/*/result.json", "stages/*/model/*.safetensors", "scores/*/part-000000.parquet", "scores/*/scores.json"],
)
def test_a_damaged_cache_is_made_anew(make: Callable[..., Recipe], damaged: str) -> None:
    whole = run(make("a"), report=False)
    (file,) = (whole.parent / ".cache").glob(damaged)
    file.unlink()
    assert weights_of(run(make("a", "name=other"), report=False)) == weights_of(whole)


def test_given_scores_need_no_reference_and_are_named(make: Callable[..., Recipe]) -> None:
    (scores,) = (run(make("a"), report=False).parent / ".cache" / "scores").iterdir()
    given = make("b", f"stages.train.select.scores={scores}")
    assert [stage.name for stage in given.stages] == ["train"]
    shown = json.loads((run(given, report=False) / "stages/train/selection.json").read_text())
    assert shown["reference"] == f"scores {scores}"


def test_signs_in_the_data_are_not_decided_anew(make: Callable[..., Recipe], tmp_path: Path) -> None:
    row = {"prompt": "Where?", "response": "Here.", "token_weights": [1.0] * 6 + [-1.0]}
    length = len(
        encode(to_example({**row, "token_weights": None}, "x:1", Source(path="x")), *formatted(make)).target_ids
    )
    row["token_weights"] = [1.0] * (length - 1) + [-1.0]
    rows = write_rows(tmp_path / "signed.jsonl", [row, {**row, "prompt": "Why?"}])
    with pytest.raises(DataError, match=r"already have signed token_weights.*select=null"):
        run(make("a", f"data.train={rows}", "corpus.reference=1"), report=False)


def formatted(make: Callable[..., Recipe]) -> tuple[Any, Formatting]:
    return AutoTokenizer.from_pretrained(make("x").model), Formatting()


def test_the_plan_says_what_is_set_aside_and_scored(make: Callable[..., Recipe]) -> None:
    plan = check(make("a"))
    assert "reference: set aside as a reference for train" in plan
    assert any(line.startswith("train: ") and line.endswith("tokens, by stage:reference") for line in plan)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["select.reference=./nowhere"], "there is no such folder; give an adapter, a model, or stage:NAME"),
        (["select.scores=nowhere"], "nowhere: the scores do not exist; score first"),
        (["select.reference=null"], "select names no reference"),
    ],
)
def test_a_missing_reference_is_known_before_anything_is_done(
    make: Callable[..., Recipe], overrides: list[str], message: str
) -> None:
    recipe = make("a", *(f"stages.train.{override}" for override in overrides))
    for attempt in (check, run):
        with pytest.raises((RecipeError, RunError), match=message):
            attempt(recipe)
    assert not recipe.folder.exists()


def test_noise_is_found_wherever_in_the_data_it_begins(make: Callable[..., Recipe], tmp_path: Path) -> None:
    model = run(make("a"), report=False) / "stages/reference/model"
    clean = write_rows(tmp_path / "clean.jsonl", [{"prompt": "Where?", "response": "In house 2 of lane 3."}])
    noisy = write_rows(
        tmp_path / "noisy.jsonl", [{"prompt": "Why?", "response": "Dish 2 of lane.", "noise": [[0, 6, "shuffled"]]}]
    )
    options = scoring.ScoreOptions(dtype="float32", selection=selection_from(positives=0.5))
    shown = [
        scoring.score(make("a").model, files, reference=str(model), folder=tmp_path / name, options=options)
        for name, files in (("one", [str(clean), str(noisy)]), ("two", [str(noisy), str(clean)]))
    ]
    assert shown[0].noise["quality"]["value"] == pytest.approx(shown[1].noise["quality"]["value"])


def test_ids_that_look_like_windows_are_rows_of_their_own(make: Callable[..., Recipe], tmp_path: Path) -> None:
    model = run(make("a"), report=False) / "stages/reference/model"
    rows = [{"id": i, "prompt": p, "response": "In house 2."} for i, p in (("q", "Where?"), ("q#2", "Why?"))]
    data = write_rows(tmp_path / "ids.jsonl", rows)
    shown = scoring.score(
        make("a").model,
        [str(data)],
        reference=str(model),
        folder=tmp_path / "scores",
        options=scoring.ScoreOptions(
            dtype="float32", selection=selection_from(positives=0.5), out=tmp_path / "w.parquet"
        ),
    )
    assert {e.key: e.prompt for e in shown.examples} == {"q": "Where?", "q#2": "Why?"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.train.select.reference=reference", "write stage:reference"),
        ("stages.train.select.positives=atuo", "or auto, or zero"),
        ("method=ignoring", r"several stages \(reference, train\); write stages.NAME.method"),
        ("stages.train.select.reference=stage:refrence", "did you mean 'reference'"),
        ("stages.train.select.positives=1.5", "write a share between 0 and 1"),
        ("stages.train.between=aside", "last stage cannot be set aside"),
        ("stages.reference.adapter={kind: full}", "give a LoRA"),
        ("corpus=null", "no part is reserved"),
        ("stages.train.method=npo", "'npo' reads none"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(make: Callable[..., Recipe], override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make("a", override)


def test_a_selection_from_the_command_is_checked_alike() -> None:
    with pytest.raises(RecipeError, match="positives"):
        selection_from(positives=2.0)
