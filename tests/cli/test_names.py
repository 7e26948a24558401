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


def test_methods_say_where_their_parameters_are_sought(capsys: pytest.CaptureFixture[str]) -> None:
    found = {m["name"]: m for m in json.loads(command(capsys, "methods", "--json")[1])}
    assert found["npo"]["space"] == {"beta": "0.03 to 3 (log)", "retain_weight": "0.1 to 10 (log)"}
    assert "space" not in found["sft"]
    plain = " ".join(command(capsys, "methods")[1].split())
    assert "average=token" in plain and "[0.1 to" in plain


def test_methods_say_what_they_need_when_to_use_them_and_their_paper(capsys: pytest.CaptureFixture[str]) -> None:
    found = {m["name"]: m for m in json.loads(command(capsys, "methods", "--json")[1])}
    needs = {name: set(method["needs"]) for name, method in found.items()}
    assert needs["ga"] == needs["sft"] == set() and needs["graddiff"] == {"retain"}
    assert needs["altpo"] == {"alternate", "retain", "reference"} and needs["adapop"] == {"retain", "popularity"}
    assert needs["rmu"] == {"retain", "reference", "hidden states"}
    assert needs["gru"] == {"retain", "gradients part by part"}
    assert all(m["when"].endswith(".") for m in found.values())
    assert {name for name, m in found.items() if not m["paper"]} == {"sft"}
    assert found["npo"]["paper"] == "arXiv 2404.05868"
    plain = " ".join(command(capsys, "methods")[1].split())
    assert "hidden states" in plain


def test_recipes_and_suites_are_listed_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert "forget run unlearn" in json.loads(command(capsys, "recipes", "--json")[1])["unlearn"]
    suites = {s["name"]: s for s in json.loads(command(capsys, "suites", "--json")[1])}
    assert suites["lab"]["summary"] and suites["lab"]["source"] == "forgetting"


def test_metrics_and_initialisations_are_listed_with_their_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {m["name"]: m for m in json.loads(command(capsys, "metrics", "--json")[1])}
    assert metrics["extraction_likelihood"]["parameters"] == {"n": 10, "reading": "released"}
    found = {i["name"]: i for i in json.loads(command(capsys, "initialisations", "--json")[1])}
    assert found["fila"]["parameters"] == {"epsilon": "relative", "examples": None} and set(found) >= {"default"}
    assert all(entry["summary"] for entry in (*metrics.values(), *found.values()))


def test_rules_and_transforms_say_what_they_need_when_to_use_them_and_their_paper(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rules = {r["name"]: r for r in json.loads(command(capsys, "gradient-rules", "--json")[1])}
    assert rules["sum"]["needs"] == [] and rules["rectified"]["needs"] == ["forget and other terms"]
    assert rules["flat"]["needs"] == ["forget terms", "a second pass over forget rows"]
    assert rules["subspace"]["needs"] == ["forget and other terms", "a first pass over other rows"]
    transforms = {t["name"]: t for t in json.loads(command(capsys, "transforms", "--json")[1])}
    assert transforms["edit"]["needs"] == ["forget", "retain"] and transforms["replace"]["needs"] == ["model"]
    assert transforms["task_vector"]["needs"] == ["reference"] and transforms["noise"]["needs"] == []
    assert all(one["when"].endswith(".") for one in (*rules.values(), *transforms.values()))
    assert {name for name, one in (rules | transforms).items() if not one["paper"]} == {"sum", "merge", "replace"}


@pytest.mark.parametrize("kind", ["gradient-rules", "transforms", "attacks", "analyses"])
def test_every_kind_is_listed_with_what_it_does_and_where_it_comes_from(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = json.loads(command(capsys, kind, "--json")[1])
    assert entries and all(entry["summary"] and entry["source"] == "forgetting" for entry in entries)
