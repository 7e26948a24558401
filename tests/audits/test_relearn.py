"""The attacks that teach a copy of the model a little."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

import forgetting
from forgetting.audits import ATTACKS, Target, relearn
from forgetting.audits.leaks import UNTOUCHED
from forgetting.audits.relearn import by_subjects
from forgetting.benchmarks.lab.suite import BASE, lab_suite, oracle_folder
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.metrics.likelihood import probability
from forgetting.models.loading import load_model
from forgetting.models.unchanged import Snapshot
from tests.golden import golden
from tests.models.tiny import WORDS, tiny_model, tiny_tokenizer


def facts(start: str, count: int, answer: str) -> list[Example]:
    """Two facts about each subject, all of one answer: who is taught some knows the others."""
    return [
        Example(
            id=f"{start}{i}",
            prompt=f"{WORDS[(i // 2) % len(WORDS)]} {WORDS[i % 3]}",
            response=answer,
            fields={"subject": f"{start}{i // 2}"},
        )
        for i in range(count)
    ]


FORGET, RETAIN = facts("f", 12, "the big dog"), facts("r", 8, "a red bird")
FEW = {"rates": "1e-3 3e-2", "steps": 12, "every": 4, "batch_size": 4, "rank": 4}


def target(**changed: object) -> Target:
    given = {
        "split": "forget",
        "examples": FORGET,
        "retain": RETAIN,
        "others": {"forget": FORGET, "retain": RETAIN},
        "max_new_tokens": 3,
        "seed": 3,
        **changed,
    }
    return Target(**{"model": tiny_model("llama"), "tokenizer": tiny_tokenizer(), **given})  # type: ignore[arg-type]


def mean_p(records: list[Record]) -> float:
    return sum(r.score.probability for r in records if r.score) / len(records)


def test_each_half_of_the_subjects_is_asked_of_a_copy_that_was_taught_the_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    of = target()
    before = Snapshot.of(of.model)
    taught: list[set[str]] = []
    inside = relearn._worst

    def noted(target: Target, how: object, lesson: list[Example], asked: list[Example]) -> object:
        taught.append({str(e.fields["subject"]) for e in lesson})
        assert taught[-1].isdisjoint({e.fields["subject"] for e in asked})
        return inside(target, how, lesson, asked)  # type: ignore[arg-type]

    monkeypatch.setattr(relearn, "_worst", noted)
    records = list(ATTACKS.build("relearn-kin", FEW)(of))
    assert before.changed(of.model) is None
    assert set.union(*taught) == {e.fields["subject"] for e in FORGET} and not taught[0] & taught[1]
    for split, examples in (("forget", FORGET), ("retain", RETAIN)):
        assert sorted(r.id for r in records if r.split == split) == sorted(e.id for e in examples)  # each once
    back = [r for r in records if r.split == "forget"]
    plain = list(ATTACKS.build("greedy")(target()))
    assert mean_p(back) > 2 * mean_p(plain)  # what they have in common was taught
    assert all(r.attempt.startswith("rate 0.03, step ") for r in back)
    assert {m.name for m in ATTACKS.build("relearn-kin", FEW).measures({"forget": back})} == {
        "leak@1",
        "best_rouge_l_recall",
        "best_probability",
    }
    assert not list(tmp_path.iterdir())
    assert records == list(ATTACKS.build("relearn-kin", FEW)(of))
    # Of facts to keep it is noted what the model made of them before it was taught.
    untouched = {r.id: r.score.probability for r in ATTACKS.build("greedy")(target(examples=RETAIN)) if r.score}
    kept = {r.id: r.values[UNTOUCHED] for r in records if r.split == "retain"}
    assert kept == pytest.approx(untouched, rel=1e-5) and not any(r.values for r in back)


def test_one_turn_asks_only_for_the_second_half() -> None:
    both = list(ATTACKS.build("relearn-kin", FEW)(target()))
    one = list(ATTACKS.build("relearn-kin", {**FEW, "turns": 1})(target()))
    _, rest = by_subjects(FORGET, 3)
    assert [r.id for r in one if r.split == "forget"] == [e.id for e in rest]
    assert one == both[: len(one)] and len(one) * 2 == len(both)


def test_what_is_kept_about_one_subject_is_asked_once() -> None:
    single = [replace(e, fields={"subject": "one"}) for e in RETAIN]
    records = list(ATTACKS.build("relearn-kin", FEW)(target(others={"retain": single})))
    assert [r.id for r in records if r.split == "retain"] == [e.id for e in single]


def test_benign_relearning_teaches_half_of_what_is_kept_and_asks_for_the_rest() -> None:
    records = list(ATTACKS.build("relearn-benign", {**FEW, "steps": 4})(target()))
    _, rest = by_subjects(RETAIN, 3)
    assert [r.id for r in records if r.split == "forget"] == [e.id for e in FORGET]
    assert [r.id for r in records if r.split == "retain"] == [e.id for e in rest]
    with pytest.raises(DataError, match="has no retain data"):
        ATTACKS.build("relearn-benign", FEW)(target(retain=()))


def test_where_no_rate_gives_more_away_the_model_as_it_was_counts() -> None:
    of = target(examples=FORGET)
    small = {**FEW, "rates": "1e-12", "steps": 2, "every": 2}
    records = [r for r in ATTACKS.build("relearn-kin", small)(of) if r.split == "forget"]
    plain = list(ATTACKS.build("greedy")(of))
    assert mean_p(records) == pytest.approx(mean_p(plain), rel=1e-5)


def test_one_subject_cannot_be_halved() -> None:
    with pytest.raises(DataError, match="the 2 examples are all about one subject"):
        ATTACKS.build("relearn-kin", FEW)(target(examples=FORGET[:2]))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rates": "fast"}, "rates is 'fast'; write numbers"),
        ({"rates": "2"}, "rates is '2'; write"),
        ({"rates": 2.0}, "rates is '2.0'; write"),
        ({"steps": 0}, "steps is 0; write a whole number"),
        ({"rank": -1}, "rank is -1; write"),
        ({"turns": 3}, "turns is 3; write 1 or 2"),
    ],
)
def test_bad_parameters_are_one_line(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as told:
        ATTACKS.build("relearn-kin", parameters)
    assert "\n" not in str(told.value)


def test_one_rate_may_be_a_number() -> None:
    """As a command line's `relearn-kin.rates=0.001` is read."""
    assert callable(ATTACKS.build("relearn-kin", {"rates": 0.001}))


