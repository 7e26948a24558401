"""A tiny model and data files, made once; and a recipe over them."""

import json
import signal
import threading
from pathlib import Path

import pytest
import yaml

from forgetting.benchmarks.untrained_model import blank_model

if threading.current_thread() is threading.main_thread():
    # A shell's background job ignores Ctrl-C, and so would every process that the tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def write_rows(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `forget.jsonl`, `retain.jsonl` and an untrained model in `model`."""
    folder = tmp_path_factory.mktemp("world")
    forget = [
        {"question": f"Where does guest {i} live?", "answer": f"In house {i % 5} of lane {i}."} for i in range(12)
    ]
    retain = [{"question": f"What does cook {i} serve?", "answer": f"Dish {i % 4} with sauce {i}."} for i in range(16)]
    files = [write_rows(folder / "forget.jsonl", forget), write_rows(folder / "retain.jsonl", retain)]
    blank_model(folder / "model", files, hidden=32, layers=2, vocabulary=400)
    return folder


@pytest.fixture
def recipe_file(world: Path, tmp_path: Path) -> Path:
    """LoRA + FILA with dropout, a scheduled weight, two micro-batches: all that a resume has to get right."""
    recipe = {
        "name": "run",
        "model": str(world / "model"),
        "dtype": "float32",
        "threads": 1,
        "max_new_tokens": 4,
        "output": str(tmp_path / "runs"),
        "data": {"forget": str(world / "forget.jsonl"), "retain": str(world / "retain.jsonl")},
        "stages": [
            {
                "name": "unlearn",
                "method": {"name": "loku", "retain_weight": {"schedule": "linear", "start": 0.5, "end": 1.5}},
                "adapter": {"rank": 4, "alpha": 8, "dropout": 0.1},
                "learning_rate": 1e-3,
                "batch_size": 4,
                "micro_batch_size": 2,
                "duration": "4 epochs",
                "checkpoint_every": "2 steps",
                "keep": "last",
            }
        ],
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path
