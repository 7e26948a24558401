"""Forget text that ends up clearly less or more likely than unseen text is said to, and that is no failure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.declaration import Declaration
from forgetting.core.measure import Measure
from forgetting.metrics.extraction import extraction_declaration, extraction_metrics
from forgetting.metrics.score import score
from forgetting.report.verdict.beside_unseen import beside_unseen
from forgetting.report.verdict.models import Models
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results
from tests.report.verdict.recorded import Answers, recorded, records_of, spread

PASSAGES = extraction_declaration()
KNOWN = {"forget": spread(0.9, 20), "unseen": spread(0.1, 32), "retain": spread(0.9, 20)}


def passages(folder: Path, after: Answers, before: Answers = KNOWN, oracle: Answers | None = None) -> Results:
    """A run that measures passages, with records at every point."""
    run = recorded(folder, before=before, after=after, oracle=oracle, declared=PASSAGES)
    metrics = extraction_metrics(["forget"], ["unseen"], ["retain"])
    sides: dict[str, Answers] = {"before": before, "after": after, "oracle": oracle or {}}
    evaluations = [
        replace(e, measures=tuple(score(metrics, records_of(sides[e.point], "q"), None))) for e in run.evaluations
    ]
    return replace(run, evaluations=tuple(evaluations))


def said(run: Results) -> list[str]:
    return [finding.text for finding in beside_unseen(Models.of(run)).findings]


def test_forget_text_below_every_unseen_text_is_said_and_no_failure(tmp_path: Path) -> None:
    run = passages(tmp_path / "a", {**KNOWN, "forget": [0.001 + 0.0001 * i for i in range(20)]})
    [text] = said(run)
    assert text.startswith("On the model at the end forget · probability is 0.0019")
    assert ": every one of the former is less likely than every one of the latter. Where both" in text
    judged = verdict(run)
    assert judged.headline.startswith(
        "The forget set was lowered; forget text ends up clearly less likely than unseen text; no loss"
    )
    assert (judged.failed, judged.tone) == ((), "mixed")


def test_the_share_of_pairs_is_counted_and_has_an_interval(tmp_path: Path) -> None:
    never = [0.1] * 16 + [0.2] * 16
    run = passages(tmp_path / "a", {**KNOWN, "unseen": never, "forget": [0.05] * 15 + [0.15] * 5})
    [text] = said(run)
    # 15 texts are below all 32, 5 are below 16 of 32: (15 + 5 / 2) / 20
    assert ": of a pair of one and the other, the former is the less likely in 88 % (" in text


def test_forget_text_that_is_still_more_likely_is_said_beside_a_goal(tmp_path: Path) -> None:
    run = passages(tmp_path / "a", {**KNOWN, "forget": spread(0.4, 20)})
    [text] = said(run)
    assert "is 0.403 (0.387–0.420), clearly above that of unseen text, 0.10" in text
    assert ": every one of the former is more likely than every one of the latter. Where both" in text
    judged = verdict(run)
    assert "; forget text is still clearly more likely than unseen text; no loss" in judged.headline
    assert (judged.failed, judged.tone) == ((), "mixed")
    some = passages(tmp_path / "b", {**KNOWN, "forget": [0.05] * 2 + [0.4] * 18})
    assert ": of a pair of one and the other, the former is the more likely in 90 % (" in said(some)[0]


@pytest.mark.parametrize("forget", [spread(0.1, 20), [0.1] * 10 + [0.08] * 10, [0.001] * 4 + [0.9]])
def test_nothing_is_said_of_text_that_is_not_clearly_apart_or_of_too_few(forget: list[float], tmp_path: Path) -> None:
    assert said(passages(tmp_path / "a", {**KNOWN, "forget": forget})) == []


@pytest.mark.parametrize(("forget", "never", "way"), [(1, 32, "more"), (1, 18, ""), (3, 3, "more"), (2, 4, "")])
def test_a_small_set_that_is_all_above_all_unseen_text_is_said_where_chance_would_hardly_do_it(
    forget: int, never: int, way: str, tmp_path: Path
) -> None:
    """One document is the commonest request: 0.6 beside 32 unseen ones at 0.1 is no open question."""
    before = {**KNOWN, "forget": [0.9] * forget, "unseen": spread(0.1, never)}
    texts = said(passages(tmp_path / "a", {**before, "forget": [0.6] * forget}, before))
    assert len(texts) == bool(way)
    assert all(f": every one of the former is {way} likely than every one of the latter" in text for text in texts)


def test_text_of_another_kind_which_was_below_at_the_start_is_not_compared(tmp_path: Path) -> None:
    before = {**KNOWN, "unseen": spread(0.97, 32, 0.01), "forget": spread(0.6, 20)}
    assert said(passages(tmp_path / "a", {**before, "forget": spread(0.1, 20)}, before)) == []


@pytest.mark.parametrize("forget", [1e-9, 1e-7])
def test_values_next_to_nothing_are_not_put_in_order(forget: float, tmp_path: Path) -> None:
    after = {**KNOWN, "forget": spread(forget, 20, forget / 10), "unseen": spread(1e-8, 32, 1e-9)}
    assert said(passages(tmp_path / "a", after)) == []


def test_an_oracle_is_the_better_comparison(tmp_path: Path) -> None:
    after = {**KNOWN, "forget": spread(0.01, 20, 0.001)}
    assert said(passages(tmp_path / "a", after)) != []
    assert said(passages(tmp_path / "b", after, oracle=after)) == []


def bare(declared: Declaration, values: dict[str, tuple[float, float]]) -> Results:
    """A run without records: values before and after, 20 examples each, with intervals of ± a fifth."""
    points = []
    for i, point in enumerate(("before", "after")):
        found = [
            Measure(name=n, split=s, value=v, count=20, low=0.8 * v, high=1.2 * v)
            for key, ends in values.items()
            for s, n in [key.split("/")]
            for v in [ends[i]]
        ]
        stage = "april" if point == "after" else None
        points.append(Evaluation(point=point, stage=stage, measures=tuple(found)))  # type: ignore[arg-type]
    return Results(
        folder=Path("x"),
        name="x",
        status="complete",
        evaluations=tuple(points),
        declaration=declared,
        data={"forget": {}},
    )


@pytest.mark.parametrize(("end", "expected"), [(0.05, True), (0.079, False), (0.1, False), (0.15, False)])
def test_without_records_the_intervals_decide(end: float, expected: bool) -> None:
    run = bare(PASSAGES, {"forget/probability": (0.9, end), "unseen/probability": (0.1, 0.1)})
    found = said(run)
    assert bool(found) == expected
    if expected:
        assert "forget · probability is 0.050 (0.040–0.060), clearly below that of unseen text, 0.100" in found[0]
        assert "pair" not in found[0] and "every one" not in found[0]


def test_every_request_has_its_own_sentence() -> None:
    sets = tuple((f"{name}-forget/el_10", f"{name}-forget/probability") for name in ("march", "april"))
    declared = replace(PASSAGES, headline=replace(PASSAGES.headline, sets=sets))
    values = {"march-forget/probability": (0.9, 0.01), "april-forget/probability": (0.9, 0.1)}
    values |= {"march-forget/el_10": (0.9, 0.01), "april-forget/el_10": (0.9, 0.01)}
    run = bare(declared, {**values, "unseen/probability": (0.1, 0.1)})
    [text] = said(run)
    assert "march-forget · probability is 0.010" in text
    assert "forget text ends up clearly less likely than unseen text" in verdict(run).headline


def test_a_run_that_measures_no_unseen_text_says_nothing() -> None:
    run = bare(
        extraction_declaration(unseen=None), {"forget/probability": (0.9, 0.01), "unseen/probability": (0.1, 0.1)}
    )
    assert said(run) == []


def test_forget_text_that_was_no_more_likely_at_the_start_is_not_still_more_likely(tmp_path: Path) -> None:
    before = {"forget": spread(0.5, 20), "unseen": spread(0.5, 32), "retain": spread(0.9, 20)}
    run = passages(tmp_path / "a", {**before, "unseen": spread(0.1, 32)}, before)
    assert beside_unseen(Models.of(run)).headline == ("forget text ends up clearly more likely than unseen text",)
