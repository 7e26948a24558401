"""What a user says of a source is checked before it is read."""

from __future__ import annotations

import pytest

from forgetting.core.errors import RecipeError
from forgetting.forget_sets.facts.source import SourceKeys


@pytest.mark.parametrize("key", ["credit", "licence", "date"])
def test_what_is_no_text_is_refused_by_its_option(key: str) -> None:
    given = SourceKeys(**{"credit": "GeoNames", key: "a\udc80"})  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=f"--{key}: is no text in UTF-8"):
        _ = given.stated
