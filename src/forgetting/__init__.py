"""Make a language model forget, and measure honestly what it forgot and what it kept.

import forgetting
done = forgetting.unlearn(model, tokenizer, forget="forget.jsonl", retain="retain.jsonl", method="loku")
forgetting.save(done.model, tokenizer, "my-model-without-it")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from forgetting.analysis import register_analysis as register_analysis
    from forgetting.audits import register_attack as register_attack
    from forgetting.benchmarks.registry import register_suite as register_suite
    from forgetting.benchmarks.suite import Split as Split
    from forgetting.benchmarks.suite import Suite as Suite
    from forgetting.core.declaration import Balance as Balance
    from forgetting.core.declaration import Declaration as Declaration
    from forgetting.core.declaration import Headline as Headline
    from forgetting.core.errors import ForgettingError as ForgettingError
    from forgetting.core.example import Example as Example
    from forgetting.core.measure import Measure as Measure
    from forgetting.core.record import Record as Record
    from forgetting.metrics.per_example import PerExample as PerExample
    from forgetting.metrics.registry import register_metric as register_metric
    from forgetting.models.adapters.initialisation import Initialisation as Initialisation
    from forgetting.models.adapters.initialisation import InitialisationData as InitialisationData
    from forgetting.models.adapters.initialisation import Start as Start
    from forgetting.models.adapters.initialisation import register_initialisation as register_initialisation
    from forgetting.models.transforms import Transform as Transform
    from forgetting.models.transforms import register_transform as register_transform
    from forgetting.objectives.gradient_rules import register_gradient_rule as register_gradient_rule
    from forgetting.objectives.methods import register_method as register_method
    from forgetting.objectives.objective import Objective as Objective
    from forgetting.objectives.objective import Term as Term
    from forgetting.pipeline.audit.whole import run as run
    from forgetting.pipeline.one_model.evaluate import evaluate as evaluate
    from forgetting.pipeline.one_model.steps import unlearning_steps as unlearning_steps
    from forgetting.pipeline.one_model.unlearn import unlearn as unlearn
    from forgetting.pipeline.run.export import save as save
    from forgetting.recipe import Recipe as Recipe
    from forgetting.recipe import load_recipe as load_recipe
    from forgetting.report.run.page import build_report as build_report
    from forgetting.runs.frames import measures as measures
    from forgetting.runs.frames import records as records
    from forgetting.training.in_trainer import Unlearning as Unlearning

_HOMES = {
    "Balance": "core.declaration",
    "Declaration": "core.declaration",
    "Example": "core.example",
    "ForgettingError": "core.errors",
    "Headline": "core.declaration",
    "Initialisation": "models.adapters.initialisation",
    "InitialisationData": "models.adapters.initialisation",
    "Measure": "core.measure",
    "Objective": "objectives.objective",
    "PerExample": "metrics.per_example",
    "Recipe": "recipe",
    "Record": "core.record",
    "Split": "benchmarks.suite",
    "Start": "models.adapters.initialisation",
    "Suite": "benchmarks.suite",
    "Term": "objectives.objective",
    "Transform": "models.transforms",
    "Unlearning": "training.in_trainer",
    "build_report": "report.run.page",
    "evaluate": "pipeline.one_model.evaluate",
    "load_recipe": "recipe",
    "measures": "runs.frames",
    "records": "runs.frames",
    "register_analysis": "analysis",
    "register_attack": "audits",
    "register_gradient_rule": "objectives.gradient_rules",
    "register_initialisation": "models.adapters.initialisation",
    "register_method": "objectives.methods",
    "register_transform": "models.transforms",
    "register_metric": "metrics.registry",
    "register_suite": "benchmarks.registry",
    "run": "pipeline.audit.whole",
    "save": "pipeline.run.export",
    "unlearn": "pipeline.one_model.unlearn",
    "unlearning_steps": "pipeline.one_model.steps",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used, so that `import forgetting` is fast."""
    if name == "__version__":
        return import_module("importlib.metadata").version("forgetting")
    if name not in _HOMES:
        raise AttributeError(f"module 'forgetting' has no attribute '{name}'")
    return getattr(import_module(f"forgetting.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names, whether they were used yet or not."""
    return sorted(__all__)
