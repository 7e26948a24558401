"""The attack on the difference of two models: on a run, beside its oracle, and trained on another run."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.core.errors import RecipeError
from forgetting.core.record import read_records
from forgetting.pipeline.audit.audit import audit
from tests.pipeline.finished_run.test_ask import made

STAGE = [{"method": "ga", "adapter": {"rank": 2}, "duration": "12 steps", "learning_rate": 1e-2}]


def test_a_run_is_told_of_beside_its_oracle_and_by_what_another_run_taught(world: Path, tmp_path: Path) -> None:
    folder = made(world, tmp_path / "runs", "run", STAGE)
    (found,) = audit(folder, attacks=["posterior"], oracle=str(world / "model"))
    by_key = {point: {m.key: m for m in of.measures} for point, of in found.points.items()}
    key = "forget/posterior_retain_auc"
    assert by_key["before"][key].reason == "there is no model before to compare with"
    assert by_key["after"][key].value is not None and by_key["after"][key].count == 28
    assert "12 forgotten and 0 other" in by_key["after"]["forget/posterior_holdout_auc"].reason
    for record in read_records(folder / found.points["oracle"].records):
        assert record.values["before_loss"] == pytest.approx(record.values["loss"])  # the same model here
    other = made(world, tmp_path / "runs", "other", STAGE, seed=7)
    (shadowed,) = audit(other, attacks=["posterior"], settings={"posterior": {"shadow": str(folder)}})
    after = {m.key: m for m in shadowed.points["after"].measures}[key]
    assert after.value is not None and "trained on another run" in after.meaning


def test_a_shadow_that_was_not_audited_is_one_line(world: Path, tmp_path: Path) -> None:
    folder = made(world, tmp_path / "runs", "run", STAGE)
    with pytest.raises(RecipeError, match="which this attack was not made on; run it there first") as told:
        audit(folder, attacks=["posterior"], settings={"posterior": {"shadow": str(folder)}})
    assert "\n" not in str(told.value)
