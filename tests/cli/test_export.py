"""`forget export`: task files for the harness's command, and a run's records as open-unlearning's log."""

import json
from pathlib import Path

import pytest

from forgetting.runs.results import Results
from tests.cli.command import command


def test_a_suite_is_written_as_tasks_and_the_command_that_asks_them_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = command(capsys, "export", "lm-eval", tmp_path / "tasks", "--suite", "muse:lab")
    assert code == 0
    assert f"lm_eval --include_path {tmp_path / 'tasks'} --tasks forgetting_muse_lab" in said.replace("\n", " ")
    assert "privleak-holdout" in said
    assert (tmp_path / "tasks" / "forgetting_muse_lab_verbmem.yaml").is_file()


def test_an_unknown_suite_is_named_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = command(capsys, "export", "lm-eval", tmp_path / "tasks", "--suite", "muze:lab")
    assert code == 2 and "did you mean 'muse'" in said and len(said.splitlines()) == 1
    assert not (tmp_path / "tasks").exists()


def test_a_runs_records_are_a_log_of_open_unlearning(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = command(capsys, "export", "open-unlearning", run_folder, tmp_path / "out")
    assert code == 0 and "TOFU_EVAL.json" in said.replace("\n", "")
    log = json.loads((tmp_path / "out" / "TOFU_EVAL.json").read_text())
    results = Results.load(run_folder)
    assert results.after is not None
    measured = {m.key: m.value for m in results.after.measures}
    for split in ("forget", "retain"):
        assert log[f"{split}_Q_A_Prob"]["agg_value"] == pytest.approx(measured[f"{split}/probability"])
    before = command(capsys, "export", "open-unlearning", run_folder, tmp_path / "before", "--at", "before")
    assert before[0] == 0
    summary = json.loads((tmp_path / "before" / "TOFU_SUMMARY.json").read_text())
    assert summary["forget_Q_A_Prob"] != log["forget_Q_A_Prob"]["agg_value"]
    code, _, said = command(capsys, "export", "open-unlearning", run_folder, tmp_path / "none", "--at", "oracle")
    assert code == 2 and "no records of the model 'oracle'" in said and not (tmp_path / "none").exists()


def test_a_run_is_written_as_logs_of_inspect(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = command(capsys, "export", "inspect", run_folder, tmp_path / "logs")
    assert code == 0 and "forget" in said
    results = Results.load(run_folder)
    assert results.after is not None
    measured = {m.key: m.value for m in results.after.measures}
    logs = [json.loads(file.read_text()) for file in (tmp_path / "logs").iterdir()]
    [log] = [e for e in logs if e["eval"]["task"] == "retain" and e["eval"]["metadata"]["point"] == "after"]
    values = [sample["scores"]["probability"]["value"] for sample in log["samples"]]
    assert sum(values) / len(values) == pytest.approx(measured["retain/probability"])
