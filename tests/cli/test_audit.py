"""`forget audit`: a table of what each model gives away, or one JSON document."""

import json
from pathlib import Path

import pytest

from tests.cli.command import command
from tests.conftest import write_rows


def test_a_run_is_audited(recipe_file: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(capsys, "run", recipe_file, "duration=2 steps")[0] == 0
    run = tmp_path / "runs" / "run"
    asked = ("audit", run, "sample.n=3", "--attacks", "sample", "--oracle", world / "model", "--facts", 5)
    code, out, err = command(capsys, *asked)
    assert code == 3  # an untrained model knows nothing to forget: no attack can tell
    first, *lines = out.strip().splitlines()
    assert first.startswith("NOT SHOWN at 0.1: no attack tells the model before from the oracle well enough")
    assert lines[1].startswith("attack  value") and "blind" in lines[2]
    at = next(n for n, line in enumerate(lines) if line.split()[:2] == ["attack", "split"])
    header, *rows = lines[at:]
    assert header.split() == ["attack", "split", "measure", "before", "after", "oracle", "n"]
    assert [row.split()[:3] for row in rows[:2]] == [["sample", "forget", "leak@1"], ["sample", "forget", "leak@3"]]
    assert rows[0].split()[-1] == "5"
    assert "sample: attacking the model after" in err
    code, out, err = command(capsys, *asked, "--json")
    (found,) = json.loads(out)["audits"]
    assert (code, err, found["parameters"]["n"]) == (3, "", 3)
    assert json.loads(out)["certificate"]["predicate"]["verdict"] == "not shown"
    assert list(found["points"]) == ["before", "after", "oracle"]
    assert found["points"]["before"]["measures"][0]["count"] == 5
    file = run / "certificate.json"
    code, out, err = command(capsys, "audit", "--verify", file)
    assert (code, out.strip(), err) == (0, f"{file}: all digests fit, and the records give what it says", "")
    file.write_text(file.read_text().replace('"facts": 5', '"facts": 6', 1))
    code, out, _ = command(capsys, "audit", run, "--verify", file)
    assert code == 1 and out.startswith("predicate.facts: written 6, now 5")


def test_earlier_requests_are_audited_again_and_rows_of_none_are_one_line_before_anything_is_done(
    recipe_file: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("duration=1 step",)
    assert command(capsys, "run", recipe_file, *few)[0] == 0
    first = tmp_path / "runs" / "run"
    asked = ("--attacks", "greedy", "--facts", 5)
    assert command(capsys, "audit", first, *asked)[0] == 3
    other = write_rows(tmp_path / "other.jsonl", [{"question": "Who is it?", "answer": "Nobody."}])
    again = (f"model={first}", "name=second", f"data.forget={other}", "adapter.init=default", *few)
    assert command(capsys, "run", recipe_file, *again)[0] == 0
    second = tmp_path / "runs" / "second"
    code, out, err = command(capsys, "audit", second, *asked, "--earlier", other)
    assert (code, out) == (2, "") and err.count("\n") == 1 and "other.jsonl:1: this row belongs to no earlier" in err
    assert not (second / "audits").exists()
    code, out, _ = command(capsys, "audit", second, *asked, "--earlier", world / "forget.jsonl")
    assert code == 3 and "run, 12 of 12 facts, on the model as it is now: Under 'greedy', at most 0.23" in out
    shown = json.loads(command(capsys, "audit", second, *asked, "--earlier", world / "forget.jsonl", "--json")[1])
    assert [(r["id"], [a["run"] for a in r["again"]]) for r in shown["earlier"]] == [("run", ["second"])]


def test_attacks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    found = {a["name"]: a for a in json.loads(command(capsys, "attacks", "--json")[1])}
    assert found["sample"]["parameters"]["n"] == 32 and found["sample"]["source"] == "forgetting"
    assert "shots=5 draws=3" in command(capsys, "attacks")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none",), "none: no such folder"),
        ((".",), "is no run and holds none"),
        ((".", "sample=3"), "write NAME.PARAMETER=VALUE"),
        ((), "name the folder of a finished run"),
        ((".", "--margin", "0"), "--margin is 0; write a number between 0 and 1"),
        (("--verify", "none.json"), "none.json: cannot be read"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command(capsys, "audit", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("forget: ") and message in err
    assert not list(tmp_path.iterdir())
