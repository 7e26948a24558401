"""Several runs: closest to the oracle and keeping most are said apart, with ties named."""

import json
from dataclasses import replace
from pathlib import Path

from forgetting.report.verdict.several_runs import comparison
from forgetting.report.verdict.verdict import Verdict, verdict
from forgetting.runs.results import Results
from tests.report.fixtures import GA_RUN, IHL, IHL_RUN, NPO, NPO_RUN, Story, load, write_run


def of(tmp_path: Path, *stories: Story) -> Verdict:
    return comparison(load(tmp_path, *stories))


def finding(judged: Verdict, topic: str) -> str:
    (text,) = [f.text for f in judged.findings if f.topic == topic]
    return text


def test_one_run_gets_its_own_verdict(tmp_path: Path) -> None:
    run = Results.load(write_run(tmp_path / "a", IHL_RUN))
    assert comparison([run]) == verdict(run)


def test_the_closest_and_the_keeper_are_named_with_their_distance(tmp_path: Path) -> None:
    judged = of(tmp_path, NPO_RUN, IHL_RUN, GA_RUN)
    assert judged.headline == (
        "ga failed: training collapsed. "
        "ihl ends closest to the oracle on the forget set, and keeps the most of the retain set."
    )
    text = finding(judged, "Closest to the oracle")
    assert "ihl is 0.020 away, npo + retain is 0.210 away and ga is 0.210 away" in text
    assert "That sets ihl apart from the others." in text
    assert "ihl is told apart from the others." in finding(judged, "Keeps most (retain)")
    assert finding(judged, "Not carried through") == "Not every run went to its end: ga collapsed."
    assert "(over-forgetting)" in finding(judged, "npo + retain")


def test_overlapping_intervals_show_no_order(tmp_path: Path) -> None:
    near = replace(IHL_RUN, name="near", after={**IHL, "forget/probability": 0.24, "retain/probability": 0.95})
    judged = of(tmp_path, IHL_RUN, near)
    assert judged.headline == (
        "ihl and near are not shown to differ in how close they come to the oracle on the forget set; "
        "near and ihl keep the most of the retain set, their order is not shown."
    )
    assert "allow the same distance: their order is not shown" in finding(judged, "Closest to the oracle")
    assert "near and ihl are not told apart: their order is not shown." in finding(judged, "Keeps most (retain)")


def test_two_runs_equally_far_from_the_oracle_are_not_ranked(tmp_path: Path) -> None:
    left = replace(IHL_RUN, name="left", after={**IHL, "forget/probability": 0.55})
    more = replace(IHL_RUN, name="more", after={**IHL, "forget/probability": 0.58})
    text = finding(of(tmp_path, left, more), "Closest to the oracle")
    assert "The numbers of left and more allow the same distance: their order is not shown." in text


def test_the_closest_run_that_ruined_the_rest_is_not_praised(tmp_path: Path) -> None:
    ruin = replace(NPO_RUN, name="ruin", after={**NPO, "forget/probability": 0.21, "retain/probability": 0.1})
    judged = of(tmp_path, ruin, NPO_RUN)
    assert judged.headline.startswith("ruin failed: most of what should stay is gone. ruin ends closest to the oracle")


def test_without_an_oracle_no_run_is_called_closest(tmp_path: Path) -> None:
    judged = of(tmp_path, replace(IHL_RUN, oracle=None), replace(NPO_RUN, oracle=None))
    assert judged.headline.startswith(
        "Nothing says which run forgets rightly, for want of an oracle's value; ihl keeps"
    )


def test_what_differs_besides_the_method_is_said(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / s.name, s) for s in (IHL_RUN, replace(NPO_RUN, selected=False))]
    file = folders[1] / "results.json"
    raw = json.loads(file.read_text())
    raw["data"]["forget"]["sha256"] = "other"
    raw["suite"] = "tofu"
    file.write_text(json.dumps(raw))
    judged = comparison([Results.load(folder) for folder in folders])
    text = finding(judged, "Compare with care")
    assert "the suite, the forget data and how settings were chosen" in text


def test_equal_conditions_need_no_caution(tmp_path: Path) -> None:
    judged = of(tmp_path, IHL_RUN, NPO_RUN)
    assert not [f for f in judged.findings if f.topic in {"Compare with care", "Not carried through"}]
