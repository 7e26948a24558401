from dataclasses import replace

import numpy as np

from forgetting.metrics.popularity import by_popularity
from forgetting.report.run.page import render
from forgetting.report.run.popularity import section
from tests.metrics.making import record
from tests.report.fixtures import IHL_RUN, load


def effects(after_of, before=True):
    """Of 60 facts of 12 places; `after_of(x)`: whether a fact at log popularity x is still said."""
    rng = np.random.default_rng(0)
    made: dict[str, list] = {"before": [], "after": []}
    for n in range(60):
        x, right = float(rng.normal()), f"Place {n % 12}"
        for point, said in (("before", True), ("after", bool(after_of(x)))):
            made[point].append(
                record(
                    str(n),
                    p=0.8 if said else 0.1,
                    popularity=10 ** (3 + x),
                    answer=right,
                    generation=right if said else "<b>no</b>",
                    kind="country",
                )
            )
    return by_popularity({"forget": made["after"]}, {"forget": made["before"]} if before else None, ["forget"])


def run_with(found, tmp_path, name="one"):
    (run,) = load(tmp_path, replace(IHL_RUN, name=name))
    *rest, after = run.evaluations
    return replace(run, evaluations=(*rest, replace(after, popularity=found)))


def test_a_run_of_facts_without_popularity_has_no_section(tmp_path):
    run = run_with((), tmp_path)
    assert section([run]) is None
    assert 'id="popularity"' not in render([run])


def test_the_page_says_shows_and_lists_the_difference(tmp_path):
    run = run_with(effects(lambda x: x > 0), tmp_path)
    page = render([run])
    assert '<a href="#popularity">' in page
    assert "popular facts were forgotten less often than rare ones" in page
    assert page.count("against popularity") == 3
    assert "popular − rare, matched" in page
    assert "dash1" in page


def test_where_nothing_is_shown_the_page_says_that(tmp_path):
    rng = np.random.default_rng(3)
    run = run_with(effects(lambda x: rng.random() < 0.5), tmp_path)
    assert section([run]).sentences == ()
    assert "do not show that rare and popular facts were forgotten differently" in render([run])


def test_two_runs_share_their_figures(tmp_path):
    runs = [run_with(effects(lambda x: x > 0), tmp_path / name, name) for name in ("one", "two")]
    found = section(runs)
    assert len(found.panels) == 3
    assert {table.run for table in found.tables} == {0, 1}
    assert "s1" in found.panels[0].figure


def test_levels_of_one_model_have_no_line_of_a_model_before(tmp_path):
    run = run_with(effects(lambda x: x > 0, before=False), tmp_path)
    found = section([run])
    assert not found.changes
    assert found.sentences == ()
    assert "dash1" not in found.panels[0].figure
