"""The built-in TOFU recipes carry LoKU's settings (arXiv 2408.06621, section 4.3)."""

import pytest

from forgetting.core.duration import Duration
from forgetting.recipe import load_recipe, recipe_names, recipe_summary
from forgetting.recipe.sweep import load_sweep

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


METHODS = {
    "GA": ({"name": "ga"}, "default"),
    "GD": ({"name": "graddiff"}, "default"),
    "IHL": ({"name": "ihl"}, "default"),
    "GD+FILA": ({"name": "graddiff"}, "fila"),
    "LoKU": ({"name": "loku"}, "fila"),
    "KL": ({"name": "ga_kl", "retain": "kl_from_reference"}, "default"),
    "DPO": ({"name": "dpo"}, "default"),
    "NPO": ({"name": "npo"}, "default"),
}
KEPT = {"forget01": "retain99", "forget05": "retain95", "forget10": "retain90"}


@pytest.mark.parametrize(
    ("name", "methods"),
    [("loku-figure5", ["GA", "GD", "IHL", "GD+FILA", "LoKU"]), ("loku-figure7", ["KL", "DPO", "NPO", "LoKU"])],
)
def test_the_curves_are_of_two_models_three_forget_sets_and_four_ranks(name: str, methods: list[str]) -> None:
    sweep = load_sweep(name)
    assert list(sweep.file.grid["method"]) == methods
    places = set()
    for run in sweep.runs:
        [stage] = run.recipe.stages
        model, forget = run.point["model and forget set"].split()
        short, rate = {"Phi-1.5B": ("phi", 2e-4), "Llama-2-7B": ("llama2", 1e-4)}[model]
        assert (stage.method, stage.adapter_or_full.init["name"]) == METHODS[run.point["method"]]
        assert (stage.learning_rate, stage.batch_size, stage.duration) == (rate, 32, Duration(5, "epochs"))
        assert (stage.evaluate_every, stage.collapse_at, stage.optimizer) == (Duration(1, "epochs"), None, "adamw")
        assert (stage.adapter_or_full.kind, stage.adapter_or_full.targets) == ("lora", "all")
        assert stage.adapter_or_full.spec.scaled_alpha == 2 * stage.adapter_or_full.rank
        assert run.recipe.model == f"runs/{short}-tofu/model"
        assert run.recipe.oracle == f"runs/{short}-{KEPT[forget]}/model", "the oracle never saw this forget set"
        assert [run.recipe.data[role][0].name for role in ("forget", "retain")] == [forget, KEPT[forget]]
        assert run.recipe.evaluate == [f"tofu:{forget}"]
        if run.point["method"] == "DPO":
            assert [source.path for source in run.recipe.data["alternate"]] == ["data/tofu/idontknow.jsonl"]
        places.add((model, forget, stage.adapter_or_full.rank))
    assert len(places) == 2 * 3 * 4
    [figure] = sweep.file.figures
    assert (figure.x, figure.y, figure.along) == ("all/model_utility", "forget/forget_quality", "epochs")
    assert figure.panels == ["model and forget set", "adapter.rank"]
