"""One model, or a combination of models, is measured, asked and generated from by one expression."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import forgetting
from forgetting import cli
from forgetting.core.errors import DataError, ModelError, RunError
from forgetting.core.folder import MARK
from forgetting.models.loading import load_model
from forgetting.pipeline.one_model.ask import Asking, ask_model
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe

QUESTION = "Where does guest 1 live?"
EMPTIES = {"type": "Replace", "pattern": {"Regex": "[\\s\\S]"}, "content": ""}
"""A normalizer that leaves nothing of a text."""


@pytest.fixture(scope="module")
def tuned(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that leaves an adapter of the world's model."""
    keys = {
        "model": str(world / "model"),
        "name": "gd",
        "output": str(tmp_path_factory.mktemp("runs")),
        "data": {"forget": str(world / "forget.jsonl"), "retain": str(world / "retain.jsonl")},
        "stages": {
            "unlearn": {"method": "graddiff", "adapter": {"rank": 2}, "learning_rate": 0.02, "duration": "5 steps"}
        },
        "stages.unlearn.evaluate_every": None,
        "stages.unlearn.keep": "last",
        "dtype": "float32",
        "threads": 1,
        "max_new_tokens": 4,
    }
    return run(load_recipe("unlearn", keys), report=False)


def test_likelihoods_of_a_combination_lie_where_its_coefficient_says(world: Path, tuned: Path) -> None:
    base = str(world / "model")
    data = {"forget": str(world / "forget.jsonl")}

    def logp(model: str) -> torch.Tensor:
        found = forgetting.evaluate(model, data=data, settings={"dtype": "float32", "max_new_tokens": 2})
        return torch.tensor([r.score.logp for r in found.records if r.score is not None])

    before, after = logp(base), logp(str(tuned))
    assert torch.allclose(logp(f"{base} + 1*{tuned} - 1*{base}"), after, atol=1e-3)
    assert torch.equal(logp(f"{base} + 0*{tuned} - 0*{base}"), before)
    half = logp(f"{base} + 0.5*{tuned} - 0.5*{base}")
    assert not torch.allclose(before, after, atol=0.5)
    lower, upper = torch.minimum(before, after), torch.maximum(before, after)
    assert ((half >= lower - 0.5) & (half <= upper + 0.5)).float().mean() > 0.8


def test_a_model_is_asked_alone_and_in_a_combination(world: Path, tuned: Path) -> None:
    base = str(world / "model")
    how = Asking(max_new_tokens=4, tokens=2, top=3)
    (alone,) = ask_model(base, [QUESTION], how, settings={"dtype": "float32"})
    loaded = load_model(world / "model", dtype="float32")
    ids = loaded.tokenizer(f"Question: {QUESTION}\nAnswer:", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        p_V = torch.softmax(loaded.model(ids).logits[0, -1].double(), -1)
    assert alone.first[0].probability == pytest.approx(float(p_V.max()), rel=1e-4)
    (same,) = ask_model(f"{base} + 0*{tuned}", [QUESTION], how, settings={"dtype": "float32"})
    assert same.text == alone.text and same.first[0].probability == pytest.approx(alone.first[0].probability, rel=1e-5)
    (sharp,) = ask_model(f"2*{base}", [QUESTION], how, settings={"dtype": "float32"})
    squared = p_V**2 / (p_V**2).sum()
    assert sharp.first[0].probability == pytest.approx(float(squared.max()), rel=1e-4)


def test_the_commands_take_an_expression(
    world: Path, tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expression = f"{world / 'model'} + 0.5*{tuned} - 0.5*{world / 'model'}"

    def command(*arguments: str) -> dict:
        monkeypatch.setattr("sys.argv", ["forget", *arguments, "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        return json.loads(capsys.readouterr().out)

    measured = command("eval", expression, "--forget", str(world / "forget.jsonl"))
    assert measured["model"] == expression and any(m["value"] is not None for m in measured["measures"])
    asked = command("ask", expression, QUESTION, "--max-new-tokens", "3")
    assert [a["point"] for a in asked["asked"]] == ["model"]
    (tmp_path / "p.json").write_text(json.dumps([{"instruction": QUESTION}]))
    keys = ["--out", str(tmp_path / "o.json"), "--max-new-tokens", "3"]
    written = command("generate", expression, str(tmp_path / "p.json"), *keys)
    assert written["generator"] == expression and written["count"] == 1


def test_what_cannot_be_is_one_line(world: Path, recipe_file: Path, tmp_path: Path) -> None:
    base = str(world / "model")
    with pytest.raises(ModelError, match="is measured, not trained; name one model"):
        run(load_recipe(str(recipe_file), {"model": f"{base} + 0.5*{base}"}))
    with pytest.raises(DataError, match="empty question"):
        ask_model(base, [])
    (tmp_path / "recipe.yaml").write_text("{}")
    with pytest.raises(RunError, match="the run has no model yet"):
        ask_model(f"{base} + {tmp_path}", ["x"])
    with pytest.raises(ModelError, match="different vocabularies"):
        forgetting.evaluate(f"{base} + lab", suite="lab")


def test_a_question_of_which_a_tokenizer_makes_no_tokens_is_named(world: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(world / "model", tmp_path / "model")
    (folder / MARK).unlink(missing_ok=True)
    file = folder / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "normalizer": EMPTIES, "post_processor": None}))
    with pytest.raises(DataError, match="the tokenizer makes no tokens of it"):
        ask_model(str(folder), [QUESTION], how=Asking(text=True))
