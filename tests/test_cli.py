"""The command: what it prints and what it must not load."""

import json
import subprocess
import sys

import pytest

from forgetting import cli


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["forget", *arguments])
        cli.main()
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("statement", ["import forgetting", "import forgetting.cli"])
def test_what_help_needs_loads_no_heavy_library(statement: str) -> None:
    heavy = ("torch", "transformers", "pydantic", "scipy")
    code = f"{statement}; import sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_methods_are_listed_with_parameters_and_summary(capsys: pytest.CaptureFixture[str]) -> None:
    found = {m["name"]: m for m in json.loads(command(capsys, "methods", "--json"))}
    assert {"sft", "ga", "graddiff", "ga_kl", "npo", "ihl", "loku"} <= set(found)
    assert found["npo"]["parameters"]["beta"] == 0.1
    assert found["loku"]["adapter"]["init"] == "fila"
    assert all(m["summary"] for m in found.values())
    assert "loku" in command(capsys, "methods")


def test_recipes_and_suites_are_listed_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert "forget run unlearn" in json.loads(command(capsys, "recipes", "--json"))["unlearn"]
    suites = {s["name"]: s for s in json.loads(command(capsys, "suites", "--json"))}
    assert suites["lab"]["summary"] and suites["lab"]["source"] == "forgetting"


def test_metrics_and_initialisations_are_listed_with_their_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {m["name"]: m for m in json.loads(command(capsys, "metrics", "--json"))}
    assert metrics["extraction_likelihood"]["parameters"] == {"n": 10, "reading": "released"}
    found = {i["name"]: i for i in json.loads(command(capsys, "initialisations", "--json"))}
    assert found["fila"]["parameters"] == {"epsilon": "relative", "examples": None} and set(found) >= {"default"}
    assert all(entry["summary"] for entry in (*metrics.values(), *found.values()))


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("demo", "run", "eval", "methods", "recipes", "suites", "report", "lab"):
        assert "Usage" in command(capsys, name, "--help")
