"""What earlier runs were to forget: what is said of those measured, not measured, in part, and not known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from forgetting.core.subset import Subset
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult
from tests.report.verdict.recorded import recorded, spread

SFT = (StageResult(name="learn", method="sft", steps=100, epochs=2.0, forgets=False),)


def of(split: str, first: int, last: int) -> Subset:
    return Subset(of=split, ids=tuple(f"q{i}" for i in range(first, last)))


def run(folder: Path, **more: object) -> Results:
    levels = {"forget": spread(0.1, 20, 0.01), "retain": spread(0.9, 20)}
    return recorded(folder, before=levels, after=levels, **more)


def said(found: Results) -> list[str]:
    return [finding.text for finding in verdict(found).findings if finding.topic == "Earlier requests"]


def test_a_learning_run_that_declares_no_forget_set_says_what_it_taught_again(tmp_path: Path) -> None:
    found = recorded(
        tmp_path / "f2",
        before={"retain": spread(0.01, 12, 0.001)},
        after={"retain": spread(0.807, 12, 0.01)},
        stages=SFT,
        data={"train": {}, "retain": {}},
        earlier_sets={"f1": (of("retain", 0, 12),)},
    )
    judged = verdict(found)
    start = "Of 12 examples that run f1 was to forget, retain \N{MIDDLE DOT} probability went from 0.010 "
    assert judged.headline.startswith(start) and "it rose again" in judged.failed[0]
    assert judged.tone == "bad"


def test_what_was_to_be_forgotten_and_is_retained_whole_is_followed(tmp_path: Path) -> None:
    found = recorded(
        tmp_path / "f3",
        before={"forget": spread(0.9, 20), "retain": spread(0.01, 12, 0.001)},
        after={"forget": spread(0.1, 20), "retain": spread(0.5, 12)},
        earlier_sets={"f1": (of("retain", 0, 12),)},
    )
    assert any("run f1 was to forget" in text for text in verdict(found).failed)


@pytest.mark.parametrize(
    ("count", "start", "end", "words", "failed"),
    [
        (1, 0.01, 0.99, "Of 1 example that run f1 was to forget, retain ", True),
        (3, 0.01, 0.99, "(in 3 of 3 examples, too few for an interval): it rose again.", True),
        (3, 0.2, 0.1, "It fell further (in 3 of 3 examples, too few for an interval).", False),
        (3, 0.01, 0.015, "That is a rise, and one of less than 0.01", False),
        (3, 0.1, 0.1, "No rise is shown", False),
    ],
)
def test_a_few_documents_that_came_back_are_a_failure(
    count: int, start: float, end: float, words: str, failed: bool, tmp_path: Path
) -> None:
    """An earlier request is often of one document, of which no interval shows a change."""
    kept = spread(0.9, 20)
    found = recorded(
        tmp_path / "run",
        before={"forget": spread(0.9, 20), "retain": [start] * count + kept},
        after={"forget": spread(0.1, 20), "retain": [end] * count + kept},
        earlier_sets={"f1": (of("retain", 0, count),)},
    )
    (text,) = said(found)
    assert words in text
    assert (text in verdict(found).failed) is failed


@pytest.mark.parametrize(
    ("count", "start"), [(1, "1 example that run f1 was to forget is among"), (2, "2 examples that run f1 was to ")]
)
def test_how_many_are_learned_again_unmeasured_is_said(count: int, start: str, tmp_path: Path) -> None:
    texts = said(run(tmp_path / "run", earlier=("f1",), earlier_learned={"f1": count}))
    assert texts[0].startswith(start) and texts[0].endswith("not all of what it was to forget is measured.")


@pytest.mark.parametrize(
    ("earlier", "unknown", "sets", "expected"),
    [
        (
            ("march", "april"),
            (),
            {"march": (of("forget", 0, 5),)},
            [
                "Of 5 examples that run march was to forget, ",
                "The model comes from april. What was forgotten there is not measured here and may have come back: ",
                "The model comes from march. What was forgotten there is measured here only in part and may have ",
            ],
        ),
        (
            ("march", "april"),
            ("april",),
            {},
            [
                "The model comes from march. What was forgotten there is not measured here and may have come back: ",
                "The model comes from april. Nothing there says, or says any more, which examples were to be ",
            ],
        ),
        # one that no measure of the split follows is not passed over
        (
            (),
            (),
            {"march": (of("absent", 0, 5),)},
            ["The model comes from march. What was forgotten there is measured"],
        ),
    ],
)
def test_each_earlier_run_has_the_sentence_that_is_true_of_it(
    tmp_path: Path,
    earlier: Sequence[str],
    unknown: Sequence[str],
    sets: dict[str, tuple[Subset, ...]],
    expected: list[str],
) -> None:
    more = {"earlier": tuple(earlier), "earlier_unknown": tuple(unknown), "earlier_sets": sets}
    texts = said(run(tmp_path / "run", **more))
    assert len(texts) == len(expected)
    assert all(text.startswith(start) for text, start in zip(texts, expected, strict=True))
    assert all(("give its data once more" in text) == ("come back: " in text) for text in texts)
