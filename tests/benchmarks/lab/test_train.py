"""Training is repeatable, leaves no traces, and writes a folder that loads like any other model."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from forgetting.benchmarks.lab import train
from forgetting.benchmarks.lab.examples import question_example
from forgetting.benchmarks.lab.measure import answers_right, encode
from forgetting.benchmarks.lab.world import build_world
from forgetting.core.errors import DataError, RunError

STEPS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab") / "model"
    train.train_lab_model(folder, steps=STEPS, threads=1)
    return folder


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_the_same_run_gives_the_same_weights(folder, tmp_path):
    torch.manual_seed(123)  # the state outside does not matter
    train.train_lab_model(tmp_path / "again", steps=STEPS, threads=1)
    again = weights(tmp_path / "again")
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights(folder).items())


def test_an_oracle_begins_alike_and_ends_otherwise(folder, tmp_path):
    provenance = train.train_lab_model(tmp_path / "oracle", without="popular", steps=STEPS, threads=1)
    assert provenance["without"] == "popular"
    difference = (
        weights(tmp_path / "oracle")["model.embed_tokens.weight"] - weights(folder)["model.embed_tokens.weight"]
    )
    assert 0 < difference.abs().max() < 0.1


def test_threads_and_random_state_are_as_before(tmp_path):
    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    train.train_lab_model(tmp_path / "model", steps=1, threads=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
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


def test_progress_is_told(tmp_path):
    told = []
    train.train_lab_model(tmp_path / "model", steps=2, progress=lambda done, total, note: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_a_folder_that_exists_is_left_alone(folder):
    with pytest.raises(RunError, match="exists already"):
        train.train_lab_model(folder, steps=1)


def test_an_unknown_forget_set_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match="no forget set 'none'"):
        train.train_lab_model(tmp_path / "model", without="none", steps=1)
    assert not list(tmp_path.iterdir())


def test_an_answer_is_right_if_greedy_generation_gives_it(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    world = build_world()
    examples = [question_example(world, fact) for fact in world.facts[:40]]
    expected = []
    for example in examples:
        prompt, response = encode(tokenizer, example)
        out = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt)),
            max_new_tokens=len(response),
            do_sample=False,
        )
        expected.append(out[0, len(prompt) :].tolist() == response)
    assert answers_right(model, tokenizer, examples, batch_size=16) == expected
