"""The section on what judges say: what is comparable and told, failures first; nothing of what was not asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from forgetting.core.measure import Measure
from forgetting.core.sealed import SEAL
from forgetting.metrics.judged import judged_measures
from forgetting.report.run.judged import judgements, sentences
from forgetting.report.run.page import render
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.judged import Judged
from forgetting.runs.paths import RunPaths
from forgetting.runs.results import Results
from tests.metrics.making import record
from tests.report.fixtures import IHL_RUN, NPO_RUN, load

JUDGE = "m at http://a/v1, temperature 0, 200 tokens"


def graded(right: int, of: int = 40, *, missing: int = 0, fluency: float = 1.0, split: str = "forget") -> list[Measure]:
    """Measures of `of` answers of which the judge calls the first `right` right; the last `missing` have no grade."""
    records = [record(str(n), split=split, answer="Paris", generation="Paris" if n % 2 else "x") for n in range(of)]
    grades = [
        None if n >= of - missing else {"accuracy": float(n < right), "fluency": fluency + 0.01 * (n % 2)}
        for n in range(of)
    ]
    return judged_measures(split, records, grades)


def judged(folder: Path, judge: str = JUDGE, **points: Sequence[Measure]) -> None:
    Judged(
        judge=judge,
        instructions="forgetting-answer 1",
        points={point: tuple(measures) for point, measures in points.items()},
        prompt_tokens=1200,
        reply_tokens=300,
        kept=0,
        seconds=75.0,
    ).save(RunPaths(folder).judgement_file(judge))


def run_of(tmp_path: Path, **points: Sequence[Measure]) -> Results:
    """A run whose evaluations are the judge's measures alone."""
    (run,) = load(tmp_path, IHL_RUN)
    found = [Evaluation(point=p, measures=tuple(m)) for p, m in points.items()]  # type: ignore[arg-type]
    return replace(run, evaluations=tuple(found))


def changes(run: Results) -> list[str]:
    return [text for text in sentences(run) if " against " in text]


def test_a_run_that_no_judge_was_asked_about_has_no_section(tmp_path: Path) -> None:
    (run,) = load(tmp_path, IHL_RUN)
    assert judgements([run]) == []
    assert 'id="judged"' not in render([run])


def test_the_page_shows_grades_agreement_cost_and_what_has_no_grade(tmp_path: Path) -> None:
    (run,) = load(tmp_path, IHL_RUN)
    judged(run.folder, before=graded(36), oracle=graded(2), after=graded(2, missing=3, fluency=0.2))
    page = render([run])
    assert '<a href="#judged">' in page
    section = page[page.index('<section id="judged">') :]
    section = section[: section.index("</section>")]
    assert "m at http://a/v1" in section
    assert "told <bdi>forgetting-answer 1" in section
    assert "not counted as wrong: forget after 3 of 40." in section
    assert "Forget: fluency is lower than before: 0.205" in section
    assert "judge kappa exact match" in section
    assert "1\u202f200 tokens read and 300 written; asked for 1 min 15 s the last time." in section


def test_a_change_is_told_where_intervals_do_not_meet_and_harm_comes_first(tmp_path: Path) -> None:
    before = [*graded(36), *graded(38, split="retain")]
    after = [*graded(2), *graded(10, split="retain")]
    found = changes(run_of(tmp_path, before=before, after=after))
    assert [text.split(" than ")[0] for text in found] == ["Retain: accuracy is lower", "Forget: accuracy is lower"]


def test_of_what_was_to_be_forgotten_no_change_is_a_failure_that_is_said(tmp_path: Path) -> None:
    before = [*graded(30), *graded(30, split="retain")]
    after = [*graded(28), *graded(28, split="retain")]
    (said,) = changes(run_of(tmp_path, before=before, after=after))
    assert said.startswith("Forget: accuracy is not told from that before: 0.700 (")


def test_grades_beside_those_of_the_oracle(tmp_path: Path) -> None:
    run = run_of(tmp_path, before=graded(38), oracle=graded(1), after=graded(18))
    assert "Forget: accuracy is higher than that of the oracle: 0.450" in changes(run)[-1]


