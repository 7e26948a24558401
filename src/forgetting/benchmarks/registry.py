"""Suites by name, as `evaluate:` and `suite:` write them: `lab`, `lab:popular`."""

from __future__ import annotations

from collections.abc import Callable

from forgetting.benchmarks.dialogue import dialogue_variant
from forgetting.benchmarks.harness import harness_variant
from forgetting.benchmarks.lab.focus import GENERAL, focus_variant
from forgetting.benchmarks.lab.noisy import noisy_variant
from forgetting.benchmarks.lab.suite import BASE, lab_suite
from forgetting.benchmarks.suite import Suite
from forgetting.benchmarks.tdec import tdec_variant
from forgetting.benchmarks.text import text_variant
from forgetting.benchmarks.tofu import tofu_variant
from forgetting.core.errors import RecipeError, nearest
from forgetting.metrics.likelihood import (
    memorization_accuracy,
    perplexity,
    probability,
    teacher_forced_exact_match,
)
from forgetting.metrics.per_example import mean
from forgetting.metrics.standard import standard_metrics


def _lab(variant: str, fast: bool) -> Suite:
    """A small invented world with a shipped model and oracles: 78 rare or popular facts to forget."""
    narrative = ("retain-narrative",)
    metrics = (
        *standard_metrics(("forget", "forget-narrative"), ("retain",), ("utility",)),
        mean(probability, narrative, "up"),
        mean(teacher_forced_exact_match, ("forget-narrative",), "down"),
        mean(teacher_forced_exact_match, narrative, "up"),
        perplexity(("story",), "down"),
    )
    if not fast:
        metrics = (*metrics, mean(memorization_accuracy, ("secrets", "secrets-unseen"), "none"))
    return lab_suite(variant or "rare", fast=fast, metrics=metrics)


_SUITES: dict[str, Callable[[str, bool], Suite]] = {
    "dialogue": dialogue_variant,
    "harness": harness_variant,
    "lab": _lab,
    "lab-f2f": focus_variant,
    "lab-noisy": noisy_variant,
    "tdec": tdec_variant,
    "text": text_variant,
    "tofu": tofu_variant,
}
MODELS = {"lab": BASE, "lab-general": GENERAL}
"""Models that come with a suite, by the name a recipe gives them."""


def get_suite(name: str, *, fast: bool = False) -> Suite:
    """The suite called `name`, with its variant after a colon; `fast`: a smaller one for use during training.

    Raises:
        RecipeError: there is none; the nearest name is given.
    """
    base, _, variant = name.partition(":")
    if base not in _SUITES:
        raise RecipeError(f"unknown suite '{name}'; {nearest(base, _SUITES)}")
    return _SUITES[base](variant, fast)


def suites() -> dict[str, str]:
    """What each suite is, by its name."""
    return {name: (make.__doc__ or "").split("\n")[0] for name, make in sorted(_SUITES.items())}
