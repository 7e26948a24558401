"""What a run began with, its recipe, data and model, compared with what is asked now."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from forgetting.core.errors import RunError
from forgetting.core.written import read_yaml
from forgetting.runs.reading import leaves
from forgetting.runs.redact import Redactor

MEASURED = "/measured"
"""The key next to the stages in the file of digests; no stage can have this name."""
MODEL, WEIGHTS, VOCABULARY, CONFIG = "/model", "weights", "vocabulary", "config"
"""Likewise, the key of the initial model; below, those of weights and vocabulary, and how that of its config begins."""
READ = "/read"
"""Likewise: digests of the token ids that a model reads of these data, by `stage/role` and `measured/split`."""
DAY = "date"
"""In the environment: the day that the chat template writes, if it writes one."""
START = "start"
"""In the environment: what the recipe's model was (`start_of`), as a path says only where it is read from."""
REDACTED = "/redacted"
"""In the same file: the key with which the digests of a redacted run were hashed."""
Digests = Mapping[str, Mapping[str, str]]
"""Digests of the training data, by stage and role; under `MEASURED`, of the measured data, by split."""


def difference(file: Path, recipe: str, rewritten: Callable[[str], str]) -> str:
    """The first key whose value differs from that of a run's recipe, with both values; empty if none does.

    Args:
        file: the recipe of the run.
        recipe: the one asked for, as YAML.
        rewritten: the YAML of a recipe as this version writes it.

    Raises:
        RunError: the file cannot be read.
    """
    try:
        there = file.read_text(encoding="utf-8")
        if there == recipe:
            return ""
        there_values = dict(leaves(_mapping(read_yaml(rewritten(there)))))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RunError(
            f"{file}: cannot be read ({' '.join(str(error).split())}); bring it back, or remove the run's folder to "
            "start it again"
        ) from error
    here_values = dict(leaves(read_yaml(recipe)))
    for key in (*there_values, *here_values):
        was, now = there_values.get(key, "not written"), here_values.get(key, "not written")
        # A list or mapping in the place of a single value is known by its parts.
        if was != now and not any(other.startswith(f"{key}.") for other in here_values):
            return f"{key} was {_short(was)}, now it is {_short(now)}"
    return ""


def check_digests(folder: Path, began: Digests, now: Digests) -> None:
    """Checks that data and model of a run are those that it began with.

    Of the model, what both have is compared: another version of transformers may read more from the same config.

    Raises:
        RunError: they are not; what changed is named.
    """
    for stage, parts in began.items():
        there = now.get(stage, {})
        compared = parts.keys() & there.keys() if stage == MODEL else parts.keys() if stage in now else ()
        changed = [part for part in parts if part in compared and there.get(part) != parts[part]]
        if changed:
            raise RunError(f"{folder}: {_said(stage, changed[0])}; put it back, or write another name=…")


def _said(stage: str, part: str) -> str:
    if stage == READ:
        return (
            f"the tokens of {part} are not those that it began with: the tokenizer, its chat template, the shots "
            "or what the template reads has changed"
        )
    if stage == MODEL:
        what = {WEIGHTS: "other weights", VOCABULARY: "another vocabulary"}.get(part, "another config")
        return f"the model it began with has {what} now"
    return f"its {part} {'split that it measures has' if stage == MEASURED else 'data have'} changed since it began"


def hashed(digests: Digests, redactor: Redactor) -> dict[str, dict[str, str]]:
    """Digests as a redacted run keeps them, with the name of the key that they were hashed by."""
    keyed = {name: {part: redactor.hash("data", d) for part, d in parts.items()} for name, parts in digests.items()}
    return {**keyed, REDACTED: {"key": redactor.name}}


def _mapping(value: object) -> object:
    if not isinstance(value, Mapping):
        raise ValueError("it holds no recipe")
    return value


def _short(value: object) -> str:
    said = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return said if len(said) <= 80 else said[:79] + "…"
