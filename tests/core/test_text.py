"""Foreign texts that are shown: nothing that a terminal obeys, and no data where they are hidden."""

import json
from pathlib import Path

import pytest

from forgetting.core.text import marked, names, one_line, plain, quoted, said, shown, unquoted

ESCAPES = "\x1b[31mred\x1b]0;t\x07\x9b2J\x08\x7f\r\u202e\u2066\u2028\ud800"


def test_what_a_terminal_obeys_is_spelled_out_and_reads_back_as_json() -> None:
    text = "a\tb\nc é 漢 \u200d" + ESCAPES
    assert plain("a\tb\nc é 漢 \u200d") == "a\tb\nc é 漢 \u200d"
    assert not set(plain(text)) & set("\x1b\x07\x9b\x08\x7f\r\u202e\u2066\u2028\ud800")
    assert plain(plain(text)) == plain(text)
    whole = plain(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(whole) == {"text": text}


def test_a_page_shows_a_mark_for_each() -> None:
    assert marked("\ud800") == "\ud800"  # what writes the page spells it out
    assert marked("a\x1b[0m\u202eb\n") == "a\N{REPLACEMENT CHARACTER}[0m\N{REPLACEMENT CHARACTER}b\n"


def test_a_line_is_one_line_and_no_longer_than_can_be_read() -> None:
    assert one_line(" a\r\n\x0b b\n\nc ") == "a b c"
    assert one_line("two  spaces stay") == "two  spaces stay"
    assert len(one_line("word " * 100_000)) < 820


def test_hidden_data_are_told_by_their_type_and_number_alone() -> None:
    row = {"Ada": "Fowey"}
    told = (quoted("Ada"), shown(["Ada"]), names(row), said(ValueError("Ada")))
    assert told == ("'Ada'", '["Ada"] (list)', "Ada", "Ada")
    with unquoted(False):
        assert quoted("Ada") == "'Ada'"
    with unquoted():
        hidden = (quoted("Ada"), shown(["Ada"]), names(row), said(ValueError("Ada")))
        with unquoted(False):
            assert quoted("Ada") == "(redacted)"  # an inner part cannot show what the whole hides
    assert hidden == ("(redacted)", "of type list", "1 (redacted)", "ValueError")
    assert quoted("x" * 100) == "'" + "x" * 60 + "…'"


def test_of_a_file_that_cannot_be_used_only_the_reason_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised:
        tmp_path.read_text()
    assert said(raised.value) == "Is a directory"
    assert said(OSError("the disk is gone. ")) == "the disk is gone"
    with unquoted():
        assert said(raised.value) == "IsADirectoryError"
