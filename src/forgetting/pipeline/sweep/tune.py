"""Seeks the settings of each method with one budget, by one rule, and reports the winners on facts of their own.

A trial is a run in the tuning's folder. Its value is the balance on the selection half of the measured facts. The best
point of each method is run again with fresh seeds, and reported on the other half, by which nothing was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path

from forgetting.benchmarks.division import on_reported
from forgetting.core.errors import RecipeError, RunError, redacted
from forgetting.core.folder import remove
from forgetting.core.locks import locked
from forgetting.core.measure import Measure
from forgetting.core.progress import SILENT, Voice
from forgetting.core.tunable import Tunable
from forgetting.metrics.balance import NAME as BALANCE
from forgetting.metrics.balance import balance
from forgetting.metrics.utility import ALL
from forgetting.pipeline.run.judge import balances
from forgetting.pipeline.run.prepare import load_data
from forgetting.pipeline.run.suites import check_goals, division_of, suite_of, undivided_suite_of
from forgetting.pipeline.sweep.engines.engine import Engine
from forgetting.pipeline.sweep.engines.local import Processes
from forgetting.pipeline.sweep.run import clear, failures_of, results_of, run_all, status_of
from forgetting.pipeline.sweep.study import Study, check_installed, why_pruned
from forgetting.pipeline.sweep.tune_plan import TunePlan
from forgetting.recipe import Recipe
from forgetting.recipe.space import Space
from forgetting.recipe.sweep import PlannedRun, Sweep
from forgetting.report.sweep.page import build_sweep_report
from forgetting.runs.folder import RunFolder
from forgetting.runs.results import Results
from forgetting.runs.same_run import check_takes, holds
from forgetting.runs.sweep import SweepFolder, SweepResults
from forgetting.runs.tuning import Setting, State, Trial, Tuning, best_of

RULE = (
    "The highest balance after the last stage, on the selection half of the measured facts: the harmonic mean of how "
    "far the forget set came towards its goal, and of what was kept."
)
REPORTED = "reported"
"""The split of the balance on the reported half."""


@dataclass(frozen=True)
class _Proposal:
    """A trial that is not finished yet."""

    method: str
    number: int
    point: Mapping[str, Setting]
    planned: PlannedRun
    earlier: tuple[Trial, ...]
    """The method's trials that were finished when it was proposed."""


def run_tuning(plan: TunePlan, *, engine: Engine | None = None, retry: bool = False, voice: Voice = SILENT) -> Path:
    """Runs every trial, then the winners with fresh seeds, and returns the folder with table and report.

    Resumable: finished trials are kept (numbers and records, no weights), others resume from their checkpoints.
    A larger budget goes on where a smaller one ended. In every round each method has one trial, or more if there are
    more processes than methods; they are told to the sampler in their order, so timing changes no proposal, and up to
    as many processes as methods none differs from that of one process.

    Args:
        plan: what to run.
        engine: executes the runs; None: a local process, one run at a time.
        retry: try failed runs of winners again; a failed trial is part of its method's budget.
        voice: receives progress.

    Raises:
        RecipeError: Optuna is missing, the recipe measures no balance, or too little to divide.
        RunError: the folder is in use, cannot be written or holds trials of another recipe; or a method's first trial,
            with the recipe's own settings, failed.
    """
    check_installed()
    with redacted(plan.recipe.redact):
        facts = check(plan)
    engine = engine or Processes(1)
    with locked(plan.folder):
        clear(plan.folder)
        studies = {method: plan.study(method) for method in plan.spaces}
        for trial in [trial for study in studies.values() for trial in study.trials()]:
            _free(plan, trial)  # a kill may have come between its end and this
        while proposals := _round(plan, studies, engine):
            _carry_out(plan, studies, proposals, engine, voice)
        trials = tuple(trial for study in studies.values() for trial in study.trials()[: plan.budget])
        chosen = [best for method in plan.spaces if (best := best_of([t for t in trials if t.method == method]))]
        if not chosen:
            raise RunError(f"{plan.folder}: no trial has a balance; see {SweepFolder(plan.folder).logs}")
        sweep = plan.finals(chosen)
        failures = {} if retry else failures_of(sweep)
        left = [run for run in sweep.runs if status_of(run, failures) == "not run"]
        voice.say(f"the best of {', '.join(t.method for t in chosen)}, each with {plan.seeds} fresh seeds")
        if left:
            run_all(sweep, left, engine, failures, voice)
        tuning = _tuning(plan, facts, trials, chosen)
        SweepFolder(plan.folder).write_results(_results(sweep, failures, tuning))
        build_sweep_report(plan.folder)
    return plan.folder


