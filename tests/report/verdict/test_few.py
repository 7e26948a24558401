"""A set of fewer examples than show a change: what became of these is said all the same, a rise and a loss first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from forgetting.report.verdict.few import few
from forgetting.report.verdict.models import Models
from forgetting.report.verdict.verdict import verdict
from tests.report.verdict.recorded import recorded, spread

KEY = "forget/probability"


def models(folder: Path, before: Sequence[float], after: Sequence[float]) -> Models:
    return Models.of(recorded(folder, before={"forget": before}, after={"forget": after}))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([0.9], [0.1], "in 1 of 1 example"),
        ([0.9, 0.9, 0.9], [0.1, 0.95, 0.9], "in 1 of 3 examples, and rose in 1"),
        ([0.1, 0.9], [0.9, 0.8], "in 1 of 2 examples, and fell in 1"),
        ([0.1] * 5, [0.9] * 5, "in 5 of 5 examples"),
        ([0.1] * 6, [0.9] * 6, None),  # enough for an interval
        ([0.9] * 6, [0.01] * 5 + [0.9], "in 5 of 6 examples"),
        ([1.0] * 10, [0.0] * 5 + [1.0] * 5, None),  # half of them
    ],
)
def test_the_words_count_those_that_changed_and_the_others(
    before: list[float], after: list[float], words: str | None, tmp_path: Path
) -> None:
    of = models(tmp_path / "run", before, after)
    found = few(KEY, of.after, of.before)
    assert (found.words if found else None) == words


def test_some_of_many_examples_may_be_few(tmp_path: Path) -> None:
    of = models(tmp_path / "run", [0.1] * 8, [0.9, 0.05, *[0.1] * 6])
    assert few(KEY, of.after, of.before) is None
    found = few(KEY, of.after, of.before, only={"q1"})
    assert found is not None and (found.count, found.fell, found.rose, found.is_lower) == (1, 1, 0, True)


@pytest.mark.parametrize(("start", "end"), [([0.3], [0.9]), ([0.002], [0.999]), ([0.002, 0.2], [0.9, 0.1])])
def test_one_document_that_is_better_known_is_a_failure(start: list[float], end: list[float], tmp_path: Path) -> None:
    """Also one that was hardly known: "cannot be shown" was said of a text that was learned by heart."""
    kept = {"retain": spread(0.9)}
    judged = verdict(recorded(tmp_path / "run", before={"forget": start, **kept}, after={"forget": end, **kept}))
    assert judged.failed[0].startswith("The forget set is known better than at the start: forget ")
    assert judged.headline.startswith(judged.failed[0])
    (text,) = [f.text for f in judged.findings if f.topic == "Forgetting"]
    assert f"It rose in 1 of {len(start)} example" in text


@pytest.mark.parametrize(
    ("end", "tone", "said"),
    [
        ([0.01] * 4, "bad", "Less than half of it is left (in 4 of 4 examples, too few for an interval)."),
        ([0.95, 0.95, 0.95, 0.1], "mixed", "That is a loss (in 1 of 4 examples, too few for an interval)."),
        ([0.94] * 4, "good", "No loss is shown"),  # less than a tenth
        ([0.01], "bad", "Less than half of it is left (in 1 of 1 example, too few for an interval)."),
    ],
)
def test_a_few_examples_that_should_stay_and_are_lost_are_said_to_be(
    end: list[float], tone: str, said: str, tmp_path: Path
) -> None:
    """Four of four retained texts fell from 0.95 to 0.01, and "no loss is shown" had a green tick."""
    before = {"forget": spread(0.9), "retain": [0.95] * len(end)}
    judged = verdict(recorded(tmp_path / "run", before=before, after={"forget": spread(0.1), "retain": end}))
    (found,) = [f for f in judged.findings if f.topic == "Retain"]
    assert found.tone == tone and said in found.text
    assert ("Most of what should stay is gone." in judged.failed) is (tone == "bad")
