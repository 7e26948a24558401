"""What the report shows of a selection: the lowest tokens of all rows, examples drawn by the seed, and true counts."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from forgetting.core.example import Example
from forgetting.data.encode import Encoded
from forgetting.token_selection import samples
from forgetting.token_selection.samples import Look, pieces, source_of
from forgetting.token_selection.scoring import ScoredRow
from tests.models.tiny import tiny_tokenizer


@dataclass(frozen=True)
class Row:
    example: Example
    encoded: Encoded
    scored: ScoredRow
    signs_N: np.ndarray


def row(number: int, rng: random.Random, *, ends: int | None = None) -> Row:
    """A row of random tokens, some of them supervised; qualities are of few values, so that some are equal."""
    ids = tuple(rng.randrange(5, 60) for _ in range(rng.randint(4, 12)))
    weights = (0.0, *(float(rng.random() < 0.7) for _ in ids[2:]), 1.0)
    encoded = Encoded(f"row-{number}", ids, weights)
    quality = np.array([rng.randrange(-6, 7) / 4 for _ in encoded.target_ids], dtype=np.float32)
    signs = np.array([rng.choice((-1, 0, 1)) for _ in quality], dtype=np.int8)
    if ends is not None:
        signs[-1] = ends
    scored = ScoredRow(encoded.key, np.array(encoded.target_ids, dtype=np.int32), np.zeros_like(quality), quality)
    where = f"{'one' if number % 3 else 'two'}.jsonl:{number}"
    return Row(Example(id=f"e{number}", prompt=f"p{number}", response="r", where=where), encoded, scored, signs)


def look_at(rows: list[Row], **keys: object) -> Look:
    look = Look(tiny_tokenizer(), len(rows), 5, **keys)
    for one in rows:
        look.add(one.example, one.encoded, one.scored, one.signs_N)
    return look


@pytest.fixture
def rows() -> list[Row]:
    rng = random.Random(1)
    return [row(i, rng) for i in range(60)]


def test_the_lowest_tokens_are_those_of_all_rows_with_at_most_two_of_one(rows: list[Row]) -> None:
    candidates: list[tuple[float, int, int]] = []
    for number, one in enumerate(rows):
        places = [i for i, w in enumerate(one.encoded.weights) if w]
        of_row = sorted(zip(one.scored.quality.tolist(), places, strict=True))[: samples.LOWEST_OF_ONE]
        candidates += [(quality, number, place) for quality, place in of_row]
    expected = sorted(candidates)[: samples.LOWEST]
    assert len(candidates) > samples.LOWEST, "the test must be able to fail"
    tokenizer = tiny_tokenizer()
    found = look_at(rows).to_json()["lowest"]
    assert [(one["q"], one["key"]) for one in found] == [(q, f"row-{number}") for q, number, _ in expected]
    for one, (_, number, place) in zip(found, expected, strict=True):
        ids = rows[number].encoded.ids
        assert one["before"] == tokenizer.decode(list(ids[max(0, place - samples.BEFORE) : place]))
        assert one["token"].strip() == tokenizer.decode([ids[place]]).strip()
        assert one["after"] == tokenizer.decode(list(ids[place + 1 : place + 1 + samples.AFTER]))


def test_examples_are_drawn_by_the_seed_and_shown_token_by_token(rows: list[Row]) -> None:
    look = look_at(rows)
    shown = {one["key"] for one in look.examples}
    assert len(shown) == samples.EXAMPLES < len(rows) and look_at(rows).examples == look.examples
    by_key = {one.encoded.key: one for one in rows}
    for one in look.examples:
        of = by_key[one["key"]]
        assert (one["where"], one["prompt"]) == (of.example.where, of.example.prompt)
        assert [t["sign"] for t in one["tokens"]] == of.signs_N.tolist()
        assert [t["q"] for t in one["tokens"]] == of.scored.quality.tolist()
        assert [t["text"].strip() for t in one["tokens"]] == [
            tiny_tokenizer().decode([i]) for i in of.encoded.target_ids
        ]


def test_tokens_are_counted_by_source_or_by_the_label_given(rows: list[Row]) -> None:
    labels = {one.example.id: "mixed" for one in rows[::2]}
    counted: dict[str, Counter[str]] = {}
    for one in rows:
        name = labels.get(one.example.id) or one.example.where.split(":")[0]
        counts = counted.setdefault(name, Counter())
        counts["tokens"] += len(one.signs_N)
        counts["negative"] += sum(s < 0 for s in one.signs_N.tolist())
    found = look_at(rows, labels=labels).to_json()["sources"]
    assert {one["source"]: (one["tokens"], one["negative"]) for one in found} == {
        name: (counts["tokens"], counts["negative"]) for name, counts in counted.items()
    }
    assert len(found) == 3


@pytest.mark.parametrize(("endless", "said"), [(5, False), (6, True)])
def test_a_warning_is_said_where_more_than_half_of_the_ends_are_negative(endless: int, said: bool) -> None:
    rng = random.Random(2)
    notes = look_at([row(i, rng, ends=-1 if i < endless else 1) for i in range(10)]).notes
    assert len(notes) == said and all(note.startswith(f"the last token of {endless} of 10 answers") for note in notes)


def test_pieces_are_the_text_that_a_decoder_adds() -> None:
    class Spaced:
        """A decoder that writes no space before the first word, as those of sentencepiece do."""

        def decode(self, ids: list[int], **_: object) -> str:
            return " ".join(f"w{i}" for i in ids)

    assert pieces(Spaced(), [1, 2, 3], [0, 1, 2]) == ["w1", " w2", " w3"]


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("facts.jsonl:17", "facts.jsonl"),
        ("a:b.jsonl:1", "a:b.jsonl"),
        ("hub:org/name[3]", "hub:org/name"),
        ("data.parquet, row 12", "data.parquet"),
        ("lab", "lab"),
        ("", "in memory"),
    ],
)
def test_a_source_is_the_place_without_the_row(where: str, source: str) -> None:
    assert source_of(Example(id="x", prompt="p", response="r", where=where)) == source
