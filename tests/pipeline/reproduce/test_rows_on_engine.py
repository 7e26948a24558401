"""Rows of a published table that an engine runs: the same numbers, none twice, and a failure is its row's."""

import random
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetting.pipeline.reproduce.rows_on_engine import RowTask
from forgetting.pipeline.reproduce.table import Reproduced, reproduce
from forgetting.pipeline.sweep.engines.engine import Engine, Outcome
from tests.pipeline.reproduce.rehearsal import Rehearsal, write_data
from tests.pipeline.sweep.test_run import Here


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tiny models of a table's row, and `data` beside them."""
    folder = tmp_path_factory.mktemp("models")
    write_data(folder / "data", random.Random(1))
    with Rehearsal() as rehearsal:
        for seed, name in enumerate(("phi-tofu", "phi-retain90")):
            rehearsal.model("phi", seed=seed).rename(folder / name)
    return {name: str(folder / name) for name in ("phi-tofu", "phi-retain90")}


def original(models: dict[str, str], output: Path, engine: Engine | None) -> Reproduced:
    torch.set_num_threads(1)
    data = str(Path(models["phi-tofu"]).parent / "data")
    found = reproduce("loku-table2", model=models, rows=["original"], output=str(output), data=data, engine=engine)
    [row] = found.rows
    return row


class Refusing(Here):
    """Says of every task that it failed, and does none."""

    def map(self, work: Callable[[Any], None], tasks: Sequence[RowTask]) -> Generator[Outcome, None, None]:
        for index, task in enumerate(tasks):
            self.done.append(task.recipe.name)
            yield Outcome(index, "its worker died")


def test_an_engine_gives_the_same_numbers_and_runs_none_twice(models: dict[str, str], tmp_path: Path) -> None:
    alone = original(models, tmp_path / "alone", None)
    first, second = Here(), Here()
    found = original(models, tmp_path / "runs", first)
    assert (found.status, first.done) == ("ran", [found.row.id])
    assert {k: c.measured for k, c in found.compared.items()} == {k: c.measured for k, c in alone.compared.items()}
    assert any(cell.measured is not None for cell in found.compared.values())
    log = tmp_path / "runs" / "loku-table2" / "logs" / f"{found.row.id}.log"
    assert "evaluating" in log.read_text()
    assert original(models, tmp_path / "runs", second).status == "ran"
    assert second.done == []


def test_a_failure_is_the_rows_and_is_not_tried_here(models: dict[str, str], tmp_path: Path) -> None:
    engine = Refusing()
    found = original(models, tmp_path, engine)
    assert (found.status, found.message, len(engine.done)) == ("failed", "its worker died", 1)
    assert not (tmp_path / "loku-table2" / found.row.id).exists()


def test_rows_without_a_model_are_only_looked_for(tmp_path: Path) -> None:
    engine = Here()
    found = reproduce("loku-table2", rows=["original"], output=str(tmp_path), engine=engine)
    assert {row.status for row in found.rows} == {"not run"}
    assert engine.done == []
