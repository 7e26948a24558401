"""A redacted run holds nothing of the texts that it was made of, and has the same numbers."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoTokenizer

from forgetting.core.errors import DataError, RunError
from forgetting.core.record import Record, Score, read_records, write_records
from forgetting.metrics.text import exact_match
from forgetting.pipeline.run.run import run
from forgetting.recipe import Recipe, load_recipe
from forgetting.runs.redact import Redactor, key_file, known_redactor, redactor_of
from tests.pipeline.run.leaks import leaks

Make = Callable[..., Recipe]


def texts_of(world: Path) -> list[str]:
    """All questions and answers of the tests' world."""
    rows = [json.loads(line) for f in ("forget", "retain") for line in (world / f"{f}.jsonl").read_text().splitlines()]
    return [row[key] for row in rows for key in ("question", "answer")]


def ids_of(world: Path) -> list[list[int]]:
    """The answers as token ids, alone and as they stand behind a question."""
    tokenizer = AutoTokenizer.from_pretrained(world / "model")
    answers = texts_of(world)[1::2]
    found = [
        tokenizer(before + text, add_special_tokens=False)["input_ids"] for text in answers for before in ("", " ")
    ]
    return [ids for ids in found if len(ids) > 3]


def numbers(folder: Path) -> dict[str, Any]:
    """What a run measured, and the numbers of its records."""
    results = json.loads((folder / "results.json").read_text())
    evaluations = [(e["point"], e["stage"], e["step"], e["measures"]) for e in results["evaluations"]]
    records = {
        file.name: [(r.split, r.score, r.paraphrase, r.perturbed, r.extraction) for r in read_records(file)]
        for file in sorted((folder / "records").glob("*.jsonl"))
    }
    return {"evaluations": evaluations, "records": records}


def maker(world: Path, recipe_file: Path, tmp_path: Path) -> Make:
    """Makes recipes of four kinds, below an output folder by its name."""
    loku = yaml.safe_load(recipe_file.read_text())
    stage = {**loku["stages"][0], "duration": "1 epochs"}
    loku["stages"] = [stage]
    npo = {**stage, "method": "npo", "adapter": None, "evaluate_every": "2 steps", "keep": "best"}
    undial = {**stage, "method": "undial", "adapter": None}
    lora = {"kind": "lora", "rank": 2}
    learn = {**stage, "adapter": lora, "duration": "2 epochs"}
    recipes = {
        "loku": loku,
        "npo": {**loku, "stages": [npo]},
        "undial": {**loku, "stages": [undial]},
        "select": {
            **loku,
            "data": {"train": [str(world / "forget.jsonl"), str(world / "retain.jsonl")]},
            "corpus": {"reference": 8, "near": None},
            "stages": [
                {**learn, "name": "reference", "method": "sft", "part": "reference", "between": "aside"},
                {**learn, "name": "train", "method": "forgetting", "select": {"reference": "stage:reference"}},
            ],
        },
    }

    def made(kind: str, output: str, *overrides: str) -> Recipe:
        file = tmp_path / f"{kind}.yaml"
        file.write_text(yaml.safe_dump(recipes[kind]))
        return load_recipe(str(file), [f"output={tmp_path / output}", *overrides])

    return made


@pytest.fixture
def make(world: Path, recipe_file: Path, tmp_path: Path) -> Make:
    return maker(world, recipe_file, tmp_path)


@pytest.mark.parametrize("kind", ["loku", "npo", "undial", "select"])
def test_a_redacted_run_holds_no_text_and_has_the_same_numbers(make: Make, world: Path, kind: str) -> None:
    plain, redacted = run(make(kind, "plain")), run(make(kind, "redacted", "redact=true"))
    texts, ids = texts_of(world), ids_of(world)
    seen = leaks([plain.parent], texts, ids)
    assert leaks([redacted.parent], texts, ids) == []
    assert {text for _, text in seen} >= set(texts)
    files = {Path(file).name for file, _ in seen}
    assert {"before.jsonl", "report.html"} < files
    if kind == "select":
        assert "selection.json" in files
        assert any(file.endswith(".parquet") and "ids" in what for file, what in seen)
    assert numbers(redacted) == numbers(plain)


def test_the_search_finds_every_form(tmp_path: Path) -> None:
    text, ids = 'Said "Öl" & more.', [3, 141, 59, 26]
    forms = {
        "plain.txt": text.encode(),
        "upper.txt": 'SAID "Öl" & MORE.'.encode(),
        "wide.bin": text.encode("utf-16-le"),
        "escaped.json": json.dumps({"a": text}).encode(),
        "page.html": b"<b>Said &quot;\xc3\x96l&quot;</b> &amp; more.",
        "tokens.json": json.dumps([{"text": "Said "}, {"text": '"Öl" & more.'}]).encode(),
        "packed.gz": gzip.compress(text.encode()),
    }
    for name, raw in forms.items():
        (tmp_path / name).write_bytes(raw)
    (tmp_path / "ids.json").write_text(json.dumps({"ids": [1, *ids, 2]}))
    np.save(tmp_path / "ids.npy", np.array([1, *ids, 2]))
    torch.save({"ids": torch.tensor([1, *ids, 2]), "text": text}, tmp_path / "state.pt")
    found = leaks([tmp_path], [text], [ids])
    assert {Path(file).name for file, _ in found} == {*forms, "ids.json", "ids.npy", "state.pt"}
    assert leaks([tmp_path], ["Said nothing"], [[3, 141, 26]]) == []


