"""Suites by name, as `evaluate:` and `suite:` write them: `lab`, `lab:popular`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from forgetting.benchmarks.suite import Suite
from forgetting.core.errors import RecipeError
from forgetting.core.registry import Registry

Make = Callable[[str, bool], Suite]
"""`(variant, fast) -> suite`: the text after the name's colon, and whether a smaller suite is requested."""

SUITES: Registry[Make] = Registry(
    "suites",
    "suite",
    "a function that returns a Suite",
    modules=[
        f"forgetting.benchmarks.{name}"
        for name in (
            "dialogue",
            "duet.suite",
            "harness",
            "lab.focus",
            "lab.measured",
            "lab.noisy",
            "muse",
            "tdec",
            "text",
            "tofu",
            "wmdp",
        )
    ],
)


def register_suite(name: str, *, models: Mapping[str, Path] | None = None) -> Callable[[Make], Make]:
    """Registers a function `(variant, fast) -> Suite` under `name`.

    `fast` requests a smaller suite of the same measures, for use during training. From another package: name the
    function in the entry-point group `forgetting.suites` too.

    Args:
        models: folders of models that come with the suite, by the name that a recipe's `model` gives them.
    """
    return SUITES.register(name, models=dict(models or {}))


def get_suite(name: str, *, fast: bool = False) -> Suite:
    """The suite called `name`, with its variant after a colon; `fast`: a smaller one for use during training.

    Raises:
        RecipeError: there is none (the nearest name is given), or its function returns something else.
    """
    base, _, variant = name.partition(":")
    entry = SUITES.get(base)
    suite = entry.build(variant, fast)
    if not isinstance(suite, Suite):
        raise RecipeError(f"suite '{base}' of {entry.source} returns {type(suite).__name__}, not a Suite")
    return suite


def suite_model(name: str) -> str | Path:
    """The folder of a suite's model; any other name as it is."""
    return shipped_models().get(name, name)


def shipped_models() -> dict[str, Path]:
    """The models that come with a suite, by the name a recipe gives them."""
    return {name: folder for entry in SUITES.entries() for name, folder in entry.settings.get("models", {}).items()}
