"""A spec refuses what has no meaning, by key."""

import pytest

from forgetting.core.errors import RecipeError
from forgetting.models.adapters import AdapterSpec
from forgetting.models.adapters.fila import Fila


def test_alpha_is_twice_the_rank_unless_given() -> None:
    assert AdapterSpec(rank=32).scaled_alpha == 64
    assert AdapterSpec(rank=64, alpha=16).scaled_alpha == 16


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "lorra"}, r"adapter\.kind: 'lorra' is not known; did you mean 'lora'\?"),
        ({"rank": 0}, r"adapter\.rank: 0"),
        ({"alpha": 0.0}, r"adapter\.alpha"),
        ({"dropout": 1.0}, r"adapter\.dropout"),
        ({"kind": "curlra"}, r"adapter\.kind: 'curlra' is not known; did you mean 'curlora'\?"),
        (
            {"kind": "curlora", "drawing": "relesed"},
            r"adapter\.drawing: 'relesed' is not known; did you mean 'released'",
        ),
        ({"drawing": "released"}, r"adapter\.drawing: released is for CURLoRA; write kind: curlora"),
        ({"kind": "curlora", "init": Fila()}, r"adapter\.init: has no meaning for CURLoRA"),
        ({"kind": "curlora", "alpha": 8}, r"adapter\.alpha: 8 has no meaning for CURLoRA"),
        ({"kind": "curlora", "dropout": 0.1}, r"adapter\.dropout: 0\.1 has no meaning for CURLoRA"),
    ],
)
def test_a_value_without_meaning_is_named(values: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        AdapterSpec(**values)
