"""Built-in recipes for one's own data do the job on a dozen rows, and keep the papers' settings on large sets."""

from __future__ import annotations

import pytest

from forgetting.core.duration import Duration
from forgetting.recipe import BUILT_IN, Stage, load_recipe, recipe_names

OWN = {
    ("sft", "learn"): (100, "3 epochs"),
    ("extraction", "unlearn"): (400, "20 epochs"),
    ("unlearn", "unlearn"): (200, "5 epochs"),
    ("f2f", "tune"): (100, "1 epochs"),
    ("forgetting", "reference"): (100, "1 epochs"),
    ("forgetting", "train"): (100, "1 epochs"),
}


def stage_of(recipe: str, name: str) -> Stage:
    return next(s for s in load_recipe(recipe, {"model": "m"}).stages if s.name == name)


@pytest.mark.parametrize(("place", "least", "epochs"), [(place, *values) for place, values in OWN.items()])
def test_a_dozen_rows_take_the_least_number_of_steps_and_many_rows_the_epochs(
    place: tuple[str, str], least: int, epochs: str
) -> None:
    duration = stage_of(*place).duration
    assert duration.steps(steps_per_epoch=1, tokens_per_epoch=100) == least
    assert duration.steps(steps_per_epoch=1000, tokens_per_epoch=10**6) == Duration.parse(epochs).value * 1000


@pytest.mark.parametrize("place", [("extraction", "unlearn"), ("unlearn", "unlearn")])
def test_a_small_request_is_not_measured_after_every_step(place: tuple[str, str]) -> None:
    stage = stage_of(*place)
    assert stage.evaluate_every is not None
    every = stage.evaluate_every.steps(steps_per_epoch=1, tokens_per_epoch=100)
    assert every in (10, 20) and 200 % every == 0


WEIGHT_DECAYS = {"duet-sft": 0.08}
"""Those that authors give; the others are 0, a choice."""


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_says_that_it_clips_and_that_clipping_bounds_ascent(name: str) -> None:
    written = " ".join((BUILT_IN / f"{name}.yaml").read_text(encoding="utf-8").replace("\n#", "").split())
    decay = f"weight decay {WEIGHT_DECAYS.get(name, 0):g}"
    assert decay in written.lower().replace("no weight decay", "weight decay 0")
    assert "lipping bounds ascent" in written
    assert "o paper names warm-up, clipping or weight decay for unlearning" in written
    for stage in load_recipe(name, {"model": "m"}).stages:
        if stage.trains:
            assert (stage.weight_decay, stage.max_grad_norm) == (WEIGHT_DECAYS.get(name, 0.0), 1.0)
            assert (stage.schedule == "constant") is ("constant rate" in written)
