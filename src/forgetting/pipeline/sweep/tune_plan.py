"""What a tuning runs: the recipe of every trial, and of every run of a winner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetting.benchmarks.division import on_selection
from forgetting.core.digest import digest
from forgetting.core.errors import RecipeError, nearest, said_of
from forgetting.core.tunable import values_of
from forgetting.metrics.balance import NAME as BALANCE
from forgetting.metrics.goal import EXTRACTION
from forgetting.metrics.limit import Limit
from forgetting.metrics.utility import ALL
from forgetting.pipeline.sweep.study import Study
from forgetting.recipe import Recipe, Stage, load_recipe
from forgetting.recipe.changes import parsed_of_one
from forgetting.recipe.space import Space, check_keys, own_point, settings_at, space_of
from forgetting.recipe.sweep import PlannedRun, Sweep
from forgetting.recipe.sweep_file import SweepFile, label_of
from forgetting.runs.folder import RunFolder
from forgetting.runs.paths import SweepPaths
from forgetting.runs.same_run import holds
from forgetting.runs.tuning import Setting, Trial


@dataclass(frozen=True)
class TunePlan:
    """A recipe whose stage is tuned, for each of some methods."""

    source: str
    """The recipe's name or path."""
    recipe: Recipe
    """Divided, into the tuning's folder."""
    stage: Stage
    """The tuned stage, as the recipe has it."""
    spaces: Mapping[str, Space]
    """Where the settings of each method are sought."""
    budget: int
    """Trials of each method."""
    seeds: int
    """Runs of each method's best settings, with seeds that no trial had."""
    name: str

    @property
    def folder(self) -> Path:
        """The tuning's folder, which is a sweep's."""
        return Path(self.recipe.output)

    def study(self, method: str) -> Study:
        """The finished trials of a method."""
        space = self.spaces[method]
        what = self.recipe.model_dump(mode="json", exclude={"name", "output"})
        return Study(
            file=SweepPaths(self.folder).studies_file,
            method=method,
            space=space,
            own=own_point(self.stage, method, space),
            seed=self.recipe.seed,
            recipe=digest(what, self.stage.name, sorted((key, repr(where)) for key, where in space.items())),
        )

    def trial(self, method: str, number: int, point: Mapping[str, Setting]) -> PlannedRun:
        """The run of a trial: on the selection half alone, and without an audit, which is for what was chosen."""
        changes = {**settings_at(self.stage, method, point), "divide.report": False, "audit": []}
        return self._planned({"method": method}, f"{method}-{number:03d}", changes)

    def is_trial(self, folder: RunFolder, method: str, number: int) -> bool:
        """Whether the run in a folder is this trial at any point of the space.

        Raises:
            ForgettingError: its recipe cannot be read.
        """
        there = {stage.name: stage for stage in load_recipe(str(folder.recipe_file)).stages}
        if self.stage.name not in there:
            return False
        point = own_point(there[self.stage.name], method, self.spaces[method])
        return holds(folder, self.trial(method, number, point).recipe.to_yaml(), Recipe.rewritten)

    def finals(self, chosen: Sequence[Trial]) -> Sweep:
        """The runs of the chosen settings with fresh seeds, as a sweep: methods by seeds, averaged over the seeds."""
        first = self.recipe.seed + 1
        seeds = {label_of(seed): {"seed": seed} for seed in range(first, first + self.seeds)}
        settings = {trial.method: settings_at(self.stage, trial.method, trial.point) for trial in chosen}
        file = SweepFile.model_validate(
            {"name": self.name, "recipe": self.source, "grid": {"method": settings, "seed": seeds}}
        )
        runs = [
            self._planned({"method": t.method, "seed": label}, f"{t.name}-seed{label}", {**settings[t.method], **seed})
            for t in chosen
            for label, seed in seeds.items()
        ]
        return Sweep(file, self.folder, tuple(runs))

    def batch(self, runs: Sequence[PlannedRun]) -> Sweep:
        """Some trials as a sweep, to be run together."""
        grid: dict[str, dict[str, object]] = {"trial": {run.name: {} for run in runs}}
        file = SweepFile.model_validate({"name": self.name, "recipe": self.source, "grid": grid})
        return Sweep(file, self.folder, tuple(runs))

    def _planned(self, point: Mapping[str, str], name: str, changes: Mapping[str, Any]) -> PlannedRun:
        return PlannedRun(point, changes, self.recipe.with_values({**changes, "name": name}))


