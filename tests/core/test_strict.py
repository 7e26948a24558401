"""A value is of the kind that it is written for, or refused."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from forgetting.core.strict import Strict, of_kind, takes_none


@pytest.mark.parametrize(
    ("value", "hint", "found"),
    [
        ("1e-4", float, 1e-4),
        ("1e3", int | None, 1000),
        ("1e3", int | float, 1000.0),
        ("1e3", str, "1e3"),
        ("1e3", float | Literal["auto"], 1000.0),
        ("auto", float | Literal["auto"], "auto"),
        (["1e-1", 0], tuple[Annotated[float, Field(ge=0)], float], [0.1, 0]),
        (["1e1"], list[int], [10]),
        (True, bool, True),
        (True, int | bool, True),
        (True, Any, True),
        (True, dict[str, int], True),
        ("x", list[int], "x"),
        (None, int | None, None),
    ],
)
def test_what_is_taken(value: object, hint: object, found: object) -> None:
    assert of_kind(value, hint) == found


@pytest.mark.parametrize(
    ("value", "hint", "why"),
    [
        (True, int, "true is not a number"),
        (False, float | None, "false is not a number"),
        (True, float | Literal["auto"], "true is not a number"),
        ("3", int, "it is a text; write a number"),
        ("0.5", Annotated[float, Field(gt=0)], "it is a text; write a number"),
        ("1e-3", int, "it is a text; write a number"),
        ("yes", bool, "write true or false"),
        (1, bool, "write true or false"),
        ([True], list[float], "true is not a number"),
        (["3", 1], tuple[int, int], "it is a text; write a number"),
    ],
)
def test_what_is_refused(value: object, hint: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        of_kind(value, hint)


def test_every_field_of_a_model_is_strict() -> None:
    class Model(Strict):
        count: Annotated[int, Field(gt=0)] = 1
        shown: bool = False

    assert Model(count="1e2").count == 100  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=r"count\n.*true is not a number"):
        Model(count=True)
    with pytest.raises(ValidationError, match=r"shown\n.*write true or false"):
        Model(shown=1)  # type: ignore[arg-type]
    assert takes_none(int | None) and not takes_none(int)
