"""`python -m bench --quick` runs, and its arms take the same step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("bench") / "out.json"
    command = [sys.executable, "-m", "bench", "step", "--quick", "--rounds", "1", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ours ÷ floor" in done.stdout
    return json.loads(out.read_text())["step"]


def losses(step: dict, method: str, arm: str) -> list[float]:
    (sample,) = (s for s in step["samples"] if (s["method"], s["arm"]) == (method, arm))
    return sample["losses"]


@pytest.mark.parametrize("method", ["graddiff", "ihl", "npo", "ga_kl"])
def test_ours_and_plain_take_the_same_steps(step: dict, method: str) -> None:
    ours = losses(step, method, "ours")
    assert ours == pytest.approx(losses(step, method, "plain"), rel=1e-4, abs=1e-5)
    assert ours[0] != ours[-1], "the weights moved"


def test_every_method_has_a_ratio_to_the_floor(step: dict) -> None:
    assert [row["method"] for row in step["summary"]] == ["graddiff", "ihl", "npo", "ga_kl"]
    assert all(row["ratio"][arm]["median"] > 0 for row in step["summary"] for arm in ("ours", "plain"))


def test_an_unknown_benchmark_is_named_in_the_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "stp"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "unknown benchmark 'stp'; known: step" in capsys.readouterr().err
