"""Runs a registered attack or analysis on models, and checks that the models are unchanged."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import yaml
from torch import nn

from forgetting.core.errors import ForgettingError, RecipeError, RunError
from forgetting.core.registry import Registry
from forgetting.core.text import said
from forgetting.core.written import read_yaml
from forgetting.models.unchanged import Snapshot
from forgetting.recipe.named import NAME

F = TypeVar("F", bound=Callable[..., Any])
G = TypeVar("G")
R = TypeVar("R")


@dataclass(frozen=True)
class Chosen(Generic[G]):
    """A requested attack or analysis, with all its parameters."""

    noun: str
    name: str
    source: str
    parameters: Mapping[str, Any]
    call: G

    def __str__(self) -> str:
        return f"{self.noun} '{self.name}' of {self.source}"


def chosen(registry: Registry[F], names: Sequence[str], settings: Mapping[str, Mapping[str, Any]]) -> list[Chosen[Any]]:
    """The requested attacks or analyses, ready to be called.

    Args:
        registry: of the kind.
        names: empty: all of the registry.
        settings: parameters by name; the others keep their defaults.

    Raises:
        RecipeError: an unknown name or parameter, an invalid value, or settings for one that is not requested.
        ForgettingError: one that is named needs a library that is not installed.
    """
    wanted = list(dict.fromkeys(names)) or registry.names()
    for name in settings:
        registry.get(name)
        if name not in wanted:
            raise RecipeError(f"{name} has parameters, but was not requested ({', '.join(wanted)}); add it")
    found = []
    for name in wanted:
        entry = registry.get(name)
        if not re.fullmatch(NAME, name):
            raise RecipeError(f"the {registry.noun} '{name}' cannot name a file; its package must rename it")
        call = registry.build(name, settings.get(name))
        if names and "needs" in entry.settings:
            entry.settings["needs"]()
        if not callable(call):
            raise RecipeError(
                f"{registry.noun} '{name}' of {entry.source} returns {type(call).__name__}, which cannot be called"
            )
        defaults = {key: parameter.default for key, parameter in entry.parameters.items()}
        found.append(Chosen(registry.noun, name, entry.source, {**defaults, **settings.get(name, {})}, call))
    return found


def read_settings(written: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Parameters by name, from `NAME.PARAMETER=VALUE`; values as in YAML.

    Raises:
        RecipeError: another form.
    """
    found: dict[str, dict[str, Any]] = {}
    for setting in written:
        path, equals, value = setting.partition("=")
        name, dot, key = path.rpartition(".")
        if not (equals and dot and name and key):
            raise RecipeError(f"'{setting}' is not a setting; write NAME.PARAMETER=VALUE, such as sample.n=64")
        try:
            found.setdefault(name, {})[key] = read_yaml(value)
        except yaml.YAMLError as error:
            raise RecipeError(f"'{setting}': {value!r} is not a value that YAML can read; quote it") from error
    return found


def watched(what: Chosen[Any], models: Mapping[str, nn.Module], work: Callable[[], R], snapshots: list[Snapshot]) -> R:
    """The result of `work`, if it left the models and the random state unchanged.

    Args:
        what: the name of the attack or analysis, for messages.
        models: by their names in messages.
        snapshots: of the models, taken by an earlier call or empty; filled here, so that the end of one call is the
            start of the next.

    Raises:
        RunError: something was changed, or the work failed for a reason that is not the user's.
    """
    if not snapshots:
        snapshots += [Snapshot.of(model) for model in models.values()]
    try:
        result = work()
    except ForgettingError:
        raise
    except Exception as error:
        raise RunError(f"the {what} failed: {type(error).__name__}: {said(error)}; fix it, or leave it out") from error
    for (name, model), snapshot in zip(models.items(), snapshots, strict=True):
        changed = snapshot.changed(model)
        if changed is not None:
            raise RunError(
                f"the {what} changed {changed} of the model {name} and did not restore it; its results are discarded; "
                "fix it, or leave it out"
            )
    return result
