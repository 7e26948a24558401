"""A run that is looked at while it goes on: what its folder says then, and what is left at its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from forgetting.report.run.page import build_report, page_of
from forgetting.runs.progress import RunProgress, progress_of
from forgetting.runs.results import Results
from forgetting.runs.unfinished import results_so_far


def looked_at(recipe_file: Path, *overrides: str) -> tuple[list[RunProgress], list[Results], Path]:
    """Progress and results at every evaluation of a run, and its folder at the end."""
    recipe = load_recipe(str(recipe_file), ["stages.unlearn.evaluate_every=4 steps", *overrides])
    seen: list[RunProgress] = []
    results: list[Results] = []

    def judge(_: object) -> str:
        seen.append(progress_of(recipe.folder))
        results.append(results_so_far(recipe.folder))
        build_report([recipe.folder], page_of([recipe.folder]))
        return ""

    return seen, results, run(recipe, judge=judge)


def test_every_look_says_how_far_it_is(recipe_file: Path) -> None:
    seen, results, folder = looked_at(recipe_file)
    assert [look.state for look in seen] == ["running"] * 3
    assert [(s.step, s.total) for look in seen if (s := look.stage)] == [(4, 12), (8, 12), (12, 12)]
    assert seen[0].seconds_left is not None and seen[0].seconds_left > 0
    assert seen[0].stage is not None and set(seen[0].stage.recent[-1].terms) == {"forget", "retain"}
    assert [one.status for one in results] == ["unfinished"] * 3
    assert progress_of(folder).state == "complete"


def test_what_is_known_at_the_beginning_is_what_the_results_say(recipe_file: Path) -> None:
    _, results, folder = looked_at(recipe_file)
    done = Results.load(folder)
    named = (
        "name",
        "model",
        "suite",
        "oracle",
        "declaration",
        "subsets",
        "recipe",
        "recipe_sha256",
        "data",
        "environment",
    )
    for name in named:
        assert getattr(results[-1], name) == getattr(done, name), name
    assert results[-1].evaluations == done.evaluations[:-1]  # all but the one after the stage
    assert replace(results[-1].stages[0], goal="") == replace(
        results[-1].stages[0], name="unlearn", method="loku", steps=12, total=12, goal=""
    )


def test_at_the_end_nothing_of_it_is_left(recipe_file: Path) -> None:
    _, _, folder = looked_at(recipe_file)
    assert not (folder / "begun.json").exists() and not (folder / "report-so-far.html").exists()
    assert (folder / "report.html").is_file()


def test_a_redacted_run_shows_no_digest_on_its_way_that_its_results_hide(recipe_file: Path) -> None:
    _, results, folder = looked_at(recipe_file, "redact=true")
    done = Results.load(folder)
    assert results[0].redacted and results[0].data == done.data
