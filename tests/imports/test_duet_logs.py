"""DUET's published logs, in their own form and one answer a line, scored again to the last digit of what is known."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from forgetting.cli.app import app
from forgetting.core.errors import DataError
from forgetting.core.measure import Measure
from forgetting.core.record import read_records
from forgetting.imports.logs import import_log
from forgetting.runs.results import Results
from tests.golden import REAL_DATA, golden, needs

DUET = REAL_DATA / "duet"
LOGS = golden("duet_logs")["logs"]
FILES = {"ga": "duet_log_ga_ga_lr", "npo": "duet_log_npo_npo_lr"}
DATA = {
    "forget": [str(DUET / f"city_forget_{which}_5.jsonl") for which in ("rare", "popular")],
    "retain": [str(DUET / "city_fast_retain_500.jsonl")],
}
SAID = "system\n\nCutting Knowledge Date: December 2023\n\nBe terse.user\n\n{}assistant\n\n"


def lines_of(name: str) -> list[dict[str, Any]]:
    """The answers of a golden log by its name there."""
    setting = name.rpartition("_lr")[2]
    [file] = (DUET / "logs").glob(f"{FILES[name.partition('/')[0]]}{setting}.jsonl.gz")
    return [json.loads(line) for line in gzip.open(file, "rt", encoding="utf-8")]


def as_published(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The same answers as DUET_EVAL.json has them."""
    log: dict[str, Any] = {}
    for line in lines:
        entry = log.setdefault(f"{line['split']}_qa_rouge", {"agg_value": 0.0, "value_by_index": {}})
        row = {key: value for key, value in line.items() if key not in ("split", "index")}
        entry["value_by_index"][str(line["index"])] = {**row, "input": SAID.format(f"Question {line['index']}?")}
    for entry in log.values():
        values = [row["rougeL_recall"] for row in entry["value_by_index"].values()]
        entry["agg_value"] = sum(values) / len(values)
    return log


def written(path: Path, log: object) -> Path:
    path.write_text(json.dumps(log), encoding="utf-8")
    return path


def measures(found: list[Measure]) -> dict[str, Measure]:
    return {m.key: m for m in found}


@needs(DUET)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * bool(n)) for n, name in enumerate(LOGS)]
)
def test_a_published_log_comes_out_the_same(name: str, tmp_path: Path) -> None:
    log = written(
        tmp_path / "DUET_EVAL.json", {**as_published(lines_of(name)), "forget_qa_cos_sim": {"agg_value": 0.5}}
    )
    found = import_log(log, tmp_path / "run", data=DATA)
    by_key = measures(found.measures)
    for split, golden_name in (("forget", "forget_qa_rouge"), ("retain", "holdout_qa_rouge")):
        known = LOGS[name][golden_name]
        recall = by_key[f"{split}/rouge_l_recall"]
        assert recall.value == pytest.approx(known["recomputed"], abs=1e-9) and recall.count == known["n"]
        assert by_key[f"{split}/answer_words"].value == pytest.approx(known["mean_words"], abs=1e-9)
        exact = by_key[f"{split}/exact_match"].value
        assert exact is not None and exact >= known["exact_match"], "a full stop at the end makes no difference here"
    known = LOGS[name]["forget_qa_rouge"]
    for which in ("rare", "popular"):
        value = by_key[f"forget/rouge_l_recall[city_forget_{which}_5]"].value
        assert value == pytest.approx(known[f"{which}_mean"], abs=1e-9)
    spearman = by_key["forget/rouge_l_recall_popularity_spearman"]
    assert spearman.value == pytest.approx(known["spearman_pop_sum_recall"], abs=1e-9)
    assert spearman.count == known["n_with_popularity"]
    assert [c.name for c in found.checks if c.equal] == ["forget_qa_rouge", "holdout_qa_rouge"]
    assert by_key["logged/forget_qa_cos_sim"].value == 0.5
    assert by_key["forget/rouge_l_recall[sound]"].count == 711


@needs(DUET)
def test_one_answer_a_line_gives_the_same_measures(tmp_path: Path) -> None:
    some = [line for line in lines_of(next(iter(LOGS))) if line["index"] % 241 < 5]
    lines = written(tmp_path / "log.jsonl", "")
    lines.write_text("".join(json.dumps(line) + "\n" for line in some), encoding="utf-8")
    found = import_log(lines, tmp_path / "run", data=DATA)
    same = import_log(written(tmp_path / "DUET_EVAL.json", as_published(some)), tmp_path / "other", data=DATA)
    assert found.measures == same.measures and found.kind == "answers"
    assert [c.equal for c in found.checks] == [True] * 4
    evaluation = Results.load(tmp_path / "run").after
    assert evaluation is not None and evaluation.records is not None
    records = read_records(tmp_path / "run" / evaluation.records)
    assert len(records) == len(some) == 35 and records[10].prompt == "What is the country of Baramati?"


