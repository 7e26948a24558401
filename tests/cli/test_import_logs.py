"""`forget import`: another program's log becomes a folder like a run's, or records."""

import json
import math
from pathlib import Path

import pytest

from forgetting.core.record import read_records
from forgetting.runs.results import Results
from tests.cli.command import command

LOSSES = [0.2, 1.7, 3.1]
MEAN = sum(math.exp(-x) for x in LOSSES) / 3


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """One number that its rows give, one that they do not, and one without rows."""
    rows = {str(i): {"prob": math.exp(-x), "avg_loss": x} for i, x in enumerate(LOSSES)}
    content = {
        "forget_Q_A_Prob": {"agg_value": MEAN, "value_by_index": rows},
        "retain_Q_A_Prob": {"agg_value": 0.9, "value_by_index": rows},
        "privleak": {"agg_value": -12.5},
    }
    (tmp_path / "TOFU_EVAL.json").write_text(json.dumps(content))
    return tmp_path / "TOFU_EVAL.json"


def test_a_log_becomes_a_folder_and_its_own_numbers_stand_beside_ours(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "imported"
    code, printed, err = command(capsys, "import", log, "--out", out)
    assert (code, err) == (0, "")
    lines = printed.splitlines()
    assert "1 of the log's 3 numbers come out the same" in lines and lines[-1] == f"folder: {out}"
    differing = {line.split()[0]: line.split()[1:3] for line in lines if line.startswith(("retain_Q_A", "privleak"))}
    assert differing == {"retain_Q_A_Prob": ["0.9", f"{MEAN:.6g}"], "privleak": ["-12.5", "—"]}
    run = Results.load(out)
    assert [r.score.loss for r in run.records(run.after) if r.split == "forget" and r.score] == LOSSES
    measures = {m.key: m.value for m in run.after.measures} if run.after else {}
    assert measures["forget/probability"] == pytest.approx(MEAN) and measures["logged/privleak"] == -12.5


def test_records_alone_are_written_and_the_comparison_is_json(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "records.jsonl"
    code, printed, _ = command(capsys, "import", log, "--out", out, "--json")
    document = json.loads(printed)
    assert (code, document["kind"], document["out"]) == (0, "open-unlearning", str(out))
    assert {c["name"]: c["equal"] for c in document["checks"]} == {
        "forget_Q_A_Prob": True,
        "retain_Q_A_Prob": False,
        "privleak": False,
    }
    assert [(r.split, r.id) for r in read_records(out)] == [(s, i) for s in ("forget", "retain") for i in "012"]
