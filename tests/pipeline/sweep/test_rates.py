"""The best of a few learning rates, by the balance."""

from pathlib import Path

from forgetting.pipeline.sweep.rates import best_rate
from forgetting.recipe import load_recipe
from forgetting.runs.results import Results


def test_the_rate_with_the_highest_balance_is_chosen_and_all_are_named(recipe_file: Path) -> None:
    changes = ["method=graddiff", "adapter=null", "duration=4 steps", "evaluate_every=null"]
    chosen = Results.load(best_rate(load_recipe(str(recipe_file), changes), (1e-5, 2e-3)))
    assert chosen.selection is not None
    scores = {c.label: c.score for c in chosen.selection.candidates}
    assert [*scores] == ["learning rate 1e-05", "learning rate 0.002"]
    assert [c.chosen for c in chosen.selection.candidates] == [s == max(scores.values()) for s in scores.values()]  # type: ignore[type-var]
    after = chosen.after
    assert after is not None and after.measure("all/balance").value == max(scores.values())  # type: ignore[union-attr, type-var]
    assert chosen.selection.budget == "2 learning rates, 4 steps each"
