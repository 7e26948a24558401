"""MUSE's suite: its files, its prompts, the truth that is cut, the small world in its place, and its stop rule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetting.benchmarks.lab.suite import BASE
from forgetting.benchmarks.registry import get_suite
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.progress import SILENT
from forgetting.metrics.score import score
from forgetting.models.loading import load_model
from forgetting.pipeline.run.records import take
from forgetting.pipeline.run.run import run
from forgetting.recipe import recipe_from
from tests.models.tiny import tiny_model, tiny_tokenizer

STAGE = {"method": "ga", "learning_rate": 1e-4, "batch_size": 4, "duration": "1 steps"}
PLAIN = recipe_from({"model": "x", "data": {"forget": "x.jsonl"}, "stages": [STAGE]})


def write_rows(file: Path, rows: list[dict]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """MUSE's own layout with few rows."""
    words = ["cat", "dog", "bird", "fish", "ran", "sat", "swam", "flew"]
    for name in ("forget", "retain"):
        qa = [{"question": f"the {name} {word}", "answer": f"{word} over"} for word in words]
        write_rows(tmp_path / "knowmem" / f"{name}_qa.json", qa[:5])
        write_rows(tmp_path / "knowmem" / f"{name}_qa_icl.json", qa[5:7])
    passage = {"prompt": "the cat", "gt": "sat on the big bird under the green fish"}
    write_rows(tmp_path / "verbmem" / "forget.json", [passage, {"prompt": "a dog", "gt": "ran"}])
    for name in ("forget", "retain", "holdout"):
        rows = [{"text": f"the {name} {word} swam over the big green bird"} for word in words]
        write_rows(tmp_path / "privleak" / f"{name}.json", rows)
    for name in ("forget", "retain1", "holdout"):
        (tmp_path / "raw").mkdir(exist_ok=True)
        (tmp_path / "raw" / f"{name}.txt").write_text(f"a small {name} ran")
    write_rows(tmp_path / "scal" / "forget_2.json", [{"text": "twice as much"}, {"text": "and more"}])
    return tmp_path


def test_the_splits_and_prompts_are_muse_s(folder: Path) -> None:
    suite = get_suite(f"muse:news@{folder}")
    splits = {split.name: split for split in suite.splits}
    assert list(splits) == [
        "verbmem",
        "knowmem",
        "retain-knowmem",
        "privleak-forget",
        "privleak-retain",
        "privleak-holdout",
    ]
    assert [len(s.examples) for s in splits.values()] == [2, 5, 5, 8, 8, 8]
    first = splits["knowmem"].examples[0]
    assert first.prompt == (
        "Question: the forget sat\nAnswer: sat over\n\nQuestion: the forget swam\nAnswer: swam over\n\n"
        "Question: the forget cat\nAnswer: "
    )
    assert (first.response, first.form, splits["knowmem"].max_new_tokens) == ("cat over", "text", 32)
    assert (splits["verbmem"].max_new_tokens, splits["verbmem"].answer_tokens) == (128, 128)
    assert splits["privleak-holdout"].membership == (0.4,)
    assert {role: [e.response for e in some] for role, some in suite.data.items()} == {
        "forget": ["a small forget ran"],
        "retain": ["a small retain1 ran"],
        "holdout": ["a small holdout ran"],
    }


def test_scale_and_folds_choose_the_texts_to_forget_and_nothing_else(folder: Path) -> None:
    larger = get_suite(f"muse:news,scale=2@{folder}")
    assert [e.response for e in larger.data["forget"]] == ["twice as much", "and more"]
    assert larger.splits == get_suite(f"muse:news@{folder}").splits
    with pytest.raises(DataError, match="holds no folder sust"):
        get_suite(f"muse:news,fold=1@{folder}")


def test_a_folder_without_texts_to_train_on_is_measured_all_the_same(folder: Path) -> None:
    for file in (folder / "raw").iterdir():
        file.unlink()
    assert get_suite(f"muse:books@{folder}").data == {}


def test_a_model_is_measured_whole_and_truths_are_compared_up_to_their_limit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgetting.benchmarks import muse

    monkeypatch.setattr(muse, "VERBMEM_TOKENS", 4)
    suite = get_suite(f"muse:news@{folder}")
    taken = take(tiny_model("llama"), tiny_tokenizer(), suite, PLAIN, SILENT)
    verbatim = [r for r in taken.records if r.split == "verbmem"]
    assert tiny_tokenizer()(verbatim[0].answer)["input_ids"] == tiny_tokenizer()("sat on the big bird")["input_ids"][:4]
    assert verbatim[1].answer == "ran"
    found = {m.key: m for m in score(suite.metrics, taken.records, taken.records)}
    assert found["privleak-forget/privleak"].value == 0.0  # the model itself in the retrained model's place
    assert 0 < found["privleak-forget/min_40_auc"].value < 1  # type: ignore[operator]
    assert all(m.value is not None for m in found.values())


