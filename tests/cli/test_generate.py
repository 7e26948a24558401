"""`forget generate`: a model's outputs as another program judges them."""

import json
from pathlib import Path

import pytest
import torch

from forgetting.models.loading import load_model, save_model
from tests.cli.command import command

ASKED = ("Where does guest 1 live?", "Who lives in house 2")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps([{"instruction": text, "dataset": "mine"} for text in (*ASKED, "Name 5.")]))
    return file


@pytest.fixture
def model(world: Path, tmp_path: Path) -> Path:
    """A model whose chat template adds nothing to a text; it repeats a prompt's last token."""
    loaded = load_model(world / "model")
    loaded.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    save_model(loaded.model, loaded.tokenizer, tmp_path / "model")
    return tmp_path / "model"


def by_hand(folder: Path, question: str, tokens: int) -> str:
    """The most likely token each time, until the end token."""
    loaded = load_model(folder)
    ids, end = loaded.tokenizer.encode(question, add_special_tokens=False), loaded.tokenizer.eos_token_id
    written: list[int] = []
    while len(written) < tokens and end not in written:
        written.append(int(loaded.model(torch.tensor([[*ids, *written]])).logits[0, -1].argmax()))
    return loaded.tokenizer.decode(written, skip_special_tokens=True).strip()


def test_the_outputs_are_the_models_and_the_command_says_where_they_are(
    model: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    asked = ("generate", model, prompts, "--out", out, "--max-new-tokens", 4)
    code, printed, _ = command(capsys, *asked, "--generator", "ours", "--limit", 2, "--json")
    said = json.loads(printed)
    assert (code, said["file"], said["generator"], said["count"]) == (0, str(out), "ours", 2)
    assert json.loads(out.read_text()) == [
        {"dataset": "mine", "instruction": text, "output": by_hand(model, text, 4), "generator": "ours"}
        for text in ASKED
    ]
    assert len({by_hand(model, text, 4) for text in ASKED} - {""}) == 2, "the test must be able to fail"
    assert command(capsys, *asked) == (2, "", f"forget: {out}: already exists; remove it or choose another file\n")
    out.unlink()
    code, printed, _ = command(capsys, *asked)
    assert code == 0 and printed.startswith(f"{out}: 3 outputs of model (greedy, at most 4 tokens, chat template)")
    assert f"alpaca_eval --model_outputs {out}" in printed


def test_the_outputs_of_a_run_lie_in_its_folder(
    run_folder: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, _ = command(capsys, "generate", run_folder, prompts, "--max-new-tokens", 2, "--json")
    file = run_folder / "alpaca_eval" / "outputs.json"
    assert (code, json.loads(printed)["file"]) == (0, str(file))
    assert [(row["instruction"], row["generator"]) for row in json.loads(file.read_text())] == [
        (text, "one") for text in (*ASKED, "Name 5.")
    ]
