"""The README's Python is run as it stands."""

import re
import shutil
from pathlib import Path

import pytest

import forgetting
from forgetting.objectives.methods import METHODS

BLOCKS = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), flags=re.DOTALL)


@pytest.fixture
def folder(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(world / "model", tmp_path / "my-model")
    for name in ("forget", "retain"):
        shutil.copy(world / f"{name}.jsonl", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_six_lines_unlearn_and_save(folder: Path) -> None:
    exec(BLOCKS[0], {})
    assert (folder / "my-model-without-it" / "adapter_model.safetensors").is_file()


def test_a_method_of_ones_own_is_found_and_trains(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    exec(BLOCKS[1], {"__name__": "readme"})
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = forgetting.unlearn(
        AutoModelForCausalLM.from_pretrained("my-model"),
        AutoTokenizer.from_pretrained("my-model"),
        forget="forget.jsonl",
        retain="retain.jsonl",
        method="half-known",
        duration="12 steps",
        learning_rate=1e-2,
        measure=False,
    )
    assert done.history[-1]["terms"]["forget"] < done.history[0]["terms"]["forget"]