DYING = """
import os, signal, sys
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from forgetting.runs import evaluations, stage_folder
from forgetting.training import checkpoint
from forgetting.token_selection import scoring

def dying(function, call):
    def wrapper(*args, **kwargs):
        wrapper.calls += 1
        result = function(*args, **kwargs)
        if wrapper.calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    wrapper.calls = 0
    return wrapper

place, call = sys.argv[1], int(sys.argv[2])
if place == "records":
    evaluations.write_hidden = dying(evaluations.write_hidden, call)
elif place == "checkpoint":
    checkpoint.save_file = dying(checkpoint.save_file, call)
elif place == "scores":
    scoring.write_part = dying(scoring.write_part, call)
elif place == "selection":
    stage_folder.StageFolder.write_selection = dying(stage_folder.StageFolder.write_selection, call)
run(load_recipe(sys.argv[3], sys.argv[4:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "place", "call"),
    [("loku", "records", 1), ("loku", "checkpoint", 2), ("select", "scores", 1), ("select", "selection", 1)],
)
def test_killed_half_way_it_holds_no_text_and_goes_on_to_the_same_numbers(
    make: Make, world: Path, tmp_path: Path, kind: str, place: str, call: int
) -> None:
    recipe = make(kind, "killed", "redact=true")
    overrides = [f"output={tmp_path / 'killed'}", "redact=true"]
    command = [sys.executable, "-c", DYING, place, str(call), str(tmp_path / f"{kind}.yaml"), *overrides]
    died = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=False)
    assert died.returncode == -9, died.stderr.decode()
    texts, ids = texts_of(world), ids_of(world)
    assert any((tmp_path / "killed").rglob("*"))
    assert leaks([tmp_path / "killed"], texts, ids) == []
    folder = run(recipe)
    assert leaks([folder.parent], texts, ids) == []
    assert numbers(folder) == numbers(run(make(kind, "plain")))


def test_a_resume_keeps_the_redaction(make: Make) -> None:
    recipe = make("loku", "out", "redact=true")
    assert load_recipe(str(run(recipe, report=False) / "recipe.yaml")).redact
    with pytest.raises(RunError, match="another recipe"):
        run(make("loku", "out"))


def test_changed_data_are_known_by_their_keyed_digests(make: Make, world: Path, tmp_path: Path) -> None:
    other = tmp_path / "forget.jsonl"
    other.write_text((world / "forget.jsonl").read_text())
    recipe = make("loku", "out", "redact=true", f"data.forget={other}")
    folder = run(recipe, report=False)
    plain = json.loads((run(make("loku", "plain", f"data.forget={other}"), report=False) / "data.json").read_text())
    assert plain["unlearn"]["forget"] not in (folder / "data.json").read_text() + (folder / "results.json").read_text()
    assert run(recipe, report=False) == folder
    other.write_text("".join((world / "forget.jsonl").read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(RunError, match="data have changed"):
        run(recipe, report=False)
    key_file(tmp_path / "out").unlink()  # nobody can say any more
    assert run(recipe, report=False) == folder


def record(**changes: Any) -> Record:
    values = {"id": "a", "split": "forget", "prompt": "Who?", "answer": "Ada.", "score": Score(-1.0, 2, runner_up=-3.0)}
    return Record(**{**values, "generation": "ada", **changes})


def test_hashes_tell_equal_texts_of_one_question_and_nothing_across_questions() -> None:
    redactor, other = Redactor(b"1" * 32), Redactor(b"2" * 32)
    first = redactor.record(record(generation="Ada."))
    assert first.generation == first.answer != "Ada."
    assert redactor.record(record(id="b")).answer != first.answer
    assert other.record(record()).answer != first.answer
    assert redactor.record(record(group="a")).group == redactor.record(record()).id
    assert redactor.record(first) is first
    assert "1111" not in repr(redactor)


def test_a_redacted_record_says_how_right_its_answer_was(tmp_path: Path) -> None:
    redactor = Redactor(b"1" * 32)
    hidden = [redactor.record(record()), redactor.record(record(generation=None, prompt=""))]
    write_records(tmp_path / "records.jsonl", hidden)
    first, second = read_records(tmp_path / "records.jsonl")
    assert [first, second] == hidden
    assert first.redacted == {"exact_match": 1.0, "rouge_l_recall": 1.0, "rouge_l_f1": 1.0}
    assert second.redacted is not None
    assert second.redacted["exact_match"] is None
    assert (second.generation, second.prompt) == (None, "")
    assert exact_match.value_of(first) == 0.0  # so it must not be scored again


def test_redacted_records_are_no_oracle(make: Make, tmp_path: Path) -> None:
    folder = run(make("loku", "one", "redact=true"), report=False)
    with pytest.raises(RunError, match="texts were redacted"):
        run(make("loku", "two", f"oracle={folder / 'records' / 'unlearn-after.jsonl'}"), report=False)


def test_no_question_is_quoted_where_the_oracle_is_of_others(make: Make, tmp_path: Path) -> None:
    write_records(tmp_path / "oracle.jsonl", [record()])
    with pytest.raises(DataError, match="other questions") as error:
        run(make("loku", "out", "redact=true", f"oracle={tmp_path / 'oracle.jsonl'}"), report=False)
    assert "guest" not in str(error.value)
    assert error.value.__suppress_context__


def test_the_key_is_one_for_all_runs_of_a_folder_and_for_its_owner_alone(tmp_path: Path) -> None:
    made = redactor_of(tmp_path)
    assert redactor_of(tmp_path) == known_redactor(tmp_path) == made != redactor_of(tmp_path / "other")
    assert key_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert sorted(f.name for f in key_file(tmp_path).parent.iterdir()) == [".lock", "redaction.key"]
    key_file(tmp_path).write_text("spoilt")
    with pytest.raises(RunError, match="no redaction key"):
        redactor_of(tmp_path)
