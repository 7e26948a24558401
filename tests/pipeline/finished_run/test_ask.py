"""Questions put to a run's models: what they write must be what the run recorded."""

import math
import shutil
from pathlib import Path

import pytest

from forgetting.core.errors import DataError, RunError
from forgetting.core.record import read_records
from forgetting.pipeline.finished_run.ask import ask, read_questions
from forgetting.pipeline.one_model.ask import Asking
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe, recipe_from
from tests.pipeline.finished_run.edited import with_model


def made(world: Path, folder: Path, name: str, stages: list[dict], **keys) -> Path:
    stage = {"learning_rate": 3e-3, "batch_size": 4, "duration": "3 steps", "evaluate_every": None}
    values = {
        "name": name,
        "model": str(world / "model"),
        "dtype": "float32",
        "threads": 1,
        "max_new_tokens": 6,
        "output": str(folder),
        "data": {"forget": str(world / "forget.jsonl"), "retain": str(world / "retain.jsonl")},
        "stages": [{**stage, **s} for s in stages],
        **keys,
    }
    return run(recipe_from(values), report=False)


@pytest.fixture(scope="module")
def runs(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("asked")
    lora = {"rank": 2}
    return {
        "lora": made(world, folder, "lora", [{"method": "loku", "adapter": {"rank": 2}}]),
        "full": made(world, folder, "full", [{"method": "graddiff", "adapter": {"kind": "full"}}]),
        "merge": made(
            world,
            folder,
            "merge",
            [{"name": "one", "method": "graddiff", "adapter": lora}, {"name": "two", "method": "npo", "adapter": lora}],
        ),
        "stack": made(
            world,
            folder,
            "stack",
            [
                {"name": "one", "method": "graddiff", "adapter": lora, "between": "stack"},
                {"name": "two", "method": "npo", "adapter": lora},
            ],
        ),
    }


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("lora", ["before", "after"]),
        ("full", ["before", "after"]),
        ("merge", ["before", "after one", "after"]),
        ("stack", ["before", "after one", "after"]),
    ],
)
def test_the_answers_are_those_that_the_run_recorded_at_each_point(kind, points, runs):
    files = {"before": "before", "after": "unlearn-after", "after one": "one-after"}
    if kind in ("merge", "stack"):
        files["after"] = "two-after"
    recorded = {p: read_records(runs[kind] / "records" / f"{files[p]}.jsonl") for p in points}
    some = [r for r in recorded["before"] if r.split == "forget"][:3]
    found = ask(runs[kind], [r.prompt for r in some], Asking(max_new_tokens=6))
    assert [a.point for a in found] == points
    for asked in found:
        expected = {r.id: r.generation for r in recorded[asked.point]}
        assert [a.text for a in asked.answers] == [expected[r.id] for r in some]


def test_the_first_token_of_a_greedy_answer_is_the_likeliest_and_probabilities_are_those_of_the_logits(runs, world):
    import torch

    from forgetting.models.loading import load_model

    question = "Where does guest 1 live?"
    before = ask(runs["lora"], [question], Asking(tokens=2, top=3))[0].answers[0]
    loaded = load_model(world / "model", dtype="float32")
    ids = loaded.tokenizer(f"Question: {question}\nAnswer:", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        p_V = torch.softmax(loaded.model(ids).logits[0, -1].double(), -1)
    assert before.first[0].probability == pytest.approx(float(p_V.max()), rel=1e-4)
    assert [c.probability for c in before.alternatives[0]] == pytest.approx(sorted(p_V.tolist())[:-4:-1], rel=1e-4)
    assert before.alternatives[0][0] == before.first[0]
    assert all(math.isfinite(c.probability) for place in before.alternatives for c in place)


def test_a_text_is_gone_on_with_without_the_template(runs):
    ways = (Asking(text=False), Asking(text=True))
    as_question, as_text = (ask(runs["full"], ["Where does guest 1"], how)[0].answers[0] for how in ways)
    assert as_question.first != as_text.first


def test_a_stage_that_is_no_longer_kept_is_left_out_and_said(runs, tmp_path):
    from forgetting.core.progress import Voice

    folder = shutil.copytree(runs["merge"], tmp_path / "purged")
    shutil.rmtree(folder / "stages" / "one" / "model")
    said: list[str] = []
    found = ask(folder, ["Where does guest 1 live?"], voice=Voice(say=said.append))
    assert [a.point for a in found] == ["before", "after"]
    assert any("stage one: its weights are no longer kept" in line for line in said)


def test_what_is_not_there_is_one_line(runs, tmp_path):
    with pytest.raises(RunError, match="no such folder"):
        ask(tmp_path / "none", ["x"])
    with pytest.raises(RunError, match="is no run and holds none"):
        ask(tmp_path, ["x"])
    for questions in ([], [" "]):
        with pytest.raises(DataError, match="empty question"):
            ask(runs["lora"], questions)
    folder = shutil.copytree(runs["lora"], tmp_path / "moved")
    with_model(folder, tmp_path / "gone")
    with pytest.raises(RunError, match=r"the initial model of the run no longer exists: .*gone") as told:
        ask(folder, ["x"])
    assert "\n" not in str(told.value)
    shutil.rmtree(folder / "model")
    with pytest.raises(RunError, match="holds no model"):
        ask(folder, ["x"])
    load_recipe(str(runs["lora"] / "recipe.yaml"))


def test_questions_come_one_per_line_from_a_file(tmp_path):
    file = tmp_path / "q.txt"
    file.write_text("One?\n\n  Two?  \n", encoding="utf-8")
    assert read_questions(file) == ["One?", "Two?"]
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="cannot be read as UTF-8"):
        read_questions(file)
    file.write_text("\n")
    with pytest.raises(DataError, match="holds no question"):
        read_questions(file)
    with pytest.raises(DataError, match="no such file"):
        read_questions(tmp_path / "none")
