"""A run on the result of an earlier one says that it does not measure what was forgotten there."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.core.record import read_records
from forgetting.pipeline.run.earlier import earlier_requests
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.results import Results
from tests.conftest import write_rows


def _run(recipe_file: Path, *changes: str) -> Results:
    given = ["duration=1 steps", "evaluate_every=null", *changes]
    return Results.load(run(load_recipe(str(recipe_file), given), report=False))


def _said(found: Results) -> list[str]:
    return [finding.text for finding in verdict(found).findings if finding.topic == "Earlier requests"]


def test_what_an_earlier_run_forgot_is_named_where_it_is_not_measured(recipe_file: Path, world: Path) -> None:
    first = _run(recipe_file, "name=first")
    assert first.earlier == () and _said(first) == []
    rows = [{"question": f"What does guest {n} like?", "answer": "the cat"} for n in range(4)]
    data = [f"data.forget={write_rows(world / 'new.jsonl', rows)}"]
    for model in (first.folder, first.folder / "model"):
        second = _run(recipe_file, f"name=second-{model.name}", f"model={model}", *data)
        assert second.earlier == ("first",)
        assert _said(second)[0].startswith("The model comes from first. What was forgotten there is not measured here")
    third = _run(recipe_file, "name=third", f"model={second.folder}", *data)
    assert third.earlier == ("first",)  # what the second forgot is measured


def test_what_is_measured_again_is_not_missed(recipe_file: Path) -> None:
    first = _run(recipe_file, "name=first")
    again = _run(recipe_file, "name=again", f"model={first.folder}")
    assert again.earlier == () and _said(again) == []


def test_a_run_that_only_learns_says_what_became_of_an_earlier_request(recipe_file: Path, world: Path) -> None:
    first = _run(recipe_file, "name=first")
    taught = ["stages.unlearn.method=sft", f"data.train={world / 'forget.jsonl'}", "stages.unlearn.adapter=null"]
    rate = ["stages.unlearn.learning_rate=0.02", "stages.unlearn.duration=20 steps"]
    learnt = _run(recipe_file, "name=learnt", f"model={first.folder}", *taught, *rate)
    assert learnt.earlier == () and list(learnt.earlier_sets) == ["first"]
    (text,) = _said(learnt)
    assert text.startswith("Of 12 examples that run first was to forget, forget · probability went from ")
    assert "it rose again" in text
    assert text in verdict(learnt).failed


def test_other_models_come_from_no_run(world: Path) -> None:
    assert earlier_requests("org/name") == earlier_requests(str(world / "model")) == []
    assert earlier_requests("lab + 0.5*lab") == []


@pytest.mark.parametrize("redact", ["false", "true"])
def test_what_an_earlier_run_forgot_is_paired_where_its_data_are_given_again(
    recipe_file: Path, world: Path, redact: str
) -> None:
    first = _run(recipe_file, "name=first", f"redact={redact}")
    rows = [{"question": f"What does guest {n} like?", "answer": "the cat"} for n in range(4)]
    new = write_rows(world / "new.jsonl", rows)
    both = f"data.forget=[{world / 'forget.jsonl'},{new}]"
    second = _run(recipe_file, "name=second", f"model={first.folder}", both, f"redact={redact}")
    kept = {r.id for r in read_records(second.folder / "records" / "before.jsonl") if r.split == "forget"}
    old = {r.id for r in read_records(first.folder / "records" / "before.jsonl") if r.split == "forget"}
    assert (len(kept), len(old)) == (16, 12)
    assert second.earlier == () and list(second.earlier_sets) == ["first"]
    assert (second.earlier_sets["first"].of, {*second.earlier_sets["first"].ids}) == ("forget", old)
    (text,) = _said(second)
    assert text.startswith("Of 12 examples that run first was to forget, forget · probability went from ")
    assert "(paired on 12 examples: " in text


@pytest.mark.parametrize("redact", ["false", "true"])
def test_other_examples_under_the_ids_of_an_earlier_run_are_not_those_that_it_was_to_forget(
    recipe_file: Path, world: Path, redact: str
) -> None:
    def rows(animal: str) -> list[dict[str, str]]:
        return [{"id": str(n), "question": f"What does guest {n} like?", "answer": f"the {animal}"} for n in range(4)]

    old, new = (write_rows(world / f"{animal}s.jsonl", rows(animal)) for animal in ("cat", "dog"))
    first = _run(recipe_file, "name=first", f"data.forget={old}", f"redact={redact}")
    second = _run(recipe_file, "name=second", f"model={first.folder}", f"data.forget={new}", f"redact={redact}")
    assert (second.earlier, dict(second.earlier_sets)) == (("first",), {})
    (text,) = _said(second)
    assert text.startswith("The model comes from first. What was forgotten there is not measured here")