def plan_tuning(
    source: str,
    overrides: Sequence[str] = (),
    *,
    methods: Sequence[str] = (),
    stage: str | None = None,
    budget: int,
    seeds: int = 3,
    output: str | None = None,
) -> TunePlan:
    """A tuning of a recipe by its name or path.

    Args:
        source: a recipe, as for `load_recipe`.
        overrides: `key=value` arguments; `name=` and `output=` are those of the tuning, `space.KEY=` and `divide.KEY=`
            say where is sought and what is chosen by.
        methods: what is compared; none: the recipe's own method alone.
        stage: the stage to tune; None: the only one that trains.
        budget: trials of each method.
        seeds: runs of each method's best settings.
        output: as `output=`.

    Raises:
        RecipeError: no such recipe, stage or method, or a key or value that is not valid.
    """
    given = parsed_of_one(overrides)
    name = given.pop("name", None)
    recipe = load_recipe(source, given)
    tuned = _stage_of(recipe, stage)
    names = list(dict.fromkeys(methods)) or [tuned.what]
    check_keys(recipe.space, names)
    spaces = {method: space_of(tuned, method, recipe.space) for method in names}
    empty = next((method for method, space in spaces.items() if not space), None)
    if empty is not None:
        raise RecipeError(f"space: leaves nothing to tune of '{empty}'; give at least one key a range or a list")
    name = str(name) if name is not None else f"{recipe.name}-tune"
    divided = {} if recipe.divide is not None else {"divide": {}, **_goals(recipe)}
    here = {"name": name, "output": str(Path(output or recipe.output) / name), "space": {}}
    plan = TunePlan(source, recipe.with_values({**divided, **here}), tuned, spaces, budget, seeds, name)
    for method in names:
        _check_recipes(plan, method, recipe.space)
    return plan


def _check_recipes(plan: TunePlan, method: str, written: Mapping[str, Any]) -> None:
    """Checks, before any of them runs, that trials and final runs have valid recipes.

    Of what the user writes, every value of a list and both ends of a range are tried, beside the recipe's own settings.

    Raises:
        RecipeError: one is not valid; it names the key of the space, or --seeds.
    """
    own = own_point(plan.stage, method, plan.spaces[method])
    plan.trial(method, 0, own)
    for key in (key for key in plan.spaces[method] if key in written):
        for value in values_of(plan.spaces[method][key]):
            with said_of(f"space.{key}"):
                plan.trial(method, 0, {**own, key: value})
    with said_of("--seeds"):
        plan.recipe.with_values({"seed": plan.recipe.seed + plan.seeds})


def _stage_of(recipe: Recipe, name: str | None) -> Stage:
    trained = {stage.name: stage for stage in recipe.stages if stage.trains and not stage.is_aside}
    if name is None and len(trained) == 1:
        return next(iter(trained.values()))
    if name is None:
        raise RecipeError(f"--stage: several stages train ({', '.join(trained)}); name the one to tune")
    if name not in trained:
        raise RecipeError(f"--stage: no stage that trains is called '{name}'; {nearest(name, trained)}")
    return trained[name]


def _goals(recipe: Recipe) -> dict[str, str]:
    """What ends stages, on the selection half."""
    ends = {stage.name: stage.ends for stage in recipe.stages if stage.trains and stage.ends is not None}
    found = {}
    for name, until in ends.items():
        parts = [EXTRACTION] * until.extraction + [str(_on_selection(limit)) for limit in until.limits]
        found[f"stages.{name}.until"] = " and ".join(parts)
    return found


def _on_selection(limit: Limit) -> Limit:
    kept = f"{ALL}/{BALANCE}"
    value = on_selection(limit.value, kept) if isinstance(limit.value, str) else limit.value
    return Limit(on_selection(limit.key, kept), limit.at_most, value)
