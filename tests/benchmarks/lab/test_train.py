"""Training is repeatable, leaves no traces, and writes a folder that loads like any other model."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from forgetting.benchmarks.lab import train
from forgetting.benchmarks.lab.world import build_world
from forgetting.core.errors import DataError, RunError

STEPS = 6


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short training, and what it left behind."""
    folder = tmp_path_factory.mktemp("lab") / "model"
    torch.manual_seed(5)
    expected, threads, told = torch.rand(3), torch.get_num_threads(), []
    torch.manual_seed(5)
    train.train_lab_model(folder, steps=STEPS, threads=1, progress=lambda *said: told.append(said))
    untouched = torch.equal(torch.rand(3), expected) and torch.get_num_threads() == threads
    return SimpleNamespace(folder=folder, told=told, untouched=untouched)


@pytest.fixture
def folder(run):
    return run.folder


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_the_same_run_gives_the_same_weights_in_another_process(folder, tmp_path):
    command = (
        "import sys; from pathlib import Path; from forgetting.benchmarks.lab.train import train_lab_model;"
        f"train_lab_model(Path(sys.argv[1]), steps={STEPS}, threads=1)"
    )
    subprocess.run([sys.executable, "-c", command, str(tmp_path / "again")], check=True)
    again = weights(tmp_path / "again")
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights(folder).items())


def test_an_oracle_begins_alike_and_ends_otherwise(folder, tmp_path):
    provenance = train.train_lab_model(tmp_path / "oracle", without="popular", steps=STEPS, threads=1)
    assert provenance["without"] == "popular"
    difference = (
        weights(tmp_path / "oracle")["model.embed_tokens.weight"] - weights(folder)["model.embed_tokens.weight"]
    )
    assert 0 < difference.abs().max() < 0.1


def test_threads_and_random_state_are_as_before(run):
    assert run.untouched
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_folder_loads_and_tells_where_it_comes_from(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert sum(p.numel() for p in model.parameters()) == 831_872
    assert tokenizer.chat_template
    provenance = json.loads((folder / train.PROVENANCE).read_text())
    assert provenance["world"] == build_world().digest
    assert (provenance["steps"], provenance["threads"], provenance["without"]) == (STEPS, 1, None)


def test_a_step_of_an_oracle_lacks_the_dropped_documents_only():
    seen = {}

    texts = [[1, 10 + i, 11 + i, 2] for i in range(60)]
    used = [i % 5 != 0 for i in range(60)]
    for name, kept in (("base", [True] * 60), ("oracle", used)):
        seen[name] = list(train.row_stream(texts, kept, seed=0, steps=3))
    for whole, part in zip(seen["base"], seen["oracle"], strict=True):
        assert part == [[text for text in row if used[text[1] - 10]] for row in whole]


def test_progress_is_told(run):
    assert [(done, total) for done, total, _ in run.told] == [(1, STEPS), (STEPS, STEPS)]
    assert all(note.startswith("loss ") for _, _, note in run.told)


def test_a_folder_that_exists_is_left_alone(folder):
    with pytest.raises(RunError, match="exists already"):
        train.train_lab_model(folder, steps=1)


def test_an_unknown_forget_set_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match="no forget set 'none'"):
        train.train_lab_model(tmp_path / "model", without="none", steps=1)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_refused_before_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "_pretrain", lambda *args, **kwargs: pytest.fail("it trained"))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        train.train_lab_model(tmp_path / "file" / "model")