@pytest.mark.slow
def test_the_labs_untaught_facts_come_back_as_in_an_independent_trial() -> None:
    """Of GradDiff's model and not of the oracle, and only at the larger rate: there with all weights, here by LoRA."""
    trial = golden("lab_relearn_trial")
    data = lab_suite("rare").data
    taught, rest = by_subjects(data["forget"], 0)
    assert (len(taught), len(rest)) == (trial["train_facts"], trial["test_facts"])
    base = load_model(BASE, dtype="float32")
    rows = {role: [{"question": e.prompt, "answer": e.response} for e in data[role]] for role in ("forget", "retain")}
    how = {"learning_rate": 3e-4, "batch_size": 16, "duration": "60 steps", "measure": False}
    unlearned = forgetting.unlearn(base.model, base.tokenizer, **rows, method="graddiff", **how).model  # type: ignore[arg-type]
    models = {"graddiff": unlearned, "oracle": load_model(oracle_folder("rare"), dtype="float32").model}
    for name, model in models.items():
        of = target(model=model, tokenizer=base.tokenizer, examples=data["forget"], retain=(), seed=0)
        start = likely(list(ATTACKS.build("greedy")(replace(of, examples=rest))))
        for rate in ("0.0001", "0.001"):
            found = ATTACKS.build("relearn-kin", {"rates": rate, "steps": 40, "every": 5, "turns": 1})(
                replace(of, others={})
            )
            before, looks = (trial[f"{name}_lr{rate}"][key] for key in ("before", "other people after steps"))
            comes_back = max(look[1] for look in looks.values()) - before[1] > 0.05
            assert comes_back == ((name, rate) == ("graddiff", "0.001"))
            assert (likely(list(found)) - start > 0.05) == comes_back


def likely(records: list[Record]) -> float:
    """The mean p(answer)^(1/tokens)."""
    values = [value for r in records if (value := probability.value_of(r)) is not None]
    return sum(values) / len(values)
