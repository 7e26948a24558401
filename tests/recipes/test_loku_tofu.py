"""The built-in TOFU recipes carry LoKU's settings (arXiv 2408.06621, section 4.3)."""

import pytest

from forgetting.core.duration import Duration
from forgetting.recipe import load_recipe, recipe_names, recipe_summary

RATES = {"loku-tofu-forget10-phi": 2e-4, "loku-tofu-forget10-llama2": 1e-4}


@pytest.mark.parametrize("name", RATES)
def test_the_papers_settings(name: str) -> None:
    recipe = load_recipe(name, ["model=./mine"])
    [stage] = recipe.stages
    assert (stage.method["name"], stage.optimizer) == ("loku", "adamw")
    assert (stage.learning_rate, stage.schedule, stage.warmup) == (RATES[name], "constant", 0.0)
    assert (stage.batch_size, stage.duration) == (32, Duration(5, "epochs"))
    adapter = stage.adapter_or_full
    assert (adapter.kind, adapter.init["name"], adapter.targets) == ("lora", "fila", "all")
    assert adapter.alpha == 2 * adapter.rank


@pytest.mark.parametrize("name", RATES)
def test_the_data_are_the_hubs(name: str) -> None:
    recipe = load_recipe(name, ["model=./mine"])
    sources = {role: [(s.hub, s.name) for s in where] for role, where in recipe.data.items()}
    assert sources == {"forget": [("locuslab/TOFU", "forget10")], "retain": [("locuslab/TOFU", "retain90")]}
    assert recipe.evaluate == ["tofu:forget10"]


@pytest.mark.parametrize("name", RATES)
def test_it_is_listed_with_the_command_that_runs_it(name: str) -> None:
    assert name in recipe_names()
    assert f"forget run {name} model=" in recipe_summary(name)


@pytest.mark.parametrize("rank", [4, 8, 16, 32])
def test_a_rank_of_the_paper_is_set_beside_its_alpha(rank: int) -> None:
    recipe = load_recipe(
        "loku-tofu-forget10-phi", ["model=./mine", f"adapter.rank={rank}", f"adapter.alpha={2 * rank}"]
    )
    adapter = recipe.stages[0].adapter_or_full
    assert (adapter.rank, adapter.alpha) == (rank, 2 * rank)
