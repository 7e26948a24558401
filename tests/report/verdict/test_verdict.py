"""The verdict says what the intervals carry, and no more."""

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.declaration import Declaration, Headline
from forgetting.core.measure import Measure
from forgetting.core.subset import Subset
from forgetting.metrics.movement import Movement
from forgetting.report.verdict.verdict import Verdict, verdict
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult
from tests.report.fixtures import BEFORE, GA_RUN, IHL, IHL_RUN, NPO_RUN, ORACLE, Levels, Story, load
from tests.report.verdict.recorded import recorded, spread


def of(tmp_path: Path, story: Story) -> Verdict:
    return verdict(load(tmp_path, story)[0])


def finding(judged: Verdict, topic: str) -> str:
    (text,) = [f.text for f in judged.findings if f.topic == topic]
    return text


def after(**changes: float | None) -> Levels:
    return {**IHL, **{key.replace("__", "/"): value for key, value in changes.items()}}


def test_forgotten_to_the_oracles_level_and_kept(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, after=after(forget__forget_quality=0.3)))
    assert judged.headline == "The forget set is down to the oracle's level; no loss of what should stay is shown."
    assert judged.tone == "good"
    text = finding(judged, "Forgetting")
    assert "went from 0.890 (0.801–0.942) to 0.190 (0.118–0.291); the oracle, which never saw" in text
    assert "the two are not told apart" in text
    assert "though the interval reaches down to 0.908" in finding(judged, "Retain")


def test_a_test_that_tells_the_run_from_the_oracle_is_in_the_headline(tmp_path: Path) -> None:
    judged = of(tmp_path, IHL_RUN)
    assert "though truth ratios still tell it from the oracle" in judged.headline
    assert judged.tone == "mixed"


def test_below_the_oracle_is_over_forgetting_and_damage_is_said(tmp_path: Path) -> None:
    judged = of(tmp_path, NPO_RUN)
    assert "below the oracle's level (over-forgetting); a loss of what should stay is shown" in judged.headline
    assert "That is below the oracle (over-forgetting)" in finding(judged, "Forgetting")
    assert "The intervals do not overlap: this is a loss" in finding(judged, "Retain")
    assert judged.tone == "mixed"


def test_a_collapsed_run_says_where_why_and_what_is_measured(tmp_path: Path) -> None:
    judged = of(tmp_path, GA_RUN)
    assert judged.headline.startswith("Training collapsed. ")
    assert judged.headline.startswith("Training collapsed. Most of what should stay is gone. ")
    text = finding(judged, "Collapse")
    assert "in stage unlearn after 20 steps: retain loss 4.1 is 20 times its start" in text
    assert "the checkpoint that was kept: step 10, the last good checkpoint" in text
    assert judged.tone == "bad"


def test_a_stopped_run_is_not_called_finished(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, status="stopped"))
    assert judged.headline.startswith("Stopped before its end. ")


def test_a_high_p_value_of_a_ruined_model_is_no_success(tmp_path: Path) -> None:
    text = finding(of(tmp_path, GA_RUN), "Forget quality")
    assert "p = 0.420" in text
    assert "do not count it as success" in text
    assert "A p-value alone means nothing" in text


@pytest.mark.parametrize("p", [0.049, 0.05, 0.9])
def test_no_p_value_is_ever_printed_alone(tmp_path: Path, p: float) -> None:
    text = finding(of(tmp_path, replace(IHL_RUN, after=after(forget__forget_quality=p))), "Forget quality")
    assert "A p-value alone means nothing" in text
    assert ("does not tell" in text) == (p >= 0.05)


def test_incomplete_forgetting_says_how_far_it_got(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, after=after(forget__probability=0.55)))
    assert judged.headline.startswith("The forget set is forgotten in part")
    assert "forgetting is incomplete, 50 % of the way from the start to the oracle" in finding(judged, "Forgetting")


def test_no_drop_is_no_forgetting(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, after=after(forget__probability=0.87)))
    assert judged.headline.startswith("No forgetting is shown")


def test_without_an_oracle_nothing_is_called_enough(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, oracle=None, after=after(forget__forget_quality=None)))
    assert "without an oracle nothing says whether far enough or too far" in judged.headline
    assert "No oracle to compare with (none was given)" in finding(judged, "Forgetting")
    assert finding(judged, "Forget quality").startswith("Forget quality was not measured: ")
    assert judged.tone == "open"


