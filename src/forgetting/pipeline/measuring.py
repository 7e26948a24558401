"""A model under the recipe's suites: records, then measures, before, during and after the stages."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.registry import get_suite
from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.errors import RunError
from forgetting.core.example import Example, Role
from forgetting.core.folder import write_text
from forgetting.core.measure import Measure
from forgetting.core.record import Record, read_records, write_records
from forgetting.evaluation.answers import answer
from forgetting.evaluation.extraction import extract
from forgetting.metrics.balance import balance
from forgetting.metrics.score import score
from forgetting.metrics.standard import standard_metrics
from forgetting.pipeline.prepare import StageData, digest
from forgetting.pipeline.voice import Voice
from forgetting.recipe import Recipe
from forgetting.training.stored_reference import fingerprint

OWN_LIMIT, OWN_LIMIT_FAST = 500, 150
"""Examples of the user's own data that are measured per split, before and after, and during training."""


@dataclass(frozen=True)
class Evaluation:
    """One measurement of one model."""

    point: str
    """`before`, `oracle`, `epoch` or `after`."""
    stage: str | None
    step: int
    epoch: float
    records: str | None
    measures: Sequence[Measure]
    seconds: float

    def to_json(self) -> dict[str, object]:
        """For results.json."""
        return {**asdict(self), "measures": [asdict(m) for m in self.measures]}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Evaluation:
        """Back from `to_json`."""
        measures = [Measure(**m) for m in values["measures"]]  # type: ignore[attr-defined]
        return cls(**{**values, "measures": measures})  # type: ignore[arg-type]


def suite_of(recipe: Recipe, data: Mapping[str, StageData], *, fast: bool = False) -> Suite:
    """What the recipe measures: its suites, or its own data where it names none."""
    if not recipe.evaluate:
        return _own_suite(recipe, data, fast)
    found = [get_suite(name, fast=fast) for name in recipe.evaluate]
    if len(found) == 1:
        return found[0]
    raise RunError("evaluate: one suite per run for now; start one run for each, or use `forget eval`")


def _own_suite(recipe: Recipe, data: Mapping[str, StageData], fast: bool) -> Suite:
    roles: dict[str, list[Example]] = {}
    for stage_data in data.values():
        for role in (Role.FORGET, Role.RETAIN, Role.HOLDOUT):
            if role in stage_data.examples:
                known = {e.id for e in roles.setdefault(role, [])}
                roles[role] += [e for e in stage_data.examples[role] if e.id not in known]
    if not roles:
        roles = {Role.TRAIN: list(next(iter(data.values())).examples[Role.TRAIN])}
    splits = [_own_split(role, _sample(members, OWN_LIMIT), recipe.max_new_tokens) for role, members in roles.items()]
    if fast:
        splits = [replace(s, examples=tuple(_sample(s.examples, OWN_LIMIT_FAST))) for s in splits]
    kept = [role for role in (Role.RETAIN, Role.HOLDOUT, Role.TRAIN) if role in roles]
    metrics = standard_metrics([r for r in (Role.FORGET,) if r in roles], kept, ())
    return Suite(name="own data", splits=tuple(splits), metrics=metrics)


def _own_split(role: str, examples: Sequence[Example], max_new_tokens: int | None) -> Split:
    asked = any(e.prompt for e in examples)  # a document has nothing to be asked by
    return Split(name=role, examples=tuple(examples), generate=asked, max_new_tokens=max_new_tokens)


def _sample(examples: Sequence[Example], limit: int) -> list[Example]:
    """The first `limit` of a fixed shuffle, in their own order; a smaller sample is part of a larger one."""
    chosen = random.Random(0).sample(range(len(examples)), len(examples))[:limit]
    return [examples[i] for i in sorted(chosen)]


def take_records(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, suite: Suite, recipe: Recipe, voice: Voice
) -> list[Record]:
    """The model's records on every split of the suite."""
    return [record for split in suite.splits for record in _records_of(split, model, tokenizer, recipe, voice)]


def _records_of(
    split: Split, model: nn.Module, tokenizer: PreTrainedTokenizerBase, recipe: Recipe, voice: Voice
) -> list[Record]:
    def progress(done: int, total: int, note: str) -> None:
        voice.progress(done, total, f"{split.name}: {note}")

    if split.extraction:
        return extract(model, tokenizer, split.examples, split=split.name, n=split.extraction, progress=progress)
    return answer(
        model,
        tokenizer,
        split.examples,
        split=split.name,
        formatting=recipe.format,
        generate=split.generate,
        max_new_tokens=split.max_new_tokens,
        progress=progress,
    )


