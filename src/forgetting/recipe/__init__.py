"""Recipes, typed and validated: YAML ⇄ objects."""

from forgetting.recipe.adapter import Adapter
from forgetting.recipe.metric import AskedMetric
from forgetting.recipe.named import Label
from forgetting.recipe.reading import BUILT_IN, load_recipe, recipe_from, recipe_names, recipe_summary, selection_from
from forgetting.recipe.stage import Sources, Stage
from forgetting.recipe.values import Recipe

__all__ = [
    "BUILT_IN",
    "Adapter",
    "AskedMetric",
    "Label",
    "Recipe",
    "Sources",
    "Stage",
    "load_recipe",
    "recipe_from",
    "recipe_names",
    "recipe_summary",
    "selection_from",
]
