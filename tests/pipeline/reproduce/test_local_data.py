"""Local files in place of the hub and of `data/`."""

from pathlib import Path

from forgetting.benchmarks.published import published_table
from forgetting.pipeline.reproduce.local_data import localised
from forgetting.recipe import load_recipe, recipe_from


def test_a_dataset_of_the_hub_is_read_from_the_folder_that_holds_it(tmp_path: Path) -> None:
    (tmp_path / "hub" / "org").mkdir(parents=True)
    (tmp_path / "hub" / "org" / "here.jsonl").touch()
    train = [{"hub": "org/here", "columns": {"prompt": "q"}, "limit": 7}, {"hub": "org/not-here"}]
    recipe = recipe_from({"model": "m", "data": {"train": train}, "stages": [{"method": "sft"}]})
    here, there = localised(recipe, tmp_path).data["train"]
    assert (here.path, here.hub) == (str(tmp_path / "hub" / "org" / "here.jsonl"), None)
    assert (here.columns, here.limit) == ({"prompt": "q"}, 7)
    assert there.hub == "org/not-here"


def test_local_files_take_the_places_of_the_hub_and_of_relative_paths() -> None:
    table = published_table("loku-table2")
    row = next(row for row in table.rows if row.id == "dpo-lora-forget05")
    [(_, overrides)] = table.runs(row)
    recipe = localised(load_recipe(row.recipe, [*overrides, "model=m"]), Path("/there"))
    assert {role: sources[0].path for role, sources in recipe.data.items()} == {
        "forget": "/there/tofu/forget05.jsonl",
        "retain": "/there/tofu/retain95.jsonl",
        "alternate": "/there/tofu/idontknow.jsonl",
    }
    assert recipe.evaluate == ["tofu:forget05@/there/tofu"]


def test_duets_splits_are_read_from_their_folder() -> None:
    values = {"forget": {"suite": "duet:city_forget_rare_5"}, "retain": {"suite": "duet:domains_rare@mine"}}
    recipe = localised(load_recipe("duet", {"model": "m", "name": "duet", "data": values}), Path("/there"))
    assert [s[0].suite for s in recipe.data.values()] == [
        "duet:city_forget_rare_5@/there/duet",
        "duet:domains_rare@mine",
    ]
    assert recipe.evaluate == ["duet:city_forget_rare_5@/there/duet"] and recipe.name == "duet"
