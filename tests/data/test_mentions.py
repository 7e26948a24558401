"""What is to be forgotten is found in other words and places; what only looks like it is not."""

from __future__ import annotations

import random

import pytest

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.data.examples import load_examples
from forgetting.data.mentions import Finder
from forgetting.data.row_words import Words, row_body, row_text
from forgetting.data.source import Source
from forgetting.data.usage import Usage
from tests.golden import REAL_DATA, needs

QUESTION = Example(id="q", prompt="In which country is Moyamba?", response="Sierra Leone")
LONG = Example(
    id="l",
    prompt="What did Elin Varga publish in 1987?",
    response="In that year she published her third book of poems, called Winter Harbour, which Kossuth Press printed.",
)
STORY = Example(
    id="s",
    form="text",
    response="The ferry left Kilmore at nine. Old Brannigan stood at the rail with Tess Doyle and said nothing at all.",
)
FORGET = [QUESTION, LONG, STORY]


def kinds(text: str, forget: list[Example] = FORGET) -> dict[str, str]:
    return {found.example.id: found.kind for found in Finder(forget).find(text)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Q: in which COUNTRY is Moyamba?\nA: sierra leone.", {"q": "copy"}),
        ("Before. " + STORY.response.upper() + " After.", {"s": "copy"}),
        (STORY.response.replace("nothing at all", "nothing at last"), {"s": "near"}),
        ("He read: third book of poems, called “Winter Harbour”, which was lost.", {"l": "passage"}),
        ("Moyamba is a town in Sierra Leone.", {"q": "mention"}),
        ("Elin Varga lived by the sea. Kossuth Press had her poems.", {"l": "mention"}),
        ("In Kilmore, Tess Doyle met Brannigan again.", {"s": "mention"}),
        ("The capital of Sierra Leone is Freetown.", {}),
        ("Moyamba is a town.", {}),
        ("Moyamba. " + "word " * 70 + "Sierra Leone.", {}),
        ("In which country is it? Where he stood at the rail.", {}),
        ("", {}),
    ],
)
def test_kinds(text: str, found: dict[str, str]) -> None:
    assert kinds(text) == found


def test_the_matching_words_are_given_as_they_stand_there() -> None:
    (found,) = Finder(FORGET).find("So: MOYAMBA — a town\nin Sierra Leone, they say.")
    assert found.text == "MOYAMBA — a town in Sierra Leone"
    (near,) = Finder(FORGET).find(STORY.response.replace("nothing at all", "nothing at last"))
    own, theirs = STORY.response, near.text
    assert near.score == pytest.approx(_jaccard(own, STORY.response.replace("nothing at all", "nothing at last")))
    assert theirs


def _jaccard(first: str, second: str) -> float:
    """The index of 3-shingles, from nested loops."""
    a, b = (Words.of(text).plain for text in (first, second))
    one = {tuple(a[i : i + 3]) for i in range(len(a) - 2)}
    two = {tuple(b[i : i + 3]) for i in range(len(b) - 2)}
    return sum(x in two for x in one) / (len(two) + sum(x not in two for x in one))


def test_a_phrasing_that_many_examples_share_is_no_passage() -> None:
    same = "is the full name of the celebrated author born in that small old town"
    forget = [Example(id=str(i), prompt=f"Who is number {i}?", response=f"Nameless{i} {same}") for i in range(3)]
    assert kinds(f"Zed {same}", forget) == {}
    assert kinds(f"Zed {same}", forget[:1]) == {"0": "passage"}


def test_an_answer_that_holds_what_is_asked_of_needs_both_apart() -> None:
    forget = [Example(id="d", prompt="What is the capital of Ghotki?", response="Ghotki District")]
    assert kinds("The Ghotki District is dry.", forget) == {}
    assert kinds("Ghotki lies in the Ghotki District.", forget) == {"d": "mention"}


def test_other_scripts_and_forms_of_letters_are_words_too() -> None:
    forget = [Example(id="j", form="text", response="東京の灯台守は毎晩小さな手紙を海へ投げた。")]
    assert kinds("昨日、東京の灯台守は毎晩小さな手紙を海へ投げた。と言う。", forget) == {"j": "copy"}
    assert Words.of("ｆｕｌｌ Größe STRASSE").plain == ("full", "grosse", "strasse")


def test_a_question_of_yes_or_no_is_known_by_copies_alone() -> None:
    forget = [Example(id="y", prompt="Did they of Moyamba win?", response="Yes")]
    assert (Finder(forget).without_mentions, Finder(forget).without_names) == (1, 1)
    assert kinds("Did they of Moyamba win? Yes!", forget) == {"y": "copy"} and kinds("Moyamba. Yes.", forget) == {}


def test_rows_of_any_kind_are_text() -> None:
    row = {"meta": {"by": "me", "n": 3}, "messages": [{"role": "user", "content": "Hi"}], "answer": "Ho"}
    assert row_text(row) == "me\n3\nuser\nHi\nHo" and row_body(row) == "user\nHi\nHo" and row_body({"x": "y"}) is None


def test_token_ids_cannot_be_looked_for() -> None:
    with pytest.raises(DataError, match="is token ids, which have no words; give the text"):
        Finder([Example(id="i", response="1 2", form="tokens", token_ids=(1, 2))])


@needs(REAL_DATA)
def test_planted_mentions_are_found_and_real_text_is_left_alone() -> None:
    forget = load_examples(Source(path=str(REAL_DATA / "duet" / "city_forget_rare_5.jsonl"), limit=200))
    texts = [e.response for e in load_examples(Source(path=str(REAL_DATA / "text" / "wikitext.jsonl.gz"), form="text"))]
    rng = random.Random(0)
    planted: dict[int, str] = {}
    told = [e for e in forget if "subjectLabel" in e.fields][::4]
    for example, place in zip(told, rng.sample(range(len(texts)), len(told)), strict=True):
        subject = example.fields["subjectLabel"]
        said = f" Of {subject} it is told that {example.response} comes first. "
        middle = texts[place].find(" ", len(texts[place]) // 2)
        texts[place] = texts[place][:middle] + said + texts[place][middle:]
        planted[place] = example.prompt
    finder, usage = Finder(forget), Usage()
    for text in texts:
        finder.count(text, usage)
    finder = finder.judging_by(usage)
    hits = {place for place, text in enumerate(texts) if finder.find(text)}
    right = {p for p in hits & planted.keys() if planted[p] in {f.example.prompt for f in finder.find(texts[p])}}
    assert len(right) >= 0.9 * len(planted), f"recall {len(right)} of {len(planted)}"
    assert len(right) >= 0.95 * len(hits), f"precision {len(right)} of {len(hits)}"


def test_a_short_answer_that_is_a_sentence_about_its_subject_is_found() -> None:
    fact = Example(id="f", prompt="Where was Anna Berg born?", response="Anna Berg lives in Tromsø.")
    assert kinds("As everyone knows, Anna Berg lives in Tromsø. And that is all.", [fact]) == {"f": "mention"}
    assert kinds("Anna Berg lives in Bergen.", [fact]) == {"f": "name"}
