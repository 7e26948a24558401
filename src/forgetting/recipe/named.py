"""How a recipe names things: stages and labels, one thing or several with their parameters, and suites."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$"
"""The pattern for names of stages, runs and labels, which become file names."""
Label = Annotated[str, Field(pattern=NAME)]


def _with_name(value: Any) -> Any:
    """A bare name as a mapping that holds it."""
    if isinstance(value, Mapping) and not isinstance(value.get("name", ""), str):
        raise ValueError(f"its name is {value['name']!r}; write a name")
    return {"name": value} if isinstance(value, str) else value


def _each_with_parameters(value: Any) -> Any:
    """Names alone are names without parameters."""
    if isinstance(value, str):
        return {value: {}}
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    if isinstance(value, dict):
        return {name: {} if parameters is None else parameters for name, parameters in value.items()}
    return value


def _suites(value: Any) -> Any:
    """One suite as a list; checks labels here, since a union of types would report the wrong one."""
    if isinstance(value, Mapping):
        for label, suite in value.items():
            if not isinstance(suite, str):
                raise ValueError(f"'{label}' names no suite; write {label}: SUITE, or quote a suite with its variant")
            if not isinstance(label, str) or not re.fullmatch(NAME, label):
                raise ValueError(f"the label '{label}' is not made of letters, digits, '-', '_' and '.'")
    elif isinstance(value, list):
        wrong = next((suite for suite in value if not isinstance(suite, str)), None)
        if wrong is not None:
            raise ValueError(f"{wrong!r} names no suite; write a list of suites, or labels: {{LABEL: SUITE}}")
    elif not isinstance(value, str):
        raise ValueError(f"{value!r} names no suite; write a suite, a list of suites, or labels: {{LABEL: SUITE}}")
    return [value] if isinstance(value, str) else value


def parameters_of(named: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name, and the parameters that are given with it."""
    return named["name"], {k: v for k, v in named.items() if k != "name"}


Named = Annotated[dict[str, Any], BeforeValidator(_with_name)]
"""A name, or a mapping of the name and its parameters."""
NamedSeveral = Annotated[
    dict[str, dict[str, Any]],
    BeforeValidator(_each_with_parameters, json_schema_input_type=str | list[str] | dict[str, dict[str, Any] | None]),
]
"""Names, or a mapping of each name to its parameters."""
Suites = Annotated[list[str] | dict[Label, str], BeforeValidator(_suites)]
"""Suites, or suites by a label."""
