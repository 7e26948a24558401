"""The values in a row's columns: texts, numbers and lists, each as what it is or refused."""

from __future__ import annotations

import ast
import io
import json
import math
import re
import tokenize
import unicodedata
from collections.abc import Sequence

from forgetting.core.errors import RowError

_SURROGATE = re.compile("[\ud800-\udfff]")
_BRACKETS = {"[": "]", "(": ")"}
_VALUES = (tokenize.STRING, tokenize.NUMBER, tokenize.NAME)


class _LostError(ValueError):
    """A text that no longer says which values it was written from."""


def is_given(value: object) -> bool:
    """Whether a cell holds anything: not null, not blank, not an empty list."""
    return not (value is None or value == [] or value == {} or (isinstance(value, str) and is_blank(value)))


def is_blank(text: str) -> bool:
    """Whether a text has nothing to see: no characters but spaces and those without a shape, such as U+200B."""
    return all(c.isspace() or unicodedata.category(c) in ("Cc", "Cf") for c in text)


def string(value: object, what: str, where: str) -> str:
    """A text.

    Raises:
        RowError: it is something else, or holds half a character.
    """
    if not isinstance(value, str):
        raise RowError(where, f"the {what} is {{}}, not text", value)
    if _SURROGATE.search(value):
        raise RowError(where, f"the {what} holds half of a character (a lone surrogate); fix its encoding")
    return value


def optional(value: object, what: str, where: str) -> str | None:
    """A text that may be missing; one that is a list written as text is refused.

    Raises:
        RowError: it is something else.
    """
    if not is_given(value):
        return None
    text = string(value, what, where)
    if is_python(text):
        raise RowError(where, f"the {what} is {{}}, a list that was written as text; give one text", value)
    return text


def name(value: object, what: str, where: str) -> str:
    """An id, group or kind as text; a number is fine, 0 too.

    Raises:
        RowError: it is a list or an object.
    """
    if isinstance(value, list | dict):
        raise RowError(where, f"the {what} is {{}}, not a text or a number", value)
    return "" if value is None else str(value)


def strings(value: object, what: str, where: str) -> tuple[str, ...]:
    """Texts: a list of them, the text of such a list, or one text.

    Raises:
        RowError: something else, or a text without a character.
    """
    if not is_given(value):
        return ()
    if value in ("nan", "NaN", "None", "null"):
        raise RowError(
            where, f'the {what} are {{}}, which may be a missing value; leave it empty, or write ["…"]', value
        )
    values = [value] if isinstance(value, str) and not _is_listlike(value) else listed(value, what, where)
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise RowError(where, f'the {what} are {{}}, not a list of texts; write ["…", …]', value)
    if any(is_blank(v) for v in values):
        raise RowError(where, f"one of the {what} is empty; fill it or leave it out")
    return tuple(string(v, what, where) for v in values)


def listed(value: object, what: str, where: str) -> object:
    """A list that a table program wrote as the text of it, as a list; any other value as it is.

    A CSV file holds no lists: pandas writes `['a', 'b']`, datasets `['a' 'b']`, and others JSON.

    Raises:
        RowError: a text in brackets that is none of these, or was shortened when it was written.
    """
    if not isinstance(value, str) or not _is_listlike(value):
        return value
    try:
        found = parsed(value)
    except ValueError as error:
        raise RowError(where, f"the {what} are {{}}, a list as text that cannot be read ({error})", value) from None
    return list(found) if isinstance(found, tuple) else found


def _is_listlike(text: str) -> bool:
    bare = text.strip()
    opening = bare[:1]
    if bare.startswith(("array(", "{'", '{"')):
        return True
    return opening in _BRACKETS and bare.endswith(_BRACKETS[opening]) and (opening == "[" or bare[1:2] in "'\"")


