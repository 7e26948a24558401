"""Where methods are found by name: the package's own and those that other packages bring by entry point."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from forgetting.core.errors import RecipeError, nearest
from forgetting.objectives.objective import Objective

ENTRY_POINTS = "forgetting.methods"


@dataclass(frozen=True)
class Method:
    """A named objective with the settings a recipe starts from."""

    name: str
    build: Callable[..., Objective]
    adapter: Mapping[str, object] = field(default_factory=dict)
    """The adapter used where the recipe names none, in a recipe's words; empty: full tuning."""
    source: str = ""
    """The package it comes from, with its version where another package names it as a plug-in."""

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.build) or "").split("\n")[0]

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """What a recipe may set."""
        return dict(inspect.signature(self.build).parameters)


_METHODS: dict[str, Method] = {}
_BROKEN: dict[str, str] = {}
"""Plug-ins that cannot be loaded, and why: an error only where one is asked for."""


def register(
    name: str, *, adapter: Mapping[str, object] | None = None
) -> Callable[[Callable[..., Objective]], Callable[..., Objective]]:
    """Puts a function that returns an Objective under `name`.

    From another package: decorate the function and name it in the entry-point group `forgetting.methods`.
    """

    def keep(build: Callable[..., Objective]) -> Callable[..., Objective]:
        taken = _METHODS.get(name)
        if taken is not None and taken.build is not build:
            raise RecipeError(
                f"two methods are called '{name}': {taken.build.__module__} and {build.__module__}; rename one"
            )
        _METHODS[name] = Method(name, build, dict(adapter or {}), build.__module__.partition(".")[0])
        return build

    return keep


@cache
def _load_plugins() -> None:
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            loaded = entry.load()
            if not callable(loaded):
                raise TypeError(f"{type(loaded).__name__} is not a function that returns an Objective")
            if entry.name not in _METHODS or _METHODS[entry.name].build is not loaded:
                register(entry.name)(loaded)
        except (Exception, SystemExit) as error:  # whatever another package's code raises
            said = " ".join(str(error).split()) or type(error).__name__
            _BROKEN[entry.name] = f"the plug-in method '{entry.name}' of {_package(entry)} cannot be used: {said}"
            continue
        _METHODS[entry.name] = replace(_METHODS[entry.name], source=_package(entry))


def _package(entry: EntryPoint) -> str:
    """The distribution that brings it, as pip calls it."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value.partition(".")[0]


def method_names() -> list[str]:
    """All methods that can be used, sorted."""
    _load_plugins()
    return sorted(_METHODS.keys() - _BROKEN.keys())


def broken_plugins() -> list[str]:
    """What is wrong with each plug-in that cannot be used, one line each."""
    _load_plugins()
    return [_BROKEN[name] for name in sorted(_BROKEN)]


def get_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        RecipeError: there is none; the nearest name is given.
    """
    _load_plugins()
    if name in _BROKEN:
        raise RecipeError(f"{_BROKEN[name]}; mend or uninstall that package")
    if name not in _METHODS:
        raise RecipeError(f"unknown method '{name}'; {nearest(name, _METHODS)}")
    return _METHODS[name]


def build_method(name: str, parameters: Mapping[str, object] | None = None) -> Objective:
    """The objective of method `name` with these parameters.

    Raises:
        RecipeError: unknown method, a parameter that it does not take (the nearest is given), or no objective.
    """
    method = get_method(name)
    for key in parameters or {}:
        if key not in method.parameters:
            raise RecipeError(f"method '{name}' has no parameter '{key}'; {nearest(key, method.parameters)}")
    try:
        objective = method.build(**(parameters or {}))
    except (TypeError, ValueError) as error:
        raise RecipeError(f"method '{name}': {error}") from error
    if not isinstance(objective, Objective):
        raise RecipeError(f"method '{name}' of {method.source} gives {type(objective).__name__}, not an Objective")
    return objective
