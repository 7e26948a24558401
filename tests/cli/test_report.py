"""`forget report`: the page and the main table."""

import json
import shutil
from pathlib import Path

import pytest

from forgetting.core.sealed import unsealed
from forgetting.runs.reading import write_object
from tests.cli.command import command


def test_the_page_is_written_and_the_table_printed(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = command(capsys, "report", run_folder, "--title", "A title of mine")
    assert code == 0
    assert "forget · probability ↓" in out and f"report: {run_folder / 'report.html'}" in out
    assert "A title of mine" in (run_folder / "report.html").read_text()
    found = json.loads(command(capsys, "report", run_folder, "--out", tmp_path / "r.html", "--json")[1])
    assert found["report"] == str(tmp_path / "r.html") and (tmp_path / "r.html").is_file()
    (changes,) = found["changes"].values()
    moved = changes["forget/probability"]["from_before"]
    assert moved["low"] <= moved["value"] <= moved["high"] and moved["count"] > 0
    assert {"forget/probability", "forget/rouge_l_f1", "retain/truth_ratio_utility"} <= found["rows"][0][
        "values"
    ].keys()


def test_the_verdict_is_printed_before_the_table(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = run_folder / "results.json"
    results = unsealed(json.loads(file.read_text()))
    results["stages"][-1] |= {"success": False, "goal": "forget/probability <= 0"}
    write_object(file, results)
    out = command(capsys, "report", run_folder)[1]
    assert out.startswith("Stage unlearn did not reach its goal within ")


def test_a_report_of_several_runs_never_replaces_that_of_one(
    finished: Path, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = shutil.copytree(finished, run_folder.parent / "two")
    command(capsys, "report", run_folder)
    own = (run_folder / "report.html").read_bytes()
    out = command(capsys, "report", run_folder, two)[1]
    assert f"report: {run_folder.parent / 'one+two.report.html'}" in out
    code, _, said = command(capsys, "report", run_folder, two, "--out", run_folder / "report.html")
    assert (code, said.count("\n")) == (2, 1)
    assert "is the report of the run in that folder" in said
    assert (run_folder / "report.html").read_bytes() == own


@pytest.mark.parametrize("verb", ["report", "compare"])
@pytest.mark.parametrize("name", ["results.json", "records/before.jsonl", "model", "."])
def test_a_page_replaces_no_other_kind_of_file(
    run_folder: Path, verb: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.read_bytes() for file in run_folder.rglob("*") if file.is_file()}
    code, _, said = command(capsys, verb, *[run_folder] * 2, "--out", run_folder / name)
    assert (code, said.count("\n")) == (2, 1)
    assert "choose a name that ends in .html or .htm" in said
    assert {file: file.read_bytes() for file in run_folder.rglob("*") if file.is_file()} == before


def test_a_table_is_printed_or_written_and_figures_beside_it(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = command(capsys, "report", run_folder, "--format", "csv", "--figures", tmp_path / "figures")
    assert code == 0 and out.startswith("model,kind,split,measure,value,") and "figures: " in err
    assert (tmp_path / "figures" / "tradeoff.svg").is_file() and not (run_folder / "report.html").exists()
    code, out, _ = command(capsys, "report", run_folder, "--format", "latex", "--out", tmp_path / "table.tex")
    assert code == 0 and "table.tex" in out and r"\toprule" in (tmp_path / "table.tex").read_text()


def test_figures_of_another_form_and_no_folder_for_them(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, said = command(capsys, "report", run_folder, "--figure-format", "pdf")
    assert (code, out, said) == (2, "", "forget: --figure-format is that of --figures; write --figures FOLDER too\n")


@pytest.mark.parametrize("rest", [("--out", "table.csv"), ("--json",)])
def test_a_table_of_one_form_takes_no_other(
    rest: tuple[str, ...], run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, said = command(capsys, "report", run_folder, "--format", "md", *rest)
    assert (code, out, said.count("\n")) == (2, "", 1)
