"""The board as a page, as text and for other programs."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.report.board.board import Board, board_of, heading_of
from forgetting.report.board.exported import FORMATS, as_json
from forgetting.report.board.page import build_page, render, standing
from forgetting.report.wording import with_interval
from tests.audits.certificate.made import given, ones
from tests.report.audits.test_beside import CLOSE, LEAKY, MODELS, certify
from tests.report.board.made import at, made
from tests.report.fixtures import HOSTILE
from tests.report.run.test_page import Page
from tests.runs.going import going

FEWER = given(before=ones(20, of=20), oracle=ones(1, of=20), after=ones(1, of=20))


@pytest.fixture
def found(tmp_path: Path) -> Board:
    """npo with three seeds, two of them audited; graddiff; one of another suite; one that goes on."""
    for seed, forget in ((0, 0.10), (1, 0.20), (2, 0.60)):
        made(tmp_path / f"npo{seed}", seed=seed, after=at(forget, 0.9))
    certify(tmp_path / "npo0", [LEAKY])
    certify(tmp_path / "npo1", [CLOSE])
    certify(made(tmp_path / "gd", method="graddiff", after=at(0.9, 0.2)), [CLOSE])
    made(tmp_path / "tofu", method="rmu", suite="tofu")
    going(tmp_path / "now")
    return board_of([tmp_path])


def test_what_compares_is_one_table_and_the_rest_is_named(found: Board) -> None:
    first, second = found.tables
    assert [row.label for row in first.table.rows] == ["before", "oracle", "graddiff", "npo (3 seeds)"]
    assert [row.label for row in second.table.rows] == ["before", "oracle", "rmu"]
    assert second.apart == ("is measured by another suite (tofu)",) and not first.apart
    assert [(one.name, one.reason) for one in found.left_out] == [("now", "is not finished")]
    assert heading_of(1, first) == "Table 1: suite lab, model lab:base"


def test_audits_stand_beside_the_measures(found: Board) -> None:
    first, second = found.tables
    keys = [column.key for column in first.table.columns]
    assert keys[:2] == ["audit/verdict", "audit/worst"]
    graddiff, npo = first.table.rows[2:]
    assert graddiff.cells[0].words == "shown"
    assert npo.cells[0].words == "1 of 3 refuted, 1 of 3 shown, 1 of 3 not audited"
    worst = npo.cells[1].measure  # of the seed that came out worst: 30 of 40 facts leak, 2 of 40 in the oracle
    assert worst is not None and worst.value == pytest.approx(28 / 40) and worst.low is not None
    assert worst.low < 28 / 40 < (worst.high or 0)
    assert not any(key.startswith("audit") for key in (c.key for c in second.table.columns))


def test_a_figure_shows_each_audited_method_at_the_numbers_of_its_row(found: Board) -> None:
    first, second = found.tables
    assert first.figure is not None and second.figure is None
    notes = [
        (label, worst, kept)
        for label, worst, kept in re.findall(r"<title>([^<\n]*)\n([^<\n]*)\n([^<\n]*)</title>", first.figure.drawing)
    ]
    assert [label for label, _, _ in notes] == [label for label, _ in first.figure.legend] == ["graddiff", "npo"]
    for (_, across, up), row in zip(notes, first.table.rows[2:], strict=True):
        worst = row.cells[1].measure
        kept = row.cells[[c.key for c in first.table.columns].index("retain/probability")].measure
        assert worst is not None and kept is not None
        assert across.endswith(with_interval(worst)) and with_interval(kept) in up
    assert "Forgetting against retention, after attack" in Page(render(found)).text


def test_a_method_whose_audit_does_not_compare_has_no_point(tmp_path: Path) -> None:
    for name in ("a", "b"):
        certify(made(tmp_path / name, method=name), [LEAKY])
    certify(made(tmp_path / "c", method="c"), [FEWER])
    (one,) = board_of([tmp_path]).tables
    assert one.figure is not None
    assert re.findall(r"<title>([^<\n]*)\n[^<]*</title>", one.figure.drawing) == ["a", "b"]


def test_audits_without_an_oracle_do_not_outvote_the_one_that_has_one(tmp_path: Path) -> None:
    certify(made(tmp_path / "a", method="a"), [LEAKY])
    for name in ("b", "c"):
        alone = given(before=ones(40), after=ones(30))
        certify(made(tmp_path / name, method=name), [alone], models={"before": "b", "after": "a"})
    (one,) = board_of([tmp_path]).tables
    worst = {row.label: row.cells[1] for row in one.table.rows}
    assert worst["a"].measure is not None and worst["a"].measure.value == pytest.approx(28 / 40)
    assert worst["b"].reason == worst["c"].reason == "audited with no oracle"
    assert one.figure is not None and [name for name, _ in one.figure.legend] == ["a"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"evidence": [FEWER]}, "audited with other facts"),
        ({"models": {**MODELS, "oracle": "another"}}, "audited with another oracle"),
        ({"margin": 0.3}, "audited with another margin"),
        (
            {"evidence": [given(attack="context", before=ones(40), oracle=ones(2), after=ones(2))]},
            "audited with other attacks",
        ),
    ],
)
def test_audits_that_do_not_compare_give_no_number(tmp_path: Path, how: dict, said: str) -> None:
    for name in ("a", "b"):
        certify(made(tmp_path / name, method=name), [LEAKY])
    certify(made(tmp_path / "c", method="c"), how.pop("evidence", [LEAKY]), **how)
    (one,) = board_of([tmp_path]).tables
    rows = {row.label: row.cells for row in one.table.rows}
    assert rows["c"][1].reason == said and rows["c"][1].measure is None
    assert rows["c"][0].words and rows["a"][1].measure is not None


def test_best_stands_only_where_intervals_tell_it(found: Board) -> None:
    one = found.tables[0]
    states = standing(one)
    place = [column.key for column in one.table.columns].index("retain/probability")
    assert states[1, place] == "best" and (0, place) not in states
    place = [column.key for column in one.table.columns].index("forget/exact_match")
    assert states[0, place] == states[1, place] == "not told apart"
    assert "By retain · probability: npo is best, told apart from the others." in one.notes


def test_the_page_is_whole_closed_and_asks_for_nothing(found: Board, tmp_path: Path) -> None:
    page = Page(build_page(found, tmp_path / "board.html").read_text())
    assert not page.crossed and not page.open and "script" not in page.tags
    assert page.sections == ["table-1", "table-2", "left-out"]
    for words in (
        "npo (3 seeds)",
        "1 of 3 refuted",
        "Not comparable with table 1: is measured by another suite (tofu)",
    ):
        assert words in page.text
    assert "now is not finished." in page.text
    assert not [value for _, name, value in page.attributes if name in ("src", "href") and not value.startswith("#")]


@pytest.mark.parametrize(
    ("evidence", "words", "tone"),
    [
        ((CLOSE, CLOSE), "2 of 2 shown", "good"),
        ((CLOSE, LEAKY), "1 of 2 shown, 1 of 2 refuted", "bad"),
        ((CLOSE, None), "1 of 2 shown, 1 of 2 not audited", "open"),
    ],
)
def test_only_all_shown_is_good(tmp_path: Path, evidence: tuple, words: str, tone: str) -> None:
    for seed, one in enumerate(evidence):
        folder = made(tmp_path / f"a{seed}", seed=seed)
        if one is not None:
            certify(folder, [one])
    assert f'<td class="toned {tone}"><span class="value">{words}</span>' in render(board_of([tmp_path]))


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    made(tmp_path / "a", name=HOSTILE[0], method=HOSTILE[0])
    page = Page(render(board_of([tmp_path])))
    assert "img" not in page.tags and "script" not in page.tags and not page.crossed


def test_a_page_never_replaces_the_report_of_a_run(found: Board, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is the report of the run in that folder"):
        build_page(found, tmp_path / "gd" / "report.html")


def test_other_programs_get_every_cell(found: Board) -> None:
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"][1](found))))
    (cell,) = [x for x in lines if (x["row"], x["split"], x["measure"]) == ("npo (3 seeds)", "forget", "probability")]
    assert float(cell["value"]) == pytest.approx(0.3) and cell["spread"].startswith("± 0.26") and cell["count"] == "78"
    values = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert values["left_out"] == {"now": "is not finished"}
    assert values["tables"][0]["methods"][1]["seeds"] == ["0", "1", "2"]
    assert values["tables"][0]["best"]["retain/probability"] == {"first": "npo", "not_told_apart": []}
    assert values["tables"][0]["verdicts"] == {"graddiff": "shown", "npo (3 seeds)": npo_verdict()}


def npo_verdict() -> str:
    return "1 of 3 refuted, 1 of 3 shown, 1 of 3 not audited"


def test_papers_get_every_table(found: Board) -> None:
    latex, markdown = FORMATS["latex"][1](found), FORMATS["md"][1](found)
    assert latex.count(r"\begin{tabular}") == 2 and "% Table 2: suite tofu" in latex
    assert r"\scriptsize (" in latex and r"± 0.265" in latex
    assert markdown.count("### Table") == 2 and npo_verdict() in markdown


def test_a_board_of_nothing_is_refused(tmp_path: Path) -> None:
    going(tmp_path / "now")
    with pytest.raises(RunError, match="none of these runs can stand on a board: now is not finished"):
        board_of([tmp_path])
