"""A model under a suite: its records, and what the suite's probes measured of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.digest import examples_digest
from forgetting.core.errors import RunError
from forgetting.core.folder import write_text
from forgetting.core.measure import Measure
from forgetting.core.processes import on_first
from forgetting.core.progress import Voice
from forgetting.core.record import Record, read_records, write_records
from forgetting.data.tokens import tokenizer_fingerprint
from forgetting.evaluation.answers import answer
from forgetting.evaluation.extraction import extract
from forgetting.metrics.score import score
from forgetting.recipe import Recipe
from forgetting.training.stored_reference import fingerprint


@dataclass(frozen=True)
class Taken:
    """What one model gave on a suite."""

    records: Sequence[Record]
    probed: Sequence[Measure] = ()
    """What the probes said: it cannot be scored again from records."""

    def measures(self, suite: Suite, oracle: Taken | None) -> list[Measure]:
        """All measures of the suite."""
        return [*score(suite.metrics, self.records, None if oracle is None else oracle.records), *self.probed]

    def only_asked(self, suite: Suite) -> Taken:
        """Reduced to what a smaller suite would ask: to compare with an evaluation by that suite."""
        perturbed = {(s.name, e.id): bool(e.perturbed) for s in suite.splits for e in s.examples}
        records = [
            r if perturbed[r.split, r.id] else replace(r, paraphrase=None, perturbed=())
            for r in self.records
            if (r.split, r.id) in perturbed
        ]
        return Taken(records, self.probed if suite.probes else ())


def take(model: nn.Module, tokenizer: PreTrainedTokenizerBase, suite: Suite, recipe: Recipe, voice: Voice) -> Taken:
    """The model's records on every split of the suite, and its probes' measures."""
    records = [record for split in suite.splits for record in _records_of(split, model, tokenizer, recipe, voice)]
    probed = on_first(lambda: [m for p in suite.probes for m in p(model, tokenizer, progress=voice.progress)])
    return Taken(records, probed)


def _records_of(
    split: Split, model: nn.Module, tokenizer: PreTrainedTokenizerBase, recipe: Recipe, voice: Voice
) -> list[Record]:
    def progress(done: int, total: int, note: str) -> None:
        voice.progress(done, total, f"{split.name}: {note}")

    if split.extraction is not None:
        return extract(model, tokenizer, split.examples, split=split.name, n=split.extraction, progress=progress)
    return answer(
        model,
        tokenizer,
        split.examples,
        split=split.name,
        formatting=recipe.format,
        max_new_tokens=split.max_new_tokens if split.generate else 0,
        progress=progress,
    )


def cached(model: nn.Module, tokenizer: PreTrainedTokenizerBase, suite: Suite, recipe: Recipe, voice: Voice) -> Taken:
    """`take` of a model that is not being trained, kept for other runs under the same output folder.

    A redacted run leaves no records there, for they hold texts; it takes them anew when it goes on.
    """
    whom = (fingerprint(model), tokenizer_fingerprint(tokenizer), recipe.format.model_dump(), version("forgetting"))
    asked = [(s.name, examples_digest(s.examples), s.generate, s.max_new_tokens, s.extraction) for s in suite.splits]
    folder = Path(recipe.output) / ".cache" / "records"
    file = folder / f"{_key(whom, asked)}.jsonl"
    probed_file = folder / f"{_key(whom, [p.key for p in suite.probes])}.json"
    records = _found(file, lambda: take(model, tokenizer, replace(suite, probes=()), recipe, voice).records, recipe)
    if not suite.probes:
        return Taken(records)
    probes = replace(suite, splits=(), metrics=())
    return Taken(records, _probed(probed_file, lambda: take(model, tokenizer, probes, recipe, voice).probed))


def _key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _found(file: Path, make: Callable[[], Sequence[Record]], recipe: Recipe) -> Sequence[Record]:
    kept = on_first(lambda: read_records(file) if file.is_file() else None)
    if kept is not None:
        return kept
    records = make()
    if not recipe.redact:
        on_first(lambda: _keep(file, lambda: write_records(file, records)))
    return records


def _probed(file: Path, make: Callable[[], Sequence[Measure]]) -> Sequence[Measure]:
    kept = on_first(lambda: json.loads(file.read_text()) if file.is_file() else None)
    if kept is not None:
        return [Measure(**values) for values in kept]
    measures = make()
    on_first(lambda: _keep(file, lambda: write_text(file, json.dumps([asdict(m) for m in measures]))))
    return measures


def _keep(file: Path, write: Callable[[], None]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write()
    except OSError as error:
        raise RunError(f"{file}: cannot be written ({error.strerror}); choose another output") from error