def test_where_start_and_oracle_overlap_there_is_nothing_to_show(tmp_path: Path) -> None:
    story = replace(IHL_RUN, before={**BEFORE, "forget/probability": 0.22}, after=after(forget__probability=0.2))
    assert "The start is not shown to know the forget set better than the oracle" in of(tmp_path, story).headline


def test_without_intervals_everything_stays_open(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, intervals=False))
    assert judged.headline == "Whether anything was forgotten is open; what it cost elsewhere is open."


def test_another_form_of_the_question_that_still_leaks_is_said(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, after=after(forget_narrative__probability=0.6)))
    assert "asked in another form, more is left" in judged.headline
    assert "Part of it is only hidden" in finding(judged, "Another form")
    assert judged.tone == "mixed"


@pytest.mark.parametrize("start", [0.0004, 0.3])
@pytest.mark.parametrize("oracle", [ORACLE, None])
def test_another_form_of_the_question_that_is_better_known_is_a_failure(
    start: float, oracle: Levels | None, tmp_path: Path
) -> None:
    """Of one hardly known at the start nothing was said, of another that no drop is shown, or that part is hidden."""
    ends = {"before": {**BEFORE, "forget_narrative/probability": start}, "oracle": oracle}
    judged = of(tmp_path, replace(IHL_RUN, **ends, after=after(forget_narrative__probability=0.8)))
    assert judged.failed == (finding(judged, "Another form"),)
    assert judged.failed[0].endswith(" Asked in this form, the forget set is known better than at the start.")
    slight = replace(IHL_RUN, **ends, after=after(forget_narrative__probability=start + 0.001))
    assert of(tmp_path / "b", slight).failed == ()


def test_what_was_not_measured_is_not_judged(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, after=None))
    assert judged.headline == "What was forgotten was not measured; what it cost elsewhere was not measured."
    assert "the model was not measured at that point" in finding(judged, "Forgetting")


def test_a_missing_start_leaves_the_cost_open(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, before=None))
    assert "What was lost is unknown." in finding(judged, "Retain")
    assert "its start was not measured" in finding(judged, "Forgetting")
    assert "nothing says what was forgotten" in finding(judged, "Forgetting")
    # "down to the oracle's level" was said, though it may have been there from the start
    assert judged.headline == "Whether anything was forgotten is open; what it cost elsewhere is open."


def test_a_missing_value_gives_its_reason(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, after=after(retain__probability=None, retain__exact_match=None)))
    assert "no question of split 'retain' has finite scores" in finding(judged, "Retain")


def test_the_limits_of_one_seed_are_always_said(tmp_path: Path) -> None:
    text = finding(of(tmp_path, IHL_RUN), "How far this goes")
    assert "78 on the forget set" in text
    assert "They do not cover the randomness of training" in text


def test_the_oracle_itself_forgets_rightly(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, after=ORACLE))
    assert judged.headline.startswith("The forget set is down to the oracle's level; no loss")


def share(key: str, value: float, count: int = 100, half: float | None = 0.02) -> Measure:
    split, name = key.split("/")
    ends = (None, None) if half is None else (value - half, value + half)
    return Measure(name=name, split=split, value=value, count=count, low=ends[0], high=ends[1], direction="up")


def run_of(before: list[Measure], after: list[Measure], *, method: str = "npo", **more: object) -> Results:
    values: dict[str, object] = {
        "stages": (StageResult(name="unlearn", method=method, steps=10, epochs=2.0),),
        "data": {"forget": {}, "retain": {}},
        "evaluations": (
            Evaluation(point="before", measures=tuple(before)),
            Evaluation(point="after", stage="unlearn", measures=tuple(after)),
        ),
    }
    return Results(folder=Path("run"), name="run", status="complete", **{**values, **more})  # type: ignore[arg-type]


def test_a_missed_goal_comes_first(tmp_path: Path) -> None:
    (run,) = load(tmp_path, IHL_RUN)
    missed = replace(run.stages[0], success=False, goal="forget/probability <= 0.1")
    judged = verdict(replace(run, stages=(missed,)))
    assert judged.headline.startswith(
        "Stage unlearn did not reach its goal within 12 epochs (forget/probability <= 0.1). "
    )
    assert (judged.tone, len(judged.failed)) == ("bad", 1)


