"""LoKU's settings on the Training Data Extraction Challenge: the recipes, and the sweeps of figures 2, 3, 4 and 6."""

from __future__ import annotations

import pytest

from forgetting.core.duration import Duration
from forgetting.recipe import Recipe, Stage, load_recipe
from forgetting.recipe.sweep import Sweep, load_sweep

SETS = [f"data/tdec/lm_extraction_32_{number}.csv" for number in range(5)]
VARIANTS = {"GD": ("graddiff", "default"), "IHL": ("ihl", "default"), "GD+FILA": ("graddiff", "fila")}
VARIANTS["LoKU"] = ("loku", "fila")


def check(stage: Stage, *, targets: str = "qvffn") -> None:
    """The settings of section 4.1 and of appendix B."""
    assert (stage.learning_rate, stage.optimizer, stage.batch_size) == (2e-4, "adamw", 32)
    assert (stage.duration, stage.evaluate_every) == (Duration(20, "epochs"), Duration(1, "epochs"))
    assert (stage.until, stage.collapse_at, stage.schedule, stage.warmup) == ("extraction", None, "constant", 0.0)
    adapter = stage.adapter_or_full
    if adapter.kind != "full":
        assert (adapter.kind, adapter.targets) == ("lora", targets)
        assert adapter.spec.scaled_alpha == 2 * adapter.rank


def forgotten(recipe: Recipe, stage: Stage) -> str:
    [source] = recipe.sources(stage)["forget"]
    return str(source.suite).removeprefix("tdec:forget=")


@pytest.mark.parametrize("name", ["loku-tdec", "loku-tdec-continual"])
def test_the_papers_settings(name: str) -> None:
    recipe = load_recipe(name, ["model=m"])
    assert recipe.format.max_length == 200
    for stage in recipe.stages:
        check(stage)
        assert (stage.method["name"], stage.adapter_or_full.rank) == ("loku", 16)
        [retain] = recipe.sources(stage)["retain"]
        assert retain.path == "data/text/wikitext.jsonl.gz"
    asked = list(recipe.evaluate.values() if isinstance(recipe.evaluate, dict) else recipe.evaluate)
    assert asked[-3:] == ["harness:reasoning", "dialogue:data/text", "text:data/text/pile.jsonl.gz"]


def test_four_requests_each_have_their_own_set_and_end_by_it() -> None:
    recipe = load_recipe("loku-tdec-continual", ["model=m"])
    assert [stage.name for stage in recipe.stages] == ["task1", "task2", "task3", "task4"]
    assert [forgotten(recipe, stage) for stage in recipe.stages] == SETS[:4]
    assert isinstance(recipe.evaluate, dict)
    for stage in recipe.stages:
        assert recipe.evaluate[stage.name] == f"tdec:forget={forgotten(recipe, stage)},unseen=data/tdec/unseen.csv"
        assert stage.between == "merge"


def axis(sweep: Sweep, name: str) -> list[str]:
    return list(sweep.file.grid[name])


@pytest.mark.parametrize("name", ["loku-figure2", "loku-figure3", "loku-figure4"])
def test_every_point_is_run_on_the_five_sets_and_measured_on_the_one_it_forgets(name: str) -> None:
    sweep = load_sweep(name)
    assert sweep.file.averaged == ["set"]
    others: dict[tuple[str, ...], list[str]] = {}
    for run in sweep.runs:
        [stage] = run.recipe.stages
        check(stage, targets=run.point.get("targets", "qvffn").lower())
        asked = list(run.recipe.evaluate)
        assert asked[0] == f"tdec:forget={forgotten(run.recipe, stage)},unseen=data/tdec/unseen.csv"
        assert asked[1:] == ["harness:reasoning", "dialogue:data/text", "text:data/text/pile.jsonl.gz"]
        place = tuple(label for axis, label in run.point.items() if axis != "set")
        others.setdefault(place, []).append(forgotten(run.recipe, stage))
    assert all(found == SETS for found in others.values())
    assert {"forget/el_10", "forget/memorization_accuracy", "run/flops"} <= set(sweep.file.columns or ())


def test_figure_2_compares_all_weights_with_lora_by_cost() -> None:
    sweep = load_sweep("loku-figure2")
    found = {
        (run.point["method"], (a := run.recipe.stages[0].adapter_or_full).kind, a.kind == "lora" and a.rank)
        for run in sweep.runs
    }
    ranks = (4, 8, 16, 32)
    assert found == {("GD, all weights", "full", False)} | {
        (method, "lora", rank) for method in ("GD, LoRA", "LoKU") for rank in ranks
    }
    assert {run.recipe.stages[0].adapter_or_full.init["name"] for run in sweep.runs if "GD" in run.name} == {"default"}
    assert {run.recipe.model for run in sweep.runs} == {"EleutherAI/gpt-neo-125m"}
    assert [(f.x, f.y) for f in sweep.file.figures] == [
        ("run/flops", "reasoning/mean_accuracy"), ("run/flops", "all/dialogue_f1"), ("run/flops", "pile/perplexity"),
    ]  # fmt: skip


def variants_of(sweep: Sweep) -> None:
    assert axis(sweep, "method") == list(VARIANTS)
    for run in sweep.runs:
        for stage in run.recipe.stages:
            assert (stage.method["name"], stage.adapter_or_full.init["name"]) == VARIANTS[run.point["method"]]


def test_figure_3_is_three_sizes_by_four_ranks() -> None:
    sweep = load_sweep("loku-figure3")
    variants_of(sweep)
    sizes = {f"EleutherAI/gpt-neo-{size}" for size in ("125m", "1.3B", "2.7B")}
    assert {(run.recipe.model, run.recipe.stages[0].adapter_or_full.rank) for run in sweep.runs} == {
        (size, rank) for size in sizes for rank in (4, 8, 16, 32)
    }
    assert {figure.x for figure in sweep.file.figures} == {"adapter.rank"}


def test_figure_4_is_rank_32_on_sets_of_modules() -> None:
    sweep = load_sweep("loku-figure4")
    variants_of(sweep)
    found = {run.point["targets"]: run.recipe.stages[0].adapter_or_full.targets for run in sweep.runs}
    assert found == {"QV": "qv", "QKVO": "qkvo", "FFN": "ffn", "QVFFN": "qvffn", "all": "all"}
    assert {run.recipe.stages[0].adapter_or_full.rank for run in sweep.runs} == {32}


def test_figure_6_is_four_requests_by_method() -> None:
    sweep = load_sweep("loku-figure6")
    found = {}
    for run in sweep.runs:
        assert [forgotten(run.recipe, stage) for stage in run.recipe.stages] == SETS[:4]
        for stage in run.recipe.stages:
            check(stage)
        ways = {(s.method["name"], s.adapter_or_full.kind, s.adapter_or_full.init["name"]) for s in run.recipe.stages}
        [found[run.point["method"]]] = ways
    full = {f"{m}, all weights": (VARIANTS[m][0], "full", "default") for m in ("GD", "IHL")}
    assert found == full | {m: (method, "lora", init) for m, (method, init) in VARIANTS.items()}
    assert {(figure.x, figure.along) for figure in sweep.file.figures} == {("stage", "stages")}
