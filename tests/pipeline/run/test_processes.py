"""A run carried out by two processes is the run of one: its steps, its records, its files, its errors."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

import forgetting
from forgetting.core.errors import ElsewhereError
from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.data.formatting import Formatting
from forgetting.evaluation import answers, extraction, rows
from forgetting.models.loading import load_model
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from tests.training.several import Several


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    several = Several(tmp_path_factory.mktemp("meeting") / "store")
    yield several
    several.end()


def carry_out(file: Path, overrides: list[str]) -> Path:
    return run(load_recipe(str(file), overrides), report=False)


def losses(folder: Path) -> list[float]:
    files = sorted(folder.glob("stages/*/history.jsonl"))
    return [json.loads(line)["loss"] for file in files for line in file.read_text().splitlines()]


def measures(folder: Path) -> dict[tuple[str, ...], float | None]:
    evaluations = json.loads((folder / "results.json").read_text())["evaluations"]
    return {
        (e["point"], str(e["stage"]), str(e["step"]), m["split"], m["name"]): m["value"]
        for e in evaluations
        for m in e["measures"]
    }


def alike(one: Path, other: Path) -> None:
    """The same files, records of the model before to the byte, and everything after training to 1e-4."""
    left = {file.relative_to(one) for file in one.rglob("*") if file.is_file()}
    assert {file.relative_to(other) for file in other.rglob("*") if file.is_file()} == left
    assert (other / "records" / "before.jsonl").read_bytes() == (one / "records" / "before.jsonl").read_bytes()
    assert losses(other) == pytest.approx(losses(one), abs=1e-5)
    theirs = measures(other)
    for key, value in measures(one).items():
        assert theirs.pop(key) == pytest.approx(value, abs=1e-4), key
    assert not theirs
    for file in one.glob("model/*.safetensors"):
        mine, its = load_file(file), load_file(other / "model" / file.name)
        assert all((mine[name] - its[name]).abs().max() < 1e-4 for name in mine)


def forgetting_sft(world: Path) -> dict[str, Any]:
    """A reference set aside, scores by it, and a stage that learns some tokens and forgets others."""
    adapter = {"kind": "lora", "rank": 4, "alpha": 8}
    stage = {"learning_rate": 5e-3, "batch_size": 4, "checkpoint_every": "2 steps", "adapter": adapter}
    train = {"method": "forgetting", "duration": "1 epoch", "select": {"reference": "stage:reference"}}
    return {
        "data": {"train": [str(world / "forget.jsonl"), str(world / "retain.jsonl")]},
        "corpus": {"reference": 8, "near": None},
        "stages": [
            {**stage, "name": "reference", "method": "sft", "part": "reference", "between": "aside"},
            {**stage, **train, "name": "train"},
        ],
    }


def two_stages(world: Path) -> dict[str, Any]:
    """Full tuning from a stored reference, then an adapter on what came of it; the best step is kept."""
    stage = {"batch_size": 3, "learning_rate": 1e-3, "duration": "4 steps", "checkpoint_every": "2 steps"}
    return {
        "stages": [
            {
                **stage,
                "name": "first",
                "method": {"name": "npo", "retain": "kl_from_reference"},
                "adapter": {"kind": "full"},
            },
            {**stage, "name": "second", "method": "graddiff", "adapter": {"rank": 2}, "evaluate_every": "2 steps"},
        ],
    }


RECIPES = {"loku": lambda world: {}, "two stages": two_stages, "forgetting sft": forgetting_sft}


@pytest.mark.parametrize("sharding", ["none", "full"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_run_of_two_processes_is_that_of_one(
    name: str, sharding: str, two: Several, recipe_file: Path, world: Path, tmp_path: Path
) -> None:
    recipe = {**yaml.safe_load(recipe_file.read_text()), **RECIPES[name](world)}
    recipe["stages"] = [{**stage, "sharding": sharding} for stage in recipe["stages"]]
    if name == "loku":
        recipe["stages"][0]["duration"] = "1 epoch"
    recipe_file.write_text(yaml.safe_dump(recipe))
    one = carry_out(recipe_file, [f"output={tmp_path / 'one'}"])
    both = two.run(carry_out, recipe_file, [f"output={tmp_path / 'two'}"])
    assert both == [tmp_path / "two" / "run"] * 2
    alike(one, both[0])
    environment = json.loads((both[0] / "environment.json").read_text())
    assert environment["processes"] == 2
    assert two.run(carry_out, recipe_file, [f"output={tmp_path / 'two'}"]) == both, "a finished run is left as it is"


def records_of(folder: Path, examples: list[Example], batch_tokens: int) -> tuple[list[Record], list[Record], int]:
    """Answers and extraction in batches of so many tokens; and how many batches this process ran."""
    loaded = load_model(folder)
    forwards = 0

    def counted(*_: object) -> None:
        nonlocal forwards
        forwards += 1

    loaded.model.model.register_forward_hook(counted)
    sizes = [(module, module.BATCH_TOKENS) for module in (answers, rows, extraction)]
    try:
        for module, _ in sizes:
            module.BATCH_TOKENS = batch_tokens
        answered = answers.answer(loaded.model, loaded.tokenizer, examples, split="s", formatting=Formatting())
        texts = [Example(id=e.id, response=f"{e.prompt} {e.response}", form="text") for e in examples]
        extracted = extraction.extract(loaded.model, loaded.tokenizer, texts, split="s", n=(2,))
    finally:
        for module, size in sizes:
            module.BATCH_TOKENS = size
    return answered, extracted, forwards


@pytest.mark.parametrize(("count", "batch_tokens"), [(1, 8192), (3, 8192), (9, 90), (2, 1)])
def test_records_are_those_of_one_process_to_the_bit(count: int, batch_tokens: int, two: Several, world: Path) -> None:
    examples = [
        Example(
            id=f"e{i}",
            prompt=f"Where does guest {i} live?",
            response=f"In house {i % 5}.",
            perturbed=(f"In house {i + 1} of it.",),
        )
        for i in range(count)
    ]
    answered, extracted, forwards = records_of(world / "model", examples, batch_tokens)
    assert [r.id for r in answered] == [e.id for e in examples]
    found = two.run(records_of, world / "model", examples, batch_tokens)
    for theirs, written, _ in found:
        assert theirs == answered and written == extracted
    if count > 1 and batch_tokens < 8192:
        assert all(0 < ran < forwards for *_, ran in found), "the batches are divided"


def evaluated(model: str, data: dict[str, str], file: Path) -> list[object]:
    return list(forgetting.evaluate(model, data=data, settings={"max_new_tokens": 3}, records=file).measures)


def test_an_evaluation_gives_every_process_the_measures_of_one(two: Several, world: Path, tmp_path: Path) -> None:
    data = {role: str(world / f"{role}.jsonl") for role in ("forget", "retain")}
    one = evaluated(str(world / "model"), data, tmp_path / "one.jsonl")
    assert two.run(evaluated, str(world / "model"), data, tmp_path / "two.jsonl") == [one, one]
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()


def refused(file: Path, overrides: list[str]) -> str:
    """What a bad recipe raises here."""
    try:
        carry_out(file, overrides)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def test_a_folder_that_cannot_be_had_ends_both(two: Several, recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    first, second = two.run(refused, recipe_file, [f"output={tmp_path / 'taken'}"])
    assert first.startswith("RunError: ") and second.startswith(ElsewhereError.__name__)


DRIVER = """
import sys
from forgetting.cli import main
from forgetting.core.errors import RunError
from forgetting.core.launch import launched_first
from forgetting.training import loop

