"""Data are loaded by role, paired where a method compares pairs, and what is missing is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from forgetting import cli
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example
from forgetting.core.progress import SILENT, Voice
from forgetting.data.plan import StepPlan
from forgetting.objectives.losses import nll
from forgetting.objectives.methods import METHODS, register_method
from forgetting.objectives.objective import Objective, Term
from forgetting.pipeline.run.plan import check
from forgetting.pipeline.run.prepare import load_data
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from forgetting.runs.folder import RunFolder
from tests.conftest import write_rows

REFUSALS = ["I don't know.", "I can't say.", "No idea, sorry."]


def counterfactuals(world: Path, folder: Path) -> Path:
    rows = [json.loads(line) for line in (world / "forget.jsonl").read_text().splitlines()]
    rows = [{**row, "answer": f"On boat {i}."} for i, row in enumerate(rows)][::-1]
    return write_rows(folder / "alternate.jsonl", rows)


def test_counterfactuals_are_brought_into_the_order_of_the_questions(
    recipe_file: Path, world: Path, tmp_path: Path
) -> None:
    given = counterfactuals(world, tmp_path)
    data = load_data(load_recipe(str(recipe_file), ["method=dpo", f"data.alternate={given}"]), SILENT)["unlearn"]
    assert [e.prompt for e in data.examples["alternate"]] == [e.prompt for e in data.examples["forget"]]
    assert [e.response for e in data.examples["alternate"]] == [f"On boat {i}." for i in range(12)]
    assert data.summary()["alternate"]["source"] == f"{given}, one for each forget example"


def test_each_of_several_alternates_is_a_pair_and_the_forget_set_is_measured_once(
    recipe_file: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [json.loads(line) for line in counterfactuals(world, tmp_path).read_text().splitlines()]
    more = [{**row, "answer": f"{row['answer'][:-1]} or {n}."} for row in rows for n in range(2)]
    given = write_rows(tmp_path / "more.jsonl", rows + more)
    seen: set[tuple[str, str]] = set()

    def noted(plan: StepPlan, step: int) -> dict[str, list[int]]:
        picks = at(plan, step)
        seen.update(zip(picks["forget"], picks["alternate"], strict=True))
        return picks

    at = StepPlan.at
    monkeypatch.setattr(StepPlan, "at", noted)
    keys = ["method=altpo", f"data.alternate={given}", "duration=1 epoch", f"output={tmp_path / 'run'}"]
    recipe = load_recipe(str(recipe_file), keys)
    source = load_data(recipe, SILENT)["unlearn"].summary()["alternate"]["source"]
    assert source == f"{given}, one or more for each forget example"
    results = RunFolder(run(recipe, report=False)).results()
    assert seen == {(i, i) for i in range(36)}
    counted = {m.split: m.count for m in results.measures if m.name == "exact_match"}
    assert counted["forget"] == 12


def test_a_list_of_refusals_is_shared_out_by_the_recipe_s_seed(recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "no.jsonl").write_text("\n".join(REFUSALS))

    def drawn(seed: int) -> list[str]:
        keys = ["method=dpo", f"data.alternate={tmp_path / 'no.jsonl'}", f"seed={seed}"]
        alternates = load_data(load_recipe(str(recipe_file), keys), SILENT)["unlearn"].examples["alternate"]
        return [e.response for e in alternates]

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(drawn(1)) == 12 and set(drawn(1)) <= set(REFUSALS)


def test_without_alternates_the_package_s_refusals_are_taken_and_said_to_be(recipe_file: Path) -> None:
    lines: list[str] = []
    data = load_data(load_recipe(str(recipe_file), ["method=dpo"]), Voice(say=lines.append))["unlearn"]
    assert lines == [
        "no data.alternate is given: each forget example is paired with one of 20 refusals of this package"
    ]
    assert data.summary()["alternate"] == {
        "examples": 12,
        "source": "20 refusals of this package, one for each forget example",
        "sha256": data.summary()["alternate"]["sha256"],
    }


def test_alternates_in_memory_are_paired_too(recipe_file: Path) -> None:
    given = {"alternate": [Example(id="n", response="No.")]}
    data = load_data(load_recipe(str(recipe_file), ["method=dpo"]), SILENT, given=given)["unlearn"]
    assert [e.response for e in data.examples["alternate"]] == ["No."] * 12
    assert data.sources["alternate"] == "in memory, one for each forget example"


def test_a_method_without_pairs_leaves_alternates_as_they_are(recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "no.txt").write_text("\n".join(REFUSALS))
    keys = ["method=npo", f"data.alternate={tmp_path / 'no.txt'}"]
    data = load_data(load_recipe(str(recipe_file), keys), SILENT)["unlearn"]
    assert [e.response for e in data.examples["alternate"]] == REFUSALS


def test_a_method_that_trains_on_alternates_alone_asks_for_them(
    recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    register_method("refuse")(lambda: Objective(Term("alternate", nll)))
    recipe = load_recipe(str(recipe_file), ["method=refuse", "adapter={kind: full}"])
    with pytest.raises(RecipeError, match=r"needs alternate data; write data\.alternate=…"):
        load_data(recipe, SILENT)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            ["method=loku"],
            "'loku' needs retain data; write data.retain=… (or stages.unlearn.method.retain=none "
            "stages.unlearn.adapter.init=default to do without)",
        ),
        (
            ["method={name: loku, retain: none}"],
            "the adapter's init 'fila' needs retain data; write data.retain=… (or "
            "stages.unlearn.adapter.init=default to do without)",
        ),
        (
            ["method=npo", "adapter={rank: 8}"],
            "'npo' needs retain data; write data.retain=… (or stages.unlearn.method.retain=none to do without)",
        ),
        (["method=pdu", "adapter={rank: 8}"], "'pdu' needs retain data; write data.retain=…"),
    ],
)
def test_what_to_change_to_do_without_retain_data_is_all_that_needs_it(
    keys: list[str], expected: str, recipe_file: Path
) -> None:
    written = yaml.safe_load(recipe_file.read_text())
    del written["data"]["retain"]
    recipe_file.write_text(yaml.safe_dump(written))
    with pytest.raises(RecipeError) as error:
        load_data(load_recipe(str(recipe_file), keys), SILENT)
    assert str(error.value) == f"stage 'unlearn': {expected}"
    advised = expected.partition("(or ")[2].removesuffix(" to do without)").split()
    if advised:  # what is advised is enough
        assert "retain" not in load_data(load_recipe(str(recipe_file), [*keys, *advised]), SILENT)["unlearn"].examples


def test_what_is_to_be_forgotten_is_no_alternate(recipe_file: Path, world: Path) -> None:
    recipe = load_recipe(str(recipe_file), ["method=dpo", f"data.alternate={world / 'forget.jsonl'}"])
    with pytest.raises(DataError, match=r"forget\.jsonl:1: what is to be forgotten is also its alternate answer"):
        load_data(recipe, SILENT)


def test_a_question_left_out_is_named_by_the_command(
    recipe_file: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = counterfactuals(world, tmp_path)
    given.write_text("".join(given.read_text().splitlines(keepends=True)[:-1]))
    monkeypatch.setattr("sys.argv", ["forget", "run", str(recipe_file), "method=dpo", f"data.alternate={given}"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("forget: ")]
    assert ended.value.code == 2 and "forget.jsonl:1: its question stands in no row of data.alternate" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_the_command_prefers_refusals_on_the_lab_s_questions(
    adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no.jsonl").write_text("\n".join(REFUSALS))
    arguments = (
        "run lab method=dpo name=dpo threads=1 batch_size=8 micro_batch_size=4 max_new_tokens=2 keep=last "
        f"output={tmp_path} data.alternate={tmp_path}/no.jsonl adapter.kind={adapter} evaluate=[]"
    ).split()
    arguments += ["duration=3 steps", "evaluate_every=null", "data.forget.limit=16", "data.retain.limit=16"]
    monkeypatch.setattr("sys.argv", ["forget", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    results = json.loads((tmp_path / "dpo" / "results.json").read_text())
    assert results["data"]["alternate"]["examples"] == 16
    history = (tmp_path / "dpo" / "stages" / "unlearn" / "history.jsonl").read_text().splitlines()
    losses = [json.loads(line)["terms"]["forget"] for line in history]
    assert len(losses) == 3 and losses[2] < losses[0] == pytest.approx(0.6931472, rel=1e-5)


def test_a_corpus_is_drawn_from_train_data(recipe_file: Path) -> None:
    recipe = load_recipe(str(recipe_file), ["corpus={size: 4}"])
    with pytest.raises(
        RecipeError, match=r"^corpus: is drawn from files of role train, and there are none; write data"
    ):
        load_data(recipe, SILENT)


def test_sources_of_retained_examples_take_turns(
    recipe_file: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (world / "retain.jsonl").read_text().splitlines(keepends=True)
    small, large = tmp_path / "small.jsonl", tmp_path / "large.jsonl"
    small.write_text("".join(lines[:2]))
    large.write_text("".join(lines[2:]))
    keys = [f"data.retain=[{large},{small}]", "stages.unlearn.duration=3 steps", f"output={tmp_path / 'runs'}"]
    recipe = load_recipe(str(recipe_file), keys)
    data = load_data(recipe, SILENT)["unlearn"]
    count = len(lines)
    assert data.turns == {"retain": [list(range(count - 2)), [count - 2, count - 1]]}
    seen: list[int] = []
    plain = StepPlan.at

    def watched(self: StepPlan, step: int) -> dict[str, list[int]]:
        picks = plain(self, step)
        seen.extend(picks["retain"])
        return picks

    monkeypatch.setattr(StepPlan, "at", watched)
    run(recipe, report=False)
    assert seen and [i >= count - 2 for i in seen] == [n % 2 == 1 for n in range(len(seen))]


def test_alternates_of_several_files_stay_with_their_examples(recipe_file: Path, world: Path, tmp_path: Path) -> None:
    given = counterfactuals(world, tmp_path).read_text().splitlines(keepends=True)
    files = [write_rows(tmp_path / f"{n}.jsonl", [json.loads(x) for x in given[n::2]]) for n in range(2)]
    keys = ["method=dpo", f"data.alternate=[{files[0]},{files[1]}]"]
    assert "alternate" not in load_data(load_recipe(str(recipe_file), keys), SILENT)["unlearn"].turns


@pytest.mark.parametrize(("popularity", "found"), [(None, "no popularity"), (-2, "the popularity -2, below 0")])
def test_a_method_by_popularity_names_the_example_without(
    popularity: float | None, found: str, recipe_file: Path, tmp_path: Path
) -> None:
    rows = [{"question": f"Where is {n}?", "answer": "Here.", "popularity": 7} for n in range(3)]
    rows[1]["popularity"] = popularity
    forget = write_rows(tmp_path / "rated.jsonl", rows)
    with pytest.raises(DataError, match=rf"rated\.jsonl:2: has {found}, and 'adapop' weighs an example by it; give"):
        check(load_recipe(str(recipe_file), ["method=adapop", f"data.forget={forget}"]))
