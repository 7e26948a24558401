"""`forget generate` writes what the model says to every prompt, whole or not at all, and goes on where it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetting.core.errors import DataError, RecipeError, RunError
from forgetting.core.progress import Voice
from forgetting.models.loading import load_model
from forgetting.pipeline.one_model import alpaca_outputs as module
from forgetting.pipeline.one_model.alpaca_outputs import Generated, generate

TOKENS = 6


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Seven prompts of different length, in two datasets; the last is the first again."""
    asked = [
        "Where does guest 1 live?",
        "Who?",
        "What does cook 3 serve?",
        " Where\ndoes cook 2 live? ",
        "Name 5.",
        "A",
    ]
    rows = [{"instruction": text, "dataset": f"part{i % 2}"} for i, text in enumerate([*asked, asked[0]])]
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps(rows))
    return file


@pytest.fixture
def ask(world: Path, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Generated]:
    """The blank model, which repeats a prompt's last token, asked three prompts at a time."""
    monkeypatch.setattr(module, "TOGETHER", 3)

    def asked(**keys: Any) -> Generated:
        values = {"prompts": str(prompts), "out": tmp_path / "out.json", **keys}
        settings = {"format": {"plain": "{prompt}"}, "max_new_tokens": TOKENS, **values.pop("settings", {})}
        values["settings"] = {key: value for key, value in settings.items() if value is not None}
        return generate(str(values.pop("model", world / "model")), **values)

    return asked


def by_hand(folder: Path, start: str) -> str:
    """The most likely token each time, until the end token."""
    loaded = load_model(folder)
    ids = loaded.tokenizer.encode(start)
    written: list[int] = []
    while len(written) < TOKENS and loaded.tokenizer.eos_token_id not in written:
        written.append(int(loaded.model(torch.tensor([[*ids, *written]])).logits[0, -1].argmax()))
    return loaded.tokenizer.decode(written, skip_special_tokens=True).strip()


def test_the_file_is_what_alpaca_eval_reads(ask: Callable[..., Generated], prompts: Path, world: Path) -> None:
    found = ask()
    rows = json.loads(found.file.read_text())
    assert [list(row) for row in rows] == [["dataset", "instruction", "output", "generator"]] * 7
    given = json.loads(prompts.read_text())
    assert [(row["instruction"], row["dataset"]) for row in rows] == [(g["instruction"], g["dataset"]) for g in given]
    assert {row["generator"] for row in rows} == {"model"} == {found.generator}
    assert [row["output"] for row in rows] == [by_hand(world / "model", row["instruction"]) for row in rows]
    assert len({row["output"] for row in rows}) > 2, "the test must be able to fail"
    assert (found.count, found.decoding) == (7, f"greedy, at most {TOKENS} tokens, plain format")
    assert [f.name for f in found.file.parent.iterdir() if f.name.startswith(".")] == []


def test_interrupted_it_goes_on_and_ends_with_the_same_file(
    ask: Callable[..., Generated], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ask(out=tmp_path / "whole.json").file.read_bytes()
    answer, batches = module.answer, []

    def interrupted(model: Any, tokenizer: Any, examples: Any, **keys: Any) -> Any:
        batches.append(len(examples))
        if len(batches) == 2:
            raise KeyboardInterrupt
        return answer(model, tokenizer, examples, **keys)

    monkeypatch.setattr(module, "answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask()
    assert not (tmp_path / "out.json").exists()
    said: list[str] = []
    assert ask(voice=Voice(say=said.append)).file.read_bytes() == whole
    assert (batches, said[1:]) == ([3, 3, 3, 1], ["resuming after 3 outputs"])


@pytest.mark.parametrize("change", [{"settings": {"max_new_tokens": 2}}, {"limit": 5}, {"settings": {"format": None}}])
def test_what_was_begun_otherwise_is_not_gone_on_with(
    ask: Callable[..., Generated], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    begun = tmp_path / ".out.json.begun"
    with monkeypatch.context() as patch, pytest.raises(RunError, match="full"):
        patch.setattr(module, "as_outputs", lambda *_: (_ for _ in ()).throw(RunError("full")))
        ask(**change)
    assert begun.is_file()
    said: list[str] = []
    ask(voice=Voice(say=said.append))
    assert said[1:] == [f"{begun}: was started with another model, other prompts or other settings; starting again"]


@pytest.mark.parametrize("left", ["", "[]", '{"key": ', '"x"'])
def test_a_damaged_beginning_is_begun_anew(ask: Callable[..., Generated], tmp_path: Path, left: str) -> None:
    (tmp_path / ".out.json.begun").write_text(left)
    assert ask().count == 7


def test_a_runs_model_is_asked_in_the_format_it_was_trained_with(
    ask: Callable[..., Generated], world: Path, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    recipe = f"model: {world / 'model'}\nformat: {{plain: '{{prompt}} A:'}}\nstages: [{{method: sft}}]\n"
    (run / "recipe.yaml").write_text(recipe)
    with pytest.raises(RunError, match="mine: the run has no model yet; finish it"):
        ask(model=run)
    (run / "model").symlink_to(world / "model")
    found = ask(model=run, out=None, settings={"format": None})
    assert (found.file, found.generator) == (run / "alpaca_eval" / "outputs.json", "mine")
    second = json.loads(found.file.read_text())[1]
    assert second["output"] == by_hand(world / "model", "Who? A:") != ""


def test_a_chat_template_is_used_where_there_is_one(world: Path, ask: Callable[..., Generated], tmp_path: Path) -> None:
    loaded = load_model(world / "model")
    loaded.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' %}U {{ m.content }}{% else %}B:{{ m.content }}</s>{% endif %}"
        "{% endfor %}"
    )
    loaded.model.save_pretrained(tmp_path / "chat")
    loaded.tokenizer.save_pretrained(tmp_path / "chat")
    found = ask(model=tmp_path / "chat", limit=2, settings={"format": None})
    assert found.decoding.endswith("chat template")
    assert json.loads(found.file.read_text())[1]["output"] == by_hand(tmp_path / "chat", "U Who?B:") != ""


def test_a_prompt_without_room_for_an_answer_is_named_before_anything_is_written(
    ask: Callable[..., Generated], tmp_path: Path
) -> None:
    (tmp_path / "long.json").write_text(json.dumps([{"instruction": "a"}, {"instruction": "w " * 3000}]))
    with pytest.raises(DataError, match=r"long.json, item 2: the instruction is .* within the model's 2,048 positions"):
        ask(prompts=str(tmp_path / "long.json"))
    assert sorted(f.name for f in tmp_path.iterdir()) == ["long.json", "prompts.json"]


def test_what_is_there_already_is_kept(ask: Callable[..., Generated], tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("mine")
    with pytest.raises(RunError, match=r"out\.json: already exists; remove it or choose another file"):
        ask()
    assert (tmp_path / "out.json").read_text() == "mine"
    with pytest.raises(RecipeError, match=r"out\.csv: AlpacaEval reads a list as JSON; choose a name"):
        ask(out=tmp_path / "out.csv")
    with pytest.raises(RecipeError, match="max_new_tokens"):
        ask(out=tmp_path / "new.json", settings={"max_new_tokens": 0})
