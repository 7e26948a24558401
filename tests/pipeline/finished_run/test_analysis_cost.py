"""What analyses are expected to take: the rank of a change, and a line for a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.analysis import Compared
from forgetting.pipeline.finished_run.analysis_cost import Expected, _rank, said
from forgetting.pipeline.finished_run.models import models_of, recipe_of
from tests.pipeline.finished_run.test_ask import made


@pytest.mark.parametrize(("adapter", "rank"), [({"rank": 2}, 2), ({"kind": "full"}, 0)])
def test_a_change_of_adapters_alone_is_thin(world: Path, tmp_path: Path, adapter: dict[str, object], rank: int) -> None:
    folder = made(world, tmp_path, "run", [{"method": "graddiff", "adapter": adapter}])
    models = {one.point: one for one in models_of(folder, recipe_of(folder))}
    before, after = models["before"], models["after"]
    assert _rank(Compared(before=before.view, after=after.view, tokenizer=after.tokenizer)) == rank


def test_all_and_each_are_said_in_a_line_and_nothing_of_nothing() -> None:
    found = {"lens": Expected(61.0, 2**20, {}), "sae": Expected(2.0, 3 * 2**20, {})}
    (line,) = said(found)
    assert line.startswith("analyses: about 1 min 03 s where nothing else runs, at most ")
    assert "3 MiB of it besides the models" in line and "(lens 1 min 01 s, 1 MiB; sae 2.0 s, 3 MiB)" in line
    assert said({}) == []
