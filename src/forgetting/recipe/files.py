"""YAML files: built-in ones by name, the user's by path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.written import read_yaml, reason


def found(name: str, built_in: Path, what: str) -> Path:
    """The file with that name or path; `what` it is (`recipe`), for the error.

    Raises:
        RecipeError: there is none; the message has the nearest built-in name.
    """
    path = Path(name) if Path(name).suffix in (".yaml", ".yml") else built_in / f"{name}.yaml"
    if not path.is_file():
        raise RecipeError(
            f"{name}: no such {what}; {nearest(name, names(built_in))} (or give the path of a .yaml file)"
        )
    return path


def values(path: Path, wanted: str) -> Mapping[str, Any]:
    """The keys and values of a file; `wanted` says in the error what it should hold.

    Raises:
        RecipeError: not YAML, or without keys.
    """
    try:
        read = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not YAML ({reason(error)}); fix it") from error
    if not isinstance(read, dict):
        raise RecipeError(f"{path}: holds no keys; {wanted}")
    return read


def names(built_in: Path) -> list[str]:
    """The names of the built-in files."""
    return sorted(path.stem for path in built_in.glob("*.yaml"))


def summary(name: str, built_in: Path) -> str:
    """The first line of a built-in file: its purpose and how to call it."""
    return (built_in / f"{name}.yaml").read_text(encoding="utf-8").split("\n")[0].removeprefix("# ")
