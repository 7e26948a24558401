"""A mistyped name is answered with the nearest one."""

from forgetting.core import errors


def test_a_near_name_is_suggested() -> None:
    assert errors.nearest("grad_diff", ["graddiff", "npo", "ihl"]) == "did you mean 'graddiff'?"


def test_without_a_near_name_all_are_listed_in_order() -> None:
    assert errors.nearest("zzz", ["npo", "ihl"]) == "known: ihl, npo"
    assert errors.nearest("zzz", []) == "there are no known names here"


def test_every_error_for_users_has_one_base() -> None:
    for name in ("DataError", "RecipeError", "ModelError", "RunError", "CollapseError"):
        assert issubclass(getattr(errors, name), errors.ForgettingError)
