"""`forget eval`: a model measured on files."""

import json
from pathlib import Path

import pytest

from forgetting.core.record import read_records
from tests.cli.command import command


def test_a_model_is_measured_on_files(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = tmp_path / "records.jsonl"
    files = ("--forget", world / "forget.jsonl", "--retain", world / "retain.jsonl")
    code, out, err = command(capsys, "eval", world / "model", *files, "--records", records, "--json")
    assert (code, err) == (0, "")
    measures = {f"{m['split']}/{m['name']}": m for m in json.loads(out)["measures"]}
    assert measures["forget/probability"]["count"] == 12 and measures["retain/probability"]["count"] == 16
    assert len(read_records(records)) == 28
    code, out, _ = command(capsys, "eval", world / "model", *files)
    assert code == 0 and out.splitlines()[0].split()[:3] == ["split", "metric", "value"]


def test_keys_of_a_recipe_say_how_it_is_asked_and_out_writes_a_folder(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (world / "model", f"data.forget={world / 'forget.jsonl'}", f"data.retain={world / 'retain.jsonl'}")
    how = ("dtype=float32", "format.shots.role=retain", "format.shots.count=2", "max_new_tokens=4")
    code, out, _ = command(capsys, "eval", *given, *how, "--out", tmp_path / "e")
    assert code == 0 and out.splitlines()[-1] == f"report: {tmp_path / 'e' / 'report.html'}"
    code, out, _ = command(capsys, "eval", *given, *how, "--out", tmp_path / "e", "--json")
    shots = {f"{m['split']}/{m['name']}": m["value"] for m in json.loads(out)["measures"]}
    _, out, _ = command(capsys, "eval", *given, "dtype=float32", "max_new_tokens=4", "--json")
    bare = {f"{m['split']}/{m['name']}": m["value"] for m in json.loads(out)["measures"]}
    assert shots["forget/probability"] != bare["forget/probability"]
    code, out, _ = command(capsys, "report", tmp_path / "e", "--out", tmp_path / "page.html")
    assert code == 0 and (tmp_path / "page.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("stages.unlearn.method=ga",), "settings: 'stages.unlearn.method' belongs to a run; leave it out"),
        (("format.shots.rol=retain",), "settings: unknown key 'format.shots.rol'; did you mean 'role'?"),
        (("format.shots.role=holdout",), "format.shots.role: there are no holdout data"),
        (("format.shots.source=none.jsonl",), "format.shots.source: none.jsonl: no such file"),
        (("--out", "x", "--records", "r.jsonl"), "give --records or --out"),
        (("redact=true",), "redact hides texts in a folder that is written"),
        (("forget",), "'forget' is not an override; write key=value"),
        (("--suite", "lab"), "forget: nothing is read of these data, as the suite lab has its own; leave out the data"),
        (("evaluate={x: lab}",), "forget: nothing is read of these data, as the suite lab has its own"),
    ],
)
def test_what_it_cannot_take_ends_in_one_line(
    arguments: tuple[str, ...], line: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = command(capsys, "eval", world / "model", "--forget", world / "forget.jsonl", *arguments)
    assert (code, out) == (2, "")
    assert line in err.strip().splitlines()[-1]
