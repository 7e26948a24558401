"""Where both sides kept records, the paired difference decides, not the overlap of two separate intervals."""

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.subset import Subset
from forgetting.metrics.likelihood import probability
from forgetting.metrics.per_example import mean
from forgetting.report.verdict.intervals import contrast
from forgetting.report.verdict.models import Models
from forgetting.report.verdict.paired import matched
from forgetting.report.verdict.several_runs import comparison
from forgetting.report.verdict.verdict import Verdict, verdict
from forgetting.runs.results import Results
from tests.report.verdict.recorded import DECLARED, recorded, spread

WIDE = [0.05 + 0.9 * (i % 10) / 9 for i in range(78)]
"""Values so far apart that the interval of their mean is wide."""
LESS = [p - 0.03 - 0.01 * (i % 3) for i, p in enumerate(WIDE)]
"""A little less of each."""
ROSE = "The forget set is known better than at the start: forget \N{MIDDLE DOT} probability rose from 0.900 to 0.9"


def finding(judged: Verdict, topic: str) -> str:
    (text,) = [f.text for f in judged.findings if f.topic == topic]
    return text


def test_a_small_loss_of_every_example_is_a_loss_although_the_intervals_overlap(tmp_path: Path) -> None:
    run = recorded(
        tmp_path / "a",
        before={"forget": spread(0.9), "retain": WIDE},
        after={"forget": spread(0.1), "retain": LESS},
    )
    before, after = (e.measure("retain/probability") for e in (run.before, run.after) if e)
    assert before is not None and after is not None
    assert before.low is not None and after.high is not None
    assert before.low < after.high  # separate intervals would say that no loss is shown
    assert "a loss of what should stay is shown" in verdict(run).headline
    assert "paired on 78 examples: −0.040" in finding(verdict(run), "Retain")


def test_without_records_the_intervals_decide(tmp_path: Path) -> None:
    run = recorded(
        tmp_path / "a",
        before={"forget": spread(0.9), "retain": WIDE},
        after={"forget": spread(0.1), "retain": LESS},
    )
    bare = replace(run, evaluations=tuple(replace(e, records=None) for e in run.evaluations))
    assert "no loss of what should stay is shown" in verdict(bare).headline


def test_records_that_cannot_be_read_leave_it_to_the_intervals(tmp_path: Path) -> None:
    run = recorded(tmp_path / "a", before={"forget": spread(0.9)}, after={"forget": spread(0.1)})
    (tmp_path / "a" / "after.jsonl").unlink()
    assert contrast("forget/probability", Models.of(run).after, Models.of(run).before).pairs is None


@pytest.mark.parametrize(("start", "end", "expected"), [(1.0, 0.0, "lower"), (0.0, 1.0, "higher")])
def test_answers_that_all_turned_are_told_apart(tmp_path: Path, start: float, end: float, expected: str) -> None:
    run = recorded(tmp_path / "a", before={"forget": [start] * 78}, after={"forget": [end] * 78})
    models = Models.of(run)
    for key in ("forget/exact_match", "forget/probability"):
        assert contrast(key, models.after, models.before).relation == expected


def test_runs_that_a_paired_difference_tells_apart_are_ranked(tmp_path: Path) -> None:
    ends = {"better": WIDE, "worse": LESS}
    runs = [
        recorded(
            tmp_path / name,
            before={"forget": spread(0.9), "retain": spread(0.95, width=0.01)},
            after={"forget": spread(0.3), "retain": kept},
            oracle={"forget": spread(0.3), "retain": spread(0.95, width=0.01)},
        )
        for name, kept in ends.items()
    ]
    text = finding(comparison(runs), "Keeps most (retain)")
    assert "better is told apart from the others." in text


def test_the_nearest_to_the_oracle_is_named_where_pairs_show_it(tmp_path: Path) -> None:
    runs = [
        recorded(
            tmp_path / name,
            before={"forget": spread(0.95, width=0.01), "retain": spread(0.9)},
            after={"forget": left, "retain": spread(0.9)},
            oracle={"forget": [p - 0.045 for p in WIDE], "retain": spread(0.9)},
        )
        for name, left in (("near", LESS), ("far", WIDE))
    ]
    assert "near ends closest to the oracle" in comparison(runs).headline


