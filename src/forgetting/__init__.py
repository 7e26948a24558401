"""Make a language model forget, and measure honestly what it forgot and what it kept.

import forgetting
done = forgetting.unlearn(model, tokenizer, forget="forget.jsonl", retain="retain.jsonl", method="loku")
forgetting.save(done.model, tokenizer, "my-model-without-it")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forgetting.analysis import register_analysis as register_analysis
    from forgetting.audits import register_attack as register_attack
    from forgetting.core.errors import ForgettingError as ForgettingError
    from forgetting.core.example import Example as Example
    from forgetting.models.transforms import Transform as Transform
    from forgetting.models.transforms import register_transform as register_transform
    from forgetting.objectives.methods import register_method as register_method
    from forgetting.objectives.objective import Objective as Objective
    from forgetting.objectives.objective import Term as Term
    from forgetting.pipeline.one_model.evaluate import evaluate as evaluate
    from forgetting.pipeline.one_model.unlearn import unlearn as unlearn
    from forgetting.pipeline.run.export import save as save
    from forgetting.pipeline.run.run import run as run
    from forgetting.recipe import Recipe as Recipe
    from forgetting.recipe import load_recipe as load_recipe
    from forgetting.report.run.page import build_report as build_report

_HOMES = {
    "Example": "core.example",
    "ForgettingError": "core.errors",
    "Objective": "objectives.objective",
    "Recipe": "recipe",
    "Term": "objectives.objective",
    "Transform": "models.transforms",
    "build_report": "report.run.page",
    "evaluate": "pipeline.one_model.evaluate",
    "load_recipe": "recipe",
    "register_analysis": "analysis",
    "register_attack": "audits",
    "register_method": "objectives.methods",
    "register_transform": "models.transforms",
    "run": "pipeline.run.run",
    "save": "pipeline.run.export",
    "unlearn": "pipeline.one_model.unlearn",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used, so that `import forgetting` is fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'forgetting' has no attribute '{name}'")
    return getattr(import_module(f"forgetting.{_HOMES[name]}"), name)
