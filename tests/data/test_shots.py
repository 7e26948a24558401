"""What is shown before a question is never of a forget set, tells nothing of the question, and is drawn by a seed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from forgetting.core.errors import DataError
from forgetting.core.example import Example, Message
from forgetting.data.shots import Forbidden, Shot, Shots, check_written, draw


def example(number: int, **more: object) -> Example:
    given = {"id": f"e{number}", "prompt": f"Where is box {number}?", "response": f"In room {number}.", **more}
    return Example(**given)  # type: ignore[arg-type]


POOL = [example(i) for i in range(20)]
NONE = Forbidden([])
RETAIN = Shots(role="retain")


def prompts(shots: tuple[Shot, ...]) -> list[str]:
    return [shot.prompt for shot in shots]


def test_one_more_is_drawn_than_is_shown_and_the_seed_decides_which() -> None:
    found, left_out = draw(RETAIN, POOL, NONE, "data.retain")
    assert len(found) == 4 and len(set(prompts(found))) == 4 and left_out == 0
    assert draw(RETAIN, POOL, NONE, "data.retain")[0] == found
    assert draw(RETAIN.model_copy(update={"seed": 1}), POOL, NONE, "data.retain")[0] != found


def test_an_example_is_not_asked_behind_itself_but_behind_the_spare() -> None:
    drawn, _ = draw(RETAIN, POOL, NONE, "")
    shots = RETAIN.model_copy(update={"examples": drawn})
    assert shots.before(example(99)) == drawn[:3]
    own = next(e for e in POOL if e.prompt == drawn[0].prompt)
    assert shots.before(own) == drawn[1:]
    other_form = example(98, id=own.id, prompt="Its room?", paraphrased_prompt=own.prompt)
    assert shots.before(other_form) == drawn[1:]
    same_fact = Shots(examples=(Shot(prompt="Q", response="A", group="g"),))
    assert same_fact.before(example(1, group="g")) == () and len(same_fact.before(example(1))) == 1


@pytest.mark.parametrize(
    "forget",
    [
        example(5),
        example(50, prompt="where  is BOX 5?"),
        example(50, prompt="Asked otherwise", paraphrased_prompt="Where is box 5?"),
        example(50, prompt="Which sentence?", response="where is box 5? in room 5."),
        Example(id="t", form="text", response="Where is box 5?\nIn room 5."),
    ],
    ids=["itself", "its question", "its question in another form", "its answer", "its text"],
)
def test_no_shot_is_or_quotes_a_forget_example(forget: Example) -> None:
    forbidden = Forbidden([forget])
    assert [e.id for e in POOL if forbidden.holds(e)] == ["e5"]
    many = Shots(role="retain", count=19)
    found, left_out = draw(many, POOL, forbidden, "")
    assert "Where is box 5?" not in prompts(found) and len(found) == 19 and left_out == 1


def test_a_part_of_a_text_that_is_to_be_forgotten_is_no_shot() -> None:
    text = Example(id="t", form="text", response="Basil lives in the last house of Elm Road, with two dogs and a cat.")
    answers = ("He has two dogs.", "In the last house\nof Elm Road.", "With two dogs and a cat!", "In Elm Road.")
    pool = [Example(id=a, prompt="What of Basil?", response=a) for a in answers]
    assert [e.id for e in pool if Forbidden([text]).holds(e)] == [*answers[1:3]]


def test_a_group_of_a_forget_set_is_not_shown_and_a_short_answer_forbids_nothing() -> None:
    grouped = [example(1, group="a"), example(2, group="b")]
    assert [e.id for e in grouped if Forbidden([example(9, group="a")]).holds(e)] == ["e1"]
    assert not Forbidden([example(9, response="In room 1.")]).holds(example(1))


def test_no_more_are_shown_than_are_written() -> None:
    with pytest.raises(ValidationError, match="count is 3, but examples holds 1; lower count, or write more"):
        Shots(examples=(Shot(prompt="Q", response="A"),), count=3)


def test_too_few_are_an_error_that_names_the_source_and_the_forget_set() -> None:
    with pytest.raises(DataError, match=r"f\.jsonl: 3 shots are asked for, and there are 1 .* 2 more are or quote"):
        draw(RETAIN, POOL[:3], Forbidden(POOL[:2]), "f.jsonl")


def test_texts_and_conversations_are_no_shots() -> None:
    others = [example(30, form="text"), example(31, context=(Message("user", "Hi"), Message("assistant", "Hi")))]
    found, _ = draw(Shots(role="retain", count=2), [*POOL[:2], *others], NONE, "")
    assert {*prompts(found)} == {POOL[0].prompt, POOL[1].prompt}


def test_written_shots_are_all_shown_and_checked() -> None:
    written = Shots.model_validate({"examples": [{"prompt": f"Q{i}", "response": "A"} for i in range(5)]})
    assert written.shown == 5 and len(written.before(example(1))) == 5
    check_written(written.examples or (), NONE)
    with pytest.raises(DataError, match=r"format\.shots\.examples: number 3 \('Q2'\) is or quotes a forget example"):
        check_written(written.examples or (), Forbidden([example(0, prompt="q2")]))


@pytest.mark.parametrize("values", [{}, {"source": "a.jsonl", "role": "retain"}, {"role": "forget"}, {"examples": []}])
def test_shots_come_from_one_place_that_is_no_forget_set(values: dict) -> None:
    with pytest.raises(ValidationError):
        Shots.model_validate(values)


def test_an_id_in_another_file_is_another_example() -> None:
    source = Shots.model_validate({"source": "other.jsonl", "count": 3})
    found, _ = draw(source, POOL, NONE, "")
    shown = Shots(examples=found, count=3).before(example(77, id=POOL[0].id))
    assert len(shown) == 3 and all(shot.group == "" for shot in found)
