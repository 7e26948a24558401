"""Tasks of lm-evaluation-harness as a suite: `harness:reasoning`, `harness:arc_easy+piqa`, `harness:mine@./tasks`.

Named lists of tasks, with the metric that enters each list's mean, are those of `benchmarks.harness_lists`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.harness_lists import LISTS, Listed
from forgetting.benchmarks.registry import register_suite
from forgetting.benchmarks.suite import Suite
from forgetting.core.declaration import Declaration, Headline
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.evaluator import Progress
from forgetting.core.measure import Direction, Measure
from forgetting.evaluation.harness import evaluate_tasks
from forgetting.evaluation.harness_tasks import Aggregated, HarnessSettings, check_tasks, load_task, task_files
from forgetting.metrics.proportions import Interval, wilson
from forgetting.metrics.standard import keys_of

MEAN = "mean_accuracy"
FAST = 50
"""Questions per task of the fast suite."""

_MEANINGS = {
    "acc": "share of questions whose right answer the model finds likeliest (or, of one answer, would give greedily)",
    "acc_norm": "the same as acc, with the log-likelihood of an answer divided by its length",
    "exact_match": "share of generated answers that equal the right one",
    "pass@1": "share of problems whose tests the first program written for it passes",
    "pass_at_1": "share of problems whose tests the first program written for it passes",
    "f1": "F1 of the answers against the right ones",
    "perplexity": "perplexity of the right answers",
    "word_perplexity": "perplexity per word of the texts",
    "byte_perplexity": "perplexity per byte of the texts",
    "bits_per_byte": "bits per byte of the texts",
}
_SHARES = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "em", "f1", "pass@1", "pass_at_1")
"""Metrics whose values lie between 0 and 1, by name."""
_FIRST = (
    "acc_norm",
    "acc",
    "exact_match",
    *(f"exact_match,{label}" for label in ("strict-match", "flexible-extract", "get-answer", "remove_whitespace")),
    *(f"{name},create_test" for name in ("pass@1", "pass_at_1")),
    "pass@1",
    "pass_at_1",
    "f1",
    "word_perplexity",
    "perplexity",
)
"""What stands for a task in a report: the first of these that it has."""
_NUMBERS = ("limit", "shots", "batch", "seed")


@register_suite("harness")
def harness_variant(variant: str, fast: bool = False) -> Suite:
    """lm-evaluation-harness: `harness:reasoning`, `harness:arc_easy+piqa,limit=100,shots=0`, `harness:TASK@FOLDER`.

    Names are those of tasks, groups and tags of the harness and of `LISTS`. Keys: `limit` (the first so many questions
    of each task), `shots`, `batch` (8), `seed`, `run_code=yes` (tasks that run what the model writes). `fast`: at most
    50 questions of each task. No data is fetched here.

    Raises:
        RecipeError: an invalid key or value; the harness is not installed; it has no such task; a task runs
            code without `run_code=yes`.
        DataError: FOLDER holds no task.
    """
    first, *items = variant.split(",")
    names, _, folder = first.partition("@")
    asked = tuple(dict.fromkeys(names.split("+")))
    if not all(asked):
        raise RecipeError(
            f"harness: '{first}' names no task; write harness:reasoning, harness:arc_easy+piqa or harness:TASK@FOLDER"
        )
    settings = replace(_settings(items), folder=Path(folder) if folder else None)
    if fast:
        settings = replace(settings, limit=min(settings.limit or FAST, FAST))
    standing = check_tasks(_asked(asked, None), settings, lists=LISTS)
    front = tuple(
        column for name in asked for column in ([(f"{name}/{MEAN}",)] if name in LISTS else _columns(standing[name]))
    )
    return Suite(
        name=f"harness:{variant}",
        splits=(),
        metrics=(),
        probes=(HarnessProbe(asked, settings),),
        declares=Declaration(headline=Headline(others=front)),
    )


def _columns(standing: Aggregated) -> list[tuple[str, ...]]:
    """The columns of a report for one name: a group's own number, or one for each of its tasks."""
    return [keys_of(name, tuple(dict.fromkeys((*_FIRST, *metrics)))) for name, metrics in standing.items()]


