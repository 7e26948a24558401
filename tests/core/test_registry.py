"""A typed registry checks values against the types of a function's parameters."""

from typing import Annotated

import pytest

from forgetting.core.errors import RecipeError
from forgetting.core.registry import Registry
from forgetting.core.tunable import Tunable

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


def test_a_parameter_with_a_range_in_its_type_is_checked_as_without_and_can_be_sought() -> None:
    shapes = Registry("circles", "circle", "a function that returns a circle", typed=True)

    @shapes.register("circle")
    def circle(radius: Annotated[float, Tunable(0.5, 2.0)] = 1.0, name: str = "") -> float:
        """A circle."""
        return radius

    assert shapes.get("circle").sought == {"radius": Tunable(0.5, 2.0)}
    assert shapes.build("circle", {"radius": 9.0}) == 9.0  # the range binds no recipe
    with pytest.raises(RecipeError, match="radius is '3': it is a text; write a number"):
        shapes.build("circle", {"radius": "3"})
