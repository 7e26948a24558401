"""The names of all files and folders in a run folder; no other module writes them out."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path


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
