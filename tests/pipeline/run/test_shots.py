"""A run with shots: what is trained on and measured stands behind them, none is of the forget set, nothing leaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from forgetting.core.errors import DataError, RecipeError, RunError
from forgetting.core.progress import Voice
from forgetting.core.record import read_records
from forgetting.data.encode import encode
from forgetting.data.examples import load_examples
from forgetting.data.shots import Shot
from forgetting.data.source import given_source
from forgetting.pipeline.audit.audit import audit
from forgetting.pipeline.finished_run.ask import ask
from forgetting.pipeline.finished_run.models import recipe_of
from forgetting.pipeline.finished_run.purge import purge
from forgetting.pipeline.one_model.ask import Asking
from forgetting.pipeline.run.prepared import prepared
from forgetting.pipeline.run.run import run
from forgetting.pipeline.run.shots import with_shots
from forgetting.recipe import Recipe, load_recipe
from forgetting.runs.folder import RunFolder
from forgetting.runs.results import Results
from tests.conftest import write_rows
from tests.pipeline.run.leaks import leaks

SILENT = Voice(lambda line: None)
ROLE = ("format.shots.role=retain", "duration=2 steps")


def made(recipe_file: Path, *changes: str) -> Recipe:
    return load_recipe(str(recipe_file), list(changes))


def rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_records_and_the_loss_are_those_of_a_plain_forward_behind_the_shots(recipe_file: Path, world: Path) -> None:
    folder = run(
        made(recipe_file, *ROLE, "method=graddiff", "adapter={rank: 2}", "batch_size=12", "micro_batch_size=5"),
        report=False,
    )
    formatting = recipe_of(folder).format
    assert formatting.shots is not None and len(formatting.shots.examples or ()) == 4
    model = AutoModelForCausalLM.from_pretrained(world / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(world / "model")
    data = {role: load_examples(given_source(str(world / f"{role}.jsonl"))) for role in ("forget", "retain")}

    def logps(role: str) -> dict[str, list[float]]:
        found = {}
        for example in data[role]:
            row = encode(example, tokenizer, formatting)
            with torch.no_grad():
                logp_TV = model(torch.tensor([row.ids])).logits[0].double().log_softmax(-1)
            found[example.id] = [float(logp_TV[i - 1, row.ids[i]]) for i, w in enumerate(row.weights) if w]
        return found

    expected = {role: logps(role) for role in data}
    for record in read_records(folder / "records" / "before.jsonl"):
        assert record.score.logp == pytest.approx(sum(expected[record.split][record.id]), rel=1e-5)
    work = [json.loads(f.read_text())["work"] for f in (folder / "evaluations").glob("unlearn-after.json")]
    read = sum(len(encode(e, tokenizer, formatting).ids) for examples in data.values() for e in examples)
    assert 0.6 * read < work[0]["tokens"] < 1.4 * read, "the shots count in what was read"
    first = json.loads((folder / "stages" / "unlearn" / "history.jsonl").read_text().splitlines()[0])
    tokens = [p for each in expected["forget"].values() for p in each]
    (loss,) = [value for name, value in first["terms"].items() if "forget" in name]
    assert abs(loss) == pytest.approx(-sum(tokens) / len(tokens), rel=1e-4)


def test_shots_are_of_retained_data_and_no_question_stands_behind_itself(recipe_file: Path, world: Path) -> None:
    said: list[str] = []
    ready = prepared(made(recipe_file, *ROLE), Voice(said.append))
    shots = ready.recipe.format.shots
    retained = {row["question"] for row in rows(world / "retain.jsonl")}
    assert {shot.prompt for shot in shots.examples} <= retained
    for row in ready.encoded["unlearn"]["retain"]:
        text = ready.loaded.tokenizer.decode(row.ids)
        questions = [part.partition("\n")[0] for part in text.split("Question: ")[1:]]
        assert len(questions) == len({*questions}) == 4
    assert any("data.retain: 3 of its questions with their answers are shown before each question" in s for s in said)
    assert r"answers end at '\n\n' or '\nQuestion:' too (format.stop)" in said


def test_a_file_with_forget_questions_gives_the_others_and_says_so(
    recipe_file: Path, world: Path, tmp_path: Path
) -> None:
    forget = [
        {**row, "question": row["question"].upper(), "answer": "Elsewhere"} for row in rows(world / "forget.jsonl")
    ]
    others = [{"question": f"What is {i}?", "answer": f"Number {i}"} for i in range(4)]
    file = write_rows(tmp_path / "shots.jsonl", [*forget, *others])
    said: list[str] = []
    ready = prepared(made(recipe_file, f"format.shots.source={file}"), Voice(said.append))
    shown = {shot.prompt for shot in ready.recipe.format.shots.examples}
    assert shown <= {row["question"] for row in others}
    assert any(s.startswith(f"{file}: 3 of its questions") and "left out, since they are or quote" in s for s in said)
    with pytest.raises(DataError, match=r"5 shots are asked for, and there are 4 .*, and 12 more are or quote forget"):
        prepared(made(recipe_file, f"format.shots.source={file}", "format.shots.count=5"), SILENT)


def test_the_forget_split_of_a_suite_is_not_shown_either(recipe_file: Path, tmp_path: Path) -> None:
    from forgetting.benchmarks.registry import get_suite

    suite = get_suite("lab")
    (split,) = [s for s in suite.splits if s.name == "forget"]
    written = [{"question": e.prompt, "answer": e.response} for e in split.examples[:6]]
    file = write_rows(tmp_path / "shots.jsonl", written)
    recipe = made(recipe_file, f"format.shots.source={file}")
    with pytest.raises(DataError, match="there are 0 questions with answers, and 6 more are or quote forget examples"):
        with_shots(recipe, {}, suite, voice=SILENT)
    inline = {"format.shots": {"examples": [{"prompt": written[0]["question"], "response": "x"}]}}
    with pytest.raises(DataError, match=r"format\.shots\.examples: number 1 .* is or quotes a forget example"):
        with_shots(load_recipe(str(recipe_file), inline), {}, suite, voice=SILENT)


def test_there_must_be_data_of_the_role(recipe_file: Path) -> None:
    with pytest.raises(RecipeError, match=r"format\.shots\.role: there are no holdout data"):
        prepared(made(recipe_file, "format.shots.role=holdout"), SILENT)


def test_shots_for_evaluation_only_leave_training_without_them(recipe_file: Path) -> None:
    ready = prepared(made(recipe_file, *ROLE, "format.shots.training=false"), SILENT)
    bare = prepared(made(recipe_file, "format.end=separator"), SILENT)
    shown = prepared(made(recipe_file, *ROLE), SILENT)
    assert ready.encoded == bare.encoded != shown.encoded
    assert ready.read == shown.read != bare.read


def test_right_answers_that_hold_a_stop_are_counted(recipe_file: Path, tmp_path: Path, world: Path) -> None:
    said: list[str] = []
    prepared(made(recipe_file, "format.stop=[of lane 1]"), Voice(said.append))
    assert "answers end at 'of lane 1' too (format.stop)" in said
    (line,) = [s for s in said if "at which answers end" in s]
    assert line.startswith("warning: 3 of 12 forget answers hold a text at which answers end ('of lane 1')")


def test_right_answers_that_are_too_long_to_be_written_are_counted(recipe_file: Path) -> None:
    said: list[str] = []
    prepared(made(recipe_file, "max_new_tokens=1"), Voice(said.append))
    [line] = [s for s in said if s.startswith("warning: 12 of 12 forget answers are longer than what a model may ")]
    assert line.endswith(" is, and are never counted as right")
    said.clear()
    prepared(made(recipe_file, "max_new_tokens=64"), Voice(said.append))
    assert not [s for s in said if "may write" in s]


def test_a_run_goes_on_only_with_its_own_shots_and_is_asked_with_them(
    recipe_file: Path, world: Path, tmp_path: Path
) -> None:
    file = write_rows(tmp_path / "s.jsonl", [{"question": f"What is {i}?", "answer": f"Number {i}"} for i in range(3)])
    recipe = made(recipe_file, f"format.shots.source={file}", "duration=2 steps")
    folder = run(recipe, report=False)
    (folder / "results.json").unlink()
    assert run(recipe, report=False) == folder
    write_rows(file, [{"question": f"What is {i}?", "answer": f"Nothing {i}"} for i in range(3)])
    (folder / "results.json").unlink()
    with pytest.raises(RunError, match=r"the tokens of .* are not those that it began with: .* the shots"):
        run(recipe, report=False)
    kept = RunFolder(folder).shots()
    assert kept is not None and {shot.response for shot in kept} == {f"Number {i}" for i in range(3)}
    assert recipe_of(folder).format.shots.examples == tuple(kept)
    (asked, *_) = ask(folder, ["What is 9?"], Asking(max_new_tokens=3), voice=SILENT)
    bare = ask(folder, ["What is 9?"], Asking(max_new_tokens=3), settings={"format.shots": None}, voice=SILENT)[0]
    assert asked.answers[0].first != bare.answers[0].first


def test_results_keep_what_was_asked_for_and_one_prompt(recipe_file: Path, world: Path) -> None:
    folder = run(made(recipe_file, *ROLE))
    results = Results.load(folder)
    assert results.recipe["format"]["shots"]["role"] == "retain"
    assert results.recipe["format"]["shots"]["examples"] is None
    first = rows(world / "forget.jsonl")[0]
    assert results.prompt.split == "forget" and results.prompt.text.count("Question: ") == 4
    assert first["question"] in results.prompt.text and first["answer"] in results.prompt.answer
    page = (folder / "report.html").read_text()
    assert "How the model was asked" in page and first["answer"] in page
    purge(folder)
    assert Results.load(folder).prompt is None
    assert leaks([folder], [row[key] for row in rows(world / "forget.jsonl") for key in ("question", "answer")]) == []


def test_a_redacted_run_shows_its_shots_and_nothing_of_the_forget_set(recipe_file: Path, world: Path) -> None:
    folder = run(made(recipe_file, *ROLE, "redact=true"))
    forget = [row[key] for row in rows(world / "forget.jsonl") for key in ("question", "answer")]
    assert leaks([folder.parent], forget) == []
    shots = RunFolder(folder).shots()
    shown = {shot.prompt for shot in shots}
    assert all(shot.group == "" for shot in shots)
    others = [row["question"] for row in rows(world / "retain.jsonl") if row["question"] not in shown]
    assert leaks([folder.parent], others) == []
    assert Results.load(folder).prompt is None and "hidden, since its texts are" in (folder / "report.html").read_text()
    plain = run(made(recipe_file, *ROLE, "name=plain"), report=False)
    assert [e.measures for e in Results.load(folder).evaluations] == [
        e.measures for e in Results.load(plain).evaluations
    ]


def test_an_audit_asks_as_the_run_did(recipe_file: Path) -> None:
    folder = run(made(recipe_file, *ROLE), report=False)
    (found,) = audit(folder, attacks=["context"], settings={"context": {"shots": 1, "draws": 1}}, facts=3)
    prompts = {r.prompt for r in read_records(folder / found.points["after"].records)}
    assert all(prompt.count("Question: ") == 1 for prompt in prompts), (
        "the attack's own shot; the run's are the format's"
    )


def test_shots_are_written_as_yaml_and_read_again(recipe_file: Path) -> None:
    values = yaml.safe_load(recipe_file.read_text())
    values["format"] = {"shots": {"examples": [{"prompt": "Q", "response": "A"}]}, "stop": ["\n"], "prefix": "So: "}
    recipe = Recipe.from_values(values)
    again = Recipe.from_values(yaml.safe_load(recipe.to_yaml()))
    assert again == recipe and again.format.shots.examples == (Shot(prompt="Q", response="A"),)
