"""A measure is named by its split and its metric."""

from forgetting.core.measure import Measure


def test_the_key_tells_splits_apart() -> None:
    forget, retain = (Measure(name="em", split=s, value=0.5, count=3) for s in ("forget", "retain"))
    assert (forget.key, retain.key) == ("forget/em", "retain/em")


def test_what_could_not_be_measured_is_absent_with_its_reason() -> None:
    missing = Measure(name="em", split="forget", value=None, count=0, reason="no answers")
    assert missing.value is None and missing.reason
