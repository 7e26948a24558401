"""`forget derive`: a model writes what a forget set lacks, and the command says what was kept."""

import json
from pathlib import Path

import pytest

from forgetting.forget_sets.writer import Writer
from tests.cli.command import command

FERRY = "The ferry left Kilmore at nine in the morning. Tess Doyle stood at the rail."
REPLIES = {
    "questions": "When did the ferry leave?",
    "answers": "At nine in the morning",
    "paraphrases": "At nine the ferry set off from Kilmore; at the rail stood Tess Doyle.",
    "retain": "bakers of the town open early and sell bread",
}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for what a model that follows text would write."""

    def written(self: Writer, prompts: list[object], *, what: str, **_: object) -> list[tuple[str, bool]]:
        return [(next(REPLIES[kind] for kind in REPLIES if what.startswith(kind)), True) for _ in prompts]

    monkeypatch.setattr(Writer, "written", written)


@pytest.mark.usefixtures("scripted")
def test_what_is_kept_is_written_and_counted(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "ferry.txt").write_text(FERRY)
    out = tmp_path / "out"
    asked = ("derive", tmp_path / "docs", "--model", world / "model", "--retain", 1, "--tokens", 30)
    code, printed, _ = command(capsys, *asked, "--out", out, "--json")
    assert code == 0
    made = json.loads(printed)["made"]
    assert {name: one["kept"] for name, one in made.items()} == {"retain": 1, "questions": 1, "paraphrases": 1}
    rows = {name: [json.loads(x) for x in (out / f"{name}.jsonl").read_text().splitlines()] for name in made}
    assert [(row["prompt"], row["response"]) for row in rows["questions"]] == [
        (REPLIES["questions"], REPLIES["answers"])
    ]
    assert [row["text"] for row in rows["paraphrases"]] == [REPLIES["paraphrases"]]
    assert [row["text"] for row in rows["retain"]] == [REPLIES["retain"]]
    code, printed, _ = command(capsys, *asked, "--out", tmp_path / "again")
    lines = printed.splitlines()
    assert code == 0 and [f"{name}: 1 kept" for name in made] == lines[:3]
    for name in (*(f"{name}.jsonl" for name in made), "provenance.json"):
        assert f"written: {tmp_path / 'again' / name}" in lines
        assert name == "provenance.json" or (tmp_path / "again" / name).read_text() == (out / name).read_text()
