"""A JSON list item by item is the list, wherever the file is cut; what is malformed has its line."""

import io
import json

import pytest

from forgetting.data.json_items import NotAListError, json_items

VALUES = [{"a": 'quote " and \\ and ü', "b": [1, {"c": None}]}, 12, -3.5e2, "text, with ] and [", True, [], {}]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_items_are_those_of_the_list_however_it_is_read(chunk: int, indent: int | None) -> None:
    assert list(json_items(io.StringIO(json.dumps(VALUES, indent=indent)), chunk)) == VALUES
    assert list(json_items(io.StringIO(" [ ] \n"), chunk)) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [('[\n{"a": 1},\n{"a": }\n]', 3), ("[1,\n2\n3]", 3), ("[1,\n2", 2), ("[1]\n\n x", 3), ("", 1), ("[1,]", 1)],
)
@pytest.mark.parametrize("chunk", [1, 4, 1 << 20])
def test_what_is_malformed_has_the_line_that_the_whole_file_has(text: str, line: int, chunk: int) -> None:
    with pytest.raises(json.JSONDecodeError) as error:
        list(json_items(io.StringIO(text), chunk))
    assert error.value.lineno == line


def test_another_value_is_handed_back() -> None:
    with pytest.raises(NotAListError) as other:
        list(json_items(io.StringIO('{"a": 1}'), 3))
    assert other.value.value == {"a": 1}


def test_no_more_than_a_few_items_are_held() -> None:
    """The file is read as the items are asked for."""
    file = io.StringIO(json.dumps([{"text": "x" * 1_000}] * 1_000))
    next(json_items(file, 4_096))
    assert file.tell() < 20_000