def check(plan: TunePlan) -> dict[str, tuple[int, int]]:
    """By split, the source facts that are chosen by and those that are reported; checks all methods' data.

    Raises:
        RecipeError: the recipe measures no balance or not what ends a stage, too little to divide, or lacks data for a
            method.
        DataError: a file or row that cannot be used.
    """
    facts: dict[str, tuple[int, int]] = {}
    for method in plan.spaces:
        recipe = plan.trial(method, 0, {}).recipe
        data = load_data(recipe, SILENT)
        suite = undivided_suite_of(recipe, data)
        check_goals(recipe, data, suite_of(recipe, data))
        if suite.declared(recipe.stages[-1].name).balance is None:
            raise RecipeError(
                f"{plan.source}: measures nothing that says how much was forgotten and kept, so nothing can be chosen "
                "by; write data.forget=… and data.retain=…, or evaluate: a suite that has both"
            )
        facts = division_of(recipe, suite).counts(suite)
    return facts


def _round(plan: TunePlan, studies: Mapping[str, Study], engine: Engine) -> list[_Proposal]:
    """The next trials of every method whose budget is not spent."""
    finished = {method: study.trials() for method, study in studies.items()}
    open_ones = [method for method in studies if len(finished[method]) < plan.budget]
    if not open_ones:
        return []
    at_once, found = engine.capacity().at_once, []
    for method in open_ones:
        earlier = finished[method]
        width = min(plan.budget - len(earlier), -(-at_once // len(open_ones)))
        for number, point in enumerate(studies[method].propose(width), len(earlier)):
            found.append(_Proposal(method, number, point, plan.trial(method, number, point), earlier))
    return found


def _carry_out(
    plan: TunePlan,
    studies: Mapping[str, Study],
    proposals: Sequence[_Proposal],
    engine: Engine,
    voice: Voice,
) -> None:
    """Runs the trials that have not ended yet, and adds all of them to their studies, in order.

    Raises:
        RunError: a method's first trial failed; it is not added.
    """
    left = [p for p in proposals if not _has_ended(plan, p, voice)]
    judges = {p.planned.name: partial(why_pruned, p.earlier) for p in left}
    failures: dict[str, str] = {}
    batch = plan.batch([p.planned for p in left] or [p.planned for p in proposals])
    if left:
        run_all(batch, [p.planned for p in left], engine, failures, voice, judges)
    broken = ""
    for proposal in proposals:
        trial = _outcome(plan, proposal, failures.get(proposal.planned.name, ""))
        if trial.state == "failed" and trial.number == 0:
            broken = broken or f"{trial.name}, with the recipe's own settings, failed: {trial.note}"
            continue
        studies[trial.method].add(trial)
        _free(plan, trial)
        said = trial.state if trial.value is None else f"balance {trial.value:.3f}"
        voice.say(f"{trial.method}, trial {trial.number + 1} of {plan.budget}: {said}")
    if broken:
        raise RunError(f"{broken}; see {SweepFolder(plan.folder).logs}")


def _has_ended(plan: TunePlan, proposal: _Proposal, voice: Voice) -> bool:
    """Whether the trial's folder holds its end. One of this tuning that holds another point is removed.

    That is the folder of a trial that was proposed with another number of processes, and killed before it was counted.

    Raises:
        RunError: the folder holds a run of another recipe, or other files.
    """
    recipe = proposal.planned.recipe
    folder = RunFolder(recipe.folder)
    own = holds(folder, recipe.to_yaml(), Recipe.rewritten)
    if folder.is_run and not own and folder.has_trained and plan.is_trial(folder, proposal.method, proposal.number):
        voice.say(f"{folder.path}: an uncounted trial of another point is removed")
        remove(folder.path)
    check_takes(folder, recipe.to_yaml(), Recipe.rewritten)
    return own and (folder.report_file.is_file() or bool(folder.pruned()))


def _free(plan: TunePlan, trial: Trial) -> None:
    """Removes the weights of a finished trial; numbers and records stay, and the best is run again."""
    folder = RunFolder(plan.folder / trial.name)
    for path in (folder.model, folder.merged, *(c for s in folder.stages() for c in (*s.checkpoints, s.model))):
        remove(path)


def _outcome(plan: TunePlan, proposal: _Proposal, error: str) -> Trial:
    folder = RunFolder(proposal.planned.recipe.folder)
    state: State = "complete"
    value, note = None, error
    if not error and folder.is_finished:
        results = Results.load(folder.path)
        found = results.after.measure(f"{ALL}/{BALANCE}") if results.after else None
        value = found.value if found else None
        note = "" if results.status == "complete" else f"{results.status}: {results.stages[-1].message}"
        if value is None:
            state, note = "failed", f"it has no balance: {found.reason if found else 'it was not measured'}"
    elif not error and folder.pruned():
        state, note = "pruned", folder.pruned()
    else:
        state, note = "failed", error or "the run has no results"
    steps = {} if state == "failed" else balances(folder, plan.recipe.stages[-1].name)
    return Trial(
        method=proposal.method,
        number=proposal.number,
        name=proposal.planned.name,
        point=proposal.point,
        state=state,
        value=value,
        steps=steps,
        note=note,
    )


def _tuning(
    plan: TunePlan, facts: Mapping[str, tuple[int, int]], trials: tuple[Trial, ...], chosen: Sequence[Trial]
) -> Tuning:
    return Tuning(
        stage=plan.stage.name,
        budget=plan.budget,
        rule=RULE,
        space={method: {key: str(where) for key, where in space.items()} for method, space in plan.spaces.items()},
        facts=facts,
        trials=trials,
        chosen={trial.method: trial.name for trial in chosen},
        ends={trial.method: _at_ends(plan.spaces[trial.method], trial) for trial in chosen},
    )


def _at_ends(space: Space, trial: Trial) -> tuple[str, ...]:
    ranges = {key: where for key, where in space.items() if isinstance(where, Tunable)}
    return tuple(key for key, where in ranges.items() if where.is_end(float(trial.point[key])))


def _results(sweep: Sweep, failures: Mapping[str, str], tuning: Tuning) -> SweepResults:
    """The winners' runs, each with the balance on the reported half as its first column."""
    results = results_of(sweep, failures)
    measured = {run.name: _reported(sweep.folder / run.name) for run in results.runs if run.measures}
    runs = tuple(replace(run, measures=(*measured.get(run.name, ()), *run.measures)) for run in results.runs)
    declared = [Results.load(sweep.folder / name).declared.balance for name in measured]
    compared = [key.split("/")[0] for of in declared[:1] if of for key in astuple(on_reported(of)) if key]
    tuning = replace(tuning, balanced=tuple(dict.fromkeys(compared)))
    return replace(results, runs=runs, columns=(f"{REPORTED}/{BALANCE}", *results.columns), tuning=tuning)


def _reported(folder: Path) -> tuple[Measure, ...]:
    """The balance of a finished run on the reported half."""
    results = Results.load(folder)
    of, after, before, oracle = results.declared.balance, results.after, results.before, results.oracle_evaluation
    if of is None or after is None or before is None:
        return ()
    goal = None if oracle is None else oracle.measures
    return (replace(balance(after.measures, before.measures, goal, of=on_reported(of)), split=REPORTED),)