def is_python(text: str) -> bool:
    """Whether a text is a list or an object as Python prints it, which JSON and prose are not."""
    bare = text.strip()
    if not bare or bare[0] + bare[-1] not in ("[]", "{}") or "'" not in bare:
        return False
    try:
        json.loads(bare)
        return False
    except (ValueError, RecursionError):
        pass
    try:
        found = parsed(bare)
    except ValueError:
        return bare.startswith("{'") and "': array([" in bare
    return isinstance(found, list | dict) and bool(found)


def parsed(text: str) -> object:
    """The value that a text writes: as JSON, as Python, or as numpy, which puts no commas between its values.

    Raises:
        ValueError: it is none of them.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(_with_commas(text.strip()))
    except _LostError:
        raise
    except (ValueError, SyntaxError, TypeError, tokenize.TokenError, RecursionError, MemoryError):
        raise ValueError("write it as JSON") from None


def _with_commas(text: str) -> str:
    """Python would join two texts with nothing but a space between them into one."""
    starts = [0]
    for line in io.StringIO(text):
        starts.append(starts[-1] + len(line))
    parts: list[str] = []
    done, after_value, text_ends = 0, False, -1
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER):
            continue
        if token.string == "...":
            raise _LostError("it was shortened when it was written; write it again whole")
        begins = token.type in _VALUES or token.string in ("[", "{", "(", "-")
        at = starts[token.start[0] - 1] + token.start[1]
        if token.type == tokenize.STRING:
            if at == text_ends:
                raise _LostError("two texts stand in it without a space or comma between; write it as JSON")
            text_ends = starts[token.end[0] - 1] + token.end[1]
        if begins and after_value:
            parts.append(text[done:at] + ", ")
            done = at
        after_value = token.type in _VALUES or token.string in ("]", "}", ")")
    return "".join(parts) + text[done:]


def number(value: object, what: str, where: str) -> float | None:
    """A finite number; None where there is none.

    Raises:
        RowError: it is something else.
    """
    if not is_given(value):
        return None
    try:
        if isinstance(value, bool):
            raise TypeError
        found = float(value)  # type: ignore[arg-type]
        if math.isinf(found):
            raise OverflowError
    except (TypeError, ValueError, OverflowError):
        raise RowError(where, f"the {what} is {{}}, not a finite number", value) from None
    return None if math.isnan(found) else found


def weight(value: object, where: str) -> float:
    """The weight of a row; 1 where there is none.

    Raises:
        RowError: it is 0, not finite, or no number.
    """
    found = number(value, "weight", where)
    if found == 0:
        raise RowError(where, "the weight is 0; leave the row out, or give a weight other than 0")
    return 1.0 if found is None else found


def token_weights(weights: object, ids: object, where: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """(weights, their token ids) of a row's supervised tokens, each empty where the row has none.

    Raises:
        RowError: they are not lists of numbers of one length.
    """
    weights, ids = listed(weights, "token_weights", where), listed(ids, "target_ids", where)
    if not is_given(weights) and weights != []:
        return (), ()
    if not isinstance(weights, list) or not weights or any(type(w) not in (int, float) for w in weights):
        raise RowError(where, "the token_weights are {}, not a list of numbers; write [1.0, -1.0, …]", weights)
    if not all(map(math.isfinite, weights)):
        raise RowError(where, "a token weight is not finite; write a number, 0 for a token that is not trained on")
    if not is_given(ids):
        return tuple(map(float, weights)), ()
    if not isinstance(ids, list) or any(type(i) is not int for i in ids):
        raise RowError(where, "the target_ids are {}, not a list of whole numbers; write [1, 2, …]", ids)
    if len(ids) != len(weights):
        raise RowError(where, f"has {len(weights)} token_weights and {len(ids)} target_ids; give as many")
    return tuple(map(float, weights)), tuple(ids)


def joined(parts: Sequence[str | None]) -> str:
    """Those that hold something, with an empty line between."""
    return "\n\n".join(part for part in parts if part)
