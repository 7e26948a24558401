"""`forget lab new`: an untrained model for one's own text."""

from pathlib import Path

import pytest

from forgetting.models.loading import load_model
from tests.cli.command import command


def test_a_model_for_ones_own_text_is_made(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    size = ("--hidden", 32, "--layers", 1, "--vocabulary", 400)
    assert command(capsys, "lab", "new", folder, world / "forget.jsonl", *size)[0] == 0
    assert load_model(folder).model.config.num_hidden_layers == 1
    assert command(capsys, "lab", "train", tmp_path / "other", "--threads", 0)[0] == 2
    code, _, err = command(capsys, "lab", "new", tmp_path / "other", world / "forget.jsonl", "--hidden", 33)
    assert code == 2 and "multiple of 32" in err