def _settings(items: Sequence[str]) -> HarnessSettings:
    found: dict[str, int] = {}
    run_code = False
    for item in items:
        key, _, value = item.partition("=")
        if item == "run_code=yes":
            run_code = True
        elif key not in _NUMBERS or not value:
            raise RecipeError(f"harness: '{item}' has no meaning; keys: limit, shots, batch, seed, run_code=yes")
        else:
            least = 1 if key in ("limit", "batch") else 0
            if not value.isdecimal() or int(value) < least:
                raise RecipeError(f"harness: {key} is '{value}'; give a whole number of at least {least}")
            found[key] = int(value)
    return HarnessSettings(
        limit=found.get("limit"),
        shots=found.get("shots"),
        batch_size=found.get("batch", HarnessSettings().batch_size),
        seed=found.get("seed"),
        run_code=run_code,
    )


@dataclass(frozen=True, slots=True)
class HarnessProbe:
    """Tasks, groups, tags and named lists, asked by one set of settings."""

    names: tuple[str, ...]
    settings: HarnessSettings

    @property
    def key(self) -> str:
        """Names, settings, the harness's version, and the content of the user's own task and data files."""
        try:
            of = version("lm_eval")
        except PackageNotFoundError:
            of = "absent"
        files = task_files(self.settings.folder) if self.settings.folder else []
        contents = [(str(file), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
        return f"harness {of} {self.names} {asdict(self.settings)} {contents}"

    def __call__(
        self, model: nn.Module, tokenizer: PreTrainedTokenizerBase, *, progress: Progress
    ) -> Sequence[Measure]:
        """Every metric of every task, and the mean of every named list.

        A task of a named list that cannot be set up is a missing measure; so is then the list's mean.

        Raises:
            RecipeError: see `load_task`.
            DataError: a task that was named itself cannot be set up, or none of a list can be.
        """
        asked = _asked(self.names, self.settings.shots)
        loaded, failed = {}, {}
        for done, (name, shots) in enumerate(asked.items()):
            progress(done, len(asked), f"data of {name}")
            try:
                loaded[name] = load_task(name, replace(self.settings, shots=shots))
            except DataError as error:
                if name in self.names:
                    raise
                failed[name] = error
        if failed and not loaded:
            raise next(iter(failed.values()))
        results = evaluate_tasks(model, tokenizer, list(loaded.values()), self.settings, progress=progress)
        measures = measures_of(results)
        metrics = {listed.task: listed.metric for name in self.names for listed in LISTS.get(name, ())}
        missing = [_missing(metrics[name], name, str(error)) for name, error in failed.items()]
        parts = {name: tuple(task["tasks"]) for name, task in loaded.items()}
        means = [mean_of(name, LISTS[name], measures, parts) for name in self.names if name in LISTS]
        return [*measures, *missing, *means]


def _asked(names: Iterable[str], shots: int | None) -> dict[str, int | None]:
    """Every name the harness is asked for, once, with its number of examples; what the user says goes before a list."""
    asked: dict[str, int | None] = {}
    for name in names:
        for listed in LISTS.get(name, (Listed(name),)):
            asked.setdefault(listed.task, listed.shots if shots is None else shots)
    return asked


def measures_of(results: Mapping[str, Any]) -> list[Measure]:
    """The harness's results as measures: the split is the task, the name the metric.

    A metric of a filter other than the default keeps it in its name, as the harness prints it:
    `exact_match,flexible-extract`. The interval of a share rests on the harness's standard error and stays within 0 and
    1 (`_interval`); of any other metric it is value ± 1.96 standard errors, and there is none where that is 0.
    """
    return [
        _measure(task, key, entries, results)
        for task, entries in results["results"].items()
        for key in entries
        if "," in key and "_stderr," not in key
    ]


def _measure(task: str, key: str, entries: Mapping[str, Any], results: Mapping[str, Any]) -> Measure:
    metric, label = key.split(",", 1)
    name = metric if label == "none" else key
    value, error = (_number(entries.get(k)) for k in (key, f"{metric}_stderr,{label}"))
    higher = (results.get("higher_is_better") or {}).get(task, {}).get(metric)
    direction: Direction = "none" if higher is None else "up" if higher else "down"
    if value is None:
        return _missing(name, task, f"the harness gives {entries[key]!r}, which is not a number", direction)
    shots = results.get("n-shot", {}).get(task)
    count = int(entries.get("sample_count", {}).get(key, entries.get("sample_len", 0)))
    low, high = _interval(value, error, count, share=metric in _SHARES) or (None, None)
    return Measure(
        name=name,
        split=task,
        value=value,
        count=count,
        low=low,
        high=high,
        direction=direction,
        meaning=_MEANINGS.get(metric, f"{metric}, as the task defines it")
        + ("" if shots is None else f"; {shots} examples before each question"),
    )


def _interval(value: float, error: float | None, count: int, *, share: bool) -> Interval | None:
    """95%, from the standard error; for shares Wilson's, on the number of trials that would have this error.

    That number is value (1 - value) / error², the task's own count for a plain share of questions. Where all answers
    are alike the error is 0, and the count itself stands in.
    """
    if error is None or not (share and 0 <= value <= 1):
        return (value - 1.96 * error, value + 1.96 * error) if error else None
    if error == 0 or value in (0, 1):
        return wilson(value, count) if count > 1 and value in (0, 1) else None
    return wilson(value, value * (1 - value) / error**2)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _missing(name: str, task: str, reason: str, direction: Direction = "up") -> Measure:
    meaning = _MEANINGS.get(name, f"{name}, as the task defines it")
    return Measure(name=name, split=task, value=None, count=0, direction=direction, meaning=meaning, reason=reason)


def mean_of(
    name: str, listed: Sequence[Listed], measures: Iterable[Measure], parts: Mapping[str, Sequence[str]]
) -> Measure:
    """The plain mean of a named list over its tasks; a tag (TydiQA's languages) enters as the mean of its tasks.

    A group that has a number of its own (Hendrycks MATH, over all problems of its subjects) enters with that.

    Missing, with the tasks named, if any is. The interval joins those of the tasks as independent ones, each end by its
    own (Zou and Donner 2008), so that it stays within what the tasks' intervals allow.

    Args:
        name: the list's name; it becomes the split.
        listed: its tasks.
        measures: of all tasks.
        parts: the tasks behind each listed name.
    """
    by_key = {measure.key: measure for measure in measures}
    found: list[tuple[Measure, float]] = []
    absent: list[str] = []
    for item in listed:
        tasks = (item.task,) if f"{item.task}/{item.metric}" in by_key else parts.get(item.task, ())
        members = [by_key.get(f"{task}/{item.metric}") for task in tasks]
        if not members or any(m is None or m.value is None for m in members):
            absent.append(item.task)
        found += [(m, 1 / (len(listed) * len(tasks))) for m in members if m is not None]
    meaning = f"mean over {len(listed)} tasks: {', '.join(f'{i.task} ({i.metric})' for i in listed)}"
    if absent:
        reason = f"not measured: {', '.join(absent)}"
        return Measure(name=MEAN, split=name, value=None, count=0, direction="up", meaning=meaning, reason=reason)
    value = sum(weight * (m.value or 0.0) for m, weight in found)
    below, above = (_joined((m, weight, end) for m, weight in found) for end in (0, 1))
    return Measure(
        name=MEAN,
        split=name,
        value=value,
        count=sum(m.count for m, _ in found),
        low=None if below is None or above is None else value - below,
        high=None if below is None or above is None else value + above,
        direction="up",
        meaning=meaning,
    )


def _joined(found: Iterable[tuple[Measure, float, int]]) -> float | None:
    """How far an end of the weighted mean's interval lies from its value; None if a task has no interval."""
    squares = 0.0
    for measure, weight, end in found:
        edge = (measure.low, measure.high)[end]
        if edge is None or measure.value is None:
            return None
        squares += (weight * (edge - measure.value)) ** 2
    return math.sqrt(squares)
