"""What lies beside the forgotten facts."""

from forgetting.audits import ATTACKS, Target
from forgetting.audits.near import near_by, near_measures
from forgetting.core.example import Example
from tests.models.tiny import tiny_model, tiny_tokenizer


def fact(id: str, subject: str, answer: str, kind: str) -> Example:
    return Example(id=id, prompt=f"where is {subject}", response=answer, kind=kind, fields={"subject": subject})


FORGET = [fact("f", "Ann", "Oslo.", "home")]
KEPT = [
    fact("subject", "Ann", "red", "colour"),
    fact("answer", "Bob", "oslo", "work"),
    fact("relation", "Cid", "Rome", "home"),
    fact("far", "Dan", "blue", "colour"),
]


def test_a_fact_to_keep_counts_for_the_first_thing_that_it_shares() -> None:
    assert near_by(KEPT, FORGET) == {
        "subject": "same subject",
        "answer": "same answer",
        "relation": "same relation",
        "far": "far",
    }


def test_facts_to_keep_are_asked_and_measured_by_how_they_lie() -> None:
    target = Target(
        model=tiny_model("llama"),
        tokenizer=tiny_tokenizer(),
        split="retain",
        examples=KEPT,
        others={"forget": FORGET, "retain": KEPT},
        max_new_tokens=3,
    )
    attack = ATTACKS.build("near")
    records = list(attack(target))
    assert attack.splits == ("retain",) and attack.leaks == ()
    found = {m.name: m for m in near_measures({"retain": records})}
    assert found["probability[same subject]"].value == records[0].score.probability  # type: ignore[union-attr]
    assert {m.count for m in found.values()} == {1} and len(found) == 8
