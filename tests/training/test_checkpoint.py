"""A checkpoint is read back to the bit, or named as unreadable."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from forgetting.core.errors import RunError
from forgetting.core.folder import MARK
from forgetting.training import checkpoint as module
from forgetting.training.checkpoint import load_checkpoint, save_checkpoint

WEIGHTS = {"a": torch.randn(3, 4), "b": torch.randn(5).bfloat16(), "c": torch.randn(4, 3).T}
STATE = {"step": 3, "alarm": {"start": 0.1, "recent": [0.1, 2.5e-17]}, "best_step": None}


def optimiser() -> dict:
    parameter = torch.nn.Parameter(torch.randn(3))
    optimizer = torch.optim.AdamW([parameter], lr=0.1)
    parameter.sum().backward()
    optimizer.step()
    return optimizer.state_dict()


def test_what_is_saved_is_loaded_to_the_bit(tmp_path: Path) -> None:
    state = optimiser()
    save_checkpoint(tmp_path / "last", WEIGHTS, state, STATE)
    found = load_checkpoint(tmp_path / "last")
    assert found is not None and found.state == STATE
    assert found.weights.keys() == WEIGHTS.keys()
    for name, value in WEIGHTS.items():
        assert found.weights[name].dtype == value.dtype and torch.equal(found.weights[name], value)
    assert found.optimizer["param_groups"] == state["param_groups"]
    for name, value in state["state"][0].items():
        assert torch.equal(found.optimizer["state"][0][name], value)


def test_without_an_optimiser_there_is_none(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "best", WEIGHTS, None, {})
    found = load_checkpoint(tmp_path / "best")
    assert found is not None and found.optimizer == {}
    assert not (tmp_path / "best" / "optimizer.pt").exists()


def test_what_is_not_complete_is_not_there(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "last") is None
    save_checkpoint(tmp_path / "last", WEIGHTS, None, STATE)
    (tmp_path / "last" / MARK).unlink()
    assert load_checkpoint(tmp_path / "last") is None


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        (file, damage)
        for file in ("weights.safetensors", "state.json", "optimizer.pt")
        for damage in ("cut", "empty", "gone", "flipped", "a folder")
    ],
)
def test_a_damaged_checkpoint_is_named(tmp_path: Path, file: str, damage: str) -> None:
    save_checkpoint(tmp_path / "last", WEIGHTS, optimiser(), STATE)
    path = tmp_path / "last" / file
    content = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage == "flipped":  # one bit of the last byte, which is a weight's, a moment's or a bracket
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage != "gone":
        path.write_bytes(content[: 0 if damage == "empty" else 20])
    with pytest.raises(RunError, match=rf"last: {file} is (damaged|missing); bring it back, or remove"):
        load_checkpoint(tmp_path / "last")


def test_a_checkpoint_of_a_version_without_digests_is_read(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last", WEIGHTS, None, STATE)
    (tmp_path / "last" / MARK).unlink()
    (tmp_path / "last" / "COMPLETE").touch()
    found = load_checkpoint(tmp_path / "last")
    assert found is not None and found.state == STATE


def test_only_tensors_and_plain_values_are_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "executed",))

    save_checkpoint(tmp_path / "last", WEIGHTS, {"state": Evil()}, STATE)
    with pytest.raises(RunError, match="cannot be read"):
        load_checkpoint(tmp_path / "last")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("failed writing file")])
def test_a_full_disk_is_one_line_and_the_old_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    save_checkpoint(tmp_path / "last", WEIGHTS, None, {"step": 1})

    def full(*arguments: object, **keywords: object) -> None:
        raise error

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(RunError, match="last: cannot be written"):
        save_checkpoint(tmp_path / "last", WEIGHTS, None, {"step": 2})
    found = load_checkpoint(tmp_path / "last")
    assert found is not None and found.state == {"step": 1}
