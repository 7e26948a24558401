"""JSON Schemas of recipes and sweeps for editors: pydantic's own, with the short forms that a recipe may use."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from forgetting.core.duration import Duration
from forgetting.core.example import Role
from forgetting.core.registry import Entry, Registry
from forgetting.core.strict import EXPONENT, WHOLE, takes_none
from forgetting.metrics.registry import METRICS
from forgetting.models.adapters import INITIALISATIONS
from forgetting.models.transforms import TRANSFORMS
from forgetting.objectives.gradient_rules import GRADIENT_RULES
from forgetting.objectives.methods import METHODS
from forgetting.objectives.schedule import takes_weight
from forgetting.recipe.named import NAME
from forgetting.recipe.stage import TRANSFORM_KEYS, Stage
from forgetting.recipe.values import Recipe

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NUMBER = r"[0-9][0-9_]*(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_DURATION = rf"^\s*{_NUMBER}\s*(steps?|(epoch|token)s?\s*(,\s*at\s+least\s+[1-9][0-9_]*\s*steps?)?)\s*$"
_WEIGHT = {
    "description": "A number, or {schedule: linear, start: 0, end: 1}.",
    "anyOf": [
        {"type": "number"},
        {"type": "object", "required": ["schedule"], "properties": {"schedule": {"enum": ["linear", "forgetting"]}}},
    ],
}


def recipe_schema() -> dict[str, Any]:
    """The schema of a recipe file, with the parameters and types of the methods and transforms that are installed.

    It is as strict as the recipe itself about keys and types of values; rules over several keys (a stage that reads
    another) are checked by the recipe itself only.
    """
    schema = Recipe.model_json_schema()
    defs, properties = schema["$defs"], schema["properties"]
    defs["Duration"] = {
        "type": "string",
        "pattern": _DURATION,
        "description": "A number and its unit: 5 epochs, 60 steps, 2e6 tokens; or 5 epochs, at least 60 steps.",
    }
    source = defs["Source"]
    source["type"] = ["object", "string"]
    source["description"] = "A file, PREFIX.npy+SUFFIX.npy, hub:ORG/NAME; or exactly one of the keys path, hub, suite."
    stage = defs["Stage"]["properties"]
    stage["method"] = {"description": stage["method"]["description"], "anyOf": _entries(METHODS)}
    stage["gradients"] |= {"anyOf": [*_entries(GRADIENT_RULES), {"type": "null"}]}
    seed = {"seed": {"type": "integer", "minimum": 0}}
    stage["transform"] = {"description": stage["transform"]["description"], "anyOf": _entries(TRANSFORMS, seed)}
    defs["Stage"]["oneOf"] = _either_trains_or_transforms(stage)
    adapter = defs["Adapter"]["properties"]
    adapter["init"] |= {"anyOf": _entries(INITIALISATIONS)}
    for key in ("type", "additionalProperties"):
        adapter["init"].pop(key, None)
    adapter |= _keys_of_initialisations()
    for place in (properties, stage):
        place["data"] |= {"propertyNames": {"enum": [*Role]}, "additionalProperties": _sources()}
    properties["evaluate"]["anyOf"].insert(0, {"type": "string"})
    properties["evaluate"]["anyOf"][-1]["propertyNames"] = {"pattern": NAME}
    properties["metrics"]["items"] = {"anyOf": _entries(METRICS, _asked_keys(defs))}
    schema["required"] = ["stages"]  # the model may be given on the command line
    _write_durations(schema)
    return {"$schema": DIALECT, **_with_exponents(schema), "title": "A recipe of forgetting"}


def sweep_schema(sweep: type[BaseModel]) -> dict[str, Any]:
    """The schema of a sweep file."""
    schema = sweep.model_json_schema()
    axis = {
        "anyOf": [
            {"type": "array", "minItems": 1, "uniqueItems": True},
            {"type": "object", "minProperties": 1, "additionalProperties": {"type": ["object", "null"]}},
        ]
    }
    schema["properties"]["grid"] |= {"additionalProperties": axis, "minProperties": 1}
    return {"$schema": DIALECT, **schema, "title": "A sweep of forgetting"}


def _either_trains_or_transforms(stage: dict[str, Any]) -> list[dict[str, Any]]:
    """The two forms of a stage. Null stands for absence, so all keys of training may be null where none is meant."""
    given, null = {"type": ["string", "object"]}, {"type": "null"}
    for key in ("method", "transform"):
        stage[key]["anyOf"][0]["enum"].append(None)
    of_training = [key for key in stage if key not in (*TRANSFORM_KEYS, "method")]
    needed = [key for key in of_training if not takes_none(Stage.model_fields[key].annotation)]
    for key in needed:
        stage[key] = {"anyOf": [stage[key], null]}
    trains = {"method": given, "transform": null} | {key: {"not": null} for key in needed}
    transforms = {"transform": given} | dict.fromkeys(("method", *of_training), null)
    return [
        {"required": ["method"], "properties": trains},
        {"required": ["transform"], "properties": transforms},
    ]


def _sources() -> dict[str, Any]:
    one = {"$ref": "#/$defs/Source"}
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


def _entries(registry: Registry[Any], also: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The bare names, then each with its parameters and those that all of the kind `also` have."""
    return [{"enum": registry.names()}, *(_entry(entry, also or {}) for entry in registry.entries())]