def test_the_words_give_the_paired_difference_with_its_interval(tmp_path: Path) -> None:
    run = recorded(tmp_path / "a", before={"forget": WIDE}, after={"forget": LESS})
    models = Models.of(run)
    assert contrast("forget/probability", models.after, models.before).words == (
        "paired on 78 examples: −0.040 (−0.042 … −0.038)"
    )


@pytest.mark.parametrize(
    ("end", "tone", "headline", "left"),
    [
        ([0.2] * 12, "good", "The forget set is down to the oracle's level; ", "are not told apart"),
        ([0.9] * 5 + [0.02] * 7, "open", "The forget set was lowered; how close to the oracle, too few examples say; ",
         "the two are not told apart, but more than a quarter of what the start knew beyond the oracle may be left"),
    ],
)  # fmt: skip
def test_a_wide_interval_around_the_oracle_is_not_its_level(
    end: list[float], tone: str, headline: str, left: str, tmp_path: Path
) -> None:
    """5 of 12 texts were as well known as at the start, and the headline had a green tick."""
    kept = {"retain": spread(0.9)}
    start, oracle = (spread(level, 12, 0.02) for level in (0.9, 0.2))
    run = recorded(
        tmp_path / "a",
        before={"forget": start, **kept},
        after={"forget": end, **kept},
        oracle={"forget": oracle, **kept},
    )
    judged = verdict(run)
    assert (judged.tone, judged.failed) == (tone, ())
    assert judged.headline.startswith(headline) and left in finding(judged, "Forgetting")


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ([0.1, 0.2, 0.1], "The forget set was lowered in 3 of 3 examples, too few for an interval; without an oracle"),
        (
            [0.1, 0.2, 0.95],
            "The forget set was lowered in 2 of 3 examples, and rose in 1, too few for an interval; without",
        ),
        ([0.1], "The forget set was lowered in 1 of 1 example, too few for an interval; without an oracle"),
        ([0.9, 0.8999, 0.9], "No forgetting is shown."),
        ([0.95, 0.95, 0.85], ROSE),
        ([0.95], ROSE),
    ],
)
def test_a_request_of_few_documents_that_fell_is_no_failure(tmp_path: Path, end: list[float], expected: str) -> None:
    kept = {"retain": spread(0.9)}
    run = recorded(tmp_path / "a", before={"forget": [0.9] * len(end), **kept}, after={"forget": end, **kept})
    judged = verdict(run)
    assert judged.headline.startswith(expected)
    assert bool(judged.failed) == (expected in ("No forgetting is shown.", ROSE))
    if not judged.failed:
        assert "It fell in " in finding(judged, "Forgetting")
        assert "paired on" not in finding(judged, "Forgetting")


def test_few_documents_beside_an_oracle_are_still_compared_with_it(tmp_path: Path) -> None:
    sides = [{"forget": [p] * 3, "retain": spread(0.9)} for p in (0.9, 0.1, 0.2)]
    run = recorded(tmp_path / "a", before=sides[0], after=sides[1], oracle=sides[2])
    judged = verdict(run)
    assert judged.headline.startswith("The forget set was lowered in 3 of 3 examples, too few for an interval; no loss")
    assert "the oracle, which never saw these examples, has 0.200" in finding(judged, "Forgetting")
    assert not judged.failed


@pytest.mark.parametrize(("end", "said"), [(0.0005, "a difference of less than 0.001"), (0.0, "the two are not told")])
def test_a_shown_difference_too_small_to_count_is_not_called_none(tmp_path: Path, end: float, said: str) -> None:
    unlike = [(-1) ** i * 0.0001 for i in range(40)]
    sides = [
        {"forget": values, "retain": spread(0.9)}
        for values in (spread(0.9, 40), [0.002 - end + u for u in unlike], [0.002 + u / 2 for u in unlike])
    ]
    run = recorded(tmp_path / "a", before=sides[0], after=sides[1], oracle=sides[2])
    assert verdict(run).headline.startswith("The forget set is down to the oracle's level; no loss")
    assert said in finding(verdict(run), "Forgetting")


