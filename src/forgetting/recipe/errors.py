"""Pydantic's errors about a recipe or a sweep, as one line that names the key."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from forgetting.core.errors import nearest
from forgetting.data.corpus import Corpus
from forgetting.data.formatting import Formatting
from forgetting.data.shots import Shot, Shots
from forgetting.data.source import Source
from forgetting.recipe.adapter import Adapter
from forgetting.recipe.stage import Stage
from forgetting.token_selection.selection import Selection

_BELOW: dict[str, type[BaseModel]] = {
    "adapter": Adapter,
    "corpus": Corpus,
    "data": Source,
    "format": Formatting,
    "examples": Shot,
    "select": Selection,
    "shots": Shots,
    "source": Source,
    "stages": Stage,
}
"""The models below the keys of a recipe."""


_INSIDE = re.compile(r"(str|int|float|bool|none)|.*[\[(].*|constrained-.*", re.DOTALL)
"""What pydantic calls the members of a union and its own functions; it puts these among the keys."""


def one_line(error: ValidationError, root: type[BaseModel]) -> str:
    """The first error of a model of the kind `root`; for an unknown key, the message has the nearest known one."""
    detail = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    path = ".".join(str(p) for p in detail["loc"] if not _INSIDE.fullmatch(str(p)))
    if detail["type"] == "extra_forbidden":
        *parents, key = detail["loc"]
        return f"unknown key '{path}'; {nearest(str(key), _fields(parents, root))}"
    if detail["type"] == "missing":
        return f"'{path}' is missing; write it in the recipe or as {path}=… on the command line"
    message = detail["msg"].removeprefix("Value error, ")
    given = "" if isinstance(detail["input"], dict) else f" (got {detail['input']!r})"
    return f"'{path}': {message}{given}" if path else message


def _fields(parents: Sequence[int | str], root: type[BaseModel]) -> list[str]:
    """The keys known below a path."""
    inner = next((_BELOW[p] for p in reversed(parents) if isinstance(p, str) and p in _BELOW), root)
    return list(inner.model_fields)