def test_a_difference_that_missing_grades_could_undo_is_not_told(tmp_path: Path) -> None:
    """Of 40 answers 15 have no grade: had they been right, nothing had changed."""
    lost = graded(2, missing=15)
    assert [t for t in changes(run_of(tmp_path, before=graded(24), after=lost)) if "lower" in t] == []
    assert "is lower than before" in changes(run_of(tmp_path / "all", before=graded(24), after=graded(5)))[0]


def test_where_missing_grades_alone_keep_a_difference_from_being_told_that_is_said(tmp_path: Path) -> None:
    half = [graded(18, missing=20), graded(1, missing=20)]
    (said,) = changes(run_of(tmp_path, before=half[0], after=half[1]))
    assert said.startswith("Forget: accuracy is 0.050 (") and " against 0.900 (" in said
    assert said.endswith(") before, but the answers without a grade could undo the difference.")
    (said,) = changes(run_of(tmp_path / "alike", before=half[0], after=graded(16, missing=20)))
    assert "is not told from that before" in said


def test_models_that_were_asked_about_other_answers_are_not_compared(tmp_path: Path) -> None:
    assert changes(run_of(tmp_path, before=graded(36), after=graded(2, of=20))) == []


def test_a_judge_that_grades_as_by_chance_is_named(tmp_path: Path) -> None:
    by_chance = run_of(tmp_path, before=graded(20))  # every second answer matches, the first half are called right
    assert any("agreement is not told from chance" in text for text in sentences(by_chance))
    records = [record(str(n), answer="Paris", generation="Paris" if n % 2 else "x") for n in range(40)]
    agreeing = judged_measures("forget", records, [{"accuracy": n % 2, "fluency": 1.0} for n in range(40)])
    assert not any("chance" in text for text in sentences(run_of(tmp_path / "all", before=agreeing)))


def test_every_answer_with_a_grade_is_said_too(tmp_path: Path) -> None:
    assert sentences(run_of(tmp_path, before=graded(20), after=graded(20)))[0] == "Each of 80 answers has a grade."


def test_a_judge_of_one_run_of_two_has_no_row_of_the_other(tmp_path: Path) -> None:
    runs = load(tmp_path, IHL_RUN, NPO_RUN)
    judged(runs[1].folder, before=graded(36), after=graded(2))
    (found,) = judgements(runs)
    assert [(row.kind, row.series) for row in found.grades.rows] == [("before", 1), ("run", 1)]
    assert {place for place, _ in found.said} == {1}


def test_other_instructions_are_another_judge(tmp_path: Path) -> None:
    runs = load(tmp_path, IHL_RUN, NPO_RUN)
    for run in runs:
        judged(run.folder, before=graded(36))
    file = RunPaths(runs[1].folder).judgement_file(JUDGE)
    replace(Judged.load(file), instructions="forgetting-answer 2").save(file)
    assert [one.told for one in judgements(runs)] == ["forgetting-answer 1", "forgetting-answer 2"]


def test_the_judge_that_a_recipe_names_is_shown_without_a_cost_that_nobody_kept(tmp_path: Path) -> None:
    run = run_of(tmp_path, before=graded(36), after=graded(2))
    run = replace(run, recipe={"judge": {"url": "http://a/v1", "model": "m"}})
    (found,) = judgements([run])
    assert found.judge == "m at http://a/v1, named by the recipe"
    assert found.costs == ()
    assert "Forget: accuracy is lower than before" in found.said[0][1]


def test_a_judge_without_counts_of_tokens_and_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    (run,) = load(tmp_path, IHL_RUN)
    judged(run.folder, before=graded(36))
    file = RunPaths(run.folder).judgement_file(JUDGE)
    old = json.loads(file.read_text())
    del old["kept"]
    del old[SEAL]
    file.write_text(json.dumps({**old, "prompt_tokens": None, "reply_tokens": None}))
    ((_, cost),) = judgements([run])[0].costs
    assert cost == "How many tokens it took, the judge did not say; asked for 1 min 15 s the last time."
