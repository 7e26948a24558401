"""The README is short, its links lead somewhere, and its Python and the guide's are run as they stand."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import forgetting
from forgetting.objectives.methods import METHODS
from tests.cli.command import command

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def python_of(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def folder(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(world / "model", tmp_path / "my-model")
    for name in ("forget", "retain"):
        shutil.copy(world / f"{name}.jsonl", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_begins_with_the_two_commands_and_fits_a_screen_and_a_half() -> None:
    first = [line.split("#")[0].strip() for line in README.splitlines()[1:4]]
    assert first == ["", "make demo", "make test"]
    assert len(README.splitlines()) <= 70


def test_every_link_and_picture_is_a_file_of_the_repository() -> None:
    places = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README)
    assert len(places) > 15
    assert [place for place in places if not (ROOT / place).is_file()] == []


def test_six_lines_unlearn_and_save(folder: Path) -> None:
    [block] = python_of(README)
    exec(block, {})
    assert (folder / "my-model-without-it" / "adapter_model.safetensors").is_file()


@pytest.mark.slow
def test_its_command_unlearns_and_reports(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [block] = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    [line] = block.splitlines()
    code, _, said = command(capsys, *shlex.split(line)[1:])
    assert code == 0, said
    assert all((folder / "runs" / "unlearn" / name).exists() for name in ("report.html", "results.json", "model"))


def test_a_method_of_ones_own_is_found_and_trains(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    [block] = python_of((ROOT / "docs/guide.md").read_text(encoding="utf-8"))
    exec(block, {"__name__": "guide"})
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
