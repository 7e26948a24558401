"""The verdict says what the intervals carry, and no more."""

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.report.verdict.verdict import Verdict, verdict
from tests.report.fixtures import BEFORE, GA_RUN, IHL, IHL_RUN, NPO_RUN, ORACLE, Levels, Story, load


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
    assert "below the oracle's level (over-forgetting); what should stay is damaged" in judged.headline
    assert "That is below the oracle (over-forgetting)" in finding(judged, "Forgetting")
    assert "The intervals do not overlap: this is a loss" in finding(judged, "Retain")
    assert judged.tone == "mixed"


def test_a_collapsed_run_says_where_why_and_what_is_measured(tmp_path: Path) -> None:
    judged = of(tmp_path, GA_RUN)
    assert judged.headline.startswith("Training collapsed. ")
    assert "most of what should stay is gone" in judged.headline
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
    assert "The start and the oracle do not differ" in of(tmp_path, story).headline


def test_without_intervals_everything_stays_open(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, intervals=False))
    assert judged.headline == "Whether anything was forgotten is open; what it cost elsewhere is open."


def test_another_form_of_the_question_that_still_leaks_is_said(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, after=after(forget_narrative__probability=0.6)))
    assert "asked in another form, more is left" in judged.headline
    assert "part of it is only hidden" in finding(judged, "Another form")
    assert judged.tone == "mixed"


def test_what_was_not_measured_is_not_judged(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, after=None))
    assert judged.headline == "What was forgotten was not measured; what it cost elsewhere was not measured."
    assert "the model was not measured at that point" in finding(judged, "Forgetting")


def test_a_missing_start_leaves_the_cost_open(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, before=None))
    assert "What was lost is unknown." in finding(judged, "Retain")
    assert "its start was not measured" in finding(judged, "Forgetting")


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
