"""A run on the result of an earlier one says that it does not measure what was forgotten there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from forgetting.core.progress import Voice
from forgetting.core.record import read_records
from forgetting.pipeline.finished_run.purge import purge
from forgetting.pipeline.run import own_data
from forgetting.pipeline.run.earlier import earlier_requests
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe, recipe_from
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
    # what that run measured of it was for the sake of the first: it was not to forget
    assert [one.name for one in earlier_requests(str(learnt.folder))] == ["first"]


@pytest.mark.parametrize("role", ["train", "retain", "holdout"])
def test_what_was_to_be_forgotten_and_is_measured_as_anything_else_is_followed_too(
    recipe_file: Path, world: Path, role: str
) -> None:
    """Learned, it is warned of before, too."""
    first = _run(recipe_file, "name=first")
    forgotten, other = str(world / "forget.jsonl"), str(world / "retain.jsonl")
    given = {
        "train": {"train": forgotten},
        "retain": {"train": other, "retain": forgotten},
        "holdout": {"train": [other, forgotten], "holdout": forgotten},
    }[role]
    stage = {"name": "learn", "method": "sft", "learning_rate": 0.02, "batch_size": 8, "duration": "20 steps"}
    values = {**yaml.safe_load(recipe_file.read_text()), "data": given, "stages": [{**stage, "evaluate_every": None}]}
    said: list[str] = []
    recipe = recipe_from({**values, "name": "learnt", "model": str(first.folder)})
    learnt = Results.load(run(recipe, voice=Voice(said.append), report=False))
    (measured,) = learnt.earlier_sets["first"]
    assert (learnt.earlier, measured.of, len(measured.ids)) == ((), role, 12)
    (text,) = _said(learnt)
    assert text.startswith(f"Of 12 examples that run first was to forget, {role} \N{MIDDLE DOT} probability went from ")
    if role != "retain":
        assert "it rose again" in text and verdict(learnt).failed == (text,)
        warning = "warning: stage learn: 12 of its train examples are what run first was to forget"
        assert any(line.startswith(warning) for line in said)


def test_what_was_to_be_forgotten_and_is_learned_unmeasured_is_said(recipe_file: Path, world: Path) -> None:
    first = _run(recipe_file, "name=first")
    stage = {"name": "learn", "method": "sft", "learning_rate": 0.02, "batch_size": 8, "duration": "1 steps"}
    given = {"train": [str(world / "forget.jsonl")], "retain": str(world / "retain.jsonl")}
    values = {**yaml.safe_load(recipe_file.read_text()), "data": given, "stages": [{**stage, "evaluate_every": None}]}
    learnt = Results.load(run(recipe_from({**values, "name": "learnt", "model": str(first.folder)}), report=False))
    assert (learnt.earlier, learnt.earlier_learned) == (("first",), {"first": 12})
    text = (
        "12 examples that run first was to forget are among what this run learned or kept, and not all of what it was "
        "to forget is measured."
    )
    assert text in verdict(learnt).failed


def test_what_was_to_be_forgotten_and_lies_in_two_splits_is_followed_in_both(recipe_file: Path, world: Path) -> None:
    first = _run(recipe_file, "name=first")
    lines = (world / "forget.jsonl").read_text().splitlines()
    halves = [world / "half-a.jsonl", world / "half-b.jsonl"]
    for file, part in zip(halves, (lines[:5], lines[5:]), strict=True):
        file.write_text("\n".join(part) + "\n")
    data = [f"data.forget={halves[0]}", f"data.retain=[{world / 'retain.jsonl'},{halves[1]}]"]
    second = _run(recipe_file, "name=second", f"model={first.folder}", *data)
    assert second.earlier == ()
    assert [(s.of, len(s.ids)) for s in second.earlier_sets["first"]] == [("forget", 5), ("retain", 7)]
    (text,) = _said(second)  # of the five, which are all that it was to forget, its own finding tells
    assert text.startswith("Of 7 examples that run first was to forget, retain ")


def test_what_an_earlier_run_forgot_beyond_what_it_measured_is_not_counted_as_measured(
    recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a sample of a large set is measured: whether the others came back is not known."""
    monkeypatch.setattr(own_data, "OWN_LIMIT", 8)
    first = _run(recipe_file, "name=first")
    assert first.after is not None and first.after.measure("forget/probability").count == 8
    again = _run(recipe_file, "name=again", f"model={first.folder}")
    assert again.earlier == ("first",) and len(again.earlier_sets["first"][0].ids) == 8
    (text,) = _said(again)
    assert "What was forgotten there is measured here only in part and may have come back" in text