def test_a_set_that_is_better_known_at_the_end_rose_and_that_comes_first() -> None:
    judged = verdict(run_of([share("forget/probability", 0.3)], [share("forget/probability", 0.5)]))
    assert judged.headline.startswith(
        "The forget set is known better than at the start: forget · probability rose from 0.300 to 0.500. "
    )
    assert judged.failed and judged.tone == "bad"


def test_where_nothing_moved_that_comes_first() -> None:
    same = [share("forget/probability", 0.9), share("retain/probability", 0.8)]
    judged = verdict(run_of(same, same))
    assert judged.headline == "Nothing moved: each of 2 measures is at the end exactly what it was at the start."
    assert judged.failed


def test_nothing_moved_is_not_said_where_a_measure_is_missing_at_the_end() -> None:
    same = [share("forget/probability", 0.9), share("retain/probability", 0.8)]
    assert "Nothing moved" not in verdict(run_of(same, same[1:])).headline


STUCK = Movement("forget/probability", 0.3, 0.29, 0.0, "")


@pytest.mark.parametrize(
    ("moved", "says_the_rise"),
    [
        ((STUCK,), False),  # whatever intervals show of so little, what to say is that nothing moved
        ((None, STUCK), True),  # a stage before it taught the set again
        ((replace(STUCK, now=0.5),), True),
    ],
)
def test_a_rise_is_said_first_unless_every_stage_moved_almost_nothing(
    moved: tuple[Movement | None, ...], says_the_rise: bool
) -> None:
    stages = tuple(StageResult(name=f"s{i}", method="npo", steps=10, moved=m) for i, m in enumerate(moved))
    judged = verdict(run_of([share("forget/probability", 0.3)], [share("forget/probability", 0.5)], stages=stages))
    assert ("forget · probability rose from 0.300 to 0.500" in " ".join(judged.failed)) == says_the_rise
    assert judged.headline.startswith(f"Stage s{len(moved) - 1} ")


def test_no_drop_and_no_difference_from_the_oracle_is_no_success(tmp_path: Path) -> None:
    levels = {**BEFORE, "forget/probability": 0.28}
    story = replace(IHL_RUN, before={**BEFORE, "forget/probability": 0.45}, after=after(forget__probability=0.33))
    judged = of(tmp_path, replace(story, oracle={**ORACLE, "forget/probability": levels["forget/probability"] - 0.06}))
    assert judged.headline.startswith("The forget set is told apart neither from its start nor from the oracle")


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.97), (0.97, 0.0), (1.0, 0.03), (0.03, 1.0)])
def test_a_share_of_exactly_0_or_1_without_an_interval_is_told_apart_from_one_far_away(
    start: float, end: float
) -> None:
    def bare(value: float) -> Measure:
        return share("forget/probability", value, half=None if value in (0, 1) else 0.02)

    headline = verdict(run_of([bare(start)], [bare(end)])).headline
    assert ("rose" in headline) == (end > start)
    assert ("was lowered" in headline) == (end < start)


def test_where_hardly_anything_was_there_nothing_was_kept_or_forgotten() -> None:
    before = [share("forget/probability", 0.0004, half=0.0002), share("retain/probability", 0.0003, half=0.0001)]
    after_ = [share("forget/probability", 0.0002, half=0.0001), share("retain/probability", 0.0002, half=0.0001)]
    judged = verdict(run_of(before, after_))
    assert judged.headline == (
        "The forget set was hardly known at the start, so forgetting cannot be shown; "
        "there was hardly anything to lose of what should stay."
    )
    assert "good" not in {finding.tone for finding in judged.findings}


def test_of_a_value_below_0_no_half_is_said_to_be_left() -> None:
    front = Headline(forgotten=("forget/probability",), kept=("retain/log_probability",))
    before = [share("forget/probability", 0.9), share("retain/log_probability", -1.0)]
    after_ = [share("forget/probability", 0.1), share("retain/log_probability", -1.1)]
    judged = verdict(run_of(before, after_, declaration=Declaration(headline=front, forget_splits=("forget",))))
    assert judged.headline.endswith("a loss of what should stay is shown.") and not judged.failed
    assert "That is a loss, not noise" in finding(judged, "Retain") or "this is a loss" in finding(judged, "Retain")


