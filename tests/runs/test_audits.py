"""Files of audits and analyses are read back as they were written, or refused in one line."""

from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.runs.audits import Analysed, Attacked, Audit

MEASURE = Measure(name="leak@1", split="forget", value=None, count=0, reason="nothing asked")
SERIES = Series(figure="f", name="n", x_label="x", y_label="y", x=(0.0, "a"), y=(1.5, None), low=(1.0, None))


def test_both_come_back_as_they_were(tmp_path: Path) -> None:
    audit = Audit(
        attack="sample",
        asked="0",
        parameters={"n": 3, "top_p": 1.0},
        points={"before": Attacked(model="1", records="audits/sample/before.jsonl", measures=(MEASURE,), seconds=2.5)},
    )
    analysed = Analysed(analysis="shifts", key="k", measures=(MEASURE,), series=(SERIES,))
    for value in (audit, analysed):
        file = tmp_path / "audits" / f"{type(value).__name__}.json"
        assert type(value).load(file) is None
        value.save(file)
        assert type(value).load(file) == value


@pytest.mark.parametrize("text", ["{", "[]", '{"attack": "x"}', '{"attack": "x", "asked": "0", "points": {"a": 1}}'])
def test_a_file_that_holds_something_else_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(RunError, match=r"x\.json: .*; remove the file and start again") as told:
        Audit.load(tmp_path / "x.json")
    assert "\n" not in str(told.value)
