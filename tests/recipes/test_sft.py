"""Fine-tuning as a recipe: one's own data, and TOFU's authors with the settings that LoKU states (section 4.3)."""

from pathlib import Path

import pytest
import torch

from forgetting.benchmarks.tofu import tofu_suite
from forgetting.benchmarks.untrained_model import blank_model
from forgetting.core.duration import Duration
from forgetting.pipeline.run.run import run
from forgetting.recipe import BUILT_IN, load_recipe, recipe_summary
from forgetting.recipe.changes import parsed
from forgetting.runs.results import Results

TOFU = Path(__file__).parents[3] / "shared" / "data" / "tofu"


def written(name: str) -> str:
    return " ".join((BUILT_IN / f"{name}.yaml").read_text(encoding="utf-8").replace("\n#", "").split())


@pytest.mark.parametrize("name", ["sft", "tofu-sft"])
def test_all_weights_train_in_32_bits_on_the_train_data(name: str) -> None:
    recipe = load_recipe(name, ["model=m"])
    [stage] = recipe.stages
    assert (stage.method, stage.adapter_or_full.kind, recipe.dtype) == ({"name": "sft"}, "full", "float32")
    assert stage.objective().roles == ("train",)
    assert f"forget run {name} model=" in recipe_summary(name)


def test_ones_own_few_rows_take_steps_enough_and_unseen_ones_are_measured_on_the_way() -> None:
    recipe = load_recipe("sft", ["model=m", "data.train=my.jsonl", "data.holdout=unseen.jsonl"])
    [stage] = recipe.stages
    assert stage.duration == Duration(3, "epochs", 100)
    assert stage.evaluate_every == Duration(1, "epochs", 20)
    assert recipe.evaluate == []


def test_the_commands_for_an_oracle_in_the_header_are_recipes() -> None:
    commands = [c.split("  ")[0] for c in written("sft").split("forget run ")[2:5]]
    taught, oracle, unlearned = (command.partition(" Chosen")[0].split() for command in commands)
    recipes = [load_recipe(name, changes) for name, *changes in (taught, oracle, unlearned)]
    assert [recipe.name for recipe in recipes] == ["knows", "oracle", "unlearn"]
    assert [str(recipes[2].model), recipes[2].oracle] == ["runs/knows/model", "runs/oracle/model"]
    paths = [[source.path for source in recipe.data["train"]] for recipe in recipes[:2]]
    assert paths == [["forget.jsonl", "retain.jsonl"], ["retain.jsonl"]]
    assert recipes[0].stages == recipes[1].stages, "the oracle is taught alike"


@pytest.mark.parametrize(
    ("overrides", "rate"), [((), 2e-5), (("stages.learn.learning_rate=1e-5",), 1e-5)], ids=["phi", "llama2"]
)
def test_tofus_settings(overrides: tuple[str, ...], rate: float) -> None:
    assert all(override in written("tofu-sft") for override in overrides)
    recipe = load_recipe("tofu-sft", ["model=m", *overrides])
    [stage] = recipe.stages
    assert (stage.learning_rate, stage.batch_size, stage.optimizer) == (rate, 32, "adamw")
    assert (stage.duration, stage.schedule, stage.warmup) == (Duration(5, "epochs"), "linear", 0.2)
    [source] = recipe.data["train"]
    assert (source.hub, source.name) == ("locuslab/TOFU", "full")
    assert recipe.evaluate == ["tofu:forget10"]


def test_the_oracle_of_tofu_is_one_change_in_the_header() -> None:
    override = "data.train.name=retain90"
    assert f"name=tofu-retain90 {override}" in written("tofu-sft")
    plain, oracle = (load_recipe("tofu-sft", ["model=m", *more]) for more in ((), (override,)))
    assert oracle.data["train"][0].name == "retain90"
    assert oracle.stages == plain.stages and oracle.evaluate == plain.evaluate


def test_local_files_of_tofu_are_read_as_the_suite_reads_them() -> None:
    [source] = parsed(['data.train={suite: "tofu:forget10@FOLDER"}']).values()
    assert "'data.train={suite: \"tofu:forget10@FOLDER\"}'" in written("tofu-sft")
    assert source == {"suite": "tofu:forget10@FOLDER"}


@pytest.mark.skipif(not TOFU.is_dir(), reason="TOFU's questions are not here")
def test_all_of_tofu_is_what_is_forgotten_and_what_is_retained() -> None:
    data = tofu_suite("forget10", TOFU).data
    assert data["train"] == (*data["retain"], *data["forget"]) and len(data["train"]) == 600


@pytest.mark.skipif(not TOFU.is_dir(), reason="TOFU's questions are not here")
def test_both_take_two_steps_on_local_files_of_tofu(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    blank_model(tmp_path / "m", [TOFU / "forget10_qa.jsonl"], hidden=64, layers=1, vocabulary=1000)
    short = {"model": str(tmp_path / "m"), "output": str(tmp_path), "duration": "2 steps", "max_new_tokens": 4}
    asked = {
        "tofu-sft": {"data.train": {"suite": f"tofu:forget10@{TOFU}", "limit": 40}, "evaluate": []},
        "sft": {
            "data.train": {"path": str(TOFU / "retain_qa.jsonl"), "limit": 40},
            "data.holdout": {"path": str(TOFU / "world_facts_qa.jsonl"), "limit": 8},
        },
    }
    for name, values in asked.items():
        folder = run(load_recipe(name, {**short, **values}), report=False)
        results = Results.load(folder)
        [stage] = results.stages
        assert (results.status, stage.steps, stage.trainable) == ("complete", 2, stage.of)
        after = results.after
        assert after is not None
        measured = {m.key: m.value for m in after.measures}
        role = "holdout" if name == "sft" else "train"
        assert measured[f"{role}/probability"] is not None and (folder / "model" / "model.safetensors").is_file()
