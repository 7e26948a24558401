"""The JSON Schemas that editors check recipes and sweeps with."""

import copy

import jsonschema
import pytest
import yaml

from forgetting.recipe import BUILT_IN, recipe_from, sweep_file
from forgetting.recipe.schema import recipe_schema, sweep_schema

RECIPES = sorted(BUILT_IN.glob("*.yaml"))
SWEEPS = sorted(sweep_file.BUILT_IN.glob("*.yaml"))


@pytest.fixture(scope="module")
def of_recipe():
    schema = recipe_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def of_sweep():
    schema = sweep_schema(sweep_file.SweepFile)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_built_in_recipe_is_valid_as_written_and_in_full(path, of_recipe):
    written = yaml.safe_load(path.read_text())
    of_recipe.validate(written)
    if "model" in written:
        of_recipe.validate(recipe_from(written).model_dump(mode="json"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
def test_every_built_in_sweep_is_valid(path, of_sweep):
    of_sweep.validate(yaml.safe_load(path.read_text()))


RECIPE = {
    "model": "lab",
    "data": {"forget": "a.jsonl", "retain": [{"hub": "a/b", "limit": 3}, "c.jsonl"]},
    "stages": [{"method": {"name": "npo", "beta": 0.1}, "adapter": {"rank": 4}, "duration": "5 epochs"}],
    "evaluate": "lab",
}


def changed(*path, value, recipe=RECIPE):
    found = copy.deepcopy(recipe)
    here = found
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    return found


@pytest.mark.parametrize(
    "path_and_value",
    [
        (("evaluate",), {"one": "lab", "two": "tofu"}),
        (("stages", 0, "method"), "loku"),
        (("stages", 0, "method"), {"name": "npo", "retain_weight": {"schedule": "linear", "start": 0, "end": 1}}),
        (("stages", 0, "evaluate_every"), None),
        (("stages", 0, "data"), {"forget": {"suite": "lab"}}),
        (("stages", 0), {"name": "perturb", "transform": "noise"}),
        (("stages", 0), {"transform": {"name": "noise", "alpha": 0.5, "norms": "decay", "seed": 3}}),
    ],
)
def test_the_short_forms_of_a_recipe_are_valid_in_both(path_and_value, of_recipe):
    path, value = path_and_value
    written = changed(*path, value=value)
    recipe_from(written)
    of_recipe.validate(written)


@pytest.mark.parametrize(
    "path_and_value",
    [
        (("evalute",), []),
        (("data", "forgot"), "a.jsonl"),
        (("data", "retain", 0, "limt"), 3),
        (("stages", 0, "learnig_rate"), 1e-4),
        (("stages", 0, "adapter", "rnk"), 4),
        (("stages", 0, "method", "betta"), 0.1),
        (("stages", 0, "method"), "nop"),
        (("stages", 0, "method", "retain"), "nul"),
        (("stages", 0, "duration"), "5 eras"),
        (("stages", 0, "duration"), 5),
        (("stages",), []),
        (("stages", 0), {"name": "neither"}),
        (("stages", 0), {"transform": "noise", "learning_rate": 1e-3}),
        (("stages", 0), {"transform": "noise", "between": "stack"}),
        (("stages", 0), {"transform": "noise", "method": "npo"}),
        (("stages", 0), {"transform": {"name": "noise", "alhpa": 0.5}}),
        (("stages", 0), {"transform": {"name": "noise", "seed": -1}}),
        (("format",), {"templat": "chat"}),
    ],
)
def test_what_a_recipe_refuses_the_schema_refuses(path_and_value, of_recipe):
    path, value = path_and_value
    of_recipe.validate(RECIPE)
    wrong = changed(*path, value=value)
    with pytest.raises(Exception, match=r"."):
        recipe_from(wrong)
    with pytest.raises(jsonschema.ValidationError):
        of_recipe.validate(wrong)


def test_a_sweep_with_a_misspelt_key_or_an_empty_axis_is_refused(of_sweep):
    sweep = {"name": "s", "recipe": "lab", "grid": {"seed": [0, 1], "method": {"GA": {"method": "ga"}, "none": None}}}
    of_sweep.validate(sweep)
    for wrong in (
        {**sweep, "replicate": ["seed"]},
        {**sweep, "grid": {}},
        {**sweep, "grid": {"seed": []}},
        {**sweep, "grid": {"seed": {"a": 1}}},
        {**sweep, "grid": {"seed": 1}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            of_sweep.validate(wrong)


def test_every_parameter_of_every_method_has_a_type():
    methods = recipe_schema()["$defs"]["Stage"]["properties"]["method"]["anyOf"][1:]
    assert {m["title"] for m in methods} >= {"npo", "loku", "sft"}
    typed = {"type", "anyOf", "enum", "const"}
    untyped = [(m["title"], k) for m in methods for k, v in m["properties"].items() if not typed & v.keys()]
    assert not untyped
