"""A typed registry checks values against the types of a function's parameters."""

import pytest

from forgetting.core.errors import RecipeError
from forgetting.core.registry import Registry

TYPED = Registry("shapes", "shape", "a function that returns a shape", typed=True)


@TYPED.register("square")
def square(side: int, filled: bool = False) -> tuple[int, bool]:
    """A square."""
    return side, filled


def test_values_are_converted_to_the_parameters_types() -> None:
    assert TYPED.build("square", {"side": "3", "filled": "true"}) == (3, True)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"side": "x"}, "shape 'square': side is 'x': input should be a valid integer"),
        ({"side": True}, "shape 'square': side is True: it is no number"),
        ({"side": 1, "fill": 1}, "shape 'square' has no parameter 'fill'; did you mean 'filled'"),
        ({}, "shape 'square': square"),
    ],
)
def test_what_does_not_fit_is_named(parameters: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        TYPED.build("square", parameters)


def test_two_functions_cannot_share_a_name() -> None:
    with pytest.raises(RecipeError, match="two shapes are called 'square'"):
        TYPED.register("square")(lambda: None)
