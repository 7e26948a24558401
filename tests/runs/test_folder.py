"""A run folder is named, held, redacted and read in one place."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import forgetting
from forgetting.core.digest import file_digest
from forgetting.core.errors import RunError
from forgetting.core.measure import Measure
from forgetting.core.record import Record, Score, read_records
from forgetting.core.sealed import unsealed
from forgetting.metrics.extraction import Thresholds
from forgetting.runs.began import MEASURED
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.output import OutputFolder
from forgetting.runs.redact import Redactor
from forgetting.runs.results import Cost, Results
from forgetting.runs.same_run import check_takes
from forgetting.runs.stage_result import StageResult, Step, TokenScores
from forgetting.runs.token_selection import LowToken, ScoredExample, Token, TokenSelection

PACKAGE = Path(forgetting.__file__).parent
FILES = re.compile(
    r"(^|/|\})(results\.json|result\.json|report\.html|recipe\.yaml|data\.json|environment\.json|history\.jsonl|"
    r"selection\.json|scored\.json|thresholds\.json|prepared\.json|measured\.json|handed-over|\.cache|redaction\.key|"
    r"sweep\.json|sweep\.csv|failures\.json|chosen\.json|import\.json|\.lock)$"
)
FOLDERS = {"last", "proven", "best", "evaluations", "records", "stages", "model", "merged", "importance", "logs"}
OWNERS = {"runs/paths.py", "runs/redact.py", "runs/output.py", "core/locks.py"}
DIGESTS = {"unlearn": {"forget": "aaaa"}, MEASURED: {"forget": "bbbb"}}


def spelled(source: str) -> Iterator[str]:
    """The names of a run folder that a module spells: file names anywhere, folder names behind a slash."""
    tree = ast.parse(source)
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            found = FILES.search(node.value) and " " not in node.value
        else:
            joined = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
            found = joined and isinstance(node.right, ast.Constant) and node.right.value in FOLDERS  # type: ignore[attr-defined]
        if found:
            yield f"line {node.lineno}: {ast.unparse(node)}"  # type: ignore[attr-defined]


def test_no_other_module_spells_the_names_of_a_run_folder() -> None:
    found = {
        name: list(spelled(file.read_text()))
        for file in PACKAGE.rglob("*.py")
        if (name := file.relative_to(PACKAGE).as_posix()) not in OWNERS and "rehearsal" not in name
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_a_spelled_name_is_found() -> None:
    assert len(list(spelled('a = folder / "last"\nb = f"{folder}/results.json"\nc = "stages/x/history.jsonl"'))) == 3
    assert list(spelled('"""Writes results.json."""\nsay("no results.json in it")')) == []


def measure(value: float | None = 0.25) -> Measure:
    return Measure(name="probability", split="forget", value=value, count=3, low=0.1, high=0.4, direction="down")


def record(**changes: object) -> Record:
    values = {"id": "q", "split": "forget", "prompt": "Who?", "answer": "Ada.", "score": Score(-1.0, 2, runner_up=-3.0)}
    return Record(**{**values, **changes})  # type: ignore[arg-type]


def test_values_are_read_as_they_were_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "out" / "run")
    at = Evaluation(point="after", stage="unlearn", step=3, epoch=1.5, measures=(measure(),), work={"tokens": 7})
    written = folder.evaluations.write(at, [record()])
    digest = file_digest(folder.evaluations.records_file(at))
    assert written == replace(at, records="records/unlearn-after.jsonl", records_sha256=digest)
    assert folder.evaluations.all() == [written]
    assert folder.evaluations.find(Evaluation(point="after", stage="unlearn")) == written
    assert folder.evaluations.find(Evaluation(point="before")) is None
    assert read_records(folder.evaluations.records_file(written)) == [record()]
    middle = folder.evaluations.write(replace(at, point="epoch"), [record()])
    assert middle.records is None
    assert [file.name for file in folder.records_folder.iterdir()] == ["unlearn-after.jsonl"]

    stage = folder.stage("unlearn")
    result = StageResult(
        name="unlearn", method="npo", steps=3, stopped="goal", success=True, flops={"roles": {"forget": 5}}
    )
    stage.write_result(result)
    assert stage.result() == result
    stage.write_thresholds(Thresholds(10, 0.25, 0.5))
    scores = TokenScores(model="m", reference="r", tokenizer="t", data="d", rows=2, tokens=9, seconds=1.5)
    stage.write_token_scores(scores)
    assert stage.token_scores() == scores
    assert stage.result() == replace(result, thresholds=Thresholds(10, 0.25, 0.5), scoring_seconds=1.5)
    selection = TokenSelection(
        reference="a", tokens=9, examples=(ScoredExample(key="q", tokens=(Token(text="x", q=0.5, sign=1),)),)
    )
    stage.write_selection(selection)
    assert stage.selection() == selection
    steps = [Step(step=n, loss=1.0 / n, terms={"forget": 0.5}, seconds=0.1) for n in (1, 2, 3)]
    for step in steps:
        stage.append_step(step)
    assert stage.history() == steps
    stage.cut_history(2)
    assert stage.history() == steps[:2]

    results = Results(
        folder=folder.path, name="run", status="complete", evaluations=(written,), stages=(result,), cost=Cost(steps=3)
    )
    folder.write_results(results)
    assert folder.results() == Results.load(folder.path) == results


def test_a_value_that_is_not_finite_survives_in_the_file_and_is_missing_in_the_report(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    spoilt = Evaluation(point="before", measures=(measure(float("nan")),))
    folder.write_results(Results(folder=tmp_path, name="run", status="collapsed", evaluations=(spoilt,)))
    assert "NaN" in folder.results_file.read_text()
    [evaluation] = Results.load(tmp_path).evaluations
    assert evaluation.measures[0].value is None
    assert "not a finite number" in evaluation.measures[0].reason


def test_a_redacted_folder_writes_no_text_and_compares_all_the_same(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", Redactor(b"1" * 32))
    folder.evaluations.write(Evaluation(point="before"), [record()])
    stage = folder.stage("unlearn")
    stage.write_selection(
        TokenSelection(
            examples=(ScoredExample(key="Who?", prompt="Who?", tokens=(Token(text="Ada"),)),),
            lowest=(LowToken(key="Who?", before="Who? ", token="Ada", after="."),),
        )
    )
    scores = TokenScores(model="m", reference="r", tokenizer="t", data="digest-of-data")
    stage.write_token_scores(scores)
    stage.hand_over("key-of-data")
    data = {"forget": {"examples": 1, "sha256": "digest-of-data"}}
    folder.write_results(Results(folder=folder.path, name="run", status="complete", data=data))
    written = "".join(file.read_text() for file in folder.path.rglob("*") if file.is_file())
    assert not [text for text in ("Who", "Ada", "digest-of-data", "key-of-data") if text in written]
    assert folder.results().redacted
    assert folder.results().data["forget"]["examples"] == 1
    assert stage.is_handed_over("key-of-data")
    assert not stage.is_handed_over("another")
    (stage.last).mkdir()
    (stage.last / "COMPLETE").touch()
    stage.check_token_scores(scores)
    with pytest.raises(RunError, match="data of its token scores changed"):
        stage.check_token_scores(replace(scores, data="other"))
    again = folder.results()
    folder.write_results(again)  # hashes are not hashed again
    assert folder.results() == again


def train(folder: RunFolder) -> None:
    last = folder.stage("unlearn").last
    last.mkdir(parents=True)
    (last / "COMPLETE").touch()


def test_what_a_run_that_never_trained_left_is_cleared_when_it_is_opened(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.opened("name: run", DIGESTS, {}, redact=False):
        folder.evaluations.write(Evaluation(point="before"), [record()])
    check_takes(folder, "name: other")
    with folder.opened("name: other", DIGESTS, {}, redact=False):
        assert folder.evaluations.all() == []
        assert not folder.records_folder.exists()
        train(folder)
        folder.evaluations.write(Evaluation(point="before"), [record()])
    with folder.opened("name: other", DIGESTS, {}, redact=False):
        assert len(folder.evaluations.all()) == 1


def test_a_value_that_was_changed_after_it_was_written_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    at = folder.evaluations.write(Evaluation(point="after", stage="unlearn", measures=(measure(),)), [record()] * 8)
    stage = folder.stage("unlearn")
    stage.path.mkdir(parents=True)
    for n in (1, 2):
        stage.append_step(Step(step=n, loss=1.5))
    stage.write_result(StageResult(name="unlearn", method="npo", steps=2))
    folder.write_results(
        Results(folder=tmp_path, name="run", status="complete", evaluations=(at,), stages=(stage.result(),))
    )
    results = Results.load(tmp_path)
    assert len(results.records(at)) == 8 and len(results.history("unlearn")) == 2

    def changed(file: Path, one: bytes, other: bytes) -> None:
        content = file.read_bytes()
        assert one in content
        file.write_bytes(content.replace(one, other, 1))

    lines = folder.evaluations.records_file(at).read_bytes().splitlines(keepends=True)
    folder.evaluations.records_file(at).write_bytes(lines[0])
    with pytest.raises(RunError, match=r"records/unlearn-after\.jsonl: is damaged"):
        results.records(at)
    assert (
        folder.evaluations.fault_of(folder.evaluations.file("unlearn"))
        == f"{folder.evaluations.records_file(at)}: is damaged or missing"
    )
    changed(stage.history_file, b"1.5", b"2.5")
    with pytest.raises(RunError, match=r"history\.jsonl: is damaged or missing"):
        results.history("unlearn")
    changed(folder.evaluations.file("unlearn"), b"0.25", b"0.75")
    with pytest.raises(RunError, match=r"unlearn-after\.json: is damaged"):
        folder.evaluations.all()
    changed(folder.results_file, b"0.25", b"0.75")
    with pytest.raises(RunError, match=r"results\.json: is damaged.*; remove the file and start the run again"):
        Results.load(tmp_path)


def test_the_result_of_another_stage_is_refused(tmp_path: Path) -> None:
    one, two = (RunFolder(tmp_path).stage(name) for name in ("one", "two"))
    one.write_result(StageResult(name="one", method="npo", steps=2))
    two.path.mkdir(parents=True)
    two.result_file.write_bytes(one.result_file.read_bytes())
    with pytest.raises(RunError, match=r"result\.json: is the result of another stage; remove the stage's folder"):
        two.result()


def test_files_without_digests_are_those_of_an_earlier_version(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_results(Results(folder=tmp_path, name="run", status="complete"))
    values = unsealed(json.loads(folder.results_file.read_text()))
    folder.results_file.write_text(json.dumps({**values, "name": "renamed"}))
    assert Results.load(tmp_path).name == "renamed"


@pytest.mark.parametrize("text", ["{", "[]", '{"point": "elsewhere"}'])
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, text: str) -> None:
    folder = RunFolder(tmp_path)
    folder.evaluations_folder.mkdir()
    (folder.evaluations_folder / "before.json").write_text(text)
    with pytest.raises(RunError, match=r"before\.json: .*; remove the file and start the run again$") as error:
        folder.evaluations.all()
    assert "\n" not in str(error.value)


def test_an_output_folder_knows_its_runs_and_who_is_at_work_in_its_caches(tmp_path: Path) -> None:
    output = OutputFolder(tmp_path)
    RunFolder(tmp_path / "two").write_recipe("name: two")
    RunFolder(tmp_path / "one").write_recipe("name: one")
    (tmp_path / "other").mkdir()
    assert [run.path.name for run in output.runs()] == ["one", "two"]
    assert output.held_entries() == []
    with output.scores.entry("key") as entry:
        assert output.held_entries() == [entry.folder]
