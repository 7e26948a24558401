"""Runs under a label, another or none are compared by the same splits, where that is unambiguous."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetting.core.record import read_records, write_records
from forgetting.report.aligned import aligned, renamed
from forgetting.report.comparison.differences import compare
from forgetting.report.comparison.page import as_json
from forgetting.report.verdict.several_runs import comparison
from forgetting.runs.redact import Redactor
from forgetting.runs.results import Results
from tests.report.verdict.recorded import recorded, spread

BEFORE = {"forget": spread(0.9), "retain": spread(0.8)}


def plain(folder: Path, forget: float = 0.2) -> Results:
    after = {"forget": spread(forget), "retain": spread(0.8)}
    return recorded(folder, before=BEFORE, after=after, oracle={"forget": spread(0.1), "retain": spread(0.8)})


def labelled(folder: Path, label: str, forget: float = 0.3, evaluate: Any = None) -> Results:
    """As a run under the label writes it: measures, declaration and records."""
    run = plain(folder, forget)
    names = {split: f"{label}-{split}" for split in ("forget", "retain", "all")}
    for e in run.evaluations:
        file = folder / str(e.records)
        write_records(file, [replace(r, split=names[r.split]) for r in read_records(file)])
    named = run.with_names(names)
    return replace(named, read_as={}, recipe={"evaluate": evaluate or {label: "lab"}})


@pytest.mark.parametrize("first", ["plain", "other"])
def test_a_label_changes_names_and_no_difference(tmp_path: Path, first: str) -> None:
    one = plain(tmp_path / "one") if first == "plain" else labelled(tmp_path / "one", "other", 0.2)
    two = labelled(tmp_path / "two", "first")
    assert two.after is not None and two.after.measure("first-forget/probability")
    found = compare([one, two])
    expected = compare([plain(tmp_path / "three"), plain(tmp_path / "four", 0.3)])
    assert [s.key for s in found.shared] == [s.key for s in expected.shared]
    estimates = [[d.estimate for d in s.differences] for s in found.shared]
    assert estimates == [[d.estimate for d in s.differences] for s in expected.shared]
    assert found.only == {}
    assert (
        "Splits of two are compared without their label: first-forget as forget, first-retain as retain"
        in found.caution
    )
    assert as_json(found)["caution"] == found.caution
    said = comparison([one, two])
    assert "one ends closest to the oracle on the forget set" in said.headline
    assert any(f.topic == "Labels" and "first-forget as forget" in f.text for f in said.findings)


def test_runs_with_the_same_names_keep_them(tmp_path: Path) -> None:
    runs = [labelled(tmp_path / name, "first") for name in ("one", "two")]
    assert aligned(runs) == runs and renamed(runs) == []
    runs = [plain(tmp_path / name) for name in ("three", "four")]
    assert aligned(runs) == runs


def test_what_two_labels_share_is_left_as_it_is(tmp_path: Path) -> None:
    two = labelled(tmp_path / "two", "first", evaluate={"first": "lab", "second": "lab"})
    more = tuple(
        replace(
            e,
            measures=(
                *e.measures,
                *(replace(m, split="second-forget") for m in e.measures if m.split == "first-forget"),
            ),
        )
        for e in two.evaluations
    )
    both = replace(two, evaluations=more)
    (_, run) = aligned([plain(tmp_path / "one"), both])
    assert run.after is not None
    splits = {m.split for m in run.after.measures}
    assert {"first-forget", "second-forget", "retain"} <= splits and "forget" not in splits


def test_a_name_that_only_looks_like_a_label_is_none(tmp_path: Path) -> None:
    run = replace(labelled(tmp_path / "two", "march"), recipe={"evaluate": ["lab"]})
    assert aligned([plain(tmp_path / "one"), run])[1] == run


def test_redacted_texts_under_two_labels_are_not_called_other_questions(tmp_path: Path) -> None:
    redactor = Redactor(b"k" * 32)
    runs = [plain(tmp_path / "one"), labelled(tmp_path / "two", "first")]
    for run in runs:
        for e in run.evaluations:
            file = run.folder / str(e.records)
            write_records(file, [redactor.record(r) for r in read_records(file)])
    found = {s.key: s for s in compare(runs).shared}["forget/probability"].differences[0]
    assert found.estimate.value is None
    assert found.reason.startswith("texts are redacted, and hashes of another split or folder do not show")