def test_without_the_data_the_question_is_that_of_the_prompt(tmp_path: Path) -> None:
    row = {"rougeL_recall": 1.0, "input": SAID.format("Where is\nAnn?"), "ground_truth": "Rome", "generation": "Rome"}
    log = {"forget_qa_rouge": {"agg_value": 1.0, "value_by_index": {"0": row, "1": {**row, "input": "Where?"}}}}
    found = import_log(written(tmp_path / "x.json", log), tmp_path / "run")
    assert [r.prompt for r in found.records] == ["Where is\nAnn?", "Where?"]
    assert not [m for m in found.measures if "[" in m.name or "probability" in m.name]


@needs(DUET)
def test_a_log_of_one_set_and_one_that_lost_rows_are_of_the_rows_that_they_have(tmp_path: Path) -> None:
    lines = [line for line in lines_of(next(iter(LOGS))) if line["split"] == "forget" and line["index"] < 40]
    rare = {"forget": DATA["forget"][:1]}
    whole = import_log(written(tmp_path / "DUET_EVAL.json", as_published(lines)), tmp_path / "one", data=rare)
    assert [c.equal for c in whole.checks] == [True]
    log = as_published(lines)
    rows = log["forget_qa_rouge"]["value_by_index"]
    log["forget_qa_rouge"]["value_by_index"] = {index: row for index, row in rows.items() if index != "3"}
    lost = import_log(written(tmp_path / "lost.json", log), tmp_path / "two", data=rare)
    assert measures(lost.measures)["forget/rouge_l_recall"].count == 39
    assert [c.equal for c in lost.checks] == [False], "its own mean is of 40 rows"


@pytest.mark.parametrize("damage", [lambda text: text[:200], lambda text: "", lambda text: text.replace("}", "", 1)])
def test_a_log_that_is_cut_is_one_line_and_writes_nothing(damage: Callable[[str], str], tmp_path: Path) -> None:
    rows = {str(n): {"ground_truth": "Rome", "generation": "Rome"} for n in range(9)}
    log = tmp_path / "DUET_EVAL.json"
    log.write_text(damage(json.dumps({"forget_qa_rouge": {"agg_value": 1.0, "value_by_index": rows}})))
    with pytest.raises(DataError, match="not a JSON evaluation log") as refused:
        import_log(log, tmp_path / "run")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_retain_is_not_overwritten_by_holdout(tmp_path: Path) -> None:
    row = {"ground_truth": "Rome", "generation": "Rome"}
    log = {f"{s}_qa_rouge": {"agg_value": 1.0, "value_by_index": {"0": row}} for s in ("holdout", "retain")}
    found = import_log(written(tmp_path / "x.json", log), tmp_path / "run")
    assert {r.split for r in found.records} == {"holdout", "retain"}


def test_data_of_a_summary_and_a_bad_option_are_refused(tmp_path: Path) -> None:
    log = written(tmp_path / "DUET_SUMMARY.json", {"forget_qa_rouge": 0.5})
    (tmp_path / "q.jsonl").write_text('{"question": "Q?", "answer": "A"}\n')
    with pytest.raises(DataError, match="is a summary without questions"):
        import_log(log, tmp_path / "run", data={"forget": [str(tmp_path / "q.jsonl")]})
    result = CliRunner().invoke(app, ["import", str(log), "--out", str(tmp_path / "o"), "--data", "rare.jsonl"])
    assert result.exit_code != 0
    assert import_log(log, tmp_path / "run").measures[0].value == 0.5


def test_what_all_prompts_share_is_left_out_of_the_questions_and_said(tmp_path: Path) -> None:
    """Gemma's template writes a system prompt into the user's turn."""
    said = "user\nBe terse.\n\nWhere is {}?\nmodel\n"
    rows = {
        str(n): {"input": said.format(name), "ground_truth": "Rome", "generation": "Rome"}
        for n, name in enumerate(["Ann", "Bo", "Cy", "Di", "Ed"])
    }
    log = written(tmp_path / "x.json", {"forget_qa_rouge": {"agg_value": 1.0, "value_by_index": rows}})
    result = CliRunner().invoke(app, ["import", str(log), "--out", str(tmp_path / "records.jsonl")])
    assert "forget: all 5 prompts begin with 'Be terse.', which is left out of the questions" in result.output
    assert [r.prompt for r in read_records(tmp_path / "records.jsonl")][:2] == ["Where is Ann?", "Where is Bo?"]
