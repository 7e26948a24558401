"""A JSON object that was changed after it was written does not pass."""

import json
import math

import pytest

from forgetting.core.sealed import FILE, SEAL, sealed, unsealed

VALUES = {"a": 1, "b": [0.1, None, "ü"], "c": {"2": {"x": True}}, "d": (1, 2), "e": {3: "an integer as key"}}


def test_what_json_makes_of_them_is_sealed() -> None:
    raw = json.loads(json.dumps(sealed(VALUES), indent=1))
    assert unsealed(raw) == json.loads(json.dumps(VALUES)) and SEAL not in unsealed(raw)
    spoilt = unsealed(json.loads(json.dumps(sealed({"x": math.nan, "y": math.inf}))))
    assert math.isnan(spoilt["x"]) and spoilt["y"] == math.inf


@pytest.mark.parametrize("change", [{"a": 2}, {"b": [0.1, None]}, {"new": 0}, {SEAL: "0" * 64}, {SEAL: 3}])
def test_a_change_is_noticed(change: dict) -> None:
    with pytest.raises(ValueError, match="not those that were written"):
        unsealed({**json.loads(json.dumps(sealed(VALUES))), **change})
    missing = json.loads(json.dumps(sealed(VALUES)))
    del missing["a"]
    with pytest.raises(ValueError):
        unsealed(missing)


def test_values_of_an_earlier_version_have_no_seal() -> None:
    assert unsealed({"a": 1}) == {"a": 1}


def test_another_file_in_its_place_is_noticed() -> None:
    raw = json.loads(json.dumps(sealed(VALUES, "result.json")))
    assert unsealed(raw, "result.json") == unsealed(raw) == json.loads(json.dumps(VALUES))
    with pytest.raises(ValueError, match=r"it holds what was written as result\.json"):
        unsealed(raw, "prepared.json")
    with pytest.raises(ValueError, match="not those that were written"):
        unsealed({**raw, FILE: "prepared.json"}, "prepared.json")