def _two_requests(folder: Path, *, told: bool) -> Results:
    """Two sets of 39 that differ much among themselves; of the first each example fell a little, of the second none."""
    sets = {name: tuple(f"q{i}" for i in range(start, start + 39)) for name, start in (("one", 0), ("two", 39))}
    declared = replace(
        DECLARED,
        headline=replace(DECLARED.headline, sets=(("one-forget/probability",), ("two-forget/probability",))),
    )
    run = recorded(
        folder,
        before={"forget": WIDE, "retain": spread(0.9)},
        after={"forget": [*LESS[:39], *WIDE[39:]], "retain": spread(0.9)},
        oracle={"forget": [0.5 * p for p in WIDE], "retain": spread(0.9)},
        declared=declared,
    )
    evaluations = []
    for e in run.evaluations:
        records = [r for r in run.records(e) if r.split == "forget"]
        more = [
            replace(m, split=f"{name}-forget")
            for name, ids in sets.items()
            for m in mean(probability, ("forget",), "down")({"forget": [r for r in records if r.id in ids]}, None)
        ]
        evaluations.append(replace(e, measures=(*e.measures, *more)))
    subsets = {f"{name}-forget": Subset(of="forget", ids=ids) for name, ids in sets.items()}
    return replace(run, evaluations=tuple(evaluations), subsets=subsets if told else {})


def test_each_request_is_paired_with_its_start_where_its_examples_are_known(tmp_path: Path) -> None:
    run = _two_requests(tmp_path / "run", told=True)
    before, after = (e.measure("one-forget/probability") for e in (run.before, run.after) if e)
    assert before is not None and after is not None and before.low is not None and after.high is not None
    assert before.low < after.high  # separate intervals would say that no drop is shown
    models = Models.of(run)
    fell = contrast("one-forget/probability", models.after, models.before)
    assert fell.relation == "lower" and fell.pairs is not None
    assert (fell.pairs.count, fell.pairs.value) == (39, pytest.approx(sum(LESS[:39]) / 39 - sum(WIDE[:39]) / 39))
    stays = contrast("two-forget/probability", models.after, models.before)
    assert stays.relation == "overlap" and stays.pairs is not None and stays.pairs.value == 0
    judged = verdict(run)
    assert [f.topic for f in judged.requests] == ["Request one", "Request two"]
    assert judged.requests[0].text.count("paired on 39 examples: ") == 1
    assert "the oracle" in judged.requests[0].text
    assert judged.headline.startswith("Request two: No forgetting is shown. Of 2 requests 1 is forgotten in part and 1")
    assert "separate intervals" not in " ".join(judged.sentences)
    # and all three models of one set can be matched, for its distance to the oracle
    rows = matched("one-forget/probability", (models.before, models.after, models.oracle))
    assert rows is not None and len(rows) == 39


def test_a_request_of_an_earlier_version_is_judged_by_separate_intervals_and_says_so(tmp_path: Path) -> None:
    judged = verdict(_two_requests(tmp_path / "run", told=False))
    said = "compared by their separate intervals: the run does not say which of its records are of this request"
    assert all(said in finding.text for finding in judged.requests)
    assert "paired on" not in judged.requests[0].text


@pytest.mark.parametrize(
    ("move", "said", "failed"),
    [
        (0.04, "it rose again", True),
        (0.004, "That is a rise, and one of less than 0.01", False),
        (0.0015, "That is a rise of less than 0.001 (", False),
        (0.0, "No rise is shown", False),
    ],
)
def test_what_an_earlier_run_forgot_may_rise_again(tmp_path: Path, move: float, said: str, failed: bool) -> None:
    old = tuple(f"q{i}" for i in range(30))
    run = recorded(
        tmp_path / "run",
        before={"forget": [*WIDE[:30], *spread(0.9)], "retain": spread(0.9)},
        after={
            "forget": [*(p + move * (i % 3) / 2 for i, p in enumerate(WIDE[:30])), *spread(0.1)],
            "retain": spread(0.9),
        },
    )
    judged = verdict(replace(run, earlier_sets={"first": (Subset(of="forget", ids=old),)}))
    text = finding(judged, "Earlier requests")
    assert text.startswith("Of 30 examples that run first was to forget, forget · probability went from 0.500 ")
    assert said in text and "paired on 30 examples" in text
    assert any("run first was to forget" in sentence for sentence in judged.failed) is failed
