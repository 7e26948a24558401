"""Digests change with what is trained on or measured, and with nothing else."""

import hashlib
from dataclasses import fields, replace

import pytest

from forgetting.core.digest import digest, examples_digest
from forgetting.core.example import Example

ONE = Example(id="1", prompt="Where?", response="Here.", where="a.jsonl:1", fields={"shelf": 3})


def test_a_digest_is_of_the_parts_in_their_order() -> None:
    assert digest("a", 1) == digest("a", 1) != digest(1, "a")
    assert digest("ab") != digest("a", "b") and len(digest("a")) == 16


def test_where_an_example_came_from_does_not_matter() -> None:
    assert examples_digest([ONE]) == examples_digest([replace(ONE, where="b.csv:7", fields={})])


@pytest.mark.parametrize("changed", [{"response": "There."}, {"weight": 2.0}, {"group": "g"}, {"perturbed": ("No.",)}])
def test_what_is_trained_on_or_measured_matters(changed: dict[str, object]) -> None:
    assert examples_digest([ONE]) != examples_digest([replace(ONE, **changed)])  # type: ignore[arg-type]


def test_the_order_of_examples_matters() -> None:
    other = replace(ONE, id="2")
    assert examples_digest([ONE, other]) != examples_digest([other, ONE])


def test_a_digest_taken_piece_by_piece_is_that_of_the_whole() -> None:
    examples = [ONE, replace(ONE, id="é", perturbed=("x", "y"))]
    said = [[getattr(e, f.name) for f in fields(e) if f.name not in ("where", "fields")] for e in examples]
    assert examples_digest(examples) == hashlib.sha256(repr(said).encode()).hexdigest()[:16]
    assert examples_digest([]) == hashlib.sha256(b"[]").hexdigest()[:16]
