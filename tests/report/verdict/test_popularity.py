from dataclasses import replace

import numpy as np
import pytest

from forgetting.core.declaration import Declaration
from forgetting.metrics.popularity import by_popularity
from forgetting.report.verdict.popularity import sentences
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results
from tests.metrics.making import record


def fact(n, popularity, answer, said, p, kind="country"):
    return record(
        str(n), p=p, popularity=popularity, answer=answer, generation=answer if said else "unknown", kind=kind
    )


def run_of(facts, tmp_path, split="forget"):
    """A run of facts (popularity, answer, said after, p after), all of which were said before with p 0.8."""
    before = [fact(n, x, answer, True, 0.8) for n, (x, answer, _, _) in enumerate(facts)]
    after = [fact(n, x, answer, said, p) for n, (x, answer, said, p) in enumerate(facts)]
    found = by_popularity({"forget": after}, {"forget": before}, ["forget"])
    ended = Evaluation(point="after", stage="unlearn", popularity=found)
    declared = Declaration(forget_splits=(split,))
    return Results(folder=tmp_path, name="run", status="complete", declaration=declared, evaluations=(ended,))


def facts(seed, forgotten, answers=40, each=5):
    """`forgotten(x, rng)`: the probability that a fact at log popularity x is no longer said."""
    rng = np.random.default_rng(seed)
    found = []
    for n in range(answers * each):
        x = float(rng.normal())
        gone = bool(rng.random() < forgotten(x, rng))
        found.append((10.0 ** (3 + x), f"Place {n % answers}", not gone, 0.1 if gone else 0.7))
    return found


def test_a_difference_among_facts_of_one_answer_is_said_with_its_slope(tmp_path):
    (text,) = sentences(run_of(facts(0, lambda x, _: 0.8 if x < 0 else 0.2), tmp_path))
    assert text.startswith("forget: popular facts were forgotten less often than rare ones: −0.")
    assert "per tenfold popularity, among facts of one relation and answer" in text
    assert "may be the cause" not in text


def test_of_facts_that_share_no_answer_it_is_said_what_else_may_be_the_cause(tmp_path):
    (text,) = sentences(run_of(facts(0, lambda x, _: 0.2 if x < 0 else 0.8, answers=200, each=1), tmp_path))
    assert "forgotten more often" in text
    assert "among facts" not in text
    assert "so other relations and answers may be the cause." in text


def test_a_difference_between_answers_alone_is_not_said(tmp_path):
    """All facts about popular places are forgotten; among the facts on one place, popularity makes no difference."""
    rng = np.random.default_rng(0)
    found = []
    for n in range(200):
        place = n % 40
        gone = bool(rng.random() < (0.9 if place > 20 else 0.1))
        found.append((10.0 ** (place / 10 + rng.random()), f"Place {place}", not gone, 0.1 if gone else 0.7))
    run = run_of(found, tmp_path)
    assert run.after.popularity[0].effects[0].p < 0.001
    assert sentences(run) == []


def test_a_slope_that_is_planted_is_found_and_none_where_none_is(tmp_path):
    """A fact is no longer said with a probability of 0.5 - 0.3 x, x its log popularity; in the other run of 0.5."""
    planted = run_of(facts(0, lambda x, _: min(1, max(0, 0.5 - 0.3 * x)), each=10), tmp_path)
    nothing = run_of(facts(0, lambda x, _: 0.5, each=10), tmp_path)
    for run, value in ((planted, -0.27), (nothing, 0.0)):  # -0.27: a probability ends at 0 and 1
        effect = run.after.popularity[0].effects[0]
        for slope in (effect.slope, effect.matched_slope, effect.within_slope):
            assert slope.low < value < slope.high
    assert sentences(nothing) == []
    (text,) = sentences(planted)
    assert "forgotten less often" in text and "within either group" not in text


def two_sets(forgotten, seed=0):
    """Like DUET's: 100 rare facts, each of an answer of its own, and 100 popular ones, three decades above."""
    rng = np.random.default_rng(seed)
    found = []
    for n in range(200):
        x = float(rng.normal()) / 2 + 3 * (n >= 100)
        gone = bool(rng.random() < forgotten(x, n >= 100))
        found.append((10.0 ** (3 + x), f"Place {n}", not gone, 0.1 if gone else 0.7))
    return found


def test_a_slope_that_lies_between_two_sets_alone_is_said_to(tmp_path):
    (text,) = sentences(run_of(two_sets(lambda _, popular: 0.2 if popular else 0.8), tmp_path))
    assert text.endswith(
        "This shows only where rare facts are compared with popular ones; within either group popularity is not shown "
        "to matter. So whatever else differs between the groups may be the cause."
    )
    (text,) = sentences(run_of(two_sets(lambda x, _: min(1, max(0, 0.5 - 0.25 * (x - 1.5)))), tmp_path))
    assert "within either group" not in text


def test_generation_and_probability_are_said_to_disagree_where_they_do(tmp_path):
    rng = np.random.default_rng(1)
    found = []
    for n in range(200):
        x = float(rng.normal())
        found.append((10.0 ** (3 + x), f"Place {n % 40}", bool(x > 0), 0.1 if x > 0 else 0.7))
    (text,) = sentences(run_of(found, tmp_path))
    assert "forgotten less often" in text
    assert "popular facts lost more of their probability" in text
    assert "generation and probability disagree on which facts are gone" in text


def test_what_is_not_to_be_forgotten_gets_no_sentence(tmp_path):
    given = facts(0, lambda x, _: 0.8 if x < 0 else 0.2)
    assert sentences(run_of(given, tmp_path, split="other")) == []
    run = run_of(given, tmp_path)
    assert sentences(replace(run, evaluations=())) == []


@pytest.mark.slow
def test_where_popularity_makes_no_difference_a_sentence_is_rare(tmp_path):
    """All three tests of a run together: 5% of 60 is 3; 9 and more have a probability of 0.3% at that rate."""
    said = [sentences(run_of(facts(seed, lambda x, _: 0.4), tmp_path)) for seed in range(60)]
    assert sum(map(bool, said)) < 9


@pytest.mark.slow
def test_nor_is_it_frequent_where_answers_are_forgotten_as_a_whole(tmp_path):
    def of(seed):
        rng = np.random.default_rng(seed)
        gone = rng.random(40) < 0.5
        x = rng.normal(size=40)
        rows = [(n, 10.0 ** (3 + x[n % 40] + 0.3 * rng.normal())) for n in range(200)]
        keep = [bool(gone[n % 40]) != bool(rng.random() < 0.1) for n, _ in rows]
        return [(p, f"Place {n % 40}", not g, 0.1 if g else 0.7) for (n, p), g in zip(rows, keep, strict=True)]

    assert sum(bool(sentences(run_of(of(seed), tmp_path))) for seed in range(60)) < 9
