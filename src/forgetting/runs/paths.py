"""The names of all files and folders in a run folder; no other module writes them out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.errors import RunError
from forgetting.core.folder import check_suffix

PAGE = (".html", ".htm")
"""What the name of a page may end in."""
_LONGEST = 80
"""Letters of the names of runs in a file's name."""


@dataclass(frozen=True)
class StagePaths:
    """Paths in the folder of one stage."""

    path: Path

    @property
    def last(self) -> Path:
        """The last checkpoint."""
        return self.path / "last"

    @property
    def proven(self) -> Path:
        """The last checkpoint that a later step confirmed as sound."""
        return self.path / "proven"

    @property
    def best(self) -> Path:
        """The evaluated checkpoint with the highest score."""
        return self.path / "best"

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        """All checkpoints, whether they exist or not."""
        return self.last, self.proven, self.best

    @property
    def history_file(self) -> Path:
        """One line per optimiser step."""
        return self.path / "history.jsonl"

    @property
    def result_file(self) -> Path:
        """How the stage ended and what it cost."""
        return self.path / "result.json"

    @property
    def prepared_file(self) -> Path:
        """The seconds of preparation before its first step."""
        return self.path / "prepared.json"

    @property
    def thresholds_file(self) -> Path:
        """The values that its stop rule compares with."""
        return self.path / "thresholds.json"

    @property
    def selection_file(self) -> Path:
        """The selection among its training tokens."""
        return self.path / "selection.json"

    @property
    def scores_file(self) -> Path:
        """The token scores that it selected by."""
        return self.path / "scored.json"

    @property
    def model(self) -> Path:
        """The weights that the next stage starts from, or the adapter of a reference."""
        return self.path / "model"

    @property
    def handed_over_file(self) -> Path:
        """Marks that the next stage may start."""
        return self.path / "handed-over"

    @property
    def importance(self) -> Path:
        """What an initialisation computed, in runs of earlier versions; now in the shared caches."""
        return self.path / "importance"


