"""A run that writes text for a sample: all of it rests on the same examples, and what it decides says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.core.errors import RecipeError
from forgetting.core.progress import Voice
from forgetting.core.record import write_records
from forgetting.pipeline.one_model.evaluate import evaluate
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe, recipe_from
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.results import Results
from tests.conftest import write_rows


def passages(world: Path, name: str, count: int) -> Path:
    words = "abcdefghijklmnop"
    rows = [{"text": " ".join(f"{name} {word} {i}" for word in words)} for i in range(count)]
    return write_rows(world / f"{name}.jsonl", rows)


def test_every_evaluation_of_a_run_rests_on_the_drawn_examples_and_the_goal_says_so(
    recipe_file: Path, world: Path
) -> None:
    said: list[str] = []
    asked = {"forget": str(passages(world, "known", 9)), "holdout": str(passages(world, "never", 8))}
    changes = [
        *(f"data.{role}={file}" for role, file in asked.items()),
        "evaluate=extraction",
        "sample.examples=3",
        "sample.seed=1",
        "stages.unlearn.until=extraction",
        "learning_rate=1e-9",
        "stages.unlearn.duration=1 step",
        "stages.unlearn.evaluate_every=1 step",
    ]
    found = Results.load(run(load_recipe(str(recipe_file), changes), voice=Voice(said.append)))
    assert any(
        "text is written for 3 of 9 forget, 3 of 8 unseen examples, drawn by seed 1; likelihoods are of all" in line
        for line in said
    )
    drawn = set()
    for evaluation in found.evaluations:
        measures = {m.key: m for m in evaluation.measures}
        el, ma = measures.get("forget/el_10"), measures["forget/memorization_accuracy"]
        assert (ma.count, ma.of) == (9, None)
        if el is not None and el.value is not None:
            assert (el.count, el.of) == (3, 9)
        drawn.add(frozenset(r.id for r in found.records(evaluation) if r.split == "forget" and r.has_text))
    assert len(drawn - {frozenset()}) == 1
    again = {m.key: m for m in evaluate(str(found.folder), suite="extraction", data=asked).measures}
    after = {m.key: m for m in found.evaluations[-1].measures}
    assert (again["forget/el_10"].count, again["forget/el_10"].value) == (3, after["forget/el_10"].value)
    sentences = verdict(found).sentences
    assert any("on 3 of 9 (unseen:" in s for s in sentences)
    assert any(s.startswith("Text was written for 3 of 9 examples of forget and 3 of 8") for s in sentences)


def test_another_models_records_count_where_text_was_written(world: Path, tmp_path: Path) -> None:
    data = {"forget": str(world / "forget.jsonl")}
    every = evaluate("lab", data=data)
    oracle = tmp_path / "oracle.jsonl"
    write_records(oracle, every.records)
    settings = {"sample.examples": 2}
    found = evaluate("lab", data=data, oracle=str(oracle), settings=settings)
    measures = {m.key: m for m in found.measures}
    assert measures["forget/exact_match"].count == 2 and measures["forget/exact_match"].of == len(every.records)
    assert measures["forget/probability"].of is None
    assert {r.id for r in found.records if r.generation is not None} != {r.id for r in every.records}


def test_a_sample_of_nothing_is_refused() -> None:
    values = {"model": "m", "stages": [{"method": "ga"}]}
    with pytest.raises(RecipeError, match=r"sample\.examples"):
        recipe_from({**values, "sample": {"examples": 0}})
    with pytest.raises(RecipeError, match="example"):
        recipe_from({**values, "sample": {"example": 3}})
