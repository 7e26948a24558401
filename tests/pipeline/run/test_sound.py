"""Whatever is damaged of an interrupted run, it goes on to the same end, or says in one line what is damaged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.core.progress import Voice
from forgetting.core.sealed import unsealed
from forgetting.pipeline.run.run import run
from forgetting.recipe import Recipe
from forgetting.runs.stage_result import Step
from forgetting.training import loop


class Killed(BaseException):
    """Stands for a kill: nothing in the library catches it."""


def recipe_of(world: Path) -> Recipe:
    """A first stage that is handed over as a whole model, and a second with an adapter."""
    adapter = {"kind": "lora", "rank": 2}
    every = {"duration": "4 steps", "checkpoint_every": "1 steps", "evaluate_every": "2 steps", "batch_size": 4}
    return Recipe.from_values(
        {
            "model": str(world / "model"),
            "dtype": "float32",
            "threads": 1,
            "max_new_tokens": 2,
            "data": {"forget": str(world / "forget.jsonl"), "retain": str(world / "retain.jsonl")},
            "stages": [
                {"name": "one", "method": "graddiff", "adapter": adapter, "between": "merge", **every},
                {"name": "two", "method": "graddiff", "adapter": adapter, **every},
            ],
        }
    )


@pytest.fixture(scope="module")
def made(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of a whole run, and of one that was killed in the third step of its second stage."""
    whole, cut = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("cut")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(whole)
        run(recipe_of(world), report=False)
        patch.chdir(cut)
        log = loop.Trainer._log

        def dying(self: loop.Trainer, taken: Step, tracked: dict[str, float]) -> None:
            log(self, taken, tracked)
            if taken.step == 4 and self.folder.path.name == "two":
                raise Killed

        patch.setattr(loop.Trainer, "_log", dying)
        with pytest.raises(Killed):
            run(recipe_of(world), report=False)
    return whole, cut


def numbers(folder: Path) -> object:
    """Everything in the results but times."""
    results = unsealed(json.loads((folder / "results.json").read_text()))
    for evaluation in results["evaluations"]:
        evaluation.pop("seconds")
    kept = {key: results[key] for key in ("evaluations", "recipe", "status")}
    return kept, [(s["steps"], s["kept_step"], s["stopped"]) for s in results["stages"]]


def losses(folder: Path, stage: str) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "stages" / stage / "history.jsonl").read_text().splitlines()]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Another digit, letter or weight, in a place where a reader would not notice it."""
    content = bytearray(path.read_bytes())
    as_json = path.suffix in (".json", ".jsonl")
    digits = [i for i, byte in enumerate(content) if chr(byte) in "12345678"]
    for at in digits[len(digits) // 2 :] if as_json else [len(content) - 5]:
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        if not as_json or values(changed) != values(content):  # the last digit of a long number may change nothing
            path.write_bytes(bytes(changed))
            return


def values(content: bytes) -> list[object]:
    """What is in a file of JSON, or of a JSON object in each line."""
    text = content.decode()
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines()]


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARMS: list[Callable[[Path], None]] = [cut, flip, Path.unlink, folder_instead, lambda path: path.write_bytes(b"")]
FILES = [
    *(f"stages/two/last/{name}" for name in ("weights.safetensors", "optimizer.pt", "state.json")),
    "stages/two/proven/weights.safetensors",
    "stages/two/history.jsonl",
    "stages/two/prepared.json",
    "evaluations/two-epoch-000002.json",
    "stages/one/last/weights.safetensors",
    "stages/one/model/model.safetensors",
    "stages/one/model/config.json",
    "stages/one/result.json",
    "stages/one/history.jsonl",
    "evaluations/one-epoch-000004.json",
    "evaluations/one-after.json",
    "records/one-after.jsonl",
    "evaluations/before.json",
]


@pytest.mark.parametrize("file", FILES)
def test_what_is_damaged_is_made_again_with_the_same_numbers(
    file: str, made: tuple[Path, Path], world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, interrupted = made
    monkeypatch.chdir(tmp_path)
    harm = HARMS[FILES.index(file) % len(HARMS)]
    shutil.copytree(interrupted / "runs", tmp_path / "runs")
    folder = tmp_path / "runs" / "run"
    harm(folder / file)
    said: list[str] = []
    try:
        run(recipe_of(world), voice=Voice(say=said.append), report=False)
    except RunError as error:  # a folder in the place of a file that is only written
        assert harm is folder_instead and file in str(error) and "\n" not in str(error)
        return
    assert [line for line in said if Path(file).name in line or str(Path(file).parent) in line], said
    assert numbers(folder) == numbers(whole / "runs" / "run")
    assert [losses(folder, stage) for stage in ("one", "two")] == [
        losses(whole / "runs" / "run", stage) for stage in ("one", "two")
    ]
    weights = "model/adapter_model.safetensors" if (folder / "model/adapter_model.safetensors").exists() else None
    weights = weights or "model/model.safetensors"
    assert (folder / weights).read_bytes() == (whole / "runs" / "run" / weights).read_bytes()


@pytest.mark.parametrize(
    ("file", "other"),
    [
        ("stages/one/result.json", "stages/one/prepared.json"),
        ("evaluations/one-after.json", "evaluations/before.json"),
        ("evaluations/two-epoch-000002.json", "evaluations/one-epoch-000002.json"),
    ],
)
def test_another_file_of_the_run_in_the_place_of_one_is_noticed(
    file: str, other: str, made: tuple[Path, Path], world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, interrupted = made
    monkeypatch.chdir(tmp_path)
    shutil.copytree(interrupted / "runs", tmp_path / "runs")
    folder = tmp_path / "runs" / "run"
    shutil.copy(folder / other, folder / file)
    said: list[str] = []
    run(recipe_of(world), voice=Voice(say=said.append), report=False)
    assert [line for line in said if f"{Path(file).name}: is damaged: it holds what was written as" in line], said
    assert numbers(folder) == numbers(whole / "runs" / "run")


def test_killed_while_it_wrote_the_report_a_run_leaves_nothing_behind(
    made: tuple[Path, Path], world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(made[0] / "runs", tmp_path / "runs") / "run"
    for left in (".lock", ".report.html.host.7.partial"):
        (folder / left).touch()
    run(recipe_of(world))
    assert (folder / "report.html").is_file() and not list(folder.glob(".*"))
    (folder / ".lock").touch()
    run(recipe_of(world))
    assert not list(folder.glob(".*"))


def test_a_sound_run_goes_on_without_a_word_of_it(
    made: tuple[Path, Path], world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, interrupted = made
    monkeypatch.chdir(tmp_path)
    shutil.copytree(interrupted / "runs", tmp_path / "runs")
    said: list[str] = []
    run(recipe_of(world), voice=Voice(say=said.append), report=False)
    assert "resuming from step 3 of 4" in said
    assert not [line for line in said if "again" in line or "damaged" in line or "stage one:" in line]
    assert numbers(tmp_path / "runs" / "run") == numbers(whole / "runs" / "run")