@dataclass(frozen=True)
class RunPaths:
    """Paths in the folder of one run."""

    path: Path

    @property
    def recipe_file(self) -> Path:
        """The resolved recipe with every default."""
        return self.path / "recipe.yaml"

    @property
    def data_file(self) -> Path:
        """Digests of the data that the run started with."""
        return self.path / "data.json"

    @property
    def skipped_file(self) -> Path:
        """The rows of the data that were left out: where each stood, and why."""
        return self.path / "skipped.jsonl"

    @property
    def settings_file(self) -> Path:
        """The settings of an evaluation, which has no recipe."""
        return self.path / "settings.yaml"

    @property
    def shots_file(self) -> Path:
        """The examples that are shown before questions."""
        return self.path / "shots.json"

    @property
    def environment_file(self) -> Path:
        """Versions, threads, device."""
        return self.path / "environment.json"

    @property
    def results_file(self) -> Path:
        """Everything that a report needs."""
        return self.path / "results.json"

    @property
    def begun_file(self) -> Path:
        """What is known of the results when a run begins; gone once there are results."""
        return self.path / "begun.json"

    @property
    def prompt_file(self) -> Path:
        """One prompt as the model sees it."""
        return self.path / "prompt.json"

    @property
    def pruned_file(self) -> Path:
        """Why a tuning ended the run early."""
        return self.path / "pruned.json"

    @property
    def report_file(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def so_far_file(self) -> Path:
        """The report of a run that is not finished; gone once there are results."""
        return self.path / "report-so-far.html"

    @property
    def measures_file(self) -> Path:
        """The measures of a model that is measured without a stage."""
        return self.path / "measured.json"

    @property
    def import_file(self) -> Path:
        """The source of results from another program."""
        return self.path / "import.json"

    @property
    def outputs_file(self) -> Path:
        """The model's answers to AlpacaEval."""
        return self.path / "alpaca_eval" / "outputs.json"

    @property
    def evaluations_folder(self) -> Path:
        """One file of measures per evaluation."""
        return self.path / "evaluations"

    @property
    def records_folder(self) -> Path:
        """One file of records per kept evaluation."""
        return self.path / "records"

    @property
    def trackers(self) -> Path:
        """Files of experiment trackers."""
        return self.path / "trackers"

    @property
    def model(self) -> Path:
        """The final adapter or model of the run."""
        return self.path / "model"

    @property
    def merged(self) -> Path:
        """The merged model, if an adapter is exported too."""
        return self.path / "merged"

    @property
    def stages_folder(self) -> Path:
        """One folder per stage."""
        return self.path / "stages"

    @property
    def audits_folder(self) -> Path:
        """One file per attack, and the records of each model under it."""
        return self.path / "audits"

    @property
    def asked_file(self) -> Path:
        """Which attacks were asked for, and which of them did not suit the run."""
        return self.path / "audit.json"

    def audit_file(self, attack: str) -> Path:
        """The results of an attack."""
        return self.audits_folder / f"{attack}.json"

    def attack_records(self, attack: str, point: str) -> Path:
        """The records of one model under an attack."""
        return self.audits_folder / attack / f"{point}.jsonl"

    def earlier_folder(self, request: str) -> Path:
        """What attacks found of the facts of an earlier request, as in the folder of audits."""
        return self.path / "earlier" / request

    @property
    def certificate_file(self) -> Path:
        """What its last audit shows, with digests of all that it rests on."""
        return self.path / "certificate.json"

    @property
    def certificate_page(self) -> Path:
        """The same for a reader who is no engineer."""
        return self.path / "certificate.html"

    @property
    def register_file(self) -> Path:
        """What this run and those it comes from were to forget, and what audits said."""
        return self.path / "register.json"

    @property
    def analyses_folder(self) -> Path:
        """One file per analysis."""
        return self.path / "analyses"

    def analysis_file(self, analysis: str, against: str, at: str = "after") -> Path:
        """The results of an analysis of changes of the model `at` relative to another one."""
        changed, start = "" if at == "after" else f"@{at}", "" if against == "before" else f"+{against}"
        return self.analyses_folder / f"{analysis}{changed}{start}.json"

    @property
    def judgements_folder(self) -> Path:
        """One file per judge of answers."""
        return self.path / "judgements"

    def judgement_file(self, judge: str) -> Path:
        """What the judge of this identity said; the name is that of its model as far as files can bear it."""
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", judge.split(" ")[0]).strip("-.")[:40]
        return self.judgements_folder / f"{plain}-{hashlib.sha256(judge.encode()).hexdigest()[:6]}.json"

    @property
    def is_run(self) -> bool:
        """Whether a run was started here."""
        return self.recipe_file.is_file()

    @property
    def is_finished(self) -> bool:
        """Whether there are results."""
        return self.results_file.is_file()

    def check_recipe(self) -> None:
        """Checks that the folder is a run's.

        Raises:
            RunError: it is not; what it is instead, and what to do.
        """
        if self.is_run:
            return
        if self.settings_file.is_file():
            raise RunError(f"{self.path}: is an evaluation, which holds no model; name the folder of a run")
        if self.is_finished:
            raise RunError(f"{self.path}: its {self.recipe_file.name} is missing; bring it back")
        raise RunError(f"{self.path}: {(self.path.is_dir() and of_runs(self.path)) or no_run(self.path)}")


@dataclass(frozen=True)
class SweepPaths:
    """Paths in the folder of a sweep, apart from the folders of its runs."""

    path: Path

    @property
    def results_file(self) -> Path:
        """All runs of the grid."""
        return self.path / "sweep.json"

    @property
    def table_file(self) -> Path:
        """The table for other programs."""
        return self.path / "sweep.csv"

    @property
    def report_file(self) -> Path:
        """The table with figures."""
        return self.path / "report.html"

    @property
    def trials_file(self) -> Path:
        """Every trial of a tuning, for other programs."""
        return self.path / "trials.csv"

    @property
    def studies_file(self) -> Path:
        """The finished trials of a tuning, as Optuna keeps them."""
        return self.path / "tune.db"

    @property
    def planned_file(self) -> Path:
        """The names of all runs, while they are being run."""
        return self.path / "planned.json"

    @property
    def failures_file(self) -> Path:
        """The error of every run that failed."""
        return self.path / "failures.json"

    @property
    def chosen_file(self) -> Path:
        """Which runs of a demo were chosen."""
        return self.path / "chosen.json"

    @property
    def logs(self) -> Path:
        """The output of each run."""
        return self.path / "logs"

    def log(self, name: str) -> Path:
        """The output of the run with this name."""
        return self.logs / f"{name}.log"

    @property
    def is_sweep(self) -> bool:
        """Whether it has results."""
        return self.results_file.is_file()


def beside(runs: Sequence[Path], what: str) -> Path:
    """A page on several runs, next to the first of them: `one+two.compare.html`."""
    folders = [run.resolve() for run in runs]
    names = "+".join(folder.name for folder in folders)
    if len(names) > _LONGEST:
        names = f"{names[:_LONGEST]}-{hashlib.sha256(names.encode()).hexdigest()[:6]}"
    return folders[0].parent / f"{names}.{what}.html"


def check_page(out: Path, runs: Sequence[Path]) -> None:
    """Checks that a page on `runs` does not replace the report of another run or of a sweep, or another kind of file.

    Raises:
        RunError: it would.
    """
    check_suffix(out, *PAGE)
    folder = out.resolve().parent
    of_run = RunPaths(folder).is_run or RunPaths(folder).is_finished
    own = [run.resolve() for run in runs] == [folder]
    if out.name == RunPaths(folder).report_file.name and not own and (of_run or SweepPaths(folder).is_sweep):
        whose = "the run" if of_run else "the sweep"
        raise RunError(f"{out}: is the report of {whose} in that folder; name another file (--out)")


def of_runs(folder: Path) -> str:
    """That a folder holds runs and is none itself, and what to do, as the end of a message; empty if it does not."""
    inside = sorted(path.name for path in folder.iterdir() if RunPaths(path).is_run or RunPaths(path).is_finished)
    if SweepPaths(folder).is_sweep:
        return f"is a sweep; its report is {SweepPaths(folder).report_file}; else name one of its runs: {_few(inside)}"
    if inside:
        return f"is a folder of {len(inside)} {'run' if len(inside) == 1 else 'runs'}; name one of them: {_few(inside)}"
    return ""


def contents(folder: Path) -> str:
    """What a folder without results is, and what to do, as the end of a message."""
    if said := of_runs(folder):
        return said
    name = RunPaths(folder).results_file.name
    if RunPaths(folder).pruned_file.is_file():
        return f"has no {name}; a tuning ended the run early, start it again to run it to its end"
    if RunPaths(folder).is_run:
        return f"has no {name}; the run has not finished, start it again to resume it"
    return no_run(folder)


def no_run(path: Path, wanted: str = "the folder of a run") -> str:
    """What a path is that is no run and holds none, and what to name, as the end of a message."""
    fault = "is no run and holds none" if path.is_dir() else "is a file" if path.exists() else "no such folder"
    return f"{fault}; name {wanted}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
