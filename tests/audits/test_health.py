"""How the answers of a model are written."""

import pytest

from forgetting.audits.health import distinct_2, empty, entropy, health_measures
from forgetting.core.record import Record


def test_variety_of_word_pairs_and_of_whole_answers() -> None:
    assert distinct_2(["a b a b", "a b"]) == pytest.approx(2 / 4)
    assert distinct_2(["one", ""]) is None
    assert entropy(["Yes.", "yes", " yes", "YES"]) == 0.0
    assert entropy(["a", "b", "c", "d"]) == pytest.approx(1.0)
    assert entropy(["a", "a", "b", "b"]) == pytest.approx(0.5)
    assert entropy(["a"]) is None
    assert empty(["", "…", "a", "b"]) == 0.5 and empty([]) is None


def test_a_looping_model_shows_and_what_no_answer_supports_is_missing_with_its_reason() -> None:
    records = [
        Record(id=str(i), split="forget", prompt="?", answer="x", generation=text)
        for i, text in enumerate(["no no no no no no no", "a b c d e f g h"])
    ]
    found = {m.key: m for m in health_measures({"forget": records, "retain": []})}
    assert found["forget/loops"].value == 0.5 and found["forget/loops"].direction == "down"
    assert found["forget/answer_words"].value == 7.5
    assert found["forget/distinct_2"].value == pytest.approx(8 / 13)
    missing = [m for m in found.values() if m.split == "retain"]
    assert missing and all(m.value is None and m.reason for m in missing)
