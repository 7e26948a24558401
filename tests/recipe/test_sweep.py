"""A sweep file becomes runs: the product of its axes, each a valid recipe in a folder of its own."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetting.core.errors import RecipeError
from forgetting.recipe.sweep import Sweep, load_sweep, sweep_names, sweep_summary

METHODS = {"GD": {"method": "graddiff", "adapter.init": "default"}, "LoKU": {"method": "loku"}}


def sweep_of(tmp_path: Path, *overrides: str, **values: Any) -> Sweep:
    """A sweep over the built-in recipe `lab`, with what `values` say; None leaves a key out."""
    file = {"name": "matrix", "recipe": "lab", "set": {"adapter.kind": "lora"}, "grid": {"seed": [0, 1]}, **values}
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in file.items() if v is not None}, sort_keys=False))
    return load_sweep(str(path), overrides)


def test_the_product_of_the_axes_is_run_and_the_last_changes_fastest(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, grid={"method": METHODS, "adapter.rank": [4, 16], "seed": [0, 1]})
    assert sweep.folder == Path("runs/matrix")
    assert [run.name for run in sweep.runs] == [
        "GD-rank4-seed0", "GD-rank4-seed1", "GD-rank16-seed0", "GD-rank16-seed1",
        "LoKU-rank4-seed0", "LoKU-rank4-seed1", "LoKU-rank16-seed0", "LoKU-rank16-seed1",
    ]  # fmt: skip
    last = sweep.runs[-1]
    assert last.point == {"method": "LoKU", "adapter.rank": "16", "seed": "1"}
    stage = last.recipe.stages[0]
    assert (stage.method, stage.adapter_or_full.title, stage.adapter_or_full.rank) == ({"name": "loku"}, "FILA", 16)
    assert (last.recipe.seed, last.recipe.folder) == (1, Path("runs/matrix/LoKU-rank16-seed1"))
    assert sweep.runs[0].recipe.stages[0].adapter_or_full.init == {"name": "default"}


def test_set_and_overrides_hold_for_all_runs(tmp_path: Path) -> None:
    sweep = sweep_of(
        tmp_path, "duration=3 steps", "name=other", "output=out", set={"adapter.kind": "lora", "learning_rate": 2e-5}
    )
    for run in sweep.runs:
        assert run.recipe.stages[0].learning_rate == 2e-5
        assert str(run.recipe.stages[0].duration) == "3 steps"
        assert run.recipe.folder == Path("out/other") / run.name


def test_a_point_says_more_than_set(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, set={"learning_rate": 1.0}, grid={"learning_rate": [1e-5, 0.5]})
    assert [run.recipe.stages[0].learning_rate for run in sweep.runs] == [1e-5, 0.5]
    assert [run.name for run in sweep.runs] == ["learning_rate1e-05", "learning_rate0.5"]


def test_a_point_that_undoes_a_narrower_key_of_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"'grid.method' sets 'method', which overrides 'set.method.beta'"):
        sweep_of(tmp_path, set={"method.beta": 0.5}, grid={"method": ["npo", "dpo"]})


def test_values_of_every_kind_reach_the_recipe(tmp_path: Path) -> None:
    sweep = sweep_of(
        tmp_path,
        grid={
            "evaluate": [["lab"], ["lab:popular", "lab"]],
            "max_grad_norm": [None, 0.1],
            "question": ["a: b # c, {d}"],
        },
    )
    assert [run.recipe.evaluate for run in sweep.runs[::2]] == [["lab"], ["lab:popular", "lab"]]
    assert [run.recipe.stages[0].max_grad_norm for run in sweep.runs[:2]] == [None, 0.1]
    assert {run.recipe.question for run in sweep.runs} == {"a: b # c, {d}"}


def test_a_recipe_file_is_looked_for_beside_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("{name: x, model: m, stages: [{method: sft}], output: elsewhere}")
    sweep = sweep_of(tmp_path, recipe="mine.yaml", set=None)
    assert sweep.folder == Path("elsewhere/matrix")
    assert sweep.runs[0].recipe.model == "m"


def test_what_the_recipe_lacks_may_come_from_the_grid(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("{name: x, stages: [{method: sft}]}")
    sweep = sweep_of(tmp_path, recipe="mine.yaml", set=None, grid={"model": {"a": {"model": "A"}, "b": {"model": "B"}}})
    assert [run.recipe.model for run in sweep.runs] == ["A", "B"]


def test_skipped_points_are_left_out(tmp_path: Path) -> None:
    grid = {"method": METHODS, "adapter.rank": [4, 16], "seed": [0, 1]}
    sweep = sweep_of(tmp_path, grid=grid, skip=[{"method": "GD", "adapter.rank": 16}, {"seed": 1, "method": "LoKU"}])
    assert [run.name for run in sweep.runs] == [
        "GD-rank4-seed0", "GD-rank4-seed1", "LoKU-rank4-seed0", "LoKU-rank16-seed0",
    ]  # fmt: skip


def test_seeds_are_averaged_over_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    assert sweep_of(tmp_path).file.averaged == ["seed"]
    assert sweep_of(tmp_path, replicates=[]).file.averaged == []
    assert sweep_of(tmp_path, grid={"learning_rate": [0.1]}).file.averaged == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"girds": {}}, r"sweep.yaml: unknown key 'girds'; did you mean 'grid'\?"),
        ({"recipe": None}, r"sweep.yaml: 'recipe': is missing"),
        ({"recipe": "labb"}, r"sweep.yaml: labb: no such recipe; did you mean 'lab'\?"),
        ({"name": "../x"}, r"sweep.yaml: 'name': "),
        ({"grid": {}}, r"sweep.yaml: 'grid': give at least one axis"),
        ({"grid": {"seed": []}}, r"'grid': seed: give a list of values"),
        ({"grid": {"seed": 3}}, r"'grid': seed: give a list of values"),
        ({"grid": {"seed": [1, 2, 1]}}, r"'grid': seed: 1 is given twice"),
        ({"grid": {"name": ["a"]}}, r"'grid': 'name' is set by the sweep itself"),
        ({"set": {"output": "a"}}, r"'set': 'output' is set by the sweep itself"),
        ({"grid": {"method": {"GD": "graddiff"}}}, r"method.GD is 'graddiff'; write what it sets: GD: \{method: grad"),
        ({"set": {"learning_rat": 1}}, r"sweep.yaml: 'set': .*learning_rat'; did you mean 'learning_rate'\?"),
        (
            {"grid": {"method": {"GD": {"method": "gradiff"}}}},
            r"sweep.yaml: 'grid.method.GD': .*gradiff.*did you mean 'graddiff'\?",
        ),
        ({"grid": {"adapter.rnk": [1]}}, r"'grid.adapter.rnk.1': .*adapter.rnk'; did you mean 'rank'\?"),
        ({"grid": {"seed": [0, -1]}}, r"'grid.seed.-1': .*'seed'"),
        ({"replicates": ["seeds"]}, r"'replicates': no axis 'seeds'; did you mean 'seed'\?"),
        ({"replicates": ["seed", "seed"]}, r"'replicates': 'seed' is given twice; leave one out"),
        ({"skip": [{"seeds": 1}]}, r"'skip.0': no axis 'seeds'; did you mean 'seed'\?"),
        ({"skip": [{"seed": 7}]}, r"'skip.0.seed': no point 7; known: 0, 1"),
        ({"skip": [{}]}, r"'skip' leaves no point"),
        ({"figures": [{"x": "sead", "y": "a/b"}]}, r"'figures.0.x': 'sead' is no measure .*did you mean 'seed'\?"),
        ({"figures": [{"x": "a/b", "y": "seed"}]}, r"'figures.0.y': 'seed' is no measure; write split/name"),
        ({"figures": [{"x": "seed", "y": "a/b", "panels": ["seed"]}]}, r"'figures.0.panels': 'seed' is given twice"),
        ({"columns": ["a/b", "probability"]}, r"'columns.1': 'probability' is no measure; write split/name"),
        (
            {"figures": [{"x": "seed", "y": "a/b", "along": "stages"}]},
            r"'figures.0.x' is 'seed'; along stages, write st",
        ),
        ({"figures": [{"x": "seed", "y": "a/b", "panels": ["methods"]}]}, r"'figures.0.panels': no axis 'methods'"),
        (
            {"grid": {"method": METHODS}, "figures": [{"x": "method", "y": "a/b"}]},
            r"'figures.0.x': the label 'GD' of axis 'method' is no number; put it in panels",
        ),
        (
            {"grid": {"adapter.rank": [4, 8], "kind": {"a": {"adapter": {"kind": "lora"}}}}},
            r"'grid.kind' sets 'adapter', which overrides 'adapter.rank' of 'grid.adapter.rank'",
        ),
        ({"grid": {"seed": [0], "again": {"a": {"seed": 1}}}}, r"'grid.again' sets 'seed', which overrides 'seed'"),
        ({"grid": {"m": {"GA+KL": {"seed": 0}, "GA KL": {"seed": 1}}}}, r"\(GA\+KL\) and \(GA KL\) give one folder"),
        ({"grid": {"m": {"a": {"seed": 0}, "b": None}}}, r"\(a\) and \(b\) give the same run"),
        (
            {"set": {"adapter.kind": "full"}, "grid": {"adapter.rank": [4, 8]}},
            r"\(4\) and \(8\) give the same run",
        ),  # full has no rank
        (
            {"grid": {key: [*range(1, 400)] for key in ("seed", "batch_size", "max_new_tokens")}},
            "'grid' has 63,521,199 points, more than 100,000; leave values out",
        ),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        sweep_of(tmp_path, **values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "override", ["seed=3", "stages.unlearn.adapter.rank=2", "adapter={kind: lora}", "method.forget_weight=2"]
)
def test_what_the_grid_sets_is_not_overridden(tmp_path: Path, override: str) -> None:
    with pytest.raises(RecipeError, match="is set by 'grid"):
        sweep_of(tmp_path, override, grid={"method": METHODS, "adapter.rank": [4], "seed": [0]})


def test_a_missing_sweep_and_a_file_that_is_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="lab-method: no such sweep; did you mean 'lab-methods'"):
        load_sweep("lab-method")
    (tmp_path / "x.yaml").write_text("[1")
    with pytest.raises(RecipeError, match=r"x.yaml: not YAML"):
        load_sweep(str(tmp_path / "x.yaml"))
    (tmp_path / "x.yaml").write_text("- 1")
    with pytest.raises(RecipeError, match=r"x.yaml: holds no keys"):
        load_sweep(str(tmp_path / "x.yaml"))


def test_figures_show_measures_axes_of_numbers_and_ways(tmp_path: Path) -> None:
    figures = [
        {"x": "run/flops", "y": "a/b"},
        {"x": "stages.unlearn.duration", "y": "a/b", "panels": ["seed"]},
        {"x": "epoch", "y": "a/b", "along": "epochs"},
        {"x": "c/d", "y": "a/b", "along": "stages"},
    ]
    grid = {"stages.unlearn.duration": ["3 steps", "4 steps"], "seed": [0, 1]}
    asked = sweep_of(tmp_path, grid=grid, figures=figures).file.figures
    assert [figure.keys for figure in asked] == [["run/flops", "a/b"], ["a/b"], ["a/b"], ["c/d", "a/b"]]


BUILT_IN = {
    "duet-arms": 64,
    "duet-figure9": 60,
    "extraction-lab": 12,
    "f2f-forget-sets": 18,
    "f2f-forget-size": 45,
    "f2f-forget-weight": 30,
    "f2f-learning-rates": 42,
    "f2f-matrix": 123,
    "f2f-steps": 15,
    "f2f-weights": 27,
    "forgetting-figure1a": 36,
    "forgetting-figure1b": 21,
    "lab-f2f": 123,
    "lab-f2f-weights": 24,
    "lab-all-methods": 270,
    "lab-audits": 10,
    "lab-losses": 69,
    "lab-matched": 63,
    "lab-methods": 45,
    "lab-noisy": 48,
    "lab-ranks": 48,
    "lab-transforms": 27,
    "loku-figure2": 45,
    "loku-figure3": 240,
    "loku-figure4": 100,
    "loku-figure5": 120,
    "loku-figure6": 6,
    "loku-figure7": 96,
}


@pytest.mark.parametrize(("name", "runs"), BUILT_IN.items())
def test_built_in_sweeps_are_valid(name: str, runs: int) -> None:
    assert f"forget sweep {name}" in sweep_summary(name)
    assert len(load_sweep(name).runs) == runs


def test_every_built_in_sweep_is_counted() -> None:
    assert set(sweep_names()) == set(BUILT_IN)