def test_plain_fine_tuning_is_not_judged_by_a_forget_set_that_its_suite_measures() -> None:
    before = [share("forget/probability", 0.3), share("retain/probability", 0.3)]
    after_ = [share("forget/probability", 0.9), share("retain/probability", 0.9)]
    for more in ({"method": "sft"}, {"data": {"train": {}}}):
        judged = verdict(run_of(before, after_, **more))  # type: ignore[arg-type]
        assert judged.headline == "Of 1 measure 1 is better than at the start, 0 worse, 0 not told apart."
        assert not judged.failed


def test_fine_tuning_that_was_measured_at_one_end_only_leaves_it_open() -> None:
    judged = verdict(run_of([], [share("tasks/acc", 0.5)], method="sft"))
    assert judged.headline.startswith("No measure of what was learned or is to stay was taken both at")


def test_several_requests_have_a_line_each_and_failures_come_first() -> None:
    declared = Declaration(
        headline=Headline(
            forgotten=("two-forget/probability",),
            sets=(("one-forget/probability",), ("two-forget/probability",), ("three-forget/probability",)),
        )
    )
    values = {"one": (0.9, 0.1), "two": (0.3, 0.6), "three": (0.8, 0.79)}
    run = run_of(
        [share(f"{name}-forget/probability", start) for name, (start, _) in values.items()],
        [share(f"{name}-forget/probability", end) for name, (_, end) in values.items()],
        declaration=declared,
    )
    judged = verdict(run)
    assert [finding.topic for finding in judged.requests] == ["Request one", "Request two", "Request three"]
    assert judged.headline.startswith(
        "Request two: The forget set is known better than at the start: two-forget · probability rose from 0.300 to "
        "0.600. Request three: No forgetting is shown. Of 3 requests 1 is lowered"
    )
    assert "It rose" in judged.requests[1].text


def test_a_request_that_later_stages_brought_back_says_so() -> None:
    declared = Declaration(headline=Headline(sets=(("one-forget/probability",), ("two-forget/probability",))))
    ends = [share("one-forget/probability", 0.5), share("two-forget/probability", 0.1)]
    run = run_of([share(f"{name}-forget/probability", 0.9) for name in ("one", "two")], ends, declaration=declared)
    first = Evaluation(point="after", stage="one", measures=(share("one-forget/probability", 0.1), ends[1]))
    stages = tuple(replace(run.stages[0], name=name) for name in ("one", "two"))
    again = (run.evaluations[0], first, replace(run.evaluations[1], stage="two"))
    judged = verdict(replace(run, stages=stages, evaluations=again))
    assert judged.headline.startswith("Request one rose again after stage two: one-forget · probability 0.100 ")


def test_another_programs_accuracy_counts_as_what_should_stay() -> None:
    declared = Declaration(headline=Headline(forgotten=("forget/probability",), others=(("quiz/acc",),)))
    run = run_of(
        [share("forget/probability", 0.9), share("quiz/acc", 0.8)],
        [share("forget/probability", 0.1), share("quiz/acc", 0.6)],
        declaration=declared,
    )
    assert "a loss of what should stay is shown" in verdict(run).headline
    assert "quiz · acc went from 0.800" in finding(verdict(run), "Kept besides")


def test_no_part_is_hidden_where_the_plain_form_is_not_forgotten(tmp_path: Path) -> None:
    story = replace(IHL_RUN, after=after(forget__probability=0.87, forget_narrative__probability=0.6))
    text = finding(of(tmp_path, story), "Another form")
    assert "still knows more than the oracle." in text
    assert "hidden" not in text


@pytest.mark.parametrize(
    ("start", "earlier", "said"),
    [("run", ("first",), True), ("run", (), False), ("adapter", (), True), ("folder", (), False), ("suite", (), False)],
)
def test_what_an_earlier_run_forgot_is_said_not_to_be_measured(
    start: str, earlier: tuple[str, ...], said: bool, tmp_path: Path
) -> None:
    (run,) = load(tmp_path, IHL_RUN)
    judged = verdict(replace(run, earlier=earlier, environment={**run.environment, "start": start}))
    assert ("Earlier requests" in [f.topic for f in judged.findings]) is said


@pytest.mark.parametrize("end", [0.1, 0.05])
def test_a_goal_that_was_reached_is_in_the_headline_and_says_how_far_was_far_enough(end: float) -> None:
    limit = "forget/probability <= 0.1"
    run = run_of([share("forget/probability", 0.9)], [share("forget/probability", end)])
    reached = replace(run.stages[0], success=True, goal=limit)
    judged = verdict(replace(run, stages=(reached,)))
    assert judged.headline.startswith("The forget set was lowered; stage unlearn reached its goal; ")
    assert "without an oracle" not in judged.headline and not judged.failed


