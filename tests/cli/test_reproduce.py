"""`forget reproduce`: published numbers, and ours beside them where a row was run."""

import json
import random
from pathlib import Path

import pytest
import torch

from tests.cli.command import command
from tests.pipeline.reproduce.rehearsal import Rehearsal, write_data


def test_without_a_table_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(command(capsys, "reproduce", "--json")[1])
    assert {f"loku-table{n}" for n in range(1, 10)} <= {table["table"] for table in listed}
    printed = command(capsys, "reproduce")[1]
    assert "loku-table9" in printed and "forgetting-table11" in printed


def test_numbers_that_no_run_gives_are_printed_and_a_model_for_them_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = command(capsys, "reproduce", "f2f-table7", "--json")
    assert (code, err) == (0, "")
    assert {row["status"] for row in json.loads(out)["rows"]} == {"printed"}
    printed = command(capsys, "reproduce", "forgetting-table2", "--row", "logiqa")[1]
    assert "8678 [1]" in printed and "651 questions" in printed and "--model" not in printed
    code, out, err = command(capsys, "reproduce", "forgetting-table2", "--model", "x")
    assert (code, out) == (2, "")
    assert err == "forget: forgetting-table2: its rows are no runs, so there is nothing to run; leave --model out\n"


def test_errata_are_footnotes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    printed = command(capsys, "reproduce", "loku-table1", "--row", "gpt-neo-2.7b-ihl-lora", "--output", tmp_path)[1]
    assert "8.5 [1]" in printed and "[1] The change printed beside it" in printed
    assert "not run" in printed and "--model gpt-neo-2.7b=PATH" in printed


def test_a_printed_spread_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    printed = command(capsys, "reproduce", "forgetting-table3", "--row", "3b-forgetting-token", "--output", tmp_path)[1]
    assert "50.32 ± 0.96" in " ".join(printed.split())


def test_a_row_that_is_run_stands_beside_the_published_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(tmp_path / "data", random.Random(1))
    with Rehearsal() as rehearsal:
        for seed, name in enumerate(("phi", "oracle")):
            rehearsal.model("phi", seed=seed).rename(tmp_path / name)
    torch.set_num_threads(1)
    models = ("--model", f"phi-tofu={tmp_path / 'phi'}", "--model", f"phi-retain90={tmp_path / 'oracle'}")
    asked = (
        "reproduce",
        "loku-table2",
        "--row",
        "original",
        "--output",
        tmp_path / "runs",
        "--data",
        tmp_path / "data",
    )
    code, out, err = command(capsys, *asked, *models, "--json")
    assert (code, err) == (0, "")
    [row] = json.loads(out)["rows"]
    assert (row["id"], row["status"]) == ("phi-tofu-original-forget10", "ran")
    there = json.loads((tmp_path / "runs" / "loku-table2" / row["id"] / "measured.json").read_text())
    measures = {f"{m['split']}/{m['name']}": m["value"] for m in there["measures"]}
    document = json.loads(command(capsys, *asked, "--json")[1])
    for column in document["columns"]:
        cell = document["rows"][0]["cells"][column["key"]]
        assert cell["measured"] == measures[column["measures"][0]]
        expected = None if cell["measured"] is None else cell["measured"] - cell["published"]
        assert cell["difference"] == expected
    assert any(cell["measured"] is not None for cell in row["cells"].values()), "the test must be able to fail"


def test_a_row_that_fails_is_shown_and_ends_with_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = tmp_path / "none"
    asked = ("reproduce", "loku-table2", "--row", "original", "--output", tmp_path / "runs", "--model", gone)
    code, out, err = command(capsys, *asked)
    assert code == 2 and "failed" in out and str(gone) in "".join(out.split())
    assert err.splitlines()[-1] == "forget: loku-table2: 1 of 1 rows failed; the column 'here' says why"
