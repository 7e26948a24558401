"""An evaluation in a folder: whole or resumed, of one set of settings, and read by reports and comparisons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import forgetting
from forgetting.core.errors import RecipeError, RunError
from forgetting.core.progress import Voice
from forgetting.core.record import read_records
from forgetting.models.loading import load_model, save_model
from forgetting.pipeline.finished_run.ask import ask
from forgetting.pipeline.finished_run.purge import plan_purge
from forgetting.pipeline.one_model import evaluate_into as module
from forgetting.pipeline.one_model.evaluate import measuring
from forgetting.pipeline.one_model.evaluate_into import evaluate_into
from forgetting.pipeline.run.run import run
from forgetting.recipe import Recipe, load_recipe
from forgetting.report.comparison.differences import compare
from forgetting.report.run.page import build_report
from forgetting.runs.evaluation_folder import EvaluationFolder
from forgetting.runs.results import Results
from tests.conftest import write_rows
from tests.pipeline.run.leaks import leaks


def asked(world: Path, **settings: object) -> Recipe:
    data = {role: str(world / f"{role}.jsonl") for role in ("forget", "retain")}
    keys = {"dtype": "float32", "max_new_tokens": 4, **settings}
    return measuring(str(world / "model"), data=data, settings={k.replace("__", "."): v for k, v in keys.items()})


def test_a_folder_holds_what_evaluate_measures_and_no_verdict(world: Path, tmp_path: Path) -> None:
    results = evaluate_into(tmp_path / "e", asked(world))
    data = {role: str(world / f"{role}.jsonl") for role in ("forget", "retain")}
    plain = forgetting.evaluate(str(world / "model"), data=data, settings={"dtype": "float32", "max_new_tokens": 4})
    assert list(results.after.measures) == plain.measures
    assert read_records(tmp_path / "e" / "records" / "after.jsonl") == plain.records
    assert {p.name for p in (tmp_path / "e").iterdir()} == {
        "settings.yaml", "data.json", "environment.json", "evaluations", "records", "results.json", "report.html",
        "prompt.json",
    }  # fmt: skip
    assert not (tmp_path / ".cache").exists()
    page = (tmp_path / "e" / "report.html").read_text()
    assert "nothing was trained here, so nothing is said of forgetting" in page
    assert "How the model was asked" in page and "Settings" in page
    build_report([tmp_path / "e"], tmp_path / "again.html")


def test_two_evaluations_are_compared_question_by_question(world: Path, tmp_path: Path) -> None:
    first = evaluate_into(tmp_path / "bare", asked(world))
    second = evaluate_into(tmp_path / "shots", asked(world, format__shots__role="retain", format__shots__count=2))
    found = compare([Results.load(first.folder), Results.load(second.folder)])
    (shared,) = [s for s in found.shared if s.key == "forget/probability"]
    assert shared.differences[0].estimate.count == 12 and shared.differences[0].estimate.value != 0
    assert ("format.shots.role", (..., "retain")) in found.recipes or any("shots" in key for key, _ in found.recipes)
    page = build_report([first.folder, second.folder], tmp_path / "both.html").read_text()
    assert "nothing was trained here" in page and "closest to the oracle" not in page


def test_started_again_it_goes_on_behind_the_splits_that_are_measured(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = evaluate_into(tmp_path / "whole", asked(world))
    taken: list[str] = []
    real = module.cached

    def dying(model, tokenizer, suite, recipe, voice):
        taken.append(suite.splits[0].name)
        if taken == ["forget", "retain"]:
            raise KeyboardInterrupt
        return real(model, tokenizer, suite, recipe, voice)

    with monkeypatch.context() as patched:
        patched.setattr(module, "cached", dying)
        with pytest.raises(KeyboardInterrupt):
            evaluate_into(tmp_path / "e", asked(world))
    assert not (tmp_path / "e" / "results.json").exists()
    written: list[str] = []
    answer = forgetting.pipeline.run.records.answer
    monkeypatch.setattr(
        forgetting.pipeline.run.records, "answer", lambda *a, **k: written.append(k["split"]) or answer(*a, **k)
    )
    found = evaluate_into(tmp_path / "e", asked(world))
    assert written == ["retain"]
    assert found.after.measures == expected.after.measures
    assert evaluate_into(tmp_path / "e", asked(world)) == found and written == ["retain"]


@pytest.mark.parametrize("with_report", [False, True])
def test_killed_after_its_results_it_is_ended_by_the_next_start(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_report: bool
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    out = tmp_path / "e"
    with monkeypatch.context() as patched:
        patched.setattr(*((EvaluationFolder, "remove_kept") if with_report else (module, "build_report")), killed)
        with pytest.raises(Killed):
            evaluate_into(out, asked(world))
    (out / ".lock").touch()  # that a kill leaves
    assert (out / "results.json").exists() and [*(out / ".cache").rglob("answers.jsonl")]
    evaluate_into(out, asked(world))
    assert (out / "report.html").exists() and not (out / ".cache").exists() and not (out / ".lock").exists()


def test_a_folder_of_something_else_is_refused(recipe_file: Path, world: Path, tmp_path: Path) -> None:
    evaluate_into(tmp_path / "e", asked(world))
    with pytest.raises(RunError, match=r"e: holds another evaluation: max_new_tokens was 4, now it is 5; name another"):
        evaluate_into(tmp_path / "e", asked(world, max_new_tokens=5))
    folder = run(load_recipe(str(recipe_file), ["duration=1 steps"]), report=False)
    with pytest.raises(RunError, match=r"runs/run: holds a run; name another folder \(--out\)"):
        evaluate_into(folder, asked(world))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "note.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty and holds no evaluation"):
        evaluate_into(tmp_path / "other", asked(world))
    with pytest.raises(RunError, match=r"e: holds an evaluation; write another name"):
        run(load_recipe(str(recipe_file), [f"output={tmp_path}", "name=e"]), report=False)


def test_a_finished_one_is_of_these_data_and_these_weights(world: Path, tmp_path: Path) -> None:
    import shutil

    there = Path(shutil.copytree(world, tmp_path / "w"))
    evaluate_into(tmp_path / "e", asked(there))
    loaded = load_model(there / "model", dtype="float32")
    with torch.no_grad():
        next(loaded.model.parameters()).mul_(1.5)
    save_model(loaded.model, loaded.tokenizer, there / "model")
    with pytest.raises(RunError, match="the model it began with has other weights now"):
        evaluate_into(tmp_path / "e", asked(there))
    save_model(load_model(world / "model", dtype="float32").model, loaded.tokenizer, there / "model")
    write_rows(there / "forget.jsonl", [{"question": "Who?", "answer": "Ada"}])
    with pytest.raises(RunError, match=r"changed since it began|are not those"):
        evaluate_into(tmp_path / "e", asked(there))


def test_redacted_it_writes_no_text(world: Path, tmp_path: Path) -> None:
    found = evaluate_into(tmp_path / "out" / "e", asked(world, redact=True, format__shots__role="retain"))
    rows = [json.loads(line) for line in (world / "forget.jsonl").read_text().splitlines()]
    assert leaks([tmp_path / "out"], [row[key] for row in rows for key in ("question", "answer")]) == []
    assert found.redacted and found.prompt is None
    plain = evaluate_into(tmp_path / "plain", asked(world, format__shots__role="retain"))
    assert plain.after.measures == found.after.measures
    with pytest.raises(RecipeError, match="redact hides texts in a folder"):
        forgetting.evaluate(
            str(world / "model"), data={"forget": str(world / "forget.jsonl")}, settings={"redact": True}
        )


def test_it_is_no_run_to_ask_or_to_purge(world: Path, tmp_path: Path) -> None:
    evaluate_into(tmp_path / "e", asked(world))
    with pytest.raises(RunError, match="is an evaluation, which holds no model"):
        ask(tmp_path / "e", ["Who?"])
    with pytest.raises(RunError, match="is an evaluation and was never a run; remove the folder"):
        plan_purge(tmp_path / "e")


def test_the_oracle_is_asked_behind_the_same_shots(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "f.jsonl", [{"question": "Where was Ada Bo born?", "answer": "In Rome."}])
    settings = {"data.retain": {"suite": "lab", "limit": 40}, "format.shots.role": "retain", "format.shots.count": 1}
    said: list[str] = []
    recipe = measuring("lab", data={"forget": str(data)}, oracle="lab", settings=settings)
    found = evaluate_into(tmp_path / "e", recipe, voice=Voice(said.append))
    assert [e.point for e in found.evaluations] == ["oracle", "after"]
    assert found.oracle_evaluation.measures == found.after.measures
    assert found.prompt.text.count("<user>") == 2 and any("data.retain: 1 of its questions" in s for s in said)


def test_its_page_has_no_section_on_training(world: Path, tmp_path: Path) -> None:
    evaluate_into(tmp_path / "e", asked(world))
    page = (tmp_path / "e" / "report.html").read_text()
    absent = ("Over training", "Forgetting against retention", "How settings were chosen", "Verdict", "changed</small>")
    for words in absent:
        assert words not in page
    assert "What was measured" in page and "All measures" in page
