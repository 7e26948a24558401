"""What a reader must know before trusting a sweep."""

from __future__ import annotations

from forgetting.core.errors import nearest
from forgetting.recipe.sweep_file import Figure
from forgetting.report import wording
from forgetting.runs.began import START
from forgetting.runs.sweep import SweepResults
from forgetting.runs.tuning import Tuning


def cautions(results: SweepResults) -> list[str]:
    """What a reader must know before trusting the table: missing runs, and runs that differ in more than the grid."""
    said = [] if results.tuning is None else _of_trials(results.tuning)
    said += [f"{run.name} failed: {run.error}" for run in results.runs if run.status == "failed"]
    said += [f"{run.name} collapsed: {run.message}" for run in results.runs if run.status == "collapsed"]
    judged = [run for run in results.runs if run.success is not None]
    missed = [run.name for run in judged if not run.success]
    if missed:
        said.append(f"{len(missed)} of {len(judged)} runs with a goal did not reach it: {wording.join(missed)}")
    ended = [run.name for run in judged if not run.success and run.stopped == "goal"]
    if ended:
        said.append(
            f"{len(ended)} of these ended where the limit was met: their reports say why that is no success, such as "
            "damage to what should stay"
        )
    missing = [run.name for run in results.runs if run.status == "not run"]
    if missing:
        said.append(f"{len(missing)} not run: {wording.join(missing)}")
    known = {m.key for run in results.runs for m in run.measures}
    drawn = [key for given in results.file.get("figures", ()) for key in Figure(**given).keys]
    for what, keys in {"column": results.columns, "a figure's": dict.fromkeys(drawn)}.items():
        for key in keys:
            if known and key not in known:
                said.append(f"{what} '{key}' is measured by no run; {nearest(key, known)}")
    environments = [run.environment for run in results.runs if run.environment]
    for name in dict.fromkeys(name for environment in environments for name in environment if name != START):
        values = list(dict.fromkeys(str(environment.get(name)) for environment in environments))
        if len(values) > 1:
            said.append(f"runs differ in their {name}: {wording.join(values)}")
    digests: dict[str, set[str]] = {}
    for run in results.runs:
        for role, facts in run.data.items():
            digests.setdefault(f"{role} data ({facts.get('source')})", set()).add(str(facts.get("sha256")))
    said += [f"the {what} changed between runs" for what, found in digests.items() if len(found) > 1]
    return said


def _of_trials(tuning: Tuning) -> list[str]:
    """Trials that failed, methods without a winner, and winners at an end of a range."""
    said = [
        f"{trial.name} failed, and counts as a trial: {trial.note}"
        for trial in tuning.trials
        if trial.state == "failed"
    ]
    said += [
        f"no trial of {method} has a balance, so it has no runs"
        for method in tuning.space
        if tuning.best(method) is None
    ]
    said += [
        f"the best {key} of {method} lies at an end of where it was sought ({tuning.space[method][key]}); a wider "
        "range may hold a better one"
        for method, keys in tuning.ends.items()
        for key in keys
    ]
    return said
