"""What builders read of an example, and that its row reads back as the same example."""

import json
from pathlib import Path

import pytest

from forgetting.core.errors import DataError
from forgetting.core.example import Example, Message
from forgetting.data.examples import load_examples
from forgetting.data.source import Source
from forgetting.forget_sets.builders.texts import own_names, row_of, text_of, without_repeats


def test_the_text_is_earlier_turns_prompt_and_response() -> None:
    example = Example(id="1", context=(Message("user", "Hi."),), prompt="Where?", response="Here.")
    assert text_of(example) == "Hi.\nWhere?\nHere."


@pytest.mark.parametrize("keys", [{"form": "tokens", "token_ids": (1, 2)}, {"token_weights": (1.0, -1.0)}])
def test_what_a_text_would_lose_is_refused(keys: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:3: holds token (ids|weights); forget sets are built of plain text"):
        text_of(Example(id="1", response="x", where="a.jsonl:3", **keys))  # type: ignore[arg-type]


def test_repetitions_but_for_case_and_spaces_are_one() -> None:
    texts = ["A dog.", "a  DOG.", "A cat."]
    found = without_repeats(Example(id=str(i), response=t, form="text") for i, t in enumerate(texts))
    assert [e.id for e in found] == ["0", "2"]


def test_a_shared_id_of_different_files_becomes_two() -> None:
    found = own_names([Example(id="1", response="a"), Example(id="1", response="b"), Example(id="2", response="c")])
    assert len({e.id for e in found}) == 3 and found[2].id == "2"


def test_a_row_reads_back_as_its_example(tmp_path: Path) -> None:
    example = Example(id="7", prompt="Where?", response="Here.", fields={"shelf": 3, "text": "an unmapped column"})
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps(row_of(example, {"domain_words": 0.25})) + "\n")
    [found] = load_examples(Source(path=str(file)))
    assert (found.id, found.prompt, found.response) == ("7", "Where?", "Here.")
    assert found.fields == {"id": "7", "shelf": 3, "domain_words": 0.25}
