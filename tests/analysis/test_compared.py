"""Which model changes are counted from."""

import pytest

from forgetting.analysis import Compared
from forgetting.core.errors import ModelError
from forgetting.models.view import View
from tests.models.tiny import tiny_model, tiny_tokenizer


def test_changes_are_counted_from_the_model_before_or_the_oracle() -> None:
    before, after, oracle = (View(tiny_model("llama", seed=s)) for s in range(3))
    given = {"before": before, "after": after, "tokenizer": tiny_tokenizer()}
    assert Compared(**given).start is before  # type: ignore[arg-type]
    assert Compared(**given, oracle=oracle, against="oracle").start is oracle  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="relative to the model oracle need it, and there is none"):
        _ = Compared(**given, against="oracle").start  # type: ignore[arg-type]
