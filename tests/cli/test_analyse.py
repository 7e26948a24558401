"""`forget analyse`: a table for each analysis, or one JSON document."""

import json
from pathlib import Path

import pytest

from tests.cli.command import command


def test_a_run_is_analysed(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(capsys, "run", recipe_file, "duration=2 steps")[0] == 0
    run = tmp_path / "runs" / "run"
    code, out, _ = command(capsys, "analyse", run, "--of", "weights", "--of", "shifts")
    assert code == 0
    assert "weights, changes since before" in out and "shifts, changes since before" in out
    assert "relative_change" in out and "delta_logp_first" in out
    code, out, err = command(capsys, "analyse", run, "--of", "weights", "--json")
    (found,) = json.loads(out)["analyses"]
    assert (code, err, found["analysis"]) == (0, "", "weights")
    assert {s["figure"] for s in found["series"]} == {"relative_change", "stable_rank"}
    code, out, err = command(capsys, "analyse", run, "--against", "oracle")
    assert (code, out) == (2, "") and "the run has no oracle" in err
    code, out, err = command(capsys, "analyse", run, "--at", "stage:unlearn", "--against", str(tmp_path / "none"))
    assert (code, out, err.count("\n")) == (2, "", 1) and "cannot be loaded as the model that changes" in err
    code, out, err = command(capsys, "analyse", run, "--at", "unlearn")
    assert (code, out, err.count("\n")) == (2, "", 1) and "unlearn: is not a model of the run; write after" in err


def test_analyses_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"shifts", "weights"} <= {a["name"] for a in json.loads(command(capsys, "analyses", "--json")[1])}
    assert "stable rank" in command(capsys, "analyses")[1]


@pytest.mark.parametrize(
    ("arguments", "message"), [(("none",), "none: no such folder"), ((".", "x=3"), "write NAME.PARAMETER=VALUE")]
)
def test_a_mistake_is_one_line_and_code_2(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command(capsys, "analyse", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("forget: ") and message in err
