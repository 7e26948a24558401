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
    assert TYPED.build("square", {"side": 3.0, "filled": True}) == (3, True)
    assert TYPED.build("square", {"side": "1e3"}) == (1000, False)  # as YAML reads 1e3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"side": 1.5}, "shape 'square': side is 1.5: input should be a valid integer"),
        ({"side": "3"}, "shape 'square': side is '3': it is a text; write a number"),
        ({"side": True}, "shape 'square': side is True: true is not a number"),
        ({"side": [3]}, r"shape 'square': side is \[3\]: write a single value"),
        ({"side": 1, "filled": {}}, "shape 'square': filled is {}: write a single value"),
        ({"side": 1, "filled": 1}, "shape 'square': filled is 1: write true or false"),
        ({"side": 1, "filled": "true"}, "shape 'square': filled is 'true': write true or false"),
        ({"side": 1, "fill": 1}, "shape 'square' has no parameter 'fill'; did you mean 'filled'"),
        ({}, "shape 'square': square"),
    ],
)
def test_what_does_not_fit_is_named(parameters: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        TYPED.build("square", parameters)


def test_of_a_function_without_parameters_none_is_listed() -> None:
    TYPED.register("point")(lambda: None)
    with pytest.raises(RecipeError, match="shape 'point' has no parameter 'side'; it takes none"):
        TYPED.build("point", {"side": 1})


def test_two_functions_cannot_share_a_name() -> None:
    with pytest.raises(RecipeError, match="two shapes are called 'square'"):
        TYPED.register("square")(lambda: None)