where, sys.argv[1:] = sys.argv[1], sys.argv[2:]
if where == "second" and not launched_first():
    step = loop.Trainer._step
    def failing(self, number):
        if number == 2:
            raise RunError("the disk of the second is full")
        step(self, number)
    loop.Trainer._step = failing
main()
"""


def start(arguments: list[str], where: str = "nowhere") -> list[subprocess.Popen]:
    """Two processes of the command, as a launcher starts them."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port.getsockname()[1]), "WORLD_SIZE": "2"}
    return [
        subprocess.Popen(
            [sys.executable, "-c", DRIVER, where, *arguments],
            env={**os.environ, **meeting, "OMP_NUM_THREADS": "1", "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


def ends(processes: list[subprocess.Popen]) -> tuple[list[int], list[str], list[str]]:
    """Exit codes, what was printed, and lines of errors but for progress."""
    said = [process.communicate(timeout=600) for process in processes]
    codes = [process.returncode for process in processes]
    return codes, [out for out, _ in said], [x for _, err in said for x in err.splitlines() if x.startswith("forget:")]


@pytest.mark.slow
def test_the_command_prints_once_and_errors_are_told_once(recipe_file: Path, tmp_path: Path) -> None:
    codes, printed, errors = ends(start(["run", str(recipe_file), "stages.unlearn.duration=1 epoch"]))
    assert codes == [0, 0] and errors == [] and "report:" in printed[0] and printed[1] == ""
    codes, _, errors = ends(start(["run", str(recipe_file), "learning_rat=1"]))
    assert codes == [2, 2] and len(errors) == 1 and "did you mean 'learning_rate'?" in errors[0]
    codes, _, errors = ends(start(["lab", "train", str(tmp_path / "model")]))
    assert codes == [2, 2] and len(errors) == 1 and "runs in one process" in errors[0]
    codes, _, errors = ends(start(["run", str(recipe_file), f"output={tmp_path / 'o'}"], "second"))
    assert codes == [2, 2] and errors == ["forget: the disk of the second is full"]


@pytest.mark.slow
@pytest.mark.parametrize(("which", "how"), [(1, signal.SIGKILL), (0, signal.SIGINT), (1, signal.SIGINT)])
def test_a_process_that_is_killed_or_interrupted_ends_both_and_one_process_goes_on(
    which: int, how: signal.Signals, recipe_file: Path, tmp_path: Path
) -> None:
    whole = carry_out(recipe_file, [f"output={tmp_path / 'whole'}"])
    output = f"output={tmp_path / 'parts'}"
    pair = start(["run", str(recipe_file), output])
    history = tmp_path / "parts" / "run" / "stages" / "unlearn" / "history.jsonl"
    until = time.monotonic() + 300
    while not (history.is_file() and len(history.read_text().splitlines()) >= 4):
        assert time.monotonic() < until and all(process.poll() is None for process in pair)
        time.sleep(0.02)
    pair[which].send_signal(how)
    codes, _, errors = ends(pair)
    assert 0 not in codes and len(errors) == 1, errors
    assert ("was it killed?" if how is signal.SIGKILL else "interrupted") in errors[0]
    folder = carry_out(recipe_file, [output])
    assert losses(folder) == pytest.approx(losses(whole), abs=1e-5)
    for key, value in measures(whole).items():
        assert measures(folder)[key] == pytest.approx(value, abs=1e-4), key
