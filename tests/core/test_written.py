"""What others wrote is read if it can be meant; a bomb of a few lines is refused before it is unpacked."""

import json
import time

import pytest
import yaml

from forgetting.core.written import DEEPEST, MOST, read_json, read_yaml


def bomb(levels: int, width: int = 10) -> str:
    lines = [f"a0: &a0 [{', '.join('x' * width)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_aliases_anchors_and_merges_are_read() -> None:
    text = "base: &b {seed: 1, tags: [a, b]}\nother: {<<: *b, seed: 2}\nlist: [*b, *b]\n"
    base = {"seed": 1, "tags": ["a", "b"]}
    assert read_yaml(text) == {"base": base, "other": {"seed": 2, "tags": ["a", "b"]}, "list": [base, base]}
    assert read_yaml("") is None and read_yaml("1e-4") == "1e-4" and read_yaml("[0, 1.5, true]") == [0, 1.5, True]


def test_as_many_values_as_are_read_and_no_more() -> None:
    assert len(read_yaml(bomb(5))["a4"]) == 10  # 10^5 values
    assert 10**5 < MOST < 10**6
    with pytest.raises(yaml.YAMLError, match="aliases stand for more than 200,000 values"):
        read_yaml(bomb(6))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (bomb(60), "aliases stand for more than"),
        ("[" * 100_000, "nested deeper than 64"),
        ("{a: " * 5000 + "1" + "}" * 5000, "nested deeper than 64"),
        ("\n".join(" " * n + "a:" for n in range(400)), "nested deeper than 64"),
        ("a: &a [*a]", "an alias stands for what it is a part of"),
        ("a: &a {b: {c: *a}}", "an alias stands for what it is a part of"),
        ("&r\nname: x\ndata: *r", "an alias stands for what it is a part of"),
        ("seed: " + "9" * 5000, "digits"),
        ("day: 2020-13-45", "month must be in 1"),
        ("a: " + "x" * 2**20, "characters; at most"),
        ("a: 1\nb: 2\na: 3", "the key 'a' is given twice"),
        ("x: {a: 1, 'a': 2}", "the key 'a' is given twice"),
        ("a: !!python/object/apply:os.getcwd []", "python/object"),
        ("? [a]\n: b", "unhashable key"),
        ("a: \x00", "special characters"),
    ],
    ids=lambda value: value[:24],
)
def test_what_cannot_be_meant_is_refused_at_once(text: str, why: str) -> None:
    began = time.perf_counter()
    with pytest.raises(yaml.YAMLError, match=why):
        read_yaml(text)
    assert time.perf_counter() - began < 2


def test_the_deepest_that_is_read() -> None:
    assert read_yaml("[" * DEEPEST + "]" * DEEPEST)
    with pytest.raises(yaml.YAMLError):
        read_yaml("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        ("9" * 5000, "too many digits"),
        ("{", "Expecting property name"),
        ("", "Expecting value"),
    ],
    ids=lambda value: value[:12],
)
def test_json_that_cannot_be_read_is_one_kind_of_error(text: str, why: str) -> None:
    with pytest.raises(json.JSONDecodeError, match=why):
        read_json(text)
    with pytest.raises(UnicodeDecodeError):
        read_json(b"\xff\xff")
    assert read_json('{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
