"""The corpus as the paper's table 1 tells it: samples and shares of both parts."""

import json
from pathlib import Path
from typing import Any

import pytest

from forgetting.core.example import Example
from forgetting.data.corpus import Parts, SourceRow
from forgetting.report.run.corpus import CorpusRow, corpora
from forgetting.runs.results import Results
from tests.report.fixtures import IHL_RUN, write_run

PAPER = {
    "Dolly": (2617, 503),
    "Flan_v2": (17803, 3593),
    "Open Assistant 1": (5960, 1135),
    "Stanford Alpaca": (9276, 1834),
    "WizardLM": (14344, 2935),
}
SHARE = "\N{NO-BREAK SPACE}%"


def run(folder: Path, corpus: object) -> Results:
    write_run(folder, IHL_RUN)
    file = folder / "results.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "corpus": corpus}))
    return Results.load(folder)


def parts(*rows: SourceRow, duplicates: Any = "drop") -> object:
    """What a corpus of such rows writes."""
    one = Example(id="a", prompt="b", response="c")
    train, reference = sum(row.train for row in rows), sum(row.reference for row in rows)
    return Parts((one,) * train, (one,) * reference, rows, {}, duplicates).to_json()


def test_shares_are_those_of_the_papers_table(tmp_path: Path) -> None:
    rows = [
        SourceRow(name, 2 * train, train + ref, 0, 0, reference=ref, train=train)
        for name, (train, ref) in PAPER.items()
    ]
    (table,) = corpora([run(tmp_path / "a", parts(*rows))])
    assert [row.source for row in table.rows] == [*PAPER, "all"]
    train = ["5.23", "35.61", "11.92", "18.55", "28.69", "100.00"]
    assert [row.train_share for row in table.rows] == [share + SHARE for share in train]
    reference = ["5.03", "35.93", "11.35", "18.34", "29.35", "100.00"]
    assert [row.reference_share for row in table.rows] == [share + SHARE for share in reference]
    assert table.rows[-1].train == "50\u202f000"
    assert table.rows[-1].reference == "10\u202f000"


def test_what_was_drawn_read_and_found_twice_is_told_and_summed(tmp_path: Path) -> None:
    corpus = parts(
        SourceRow("a", 9, 4, 2, 1, reference=1, train=3),
        SourceRow("b", 20, 4, 1, 0, reference=1, train=3),
        duplicates="keep",
    )
    (table,) = corpora([run(tmp_path / "a", corpus)])
    assert table.kept
    half = f"50.00{SHARE}"
    assert table.rows == (
        CorpusRow("a", "3", half, "1", half, "4", "9", "2", "1"),
        CorpusRow("b", "3", half, "1", half, "4", "20", "1", "0"),
        CorpusRow("all", "6", f"100.00{SHARE}", "2", f"100.00{SHARE}", "8", "29", "3", "1"),
    )


def test_a_part_that_there_is_none_of_is_a_dash(tmp_path: Path) -> None:
    (table,) = corpora([run(tmp_path / "a", parts(SourceRow("a", 9, 4, 0, 0, reference=0, train=4)))])
    assert [(row.source, row.reference, row.reference_share) for row in table.rows] == [("a", "—", "—")]
    assert not table.kept


@pytest.mark.parametrize("corpus", [{"sources": 3}, {"sources": ["x"], "samples": []}, {"other": 1}])
def test_another_form_gives_an_empty_table_and_no_error(tmp_path: Path, corpus: object) -> None:
    assert [table.rows for table in corpora([run(tmp_path / "a", corpus)])] == [()]


def test_what_a_source_does_not_say_is_a_dash_and_has_no_sum(tmp_path: Path) -> None:
    corpus = {"sources": [{"source": "a", "rows": 5}, {"source": None, "rows": "x", "train": 7}]}
    (table,) = corpora([run(tmp_path / "a", corpus)])
    assert [(row.source, row.available, row.train) for row in table.rows] == [
        ("a", "5", "—"),
        ("—", "—", "—"),
        ("all", "—", "—"),
    ]


@pytest.mark.parametrize("corpus", [None, {}])
def test_no_corpus_no_table(tmp_path: Path, corpus: object) -> None:
    assert corpora([run(tmp_path / "a", corpus)]) == []


def test_runs_of_one_corpus_share_a_table(tmp_path: Path) -> None:
    one, other = (parts(SourceRow(name, 1, 1, 0, 0, reference=0, train=1)) for name in ("a", "b"))
    same = [run(tmp_path / name, one) for name in ("x", "y")]
    assert [table.runs for table in corpora(same)] == [""]
    assert [table.runs for table in corpora([*same, run(tmp_path / "z", other)])] == ["ihl (x) and ihl (y)", "ihl (z)"]