def cached_records(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, suite: Suite, recipe: Recipe, voice: Voice
) -> list[Record]:
    """`take_records` of a model that is not being trained, kept for other runs under the same output folder."""
    asked = [(s.name, digest(s.examples), s.generate, s.max_new_tokens, s.extraction) for s in suite.splits]
    vocabulary = hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()
    template = getattr(tokenizer, "chat_template", None)
    key = repr((fingerprint(model), vocabulary, template, asked, recipe.format.model_dump()))
    file = Path(recipe.output) / ".cache" / "records" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.jsonl"
    if file.is_file():
        return read_records(file)
    records = take_records(model, tokenizer, suite, recipe, voice)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_records(file, records)
    except OSError as error:
        raise RunError(f"{file}: cannot be written ({error.strerror}); choose another output") from error
    return records


def only_asked(records: Sequence[Record], suite: Suite) -> list[Record]:
    """The records of the suite's examples, reduced to what the suite would ask: to compare with a fast evaluation."""
    perturbed = {(s.name, e.id): bool(e.perturbed) for s in suite.splits for e in s.examples}
    return [
        r if perturbed[r.split, r.id] else replace(r, paraphrase=None, perturbed=())
        for r in records
        if (r.split, r.id) in perturbed
    ]


class Measurer:
    """Measures against one 'before' and one oracle, and writes every evaluation as a file of the run."""

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        suite: Suite,
        fast: Suite,
        tokenizer: PreTrainedTokenizerBase,
        voice: Voice,
        *,
        before: Sequence[Record],
        oracle: Sequence[Record] | None,
    ) -> None:
        self.folder, self.recipe, self.suite, self.fast = folder, recipe, suite, fast
        self.tokenizer, self.voice = tokenizer, voice
        self._before, self._oracle = before, oracle
        self._light = (only_asked(before, fast), None if oracle is None else only_asked(oracle, fast))
        self._starts = {
            True: score(fast.metrics, *self._light),
            False: score(suite.metrics, before, oracle),
        }
        self._goals = {
            True: None if self._light[1] is None else score(fast.metrics, self._light[1], self._light[1]),
            False: None if oracle is None else score(suite.metrics, oracle, oracle),
        }

    def fixed_points(self) -> None:
        """Writes the evaluations of the model before and of the oracle."""
        self._write("before", None, 0, 0.0, self._before, self._starts[False], 0.0)
        goals = self._goals[False]
        if self._oracle is not None and goals is not None:
            self._write("oracle", None, 0, 0.0, self._oracle, goals, 0.0)

    def after(self, model: nn.Module, *, stage: str, step: int, epoch: float) -> Evaluation:
        """The full suite on the model as a stage leaves it."""
        return self._measure("after", model, stage, step, epoch, fast=False)

    def during(self, model: nn.Module, *, stage: str, step: int, epoch: float) -> Evaluation:
        """The fast suite in the middle of a stage; found again after a resume."""
        return self._measure("epoch", model, stage, step, epoch, fast=True)

    def balance_of(self, measures: Sequence[Measure], *, fast: bool) -> Measure:
        """The one number by which checkpoints and learning rates are compared."""
        return balance(measures, self._starts[fast], self._goals[fast])

    def _measure(self, point: str, model: nn.Module, stage: str, step: int, epoch: float, *, fast: bool) -> Evaluation:
        file = self._file(point, stage, step)
        if file.is_file():
            return Evaluation.from_json(json.loads(file.read_text()))
        began = time.perf_counter()
        suite = self.fast if fast else self.suite
        records = take_records(model, self.tokenizer, suite, self.recipe, self.voice)
        measures = score(suite.metrics, records, self._light[1] if fast else self._oracle)
        measures.append(self.balance_of(measures, fast=fast))
        return self._write(point, stage, step, epoch, records, measures, time.perf_counter() - began)

    def _file(self, point: str, stage: str | None, step: int) -> Path:
        name = point if stage is None else f"{stage}-{point}" + (f"-{step:06d}" if point == "epoch" else "")
        return self.folder / "evaluations" / f"{name}.json"

    def _write(
        self,
        point: str,
        stage: str | None,
        step: int,
        epoch: float,
        records: Sequence[Record],
        measures: Sequence[Measure],
        seconds: float,
    ) -> Evaluation:
        file = self._file(point, stage, step)
        kept = None
        if point != "epoch":
            kept = f"records/{file.stem}.jsonl"
            (self.folder / "records").mkdir(parents=True, exist_ok=True)
            write_records(self.folder / kept, records)
        evaluation = Evaluation(point, stage, step, epoch, kept, measures, seconds)
        write_text(file, json.dumps(evaluation.to_json()))
        return evaluation
