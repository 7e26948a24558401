"""Values of the kind that they are written for: true is no number, and a number in quotation marks is a text.

Pydantic converts `true` to 1, `"3"` to 3 and `"yes"` to true, which hides a slip in a recipe and takes more than its
JSON Schema allows. One form of text is a number: YAML 1.1 reads `1e-4`, which has no point, as a text.
"""

from __future__ import annotations

import re
import types
import typing
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ValidationInfo, field_validator

EXPONENT = r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]{1,3}$"
"""The one form of text that is a number."""
WHOLE = r"^[-+]?[0-9][0-9_]*[eE]\+?[0-9]{1,3}$"
"""The one that is a whole number."""


class Strict(BaseModel):
    """A model whose fields take only values of their kind."""

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        _check_texts(value)
        return of_kind(value, cls.model_fields[str(info.field_name)].annotation)


def _check_texts(value: Any) -> None:
    """Raises if a text holds what no file name and no UTF-8 file can: a null, or half of a character."""
    if isinstance(value, str) and re.search("[\x00\ud800-\udfff]", value):
        raise ValueError("it holds a null or half of a character; remove that")
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        for inner in value:
            _check_texts(inner)


def of_kind(value: Any, hint: Any) -> Any:
    """The value, which may not fit the type `hint` yet; a text of the form `EXPONENT` is a number.

    Raises:
        ValueError: true or false for a number, or a text or number for true or false, or a text for a number.
    """
    kinds = _kinds(hint)
    plain = kinds <= {int, float, bool, types.NoneType}
    if isinstance(value, list | tuple):
        return _each(value, hint)
    if isinstance(value, bool):
        if bool not in kinds and kinds & {int, float}:
            raise ValueError(f"{_word(value)} is not a number")
    elif isinstance(value, str) and float in kinds and re.fullmatch(EXPONENT, value):
        return float(value)
    elif isinstance(value, str) and int in kinds and re.fullmatch(WHOLE, value):
        digits, _, zeros = value.lower().partition("e")
        return int(digits) * 10 ** int(zeros)
    elif isinstance(value, str) and plain and kinds & {int, float}:
        raise ValueError("it is a text; write a number")
    elif isinstance(value, str | int | float) and plain and bool in kinds and not kinds & {int, float}:
        raise ValueError("write true or false")
    return value


def takes_none(hint: Any) -> bool:
    """Whether None fits the type."""
    return types.NoneType in _kinds(hint)


def is_single(hint: Any) -> bool:
    """Whether only single values fit the type: numbers, texts, true, false and null."""
    return _kinds(hint) <= {int, float, bool, str, types.NoneType}


def _each(values: Any, hint: Any) -> Any:
    """The members of a list or tuple, each of its own kind."""
    if typing.get_origin(hint) is Annotated:
        return _each(values, typing.get_args(hint)[0])
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is list:
        return [of_kind(value, inner[0]) for value in values]
    if typing.get_origin(hint) is tuple and len(inner) == len(values) and ... not in inner:
        return [of_kind(value, one) for value, one in zip(values, inner, strict=True)]
    return values


def _kinds(hint: Any) -> set[Any]:
    """The types that a hint admits, without their parameters."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _kinds(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(_kinds, typing.get_args(hint)))
    if origin is Literal:
        return {type(value) for value in typing.get_args(hint)}
    return {origin or hint}


def _word(value: bool) -> str:
    return "true" if value else "false"
