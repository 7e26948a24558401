"""What the rule keeps, what a person reads of it, and what becomes of a person's decisions."""

from dataclasses import replace

import numpy as np
import pytest

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.forget_sets.builders.select import Selected, review_rows, reviewed, select

NOVEL = [f"The old man of the sea walked home with his dog {name} at night." for name in "abcdefghijklmnopqrst" * 3]
MEDICAL = [f"The patients of trial {i} received insulin and recovered within weeks." for i in range(40)]


def examples(texts: list[str]) -> list[Example]:
    return [Example(id=f"{i:03d}", response=text, form="text", where=f"g:{i}") for i, text in enumerate(texts)]


GENERAL = examples([*NOVEL, "The man gave the patients their insulin for weeks."])
DOMAIN = [Example(id=str(i), prompt="Did they recover?", response=text) for i, text in enumerate(MEDICAL)]


@pytest.fixture(scope="module")
def found() -> Selected:
    return select(GENERAL, DOMAIN)


def test_a_text_that_speaks_of_the_domain_is_not_kept(found: Selected) -> None:
    assert [one.example.id for one in found.judged if not one.keep] == ["060"]
    assert set(found.judged[60].telling) >= {"patients", "insulin", "weeks"}
    assert found.domain_kept == 0


def test_a_copy_of_a_domain_text_is_not_kept_whatever_its_words() -> None:
    copied = Example(id="copy", prompt="did they  recover?", response=MEDICAL[0])
    found = select([*GENERAL, copied], DOMAIN, most_words=1.0)
    assert [one.example.id for one in found.judged if not one.keep] == ["copy"]


def test_the_share_allowed_decides(found: Selected) -> None:
    share = found.judged[60].words
    assert all(one.keep for one in select(GENERAL, DOMAIN, most_words=share).judged)
    assert not select(GENERAL, DOMAIN, most_words=share - 1e-9).judged[60].keep


def test_the_distance_to_the_domain_decides_too() -> None:
    near = np.full(61, 0.9)
    near[3] = 0.5
    far = np.linspace(0.1, 0.6, 40)
    found = select(GENERAL, DOMAIN, distances=(near, far))
    assert found.least_distance == np.quantile(far, 0.99)
    assert [one.example.id for one in found.judged if not one.keep] == ["003", "060"]
    assert select(GENERAL, DOMAIN, distances=(near, far), least_distance=0.49).judged[3].keep


def test_the_review_begins_with_what_is_most_like_the_domain(found: Selected) -> None:
    rows = review_rows(found)
    assert len(rows) == 61
    assert (rows[0]["id"], rows[0]["keep"]) == ("060", "no")
    assert rows[0]["text"] == GENERAL[60].response
    assert {row["keep"] for row in rows[1:]} == {"yes"}
    assert "distance" not in rows[0]


def test_a_review_shows_one_short_line_that_no_spreadsheet_takes_for_a_formula() -> None:
    rows = review_rows(select(examples([*NOVEL, "=1+2\n" + "word " * 100]), DOMAIN))
    text = next(str(row["text"]) for row in rows if row["id"] == "060")
    assert text.startswith("'=1+2 word")
    assert len(text) < 170
    assert "\n" not in text


def test_a_review_decides_in_place_of_the_rule(found: Selected) -> None:
    rows = review_rows(found)
    rows[0]["keep"] = " Yes"
    rows[5]["keep"] = "no"
    after = reviewed(found, [(f"r:{i}", row) for i, row in enumerate(reversed(rows))])
    assert [one.example.id for one in after.judged if not one.keep] == [rows[5]["id"]]
    assert [replace(one, keep=True) for one in after.judged] == [replace(one, keep=True) for one in found.judged]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[2].update(keep="perhaps"), "r:2: keep is 'perhaps'; write yes or no"),
        (lambda rows: rows[2].update(id="777"), "r:2: the general corpus has no id '777'"),
        (lambda rows: rows[2].update(id=rows[1]["id"]), "r:2: the id '.*' is that of two rows"),
        (lambda rows: rows[2].pop("keep"), "r:2: no column 'keep'"),
        (lambda rows: rows.pop(), "r:59: ends without a row for 1 texts"),
    ],
)
def test_a_review_that_does_not_fit_is_one_line(found: Selected, change, message: str) -> None:
    rows = review_rows(found)
    change(rows)
    with pytest.raises(DataError, match=message) as error:
        reviewed(found, [(f"r:{i}", row) for i, row in enumerate(rows)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"most_words": 5}, "most words is 5"), ({"least_distance": 0.3}, "a least distance needs an embedder")],
)
def test_settings_without_meaning_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        select(GENERAL, DOMAIN, **settings)


def test_token_ids_are_no_text() -> None:
    ids = Example(id="i", response="1 2", form="tokens", token_ids=(1, 2), where="a.npy, row 0")
    with pytest.raises(DataError, match=r"a\.npy, row 0: holds token ids"):
        select([ids], DOMAIN)
