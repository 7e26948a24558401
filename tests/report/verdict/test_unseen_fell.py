"""Unseen text that fell with the forget set is said to have fallen; it is a finding and no failure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from forgetting.core.declaration import Declaration
from forgetting.metrics.standard import standard_declaration
from forgetting.report.verdict.models import Models
from forgetting.report.verdict.unseen_fell import unseen_fell
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.results import Results
from tests.report.verdict.recorded import spread
from tests.report.verdict.test_beside_unseen import KNOWN, passages


def said(run: Results) -> list[str]:
    return [finding.text for finding in unseen_fell(Models.of(run))]


def test_unseen_text_that_fell_is_said_and_no_failure(tmp_path: Path) -> None:
    run = passages(tmp_path / "a", {**KNOWN, "forget": spread(0.03, 20, 0.01), "unseen": spread(0.04, 32, 0.01)})
    [text] = said(run)
    assert text.startswith("unseen \N{MIDDLE DOT} probability went from 0.104 (0.091")
    assert "fell, too (paired on 32 examples: \N{MINUS SIGN}0.06" in text
    judged = verdict(run)
    assert text in judged.sentences
    assert judged.failed == ()
    assert "; unseen text fell, too, to less than half; " in judged.headline


def test_nothing_is_said_where_it_did_not_fall_had_nothing_to_lose_or_is_not_declared(tmp_path: Path) -> None:
    forgotten = {**KNOWN, "forget": spread(0.03, 20, 0.01)}
    assert said(passages(tmp_path / "a", forgotten)) == []
    assert said(passages(tmp_path / "b", {**forgotten, "unseen": spread(0.2, 32)})) == []
    little = {**KNOWN, "unseen": spread(0.004, 32, 0.001)}
    assert said(passages(tmp_path / "c", {**little, "unseen": spread(0.0001, 32, 0.00001)}, little)) == []
    fell = passages(tmp_path / "d", {**forgotten, "unseen": spread(0.04, 32, 0.01)})
    assert said(fell) != []
    assert said(replace(fell, declaration=Declaration())) == []


def test_it_is_said_of_a_run_that_measures_no_extraction(tmp_path: Path) -> None:
    """Documents with `data.holdout`, measured by their probability alone."""
    fell = {**KNOWN, "forget": spread(0.03, 20, 0.01), "unseen": spread(0.002, 32, 0.0005)}
    run = passages(tmp_path / "a", fell)
    plain = replace(run, declaration=standard_declaration(["forget"], ["retain"], (), ["unseen"]))
    assert plain.declared.extraction is None
    [text] = said(plain)
    assert text.startswith("unseen \N{MIDDLE DOT} probability went from 0.104 (0.091")
    assert "fell, too" in text


def test_a_few_unseen_texts_that_were_lost_are_said_to_be(tmp_path: Path) -> None:
    """Three of three fell from 0.9 to 0.2, and nothing was said of them."""
    known = {**KNOWN, "unseen": [0.9, 0.95, 0.99]}
    run = passages(tmp_path / "a", {**known, "forget": spread(0.03, 20, 0.01), "unseen": [0.1, 0.2, 0.3]}, known)
    [text] = said(run)
    assert "fell, too (in 3 of 3 examples, too few for an interval): " in text
    assert "; unseen text fell, too, to less than half; " in verdict(run).headline
    assert said(passages(tmp_path / "b", {**known, "unseen": [0.88, 0.94, 0.97]}, known)) == []  # less than a tenth


def test_it_did_not_fall_too_where_the_forget_set_did_not_fall(tmp_path: Path) -> None:
    fell = {**KNOWN, "unseen": spread(0.04, 32, 0.01)}
    for name, forget in (("rose", spread(0.95, 20, 0.01)), ("same", KNOWN["forget"])):
        [text] = said(passages(tmp_path / name, {**fell, "forget": forget}))
        assert ". Text that was not to be forgotten fell (paired on 32 examples: " in text
        assert "too" not in text and "unlearned" not in text
        assert "too, to less" not in verdict(passages(tmp_path / f"{name}-again", {**fell, "forget": forget})).headline
    one = {"forget": [0.9], "unseen": spread(0.1, 32)}
    [text] = said(passages(tmp_path / "one", {**fell, "forget": [0.1]}, {**KNOWN, **one}))  # one document that fell
    assert "fell, too" in text


def test_a_headline_is_silent_on_unseen_text_that_kept_half(tmp_path: Path) -> None:
    run = passages(tmp_path / "a", {**KNOWN, "forget": spread(0.03, 20, 0.01), "unseen": spread(0.07, 32, 0.01)})
    assert said(run) != []
    assert "unseen text fell" not in verdict(run).headline