def _entry(entry: Entry[Any], also: Mapping[str, Any]) -> dict[str, Any]:
    required = [n for n, p in entry.parameters.items() if p.default is inspect.Parameter.empty]
    return {
        "type": "object",
        "title": entry.name,
        "description": entry.summary,
        "properties": {"name": {"const": entry.name}, **_parameters(entry), **also},
        "required": ["name", *required],
        "additionalProperties": False,
    }


def _parameters(entry: Entry[Any]) -> dict[str, Any]:
    types = entry.types
    return {name: {**_of_type(name, types.get(name)), **_default(p)} for name, p in entry.parameters.items()}


def _asked_keys(defs: dict[str, Any]) -> dict[str, Any]:
    """The keys of a metric in a recipe that are not its parameters."""
    own = defs["AskedMetric"]["properties"]
    return {key: own[key] for key in ("splits", "direction")}


def _keys_of_initialisations() -> dict[str, Any]:
    """The keys of an adapter that stand for parameters of its initialisation."""
    return {
        key: _parameters(entry)[parameter]
        for entry in INITIALISATIONS.entries()
        for key, parameter in entry.settings.get("keys", {}).items()
    }


def _of_type(name: str, hint: Any) -> dict[str, Any]:
    """A type as a schema; without a type, any value is valid."""
    if takes_weight(name, hint):
        return dict(_WEIGHT)
    if hint is None or hint is object:
        return {}
    try:
        return TypeAdapter(hint).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError):
        return {}


def _default(parameter: inspect.Parameter) -> dict[str, Any]:
    plain = isinstance(parameter.default, str | int | float | bool) or parameter.default is None
    return {"default": parameter.default} if plain else {}


def _with_exponents(value: Any) -> Any:
    """The schema with the one form of text that a number may have: `1e-4`, which some readers of YAML take for text."""
    if isinstance(value, list):
        return [_with_exponents(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {key: _with_exponents(inner) for key, inner in value.items()}
    if found.get("type") not in ("number", "integer"):
        return found
    above = found.get("minimum", found.get("exclusiveMinimum", -1)) >= 0
    form = WHOLE if found["type"] == "integer" else EXPONENT
    text = {"type": "string", "pattern": form.replace("[-+]?", r"\+?", 1) if above else form}
    about = {key: found.pop(key) for key in ("title", "description", "default") if key in found}
    return {**about, "anyOf": [found, text]}


def _write_durations(value: Any) -> None:
    """Rewrites defaults that are durations in place, as recipes write them."""
    if isinstance(value, dict):
        default = value.get("default")
        if isinstance(default, dict) and default.keys() == {f.name for f in fields(Duration)}:
            value["default"] = str(Duration(**default))
        for inner in value.values():
            _write_durations(inner)
    elif isinstance(value, list):
        for inner in value:
            _write_durations(inner)
