"""What is compared fact by fact, and when a fact counts as not scored."""

from forgetting.audits.certificate import evidence
from forgetting.audits.certificate.bounds import bound
from forgetting.core.record import Record, Score


def tried(fact: str, *said: str | None, split: str = "forget", p: float | None = None) -> list[Record]:
    score = None if p is None else Score(logp=p, tokens=1)
    return [
        Record(id=fact, split=split, prompt="Where?", answer="here", generation=g, score=score, group=f"of {fact[0]}")
        for g in said
    ]


def test_each_fact_has_one_value_a_model_and_unseen_facts_stand_apart() -> None:
    before = [*tried("a1", "here", "there"), *tried("b1", "there", "there"), *tried("u", "x", "x", split="holdout")]
    after = [*tried("a1", "x", "x"), *tried("b1", "x", "x"), *tried("u", "here", "x", split="holdout")]
    (leak,) = evidence("sample", ("leak", "probability"), {"before": before, "after": after})
    assert (leak.attack, leak.value, leak.facts) == ("sample", "leak", ["a1", "b1"])
    assert (leak.of("before"), leak.of("after"), leak.of("oracle")) == ([1.0, 0.0], [0.0, 0.0], [None, None])
    assert leak.subjects == {"a1": "of a", "b1": "of b"} and leak.unseen == {"before": {"u": 0.0}, "after": {"u": 1.0}}
    assert (leak.mean("before"), leak.mean("oracle"), leak.unseen_mean("after")) == (0.5, None, 1.0)


def test_a_fact_that_was_not_asked_or_asked_fewer_times_is_not_scored() -> None:
    before = [*tried("a1", "here", "here"), *tried("b1", "here", "here"), *tried("c1", "x", None)]
    after = [*tried("a1", "x"), *tried("c1", "x", "x")]
    (leak,) = evidence("sample", ("leak",), {"before": before, "after": after})
    assert (leak.of("before"), leak.of("after")) == ([1.0, 1.0, None], [None, None, 0.0])


def test_the_likeliest_of_fewer_scored_attempts_is_not_compared() -> None:
    before = [*tried("a1", "x", p=-0.1), *tried("a1", "x", p=-2.0), *tried("b1", "x", p=-0.1)]
    after = [*tried("a1", "x", p=float("nan")), *tried("a1", "x", p=-2.0), *tried("b1", "x", p=-0.5)]
    leak, probability = evidence("form", ("leak", "probability"), {"before": before, "after": after})
    assert probability.of("after")[0] is None and probability.of("before")[0] is not None
    assert probability.of("after")[1] is not None and leak.of("after") == [0.0, 0.0]


def test_without_an_oracle_a_subject_leaks_if_any_of_all_attempts_is_right_not_only_of_half() -> None:
    after = [*tried("a1", "x", "x", "x", "here"), *tried("b1", "x", "x", "x", "x"), *tried("c1", "x", None, "x", "x")]
    (half,) = evidence("sample", ("leak@half",), {"after": after})
    assert half.of("after") == [0.5, 0.0, None]
    found = bound(half)
    assert found is not None
    assert (found.forgotten.leaking, found.forgotten.missing, found.forgotten.subjects) == (1, 1, 3)