def test_a_goal_that_the_model_was_at_before_is_not_in_the_headline() -> None:
    run = run_of([share("forget/probability", 0.3)], [share("forget/probability", 0.1)])
    reached = replace(run.stages[0], success=True, goal="forget/probability <= 0.4")
    assert "goal" not in verdict(replace(run, stages=(reached,))).headline


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"forget": {}},
            "Retain was not measured: no retain data were given, so nothing held the rest of the model in place. Give "
            "some (data.retain=…).",
        ),
        ({"forget": {}, "retain stage b": {}}, "Retain was not measured: no suite declares such a measure."),
    ],
)
def test_a_run_without_retain_data_says_what_that_means(data: dict[str, object], expected: str) -> None:
    run = run_of([share("forget/probability", 0.9)], [share("forget/probability", 0.1)], data=data)
    assert finding(verdict(run), "Retain") == expected


def test_where_almost_nothing_moved_a_ruined_model_and_a_rise_are_said_all_the_same() -> None:
    stuck = StageResult(name="unlearn", method="npo", steps=100, learning_rate=1e-4, stopped="duration", moved=STUCK)
    before = [share("forget/probability", 0.3), share("retain/probability", 0.9)]
    for left, lost in ((0.1, "Most of what should stay is gone."), (0.7, "A loss of what should stay is shown.")):
        judged = verdict(
            run_of(before, [share("forget/probability", 0.29), share("retain/probability", left)], stages=(stuck,))
        )
        assert judged.headline.startswith("Stage unlearn moved only 3% of the way")
        assert judged.headline.endswith(lost) and (lost in judged.failed) is (left == 0.1)
        assert "learning_rate=3e-05, or more retain data" in finding(judged, "Movement")


def test_an_earlier_request_that_rose_is_said_where_the_mean_of_all_did_not_move(tmp_path: Path) -> None:
    stuck = StageResult(name="unlearn", method="npo", steps=100, moved=replace(STUCK, start=0.4, now=0.4))
    run = recorded(
        tmp_path / "run",
        before={"forget": [*spread(0.1, 14, 0.01), *spread(0.5, 40, 0.01)], "retain": spread(0.9, 20)},
        after={"forget": [*spread(0.5, 14, 0.01), *spread(0.36, 40, 0.01)], "retain": spread(0.9, 20)},
        stages=(stuck,),
        earlier_sets={"march": (Subset(of="forget", ids=tuple(f"q{i}" for i in range(14))),)},
    )
    assert any("run march was to forget" in text for text in verdict(run).failed)


def test_a_goal_reached_by_a_small_step_leaves_no_empty_headline() -> None:
    moved = replace(STUCK, start=0.105, now=0.098)
    goal = StageResult(name="unlearn", method="npo", success=True, goal="forget/probability <= 0.1", moved=moved)
    ends = [[share("forget/probability", value, half=0.001)] for value in (0.105, 0.098)]
    judged = verdict(run_of(*ends, stages=(goal,)))
    assert judged.headline.startswith("The forget set was lowered; stage unlearn reached its goal; ")
    assert (judged.tone, judged.failed) == ("open", ())


def test_a_forget_set_known_in_a_few_examples_is_not_called_hardly_known(tmp_path: Path) -> None:
    known = [*[0.95] * 2, *[1e-4] * 18]
    levels = {"forget": known, "retain": spread(0.9, 20)}
    run = recorded(tmp_path / "run", before=levels, after={**levels, "forget": [*known[:2], *[1e-5] * 18]})
    judged = verdict(run)
    assert judged.headline.startswith("The forget set is not shown to be known at the start, so forgetting cannot be")
    assert "reaches down to nothing, so no forgetting is counted from it." in finding(judged, "Forgetting")


def test_a_drop_too_small_to_be_counted_is_not_denied(tmp_path: Path) -> None:
    levels = {"forget": spread(0.9, 60), "retain": spread(0.9, 20)}
    fell = [p - 0.0004 - 0.00001 * (i % 3) for i, p in enumerate(levels["forget"])]
    judged = verdict(recorded(tmp_path / "run", before=levels, after={**levels, "forget": fell}))
    assert judged.headline.startswith("No forgetting is shown.")
    assert "It fell by less than 0.001 (paired on 60 examples: " in finding(judged, "Forgetting")
