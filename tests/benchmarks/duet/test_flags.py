"""Faults of DUET's rows are found by their columns, and those of the published rows counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from forgetting.benchmarks.duet.flags import ABOUT, fact_of, flagged, is_reversed, shared_with
from forgetting.benchmarks.duet.rows import published_rows
from forgetting.core.example import Example
from forgetting.data.examples import to_example
from forgetting.data.source import Source
from tests.benchmarks.duet.making import plain, row
from tests.golden import REAL_DATA, needs

DUET = REAL_DATA / "duet"


def examples(rows: Sequence[dict[str, object]]) -> list[Example]:
    return [to_example(one, f"row {n}", Source(path="x.jsonl")) for n, one in enumerate(rows)]


def flags(*rows: dict[str, object]) -> list[tuple[str, ...]]:
    return list(flagged(examples(rows)).values())


def test_one_id_for_both_ends_is_flagged_and_a_subject_that_is_its_own_object_is_not() -> None:
    one = row("Ruhango", "country", "Ruhango District", subject_qid="Q1", object_qid="Q1")
    same = row("Monaco", "country", "Monaco", subject_qid="Q2", object_qid="Q2")
    assert flags(one, same) == [("one_id",), ()]


def test_the_rarer_label_of_an_id_is_flagged_and_of_equally_common_ones_each() -> None:
    rows = [row(f"City {n}", "country", "India", object_qid="Q668") for n in range(3)]
    other = row("City 0", "language", "Hindi", object_qid="Q668")
    tied = [row("Patna", "country", "A", subject_qid="Q5"), row("Patan", "country", "B", subject_qid="Q5")]
    assert flags(*rows, other, *tied) == [(), (), (), ("shared_id",), ("shared_id",), ("shared_id",)]


def test_paraphrases_of_one_fact_do_not_make_its_label_commoner() -> None:
    fact = examples([row("X", "country", "Mur", "In which?", object_qid="Q30")])
    anew = examples([row("X", "country", "Mur", f"Asked {n}?", object_qid="Q30") for n in range(3)])
    often = examples([row(f"C{n}", "country", "USA", object_qid="Q30") for n in range(2)])
    assert set(flagged([*fact, *often], anew).values()) == {("shared_id",), ()}
    assert flagged(fact, [*often, *anew])[fact[0].id] == ("shared_id",)


def test_rows_of_one_fact_that_differ_in_an_id_are_compared_too() -> None:
    rows = [row("A", "country", "B"), row("A", "country", "B", "Where is A?", subject_qid="Q77")]
    assert flags(*rows, row("C", "country", "B", subject_qid="Q77")) == [(), ("shared_id",), ("shared_id",)]


@pytest.mark.parametrize(
    ("relation", "question", "expected"),
    [
        ("capital of", "What is the capital of Adzopé?", True),
        ("capital of", "What city serves as the capital of Adzopé", True),
        ("capital of", "The capital of which district is Adzopé?", False),
        ("capital of", "Of which district is Adzopé the capital?", False),
        ("capital", "What is the capital of Adzopé?", False),
        ("capital", "The capital of which city is Adzopé?", True),
        ("located in", "What can be found within the administrative boundaries of Adzopé?", True),
        ("located in", "In which administrative territorial entity of Adzopé is a specific location found", True),
        ("located in", "What administrative territorial entity is Adzopé located in", False),
        ("located in", "Adzopé is situated in which administrative territorial entity?", False),
        ("located in", "Which entity has Adzopé as its administrative territorial location?", False),
        ("located in", "Who is the located in the administrative territorial entity of Adzopé?", False),
        ("country", "What can be found in Adzopé?", False),
    ],
)
def test_a_question_in_the_other_direction_is_reversed(relation: str, question: str, expected: bool) -> None:
    [example] = examples([row("Adzopé", relation, "Y", question)])
    assert is_reversed(example) == expected


def test_missing_popularity_is_a_fault_only_beside_rows_that_have_it() -> None:
    assert flags(row("A", "country", "B"), plain("Where?", "There")) == [(), ("no_popularity",)]
    assert flags(plain("Where?", "There"), plain("Who?", "Ann")) == [(), ()]


def test_what_a_kept_row_shares_with_the_forget_set_is_told() -> None:
    forget = examples([row("Baramati", "country", "India")])
    kept = examples(
        [plain("What is the country of Pune?", "India"), plain("Who ruled Baramati?", "Ann"), plain("Who?", "B")]
    )
    found = shared_with(kept, forget)
    assert found == {"answer_forgotten": {kept[0].id}, "subject_forgotten": {kept[1].id}}
    assert shared_with(kept, examples([plain("Q?", "None of these")])) == {
        "answer_forgotten": set(),
        "subject_forgotten": set(),
    }


def test_a_fact_has_one_name_in_all_its_wordings() -> None:
    first, second = examples([row("A", "country", "B"), row("A", "country", "B", "Where is A?")])
    assert fact_of(first) == fact_of(second) == "A | country | B"
    assert fact_of(examples([plain("Where?", "There")])[0]) == ""


@needs(DUET)
def test_the_published_rows_have_their_known_faults() -> None:
    names = ("city_forget_rare_5", "city_forget_popular_5", "city_fast_retain_500")
    splits = {n: published_rows(n, DUET) for n in (*names, *(f"paraphrases_{n}" for n in names[:2]))}
    everything = [e for rows in splits.values() for e in rows]
    found = {n: Counter(f for bears in flagged(rows, everything).values() for f in bears) for n, rows in splits.items()}
    rare, popular, retain = (found[name] for name in names)
    assert (rare["one_id"], rare["no_popularity"], popular["no_popularity"]) == (35, 31, 2)
    assert (popular["shared_id"], rare["reversed"], popular["reversed"]) == (37, 169, 5)
    within = [e for e in splits["paraphrases_city_forget_rare_5"] if e.fields["property_pid"] == "P131"]
    assert (len(within), sum(map(is_reversed, within))) == (456, 271)
    assert not retain and set(rare) | set(popular) == set(ABOUT)
    assert len(shared_with(splits[names[2]], splits[names[1]])["answer_forgotten"]) == 129
