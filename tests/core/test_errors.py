"""A mistyped name is answered with the nearest one."""

import traceback

import pytest

from forgetting.core import errors
from forgetting.core.text import said, shown


def test_a_near_name_is_suggested() -> None:
    assert errors.nearest("grad_diff", ["graddiff", "npo", "ihl"]) == "did you mean 'graddiff'?"


def test_without_a_near_name_all_are_listed_in_order() -> None:
    assert errors.nearest("zzz", ["npo", "ihl"]) == "known: ihl, npo"
    assert errors.nearest("zzz", []) == "there is none"


def test_of_very_many_names_the_first_are_listed() -> None:
    hint = errors.nearest("zzz", [f"{n:03}" for n in range(1000)])
    assert hint.startswith("known: 000, 001, ") and hint.endswith(", 039 and 960 more")


def test_every_error_for_users_has_one_base() -> None:
    for name in ("DataError", "RecipeError", "ModelError", "RunError", "CollapseError"):
        assert issubclass(getattr(errors, name), errors.ForgettingError)


def test_an_error_is_one_plain_line_whatever_it_quotes() -> None:
    evil = "\x1b]0;title\x07\x1b[2J \u202eback\r\n second line \ud800"
    said = str(errors.DataError(f"{evil}: no such file"))
    assert said == "\\u001b]0;title\\u0007\\u001b[2J \\u202eback second line \\ud800: no such file"
    assert str(errors.RunError(f"outer: {errors.DataError(said)}")) == f"outer: {said}"  # spelled out once
    long = str(errors.RecipeError("'" + "x" * 100_000 + "': no such key"))
    assert len(long) < 300 and long.endswith("x': no such key")


def test_a_redacted_error_says_nothing_of_the_data() -> None:
    secret = "Ada lives in Fowey"
    for hide, found in ((False, True), (True, False)):
        with pytest.raises(errors.DataError) as caught, errors.redacted(hide):
            try:
                raise ValueError(secret)
            except ValueError as error:
                raise errors.DataError(f"facts.jsonl:3: the answer is {shown([secret])} ({said(error)})") from error
        written = "".join(traceback.format_exception(caught.value))
        assert (secret in written) == found
        assert "facts.jsonl:3" in written


def test_what_other_code_says_is_not_shown_of_redacted_data() -> None:
    with pytest.raises(errors.RunError) as caught, errors.redacted():
        dict[str, int]()["".join(["Ada", " lives", " in Fowey"])]
    assert "KeyError at test_errors.py:" in str(caught.value)
    assert "Ada lives" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(KeyError), errors.redacted(False):
        raise KeyError("as it is")
