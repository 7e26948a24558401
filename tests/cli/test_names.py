"""The commands that list what there is."""

import json

import pytest

from tests.cli.command import command


def test_methods_are_listed_with_parameters_and_summary(capsys: pytest.CaptureFixture[str]) -> None:
    found = {m["name"]: m for m in json.loads(command(capsys, "methods", "--json")[1])}
    assert {"sft", "ga", "graddiff", "ga_kl", "npo", "ihl", "loku"} <= set(found)
    assert found["npo"]["parameters"]["beta"] == 0.1
    assert found["loku"]["adapter"]["init"] == "fila"
    assert all(m["summary"] for m in found.values())
    assert "loku" in command(capsys, "methods")[1]


def test_recipes_and_suites_are_listed_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert "forget run unlearn" in json.loads(command(capsys, "recipes", "--json")[1])["unlearn"]
    assert "lab" in json.loads(command(capsys, "suites", "--json")[1])