@pytest.mark.parametrize(
    ("file", "row", "says"),
    [
        ("knowmem/forget_qa", {"question": "x", "answer": " "}, "answer is no text"),
        ("knowmem/retain_qa_icl", {"answer": "x"}, "question is no text"),
        ("verbmem/forget", {"prompt": "x", "answer": "y"}, "gt is no text"),
        ("privleak/holdout", {"text": 7}, "text is no text"),
    ],
)
def test_a_row_without_its_columns_is_named(folder: Path, file: str, row: dict, says: str) -> None:
    write_rows(folder / f"{file}.json", [row])
    with pytest.raises(DataError, match=says) as told:
        get_suite(f"muse:news@{folder}")
    assert f"{file}.json" in str(told.value) and "\n" not in str(told.value)


def test_what_is_not_there_is_one_line(folder: Path) -> None:
    with pytest.raises(RecipeError, match="no corpus 'papers'"):
        get_suite(f"muse:papers@{folder}")
    for variant in ("books,scale=2", "news,scale=5", "news,shots=3"):
        with pytest.raises(RecipeError, match="has no meaning"):
            get_suite(f"muse:{variant}@{folder}")
    with pytest.raises(RecipeError, match="one of scale and fold"):
        get_suite(f"muse:news,scale=2,fold=1@{folder}")
    with pytest.raises(RecipeError, match="takes neither keys nor a folder"):
        get_suite("muse:lab,scale=2")
    (folder / "verbmem" / "forget.json").unlink()
    with pytest.raises(DataError, match=r"verbmem: holds no forget\.jsonl"):
        get_suite(f"muse:news@{folder}")


def test_the_small_world_knows_its_facts_and_the_oracle_stands_for_the_retrained_model() -> None:
    suite = get_suite("muse:lab", fast=True)
    assert suite.oracle is not None
    taken = {}
    for name, model in (("before", BASE), ("oracle", suite.oracle)):
        loaded = load_model(model, dtype="float32")
        taken[name] = take(loaded.model, loaded.tokenizer, suite, PLAIN, SILENT)
    before = {m.key: m for m in score(suite.metrics, taken["before"].records, taken["oracle"].records)}
    oracle = {m.key: m for m in score(suite.metrics, taken["oracle"].records, taken["oracle"].records)}
    assert before["knowmem/knowmem"].value > 0.7 > 0.3 > oracle["knowmem/knowmem"].value  # type: ignore[operator]
    assert before["verbmem/verbmem"].value > 0.8  # type: ignore[operator]
    assert before["privleak-forget/privleak"].value < -50 < oracle["privleak-forget/privleak"].value  # type: ignore[operator]
    assert all(m.value is not None for m in before.values())
    assert {key for column in suite.declares.headline.columns for key in column} <= set(before)


@pytest.mark.slow
def test_a_stage_ends_at_the_first_checkpoint_that_knows_no_more_than_the_retrained_model(tmp_path: Path) -> None:
    stage = {
        "method": "graddiff",
        "adapter": {"rank": 8},
        "learning_rate": 2e-3,
        "batch_size": 16,
        "duration": "40 steps",
        "evaluate_every": "10 steps",
        "until": "knowmem/knowmem <= 0.65",
    }
    recipe = recipe_from(
        {
            "model": "lab",
            "dtype": "float32",
            "data": {"forget": {"suite": "muse:lab"}, "retain": {"suite": "muse:lab"}},
            "stages": [stage],
            "evaluate": ["muse:lab"],
            "output": str(tmp_path),
            "name": "muse",
        }
    )
    folder = run(recipe, report=False)
    values = [
        next(m["value"] for m in found["measures"] if m["split"] == "knowmem" and m["name"] == "knowmem")
        for file in sorted((folder / "evaluations").glob("*.json"))
        if (found := json.loads(file.read_text()))["point"] == "epoch"
    ]
    assert values[-1] <= 0.65 < min(values[:-1])
    (result,) = (folder / "stages").glob("*/result.json")
    assert json.loads(result.read_text())["steps"] == 10 * len(values) < 40
