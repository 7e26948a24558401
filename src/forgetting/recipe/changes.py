"""Changes a recipe key by key; used by overrides, sweep points, tuning and published tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import yaml

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.written import read_yaml, reason
from forgetting.recipe.stage import Stage

_NAMED = ("method", "transform", "gradients", "init")
"""Keys whose value is a name, or a mapping that holds it as `name`."""


def parsed(overrides: Sequence[str]) -> dict[str, Any]:
    """The changes given by `key=value` arguments of a command line; values are YAML.

    Raises:
        RecipeError: an argument without a key or `=`, or a value that is not YAML.
    """
    return combined(*(_parsed(override) for override in overrides))


def parsed_of_one(overrides: Sequence[str]) -> dict[str, Any]:
    """The changes that one user gives in one command, who means all of them.

    Where several sources are combined (a table's rows, a sweep's axes), one may leave a stage out that another changes.

    Raises:
        RecipeError: as `parsed`, or a key of a stage that another argument leaves out.
    """
    found = parsed(overrides)
    for key in found:
        stage = ".".join(key.split(".")[:2])
        if key != stage and key.startswith("stages.") and found.get(stage, "") is None:
            raise RecipeError(f"'{key}': '{stage}=null' leaves this stage out; remove one of them")
    return found


def _parsed(override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"'{override}' is not an override; write key=value")
    try:
        return {key: read_yaml(text)}
    except yaml.YAMLError as error:
        raise RecipeError(f"'{override}': the value is not YAML ({reason(error)}); quote it") from error


def combined(*changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merges several changes in order; the last value of a key is used."""
    found: dict[str, Any] = {}
    for key, value in (item for some in changes for item in some.items()):
        found.pop(key, None)
        found[key] = value
    return found


def changed(values: Mapping[str, Any], changes: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """A copy of a recipe's plain values with some of them changed, one after the other.

    Keys are dotted paths (`data.forget`, `stages.unlearn.learning_rate`), and a value replaces the present one. A
    stage is named by its name or number; `stages` may be a mapping from such names to a stage's keys. If there is only
    one stage, its keys need no prefix (`learning_rate`, `method.beta`). None for a stage leaves it out; the others keep
    their seeds.

    Args:
        values: as a recipe file holds them.
        changes: value by key.
        own: the keys of a recipe; the keys of a stage are known here.

    Raises:
        RecipeError: an unknown key; the message has the nearest one.
    """
    found: dict[str, Any] = unshared(values)
    for key, value in changes.items():
        for path, inner in _paths(key, value):
            _set(found, path, unshared(inner), own)
    return found


def unshared(value: Any) -> Any:
    """A copy without objects shared by YAML anchors, so that a change affects one place only."""
    if isinstance(value, Mapping):
        return {key: unshared(inner) for key, inner in value.items()}
    return [unshared(inner) for inner in value] if isinstance(value, list) else value


def _paths(key: str, value: Any) -> Iterator[tuple[list[str], Any]]:
    """The paths that are set; several if stages are given by their names."""
    if key != "stages" or not isinstance(value, Mapping):
        yield key.split("."), value
        return
    for stage, keys in value.items():
        if isinstance(keys, Mapping):
            for inner, given in keys.items():
                yield ["stages", str(stage), *str(inner).split(".")], given
        else:
            yield ["stages", str(stage)], keys


def _set(values: dict[str, Any], path: list[str], value: Any, own: Collection[str]) -> None:
    """Sets one value in place."""
    path = _in_its_stage(values.get("stages"), path, own)
    key = ".".join(path)
    here: Any = values
    for i, part in enumerate(path[:-1]):
        following = _child(here, part, ".".join(path[: i + 1]))
        if part in _NAMED and isinstance(following, str):
            following = here[part] = {"name": following}
        if isinstance(following, str) and part in values.get("data", {}):
            following = here[part] = {"path": following}
        here = following
    if isinstance(here, list):
        number = _index(here, path[-1], key)
        leaves_out = value is None and isinstance(here[number], dict)
        here[number] = {**here[number], "skip": True} if leaves_out else value
    elif isinstance(here, dict):
        here[path[-1]] = value
    else:
        raise RecipeError(f"'{key}': '{'.'.join(path[:-1])}' holds {here!r}, which has no keys")


def _in_its_stage(stages: Any, path: list[str], own: Collection[str]) -> list[str]:
    """The path; a key of a stage gets the only stage as its prefix.

    Raises:
        RecipeError: no recipe and no stage has such a key, or there are several stages.
    """
    if path[0] in own or not isinstance(stages, list):
        return path
    key = ".".join(path)
    if len(stages) == 1:
        if path[0] not in Stage.model_fields:
            raise RecipeError(f"unknown key '{key}'; {nearest(path[0], {*own, *Stage.model_fields})}")
        return ["stages", "0", *path]
    if path[0] in Stage.model_fields:
        names = ", ".join(str(s.get("name", "unlearn")) for s in stages if isinstance(s, dict))
        raise RecipeError(f"'{key}': there are several stages ({names}); write stages.NAME.{key}")
    return path


def _child(here: Any, part: str, path: str) -> Any:
    if isinstance(here, list):
        return here[_index(here, part, path)]
    if not isinstance(here, dict):
        raise RecipeError(f"'{path}': there is nothing below {here!r}")
    if here.get(part) is None:
        here[part] = {}
    return here[part]


def _index(items: list[Any], part: str, path: str) -> int:
    names = [item.get("name", "unlearn") if isinstance(item, dict) else str(i) for i, item in enumerate(items)]
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(items):
        return int(part)
    raise RecipeError(f"'{path}': no stage '{part}'; {nearest(part, names)}")
