"""Where things of one kind are found by name: the package's own, and what other packages bring by entry point.

A kind (methods, metrics, suites, …) has one `Registry`. Inside the package its decorator registers a function; another
package decorates its function too and names it in the entry-point group `forgetting.<kind>`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from forgetting.core.errors import RecipeError, nearest

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered function."""

    name: str
    build: T
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What was registered beside the name, such as a method's default adapter."""
    source: str = ""
    """The package it comes from; of an entry point, with its version."""

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.build) or "").split("\n")[0]

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """What a recipe may set."""
        return dict(inspect.signature(self.build).parameters)


class Registry(Generic[T]):
    """The functions of one kind, by name.

    Args:
        kind: the plural, which is also the entry-point group's: `methods` for `forgetting.methods`.
        noun: the singular, for messages.
        gives: what a registered function is, for the message about a plug-in that is none.
    """

    def __init__(self, kind: str, noun: str, gives: str) -> None:
        self.kind, self.noun, self.gives = kind, noun, gives
        self._entries: dict[str, Entry[T]] = {}
        self._broken: dict[str, str] = {}
        self._loaded = False

    @property
    def group(self) -> str:
        """The entry-point group."""
        return f"forgetting.{self.kind}"

    def register(self, name: str, **settings: Any) -> Callable[[T], T]:
        """A decorator that puts a function under `name`.

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
        """All that can be used, sorted."""
        self._load_plugins()
        return sorted(self._entries.keys() - self._broken.keys())

    def entries(self) -> list[Entry[T]]:
        """All that can be used, sorted by name."""
        return [self._entries[name] for name in self.names()]

    def broken(self) -> list[str]:
        """What is wrong with each plug-in that cannot be used, one line each."""
        self._load_plugins()
        return [self._broken[name] for name in sorted(self._broken)]

    def __contains__(self, name: object) -> bool:
        self._load_plugins()
        return name in self._entries and name not in self._broken

    def get(self, name: str) -> Entry[T]:
        """The one called `name`.

        Raises:
            RecipeError: there is none (the nearest name is given), or its package cannot be used.
        """
        self._load_plugins()
        if name in self._broken:
            raise RecipeError(f"{self._broken[name]}; mend or uninstall that package")
        if name not in self._entries:
            raise RecipeError(f"unknown {self.noun} '{name}'; {nearest(name, self._entries)}")
        return self._entries[name]

    def build(self, name: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """What the function called `name` gives for these parameters.

        Raises:
            RecipeError: unknown name, or a parameter that it does not take (the nearest is given) or refuses.
        """
        entry, given = self.get(name), parameters or {}
        for key in given:
            if key not in entry.parameters:
                raise RecipeError(f"{self.noun} '{name}' has no parameter '{key}'; {nearest(key, entry.parameters)}")
        try:
            return entry.build(**given)
        except (TypeError, ValueError) as error:
            raise RecipeError(f"{self.noun} '{name}': {error}") from error

    def _load_plugins(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        for entry in entry_points(group=self.group):
            try:
                loaded = entry.load()
                if not callable(loaded):
                    raise TypeError(f"{type(loaded).__name__} is not {self.gives}")
                known = self._entries.get(entry.name)
                if known is None or known.build is not loaded:
                    self.register(entry.name)(loaded)
            except (Exception, SystemExit) as error:  # whatever another package's code raises
                said = " ".join(str(error).split()) or type(error).__name__
                self._broken[entry.name] = (
                    f"the plug-in {self.noun} '{entry.name}' of {_package(entry)} cannot be used: {said}"
                )
                continue
            self._entries[entry.name] = replace(self._entries[entry.name], source=_package(entry))


def _package(entry: EntryPoint) -> str:
    """The distribution that brings it, as pip calls it."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value.partition(".")[0]
