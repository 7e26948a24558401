"""What should stay: a loss counts where there was something to lose, and half of it only where half is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.measure import Measure
from forgetting.metrics.standard import standard_declaration
from forgetting.report.verdict import kept
from forgetting.report.verdict.models import Models
from forgetting.report.verdict.verdict import verdict
from tests.report.verdict.recorded import recorded, spread
from tests.report.verdict.test_verdict import run_of, share

RETAIN = [0.7 + 0.005 * (i % 3) for i in range(60)]


def test_unseen_text_that_falls_is_no_loss_of_what_should_stay(tmp_path: Path) -> None:
    declared = standard_declaration(utility=(), unseen=("holdout",))
    run = recorded(
        tmp_path / "run",
        before={"forget": spread(0.8), "retain": RETAIN, "holdout": spread(0.008, width=0.004)},
        after={"forget": spread(0.1), "retain": RETAIN, "holdout": spread(0.0004, width=0.0002)},
        declared=declared,
    )
    judged = verdict(run)
    assert judged.failed == ()
    assert judged.headline.endswith("no loss of what should stay is shown.")
    assert not any("holdout" in text for text in judged.sentences)


def keeping(folder: Path, before: list[float], after: list[float]) -> tuple[str, str]:
    run = recorded(
        folder,
        before={"forget": spread(0.8), "retain": before},
        after={"forget": spread(0.1), "retain": after},
    )
    state, findings = kept._of(Models.of(run), "retain/probability", "Retain")
    return state, findings.text


def test_nearly_nothing_cannot_be_most_of_what_should_stay(tmp_path: Path) -> None:
    state, text = keeping(tmp_path, spread(0.008, width=0.004), spread(0.0004, width=0.0002))
    assert state == "little"
    assert text.endswith("The start had hardly any of it, so there was nothing to lose.")


def test_less_than_half_is_said_where_the_pairs_show_it(tmp_path: Path) -> None:
    before = spread(0.8)
    assert keeping(tmp_path / "a", before, [0.3 * p for p in before])[0] == "destroyed"
    assert keeping(tmp_path / "b", before, [0.6 * p for p in before])[0] == "damaged"
    noisy = [(0.0 if i % 9 else 1.0) * p for i, p in enumerate(before[:20])]  # 3 of 20 are left: a mean of 0.15
    assert keeping(tmp_path / "c", before[:20], noisy)[0] == "destroyed"
    unsure = [(0.0 if i % 5 in (0, 2) or i == 1 else 0.85) * p for i, p in enumerate(before[:20])]
    assert sum(unsure) / sum(before[:20]) == pytest.approx(0.4675, abs=0.01)
    state, text = keeping(tmp_path / "d", before[:20], unsure)
    assert state == "damaged" and "Less than half" not in text


def test_without_records_half_is_shown_by_the_intervals() -> None:
    def state(before: float, after: float) -> str:
        key = "quiz/acc"
        run = run_of([share(key, before, half=0.015)], [share(key, after, half=0.0008 if after < 0.01 else 0.04)])
        return kept._of(Models.of(run), key, "Kept besides")[0]

    assert state(0.8, 0.2) == "destroyed"
    assert state(0.8, 0.36) == "damaged"  # below half of 0.8; its interval is not below half of the start's
    assert state(0.02, 0.001) == "unsure"
    assert state(0.005, 0.001) == "little"


def test_a_measure_that_rises_with_loss_has_no_floor() -> None:
    def at(value: float) -> list[Measure]:
        low, high = 0.9 * value, 1.1 * value
        return [Measure(name="perplexity", split="text", value=value, count=60, low=low, high=high, direction="down")]

    run = run_of(at(1.0), at(3.0))
    assert kept._of(Models.of(run), "text/perplexity", "Kept besides")[0] == "damaged"


def test_a_value_whose_interval_reaches_down_to_nothing_is_not_called_hardly_any(tmp_path: Path) -> None:
    """3 of 12 facts were known, and all of them are lost: too few to count a loss, and no 'hardly anything to lose'."""
    run = recorded(
        tmp_path / "run",
        before={"forget": spread(0.9), "retain": [*[0.95] * 3, *[1e-4] * 9]},
        after={"forget": spread(0.1), "retain": [1e-5] * 12},
    )
    judged = verdict(run)
    assert judged.headline.endswith("what should stay is not shown to be known at the start, so no loss is counted.")
    [text] = [f.text for f in judged.findings if f.topic == "Retain"]
    assert "went from 0.238 (" in text and text.endswith(
        "reaches down to nearly nothing, so no loss is counted from it."
    )


@pytest.mark.parametrize("measured", [True, False])
def test_a_source_without_a_value_at_the_end_is_said(tmp_path: Path, measured: bool) -> None:
    declared = standard_declaration(utility=())
    front = replace(declared.headline, others=(*declared.headline.others, ("retain-a/probability",)))
    levels = {"forget": spread(0.9), "retain": RETAIN}
    run = recorded(
        tmp_path / "run",
        before=levels,
        after={**levels, "forget": spread(0.1)},
        declared=replace(declared, headline=front),
    )
    start = replace(share("retain-a/probability", 0.9), count=10)
    end = replace(start, value=None, low=None, high=None, count=0, reason="no answer has finite scores")
    before, after = run.evaluations
    more = [replace(before, measures=(*before.measures, start)), replace(after, measures=(*after.measures, end))]
    judged = verdict(replace(run, evaluations=(more[0], more[1] if measured else after)))
    assert judged.headline.endswith("what it cost elsewhere is open.")
    why = "no answer has finite scores" if measured else "it is not part of that evaluation"
    [text] = [f.text for f in judged.findings if f.topic == "Kept besides"]
    said = "probability was 0.900 (0.880\N{EN DASH}0.920) at the start and has no value at the end"
    assert text == f"retain-a \N{MIDDLE DOT} {said}: {why}. What was lost is unknown."


def test_a_loss_too_small_to_be_counted_is_not_denied(tmp_path: Path) -> None:
    state, text = keeping(tmp_path, RETAIN, [p - 0.0004 - 0.00001 * (i % 3) for i, p in enumerate(RETAIN)])
    assert state == "kept" and ". A loss of less than 0.001 (paired on 60 examples: " in text


def test_a_loss_of_less_than_a_hundredth_is_said_and_is_no_damage(tmp_path: Path) -> None:
    lost = [p - 0.002 - 0.001 * (i % 3) for i, p in enumerate(RETAIN)]
    state, text = keeping(tmp_path / "a", RETAIN, lost)
    assert state == "slight" and "That is a loss, of less than a hundredth (paired on 60 examples: " in text
    run = recorded(
        tmp_path / "b",
        before={"forget": spread(0.8), "retain": RETAIN},
        after={"forget": spread(0.1), "retain": lost},
    )
    judged = verdict(run)
    assert judged.failed == () and judged.headline.endswith("; less than a hundredth of what should stay is lost.")
    few = [0.96 * p for p in spread(0.05, width=0.01)]  # as little, but a twenty-fifth
    assert keeping(tmp_path / "c", spread(0.05, width=0.01), few)[0] == "damaged"
    noisy = [p - (0.02 if i % 5 == 0 else 0.003) for i, p in enumerate(RETAIN)]  # the interval goes beyond a hundredth
    assert keeping(tmp_path / "d", RETAIN, noisy)[0] == "damaged"
