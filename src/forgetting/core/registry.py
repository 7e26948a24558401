"""Registries of named functions: the package's own, and those that other packages add by entry points.

A kind (methods, metrics, suites, …) has one `Registry`. Inside the package its decorator registers a function; another
package decorates its function too and names it in the entry-point group `forgetting.<kind>`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.strict import is_single, of_kind
from forgetting.core.tunable import Sought, sought_in

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered function."""

    name: str
    build: T
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What was registered with the name, such as a method's default adapter."""
    source: str = ""
    """The package it comes from; for an entry point, with its version."""

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.build) or "").split("\n")[0]

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """What a recipe may set."""
        return dict(inspect.signature(self.build).parameters)

    @property
    def types(self) -> Mapping[str, Any]:
        """The type of each parameter that has one; empty if another package's types cannot be resolved."""
        try:
            return typing.get_type_hints(self.build, include_extras=True)
        except (NameError, TypeError):
            return {}

    @property
    def sought(self) -> dict[str, Sought]:
        """The parameters that say in their type where they are sought when they are tuned."""
        return {key: own for key, hint in self.types.items() if (own := sought_in(hint)) is not None}

    @property
    def defaults(self) -> dict[str, Any]:
        """The optional parameters, with their defaults."""
        return {k: p.default for k, p in self.parameters.items() if p.default is not inspect.Parameter.empty}


class Registry(Generic[T]):
    """The functions of one kind, by name.

    Args:
        kind: the plural, which also names the entry-point group: `methods` for `forgetting.methods`.
        noun: the singular, for messages.
        gives: what a registered function must be, for the message about a plug-in that is something else.
        modules: the package's own modules that register something; they are imported at the first lookup.
        typed: whether `build` checks values against the types of the function's parameters.
    """

    def __init__(self, kind: str, noun: str, gives: str, *, modules: Sequence[str] = (), typed: bool = False) -> None:
        self.kind, self.noun, self.gives, self.modules, self.typed = kind, noun, gives, modules, typed
        self._entries: dict[str, Entry[T]] = {}
        self._broken: dict[str, str] = {}
        self._loaded = False

    @property
    def group(self) -> str:
        """The entry-point group."""
        return f"forgetting.{self.kind}"

    def register(self, name: str, **settings: Any) -> Callable[[T], T]:
        """A decorator that registers a function under `name`.

        Raises:
            RecipeError: another function has the name.
        """

        def keep(build: T) -> T:
            taken = self._entries.get(name)
            if taken is not None and taken.build is not build:
                raise RecipeError(
                    f"two {self.kind} are called '{name}': {taken.build.__module__} and {build.__module__}; rename one"
                )
            self._entries[name] = Entry(name, build, settings, build.__module__.partition(".")[0])
            return build

        return keep

    def names(self) -> list[str]:
        """The names of all usable entries, sorted."""
        self._load_plugins()
        return sorted(self._entries.keys() - self._broken.keys())

    def entries(self) -> list[Entry[T]]:
        """All usable entries, sorted by name."""
        return [self._entries[name] for name in self.names()]

    def broken(self) -> list[str]:
        """The error of each plug-in that cannot be used, one line each."""
        self._load_plugins()
        return [self._broken[name] for name in sorted(self._broken)]

    def __contains__(self, name: object) -> bool:
        self._load_plugins()
        return name in self._entries and name not in self._broken

    def get(self, name: str) -> Entry[T]:
        """The one called `name`.

        Raises:
            RecipeError: there is none (the message has the nearest name), or its package cannot be used.
        """
        self._load_plugins()
        if name in self._broken:
            raise RecipeError(f"{self._broken[name]}; fix or uninstall that package")
        if name not in self._entries:
            raise RecipeError(f"unknown {self.noun} '{name}'; {nearest(name, self._entries)}")
        return self._entries[name]

    def misfit(self, name: str, made: object, expected: str) -> RecipeError:
        """The error where the function called `name` gave something else than `expected` ("an Objective")."""
        return RecipeError(
            f"{self.noun} '{name}' of {self.get(name).source} gives {type(made).__name__}, not {expected}"
        )

    def build(self, name: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Calls the function registered under `name` with these parameters.

        Raises:
            RecipeError: unknown name, or a parameter that it does not take (the message has the nearest) or refuses.
        """
        entry, given = self.get(name), dict(parameters or {})
        for key in given:
            if not entry.parameters:
                raise RecipeError(f"{self.noun} '{name}' has no parameter '{key}'; it takes none")
            if key not in entry.parameters:
                raise RecipeError(f"{self.noun} '{name}' has no parameter '{key}'; {nearest(key, entry.parameters)}")
        wrong: RecipeError | None = None
        for key, value in given.items():
            try:
                given[key] = self._of_kind(entry, key, value)
            except RecipeError as error:
                wrong = wrong or error
        if self.typed and wrong is None:
            given = {key: self._checked(entry, key, value) for key, value in given.items()}
        try:
            built = None if self.typed and wrong is not None else entry.build(**given)
        except (TypeError, ValueError) as error:
            raise wrong or RecipeError(f"{self.noun} '{name}': {error}") from error
        if wrong is not None:  # the function itself took it
            raise wrong
        return built

    def _checked(self, entry: Entry[T], key: str, value: Any) -> Any:
        """The value converted to the parameter's type; unchanged if the parameter has no type that can be checked."""
        try:
            adapter = TypeAdapter(entry.types.get(key, Any))
        except (PydanticSchemaGenerationError, PydanticUserError):
            return value
        try:
            found = adapter.validate_python(value)
        except ValidationError as error:
            wrong = "; or ".join(dict.fromkeys(e["msg"].lower() for e in error.errors()))
            raise RecipeError(f"{self.noun} '{entry.name}': {key} is {value!r}: {wrong}") from error
        return found

    def _of_kind(self, entry: Entry[T], key: str, value: Any) -> Any:
        hint = entry.types.get(key, Any)
        try:
            if isinstance(value, list | dict) and is_single(hint):
                raise ValueError("write a single value")
            return of_kind(value, hint)
        except ValueError as error:
            raise RecipeError(f"{self.noun} '{entry.name}': {key} is {value!r}: {error}") from error

    def _load_plugins(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        for module in self.modules:
            import_module(module)
        for entry in entry_points(group=self.group):
            try:
                loaded = entry.load()
                if not callable(loaded):
                    raise TypeError(f"{type(loaded).__name__} is not {self.gives}")
                known = self._entries.get(entry.name)
                if known is None or known.build is not loaded:
                    self.register(entry.name)(loaded)
            except (Exception, SystemExit) as error:  # another package's code may raise anything
                said = " ".join(str(error).split()) or type(error).__name__
                self._broken[entry.name] = (
                    f"the plug-in {self.noun} '{entry.name}' of {_package(entry)} cannot be used: {said}"
                )
                continue
            self._entries[entry.name] = replace(self._entries[entry.name], source=_package(entry))


def _package(entry: EntryPoint) -> str:
    """The distribution it comes from, by pip's name."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value.partition(".")[0]