def test_the_model_after_a_stage_was_to_forget_what_the_stages_up_to_it_were_given(
    recipe_file: Path, world: Path
) -> None:
    """It was taken for a model that no run made, and nothing was said of what came back."""
    two = _two_requests(recipe_file, world)
    after_first = two.folder / "stages" / "first" / "model"
    assert [(one.name, one.size) for one in earlier_requests(str(after_first))] == [("two", 12)]
    assert [(one.name, one.size) for one in earlier_requests(str(two.folder))] == [("two", 16)]
    taught = ["stages.unlearn.method=sft", f"data.train={world / 'forget.jsonl'}", "stages.unlearn.adapter=null"]
    learnt = _run(recipe_file, "name=learnt", f"model={after_first}", *taught)
    assert (learnt.earlier, list(learnt.earlier_sets), learnt.earlier_learned) == ((), ["two"], {"two": 12})


def test_of_several_requests_all_count_as_given(
    recipe_file: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest one alone did, so that a sample of all that is as large as it was called the whole."""
    monkeypatch.setattr(own_data, "OWN_LIMIT", 13)
    (one,) = earlier_requests(str(_two_requests(recipe_file, world).folder))
    assert (one.size, one.whole) == (13, False)


def _two_requests(recipe_file: Path, world: Path) -> Results:
    """A run of two stages, which forget 12 questions and 4 others."""
    rows = [{"question": f"What does guest {n} like?", "answer": "the cat"} for n in range(4)]
    values = yaml.safe_load(recipe_file.read_text())
    data = {"retain": values["data"]["retain"]}
    stage = {"method": "ga", "learning_rate": 1e-4, "batch_size": 8, "duration": "1 steps", "evaluate_every": None}
    files = {"first": str(world / "forget.jsonl"), "second": str(write_rows(world / "new.jsonl", rows))}
    stages = [{**stage, "name": name, "data": {"forget": file}} for name, file in files.items()]
    return Results.load(run(recipe_from({**values, "name": "two", "data": data, "stages": stages}), report=False))


def test_runs_of_one_name_are_told_apart(recipe_file: Path, world: Path, tmp_path: Path) -> None:
    rows = [{"question": f"What does guest {n} like?", "answer": "the cat"} for n in range(4)]
    new = write_rows(world / "new.jsonl", rows)
    one = _run(recipe_file, "name=x", f"output={tmp_path / 'a'}")
    other = _run(recipe_file, "name=x", f"output={tmp_path / 'b'}", f"model={one.folder}", f"data.forget={new}")
    assert other.earlier == ("x",)
    third = _run(recipe_file, "name=y", f"model={other.folder}", f"data.forget=[{world / 'forget.jsonl'},{new}]")
    assert third.earlier == ()
    assert {name: len(sets[0].ids) for name, sets in third.earlier_sets.items()} == {"x (b/x)": 4, "x (a/x)": 12}


@pytest.mark.parametrize("lost", ["key", "measured"])
def test_which_examples_a_run_was_to_forget_may_not_be_known_any_more(
    recipe_file: Path, world: Path, tmp_path: Path, lost: str
) -> None:
    if lost == "key":
        first = _run(recipe_file, "name=first", "redact=true")
        purge(first.folder)
        (tmp_path / "runs" / ".cache" / "redaction.key").unlink(missing_ok=True)
    else:
        plain = write_rows(world / "plain.jsonl", [{"text": f"A text of number {n} for the suite."} for n in range(3)])
        first = _run(recipe_file, "name=first", f"evaluate=[text:{plain}]")
    second = _run(recipe_file, "name=second", f"model={first.folder}", f"output={tmp_path / 'other'}")
    assert (second.earlier, second.earlier_unknown, dict(second.earlier_sets)) == (("first",), ("first",), {})
    (text,) = _said(second)
    assert text.startswith("The model comes from first. Nothing there says, or says any more, which examples")
    assert "give its data" not in text


def test_a_run_whose_results_are_gone_may_have_been_to_forget_something(recipe_file: Path, tmp_path: Path) -> None:
    first = _run(recipe_file, "name=first")
    (first.folder / "results.json").unlink()
    second = _run(recipe_file, "name=second", f"model={first.folder}", f"output={tmp_path / 'other'}")
    assert (second.earlier, second.earlier_unknown) == (("first",), ("first",))
    (text,) = _said(second)
    assert text.startswith("The model comes from first. Nothing there says, or says any more, which examples")


def test_a_chain_of_runs_is_followed_from_any_folder_and_over_a_run_that_is_gone(
    recipe_file: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"question": f"What does guest {n} like?", "answer": "the cat"} for n in range(4)]
    new = f"data.forget={write_rows(world / 'new.jsonl', rows)}"
    monkeypatch.chdir(tmp_path)
    _run(recipe_file, "name=x1", "output=runs")
    second = _run(recipe_file, "name=x2", "output=runs", "model=runs/x1", new)
    both = f"data.forget=[{world / 'forget.jsonl'},{world / 'new.jsonl'}]"
    third = _run(recipe_file, "name=x3", "output=runs", "model=runs/x2", both)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    place = tmp_path / second.folder
    assert [(one.name, len(one.records)) for one in earlier_requests(str(place))] == [("x2", 4), ("x1", 12)]
    shutil.rmtree(tmp_path / "runs" / "x1")
    assert [(one.name, len(one.records)) for one in earlier_requests(str(place))] == [("x2", 4), ("x1", 0)]
    shutil.rmtree(tmp_path / "runs" / "x2")
    assert [(one.name, len(one.records), one.whole) for one in earlier_requests(str(tmp_path / third.folder))] == [
        ("x3", 16, True),
        ("x2", 4, True),
        ("x1", 12, True),
    ]


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
    (measured,) = second.earlier_sets["first"]
    assert (measured.of, {*measured.ids}) == ("forget", old)
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


def test_a_document_is_known_again_under_another_id(recipe_file: Path, world: Path) -> None:
    texts = [f"The guest of room {n} likes the cat." for n in range(6)]
    docs = world / "docs"
    docs.mkdir()
    for n, text in enumerate(texts):
        (docs / f"{n}.txt").write_text(text + "\n")
    table = write_rows(world / "docs.jsonl", [{"text": text} for text in texts])
    first = _run(recipe_file, "name=first", f"data.forget={docs}")
    learnt = _run(
        recipe_file, "name=learnt", f"model={first.folder}", "stages.unlearn.method=sft", f"data.train={table}",
        "stages.unlearn.adapter=null", f"data.forget={table}",
    )  # fmt: skip
    assert learnt.earlier == ()
    assert [len(subset.ids) for subset in learnt.earlier_sets["first"]] == [6]
    assert any(text.startswith("Of 6 examples that run first was to forget") for text in _said(learnt))


def test_a_text_that_is_given_twice_does_not_stand_for_one_that_is_missing(recipe_file: Path, world: Path) -> None:
    first = _run(recipe_file, "name=first")
    rows = [json.loads(line) for line in (world / "forget.jsonl").read_text().splitlines()]
    twice = [{**row, "id": f"again-{n}"} for n, row in enumerate([*rows[:-1], rows[0]])]
    file = write_rows(world / "twice.jsonl", twice)
    again = _run(recipe_file, "name=again", f"model={first.folder}", f"data.forget={file}")
    assert again.earlier == ("first",)
    assert [len(subset.ids) for subset in again.earlier_sets["first"]] == [len(rows) - 1]
