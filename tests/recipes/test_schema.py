"""The JSON Schemas that editors check recipes and sweeps with."""

import copy

import jsonschema
import pytest
import yaml

from forgetting.core.errors import RecipeError
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


def faults(schema, value):
    return [error.message for error in schema.iter_errors(value)]


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_built_in_recipe_is_valid_as_written_and_in_full(path, of_recipe):
    written = yaml.safe_load(path.read_text())
    assert faults(of_recipe, written) == []
    if "model" in written:
        assert faults(of_recipe, recipe_from(written).model_dump(mode="json")) == []


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
def test_every_built_in_sweep_is_valid(path, of_sweep):
    assert faults(of_sweep, yaml.safe_load(path.read_text())) == []


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
    assert faults(of_recipe, written) == []
    assert faults(of_recipe, recipe_from(written).model_dump(mode="json")) == []


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
    with pytest.raises(RecipeError):
        recipe_from(wrong)
    with pytest.raises(jsonschema.ValidationError):
        of_recipe.validate(wrong)


S = ("stages", 0)
TRANSFORM = {"name": "perturb", "transform": "noise"}
GOOD = [
    (("seed",), 3),
    (("seed",), 3.0),
    (("seed",), "1e3"),
    (("redact",), True),
    (("max_new_tokens",), None),
    (("threads",), 1),
    (("evaluate",), ["lab", "tofu"]),
    (("evaluate",), {"a.b-c_1": "lab"}),
    ((*S, "learning_rate"), 1),
    ((*S, "learning_rate"), "1e-4"),
    ((*S, "learning_rate"), "2.5E-4"),
    ((*S, "betas"), [0, "1e-1"]),
    ((*S, "max_grad_norm"), None),
    ((*S, "packing"), False),
    ((*S, "until"), "extraction"),
    ((*S, "until"), "forget/exact_match <= 0.1"),
    ((*S, "until"), "forget/a>=-1e-3"),
    ((*S, "until"), None),
    ((*S, "name"), "a.b-c_1"),
    ((*S, "transform"), None),
    ((*S, "adapter"), {"rank": 4, "alpha": 8}),
    ((*S, "adapter"), {"rank": 4, "alpha": None}),
    ((*S, "adapter"), {"targets": ["q_proj"]}),
    ((*S, "adapter"), {"epsilon": 1e-3}),
    ((*S, "adapter"), {"init": {"name": "fila", "examples": 8}}),
    ((*S, "method"), {"name": "npo", "beta": 1}),
    ((*S, "method"), {"name": "npo", "beta": "1e-1"}),
    (S, {**TRANSFORM, "method": None}),
    (S, {**TRANSFORM, "learning_rate": None, "adapter": None}),
    (S, {**TRANSFORM, "transform": {"name": "noise", "alpha": "5e-1"}}),
]
BAD = [
    (("seed",), True),
    (("seed",), "3"),
    (("seed",), 1.5),
    (("seed",), "1.5e0"),
    (("seed",), -1),
    (("seed",), "1e-3"),
    (("seed",), 10**30),
    (("threads",), 10**30),
    (("redact",), "yes"),
    (("redact",), 1),
    (("redact",), "true"),
    (("name",), 3),
    (("name",), "a/b"),
    (("model",), None),
    (("evaluate",), 3),
    (("evaluate",), [3]),
    (("evaluate",), {"a/b": "lab"}),
    (("evaluate",), {"": "lab"}),
    (("evaluate",), {"a": ["lab"]}),
    (("metrics",), [{"name": "nosuch"}]),
    (("corpus",), {"size": "3"}),
    (("corpus",), {"reference": True}),
    (("corpus",), {"reference": "nan"}),
    (("format",), {"max_length": True}),
    (("data", "forget"), {"path": "a", "limit": True}),
    (("data", "forget"), {"path": "a", "limit": "3"}),
    ((*S, "learning_rate"), True),
    ((*S, "learning_rate"), "0.1"),
    ((*S, "learning_rate"), "nan"),
    ((*S, "learning_rate"), "-1e-4"),
    ((*S, "learning_rate"), "1e-4 "),
    ((*S, "learning_rate"), 0),
    ((*S, "learning_rate"), None),
    ((*S, "betas"), [True, 0.9]),
    ((*S, "betas"), ["0.9", 0.9]),
    ((*S, "betas"), [0.9]),
    ((*S, "batch_size"), 2.5),
    ((*S, "batch_size"), 10**30),
    ((*S, "place"), 10**30),
    ((*S, "packing"), "false"),
    ((*S, "packing"), 0),
    ((*S, "until"), "extract"),
    ((*S, "until"), "exact_match <= 0.1"),
    ((*S, "until"), "forget/exact_match < 0.1"),
    ((*S, "until"), "forget/exact_match <= much"),
    ((*S, "until"), "forget/exact_match <= nan"),
    ((*S, "until"), "forget/exact_match <= inf"),
    ((*S, "until"), 3),
    ((*S, "name"), "a b"),
    ((*S, "name"), None),
    ((*S, "method"), None),
    ((*S, "method"), {"name": ["npo"]}),
    ((*S, "method"), {"name": None}),
    ((*S, "method"), {}),
    ((*S, "method"), {"name": "npo", "beta": True}),
    ((*S, "method"), {"name": "npo", "beta": "0.1"}),
    ((*S, "method"), {"name": "npo", "beta": None}),
    ((*S, "gradients"), 3),
    ((*S, "adapter"), {"rank": "4"}),
    ((*S, "adapter"), {"rank": True}),
    ((*S, "adapter"), {"alpha": "8"}),
    ((*S, "adapter"), {"alpha": True}),
    ((*S, "adapter"), {"dropout": "none"}),
    ((*S, "adapter"), {"targets": 3}),
    ((*S, "adapter"), {"init": "nosuch"}),
    ((*S, "adapter"), {"init": 3}),
    ((*S, "adapter"), {"init": {"name": "fila", "examples": True}}),
    ((*S, "adapter"), {"importance_examples": True}),
    ((*S, "adapter"), {"epsilon": "nonsense"}),
    ((*S, "adapter"), {"epsilon": True}),
    (S, {**TRANSFORM, "transform": None}),
    (S, {**TRANSFORM, "transform": {"name": "noise", "alpha": "0.5"}}),
    (S, {**TRANSFORM, "transform": {"name": "noise", "alpha": True}}),
    (S, {**TRANSFORM, "transform": {"name": "noise", "seed": True}}),
    (S, {**TRANSFORM, "transform": {"name": "noise", "seed": "3"}}),
    (S, {**TRANSFORM, "transform": 3}),
]


def said_by_both(path_and_value, of_recipe):
    """Whether the recipe and the schema accept a value in its place."""
    written = changed(*path_and_value[0], value=path_and_value[1])
    try:
        recipe_from(written)
    except RecipeError as error:
        assert "\n" not in str(error) and len(str(error)) < 400
        accepted = False
    else:
        accepted = True
    return accepted, of_recipe.is_valid(written)


@pytest.mark.parametrize("path_and_value", GOOD, ids=str)
def test_recipe_and_schema_accept_the_same(path_and_value, of_recipe):
    assert said_by_both(path_and_value, of_recipe) == (True, True)


@pytest.mark.parametrize("path_and_value", BAD, ids=str)
def test_recipe_and_schema_refuse_the_same(path_and_value, of_recipe):
    assert said_by_both(path_and_value, of_recipe) == (False, False)


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
