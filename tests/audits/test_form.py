"""The attack that asks for a fact in other forms."""

import re
from dataclasses import replace

import pytest

from forgetting.audits import ATTACKS, Target, leaks
from forgetting.audits.measures import leak_measures
from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.record import Record
from tests.audits.test_asking import DOCUMENT
from tests.models.tiny import WORDS, tiny_model, tiny_tokenizer

FACTS = [
    Example(
        id=f"f{i}",
        prompt=f"where is {name} now",
        response=f"{WORDS[i]} dog",
        group=f"g{i}",
        kind="place",
        fields={"subject": name},
    )
    for i, name in enumerate(("Ann Bell", "Carl Dorn", "Eve Falk", "Gus Holm"))
]


def attacked(**changed: object) -> list[Record]:
    given = {"split": "forget", "examples": FACTS, "max_new_tokens": 3, "seed": 1, **changed}
    target = Target(**{"model": tiny_model("llama"), "tokenizer": tiny_tokenizer(), **given})  # type: ignore[arg-type]
    return list(ATTACKS.build("form")(target))


def by_attempt(records: list[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.attempt, []).append(record)
    return found


def test_facts_without_another_form_are_refused() -> None:
    bare = [replace(FACTS[0], prompt="where is it now", fields={}, group="")]
    with pytest.raises(DataError, match="these facts have no other form: no paraphrases"):
        attacked(examples=bare)
    assert attacked(examples=bare, split="holdout") == []


def test_a_rows_paraphrase_and_the_suites_other_forms_of_the_same_fact_are_asked() -> None:
    sentence = Example(id="s", form="text", prompt="Ann Bell is", response=f" {WORDS[0]} dog", group="g0")
    forms = [
        sentence,
        replace(sentence, id="other fact", response=" a bird"),
        replace(sentence, id="other group", group="g9"),
        replace(FACTS[0], id="itself"),
        replace(FACTS[1], id="again", prompt="which place is Carl Dorn in"),
    ]
    found = by_attempt(attacked(examples=[replace(FACTS[0], paraphrased_prompt="Ann where"), *FACTS[1:]], forms=forms))
    assert [(r.id, r.prompt) for r in found["paraphrase"]] == [("f0", "Ann where")]
    assert [(r.id, r.prompt) for r in found["sentence"]] == [("f0", "Ann Bell is")]
    assert [(r.id, r.prompt) for r in found["question"]] == [("f1", "which place is Carl Dorn in")]


def test_reversed_the_subject_is_asked_for_and_its_likelihood_is_not_compared() -> None:
    found = by_attempt(attacked())["reversed"]
    assert [r.answer for r in found] == [str(e.fields["subject"]) for e in FACTS]
    for record, example in zip(found, FACTS, strict=True):
        assert record.answer not in record.prompt and example.response in record.prompt
        assert record.score is None and record.generation is not None


def test_a_choice_offers_three_answers_of_its_kind_in_an_order_by_the_seed() -> None:
    records = attacked()
    found = by_attempt(records)["choice"]
    assert {r.id for r in found} == {e.id for e in FACTS}
    for record in found:
        assert set(re.findall(r"\(\d\) (\w+ dog)", record.prompt)) == {e.response for e in FACTS}
        assert record.generation is None and len(record.perturbed) == 3
    assert [r.prompt for r in found] == [r.prompt for r in by_attempt(attacked())["choice"]]
    assert [r.prompt for r in found] != [r.prompt for r in by_attempt(attacked(seed=2))["choice"]]
    assert all(value is not None and 0 < value < 1 for value in leaks(records, "choice").values())
    assert "forget/best_choice" in {m.key for m in leak_measures({"forget": records})}


def test_without_wrong_answers_of_its_kind_there_is_no_choice() -> None:
    assert "choice" not in by_attempt(attacked(examples=FACTS[:3]))


def test_documents_are_continued_from_three_beginnings() -> None:
    found = by_attempt(attacked(examples=[DOCUMENT]))
    lengths = {name: len(some[0].prompt.split()) for name, some in found.items()}
    assert lengths == {"short beginning": 16, "beginning": 32, "long beginning": 40}  # of 80 tokens, half
