"""A model's results on a suite: its records, and the measures of the suite's probes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.cache import Cache
from forgetting.core.digest import digest, examples_digest
from forgetting.core.errors import RunError
from forgetting.core.example import Example
from forgetting.core.folder import write_text
from forgetting.core.measure import Measure
from forgetting.core.processes import by_first, on_first
from forgetting.core.progress import Voice
from forgetting.core.record import Record, read_records, write_records
from forgetting.core.written import read_json
from forgetting.data.encode import encode, encoded_digest
from forgetting.data.formatting import Formatting
from forgetting.data.tokens import cut_to, tokenizer_fingerprint
from forgetting.evaluation.answers import answer, variants
from forgetting.evaluation.extraction import extract
from forgetting.evaluation.membership import membership_records
from forgetting.metrics.popularity import ByPopularity, by_popularity
from forgetting.metrics.score import by_split, score
from forgetting.pipeline.run.load import load
from forgetting.recipe import Recipe
from forgetting.runs.output import OutputFolder
from forgetting.runs.redact import with_texts
from forgetting.training.stored_reference import fingerprint

T = TypeVar("T")


@dataclass(frozen=True)
class Taken:
    """One model's results on a suite."""

    records: Sequence[Record]
    probed: Sequence[Measure] = ()
    """The measures of the probes, which cannot be computed again from records."""

    def measures(self, suite: Suite, oracle: Taken | None) -> list[Measure]:
        """All measures of the suite."""
        return [*score(suite.metrics, self.records, None if oracle is None else oracle.records), *self.probed]

    def by_popularity(self, suite: Suite, before: Taken | None) -> tuple[ByPopularity, ...]:
        """What was lost since the model before, against popularity; without one, what is known.

        Of the splits that are to be forgotten or to stay; of a suite that names none, of all.
        """
        declared = suite.declares
        splits = (*declared.forget_splits, *declared.retain_splits) or tuple(split.name for split in suite.splits)
        return by_popularity(by_split(self.records), None if before is None else by_split(before.records), splits)

    def only_asked(self, suite: Suite) -> Taken:
        """Reduced to a smaller suite, for comparison with an evaluation on that suite."""
        perturbed = {(s.name, e.id): bool(e.perturbed) for s in suite.splits for e in s.examples}
        records = [
            r if perturbed[r.split, r.id] else replace(r, paraphrase=None, perturbed=())
            for r in self.records
            if (r.split, r.id) in perturbed
        ]
        return Taken(records, self.probed if suite.probes else ()).with_text_of(suite)

    def with_text_of(self, suite: Suite) -> Taken:
        """Without text of the examples that the suite does not write for, so that all models are measured alike."""
        drawn = {split.name: split.written for split in suite.splits if split.written is not None}
        records = [r.without_text if r.id not in drawn.get(r.split, (r.id,)) else r for r in self.records]
        return replace(self, records=records)


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

    own = Voice(voice.say, progress)
    if split.extraction is not None:
        return extract(
            model,
            tokenizer,
            split.examples,
            split=split.name,
            n=split.extraction,
            written=split.written,
            voice=own,
        )
    if split.membership is not None:
        return membership_records(
            model,
            tokenizer,
            split.examples,
            split=split.name,
            formatting=recipe.format,
            ks=split.membership,
            voice=own,
        )
    return answer(
        model,
        tokenizer,
        _asked(split, tokenizer),
        split=split.name,
        formatting=recipe.format,
        max_new_tokens=split.max_new_tokens if split.generate else 0,
        written=split.written,
        voice=own,
    )


def _asked(split: Split, tokenizer: PreTrainedTokenizerBase) -> Sequence[Example]:
    """The examples of a split, their right answers cut where the split says so."""
    if split.answer_tokens is None:
        return split.examples
    return [replace(e, response=cut_to(e.response, split.answer_tokens, tokenizer)) for e in split.examples]


def read_digests(suite: Suite, tokenizer: PreTrainedTokenizerBase, formatting: Formatting) -> dict[str, str]:
    """By split of the suite, the digest of the token ids that a model reads: a template may write more than its rows.

    Raises:
        DataError: a row that cannot be read.
    """
    return {
        split.name: encoded_digest(
            encode(e, tokenizer, formatting)
            for example in split.examples
            for e in (example, *(() if split.extraction is not None else variants(example)))
        )
        for split in suite.splits
    }


def cached(model: nn.Module, tokenizer: PreTrainedTokenizerBase, suite: Suite, recipe: Recipe, voice: Voice) -> Taken:
    """`take` for a model that is not being trained, shared by the runs of an output folder.

    A redacted run shares no records, because they hold texts; it computes them again when it is resumed.
    """
    # Day and shots are not part of it: where a prompt holds them, what is read differs. A text takes no shots, but its
    # answer ends as those do.
    how = (recipe.format.model_dump(exclude={"date", "shots"}), recipe.format.stops(tokenizer))
    whom = (fingerprint(model), tokenizer_fingerprint(tokenizer), how, version("forgetting"))
    read = read_digests(suite, tokenizer, recipe.format)
    asked = [
        (s.name, examples_digest(s.examples), read[s.name], s.generate, s.max_new_tokens, s.extraction, *_rest(s))
        for s in suite.splits
    ]
    cache = OutputFolder(Path(recipe.output)).records
    without = replace(suite, probes=())

    def records() -> Sequence[Record]:
        return take(model, tokenizer, without, recipe, voice).records

    found = records() if recipe.redact else shared(cache, digest(whom, asked), RECORDS, records, voice)
    if not suite.probes:
        return Taken(found)
    probes = replace(suite, splits=(), metrics=())
    key = digest(whom, [p.key for p in suite.probes])

    def probed() -> Sequence[Measure]:
        return take(model, tokenizer, probes, recipe, voice).probed

    return Taken(found, shared(cache, key, PROBED, probed, voice))


def _rest(split: Split) -> list[object]:
    """What few splits have: nothing of the others, whose records have the key that they had before."""
    cut = [] if split.answer_tokens is None else [("answer_tokens", split.answer_tokens)]
    seen = [] if split.membership is None else [("membership", split.membership)]
    return [*([] if split.written is None else [sorted(split.written)]), *cut, *seen]


class Kind(NamedTuple, Generic[T]):
    """How values of one kind are stored in the cache."""

    file: str
    write: Callable[[Path, Sequence[T]], None]
    read: Callable[[Path], Sequence[T]]


def _write_measures(file: Path, measures: Sequence[Measure]) -> None:
    write_text(file, json.dumps([asdict(m) for m in measures]))


def _read_measures(file: Path) -> Sequence[Measure]:
    return [Measure(**values) for values in read_json(file.read_text(encoding="utf-8"))]


RECORDS = Kind("answers.jsonl", write_records, read_records)
PROBED = Kind("probed.json", _write_measures, _read_measures)


def shared(cache: Cache, key: str, kind: Kind[T], make: Callable[[], Sequence[T]], voice: Voice) -> Sequence[T]:
    """The values of an entry; if they do not exist yet, all processes of this run compute them together by `make`."""
    with cache.entry(key, wait=lambda: voice.say("another run is measuring the same model; waiting")) as entry:
        file = entry.folder / kind.file
        if entry.is_complete(voice.say):
            return on_first(lambda: kind.read(file))
        values = make()
        by_first(lambda: _keep(file, lambda: kind.write(file, values)))
        entry.complete(len(values))
        return values


def _keep(file: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise RunError(f"{file}: cannot be written ({error.strerror}); choose another output") from error


def of_oracle(recipe: Recipe, suite: Suite, voice: Voice) -> Taken | None:
    """The oracle's results on the suite: read from a file, or computed with the model; None if there is no oracle.

    Raises:
        ModelError: the oracle cannot be loaded.
        RunError: its records cannot be read, or are redacted.
    """
    name = recipe.oracle or (str(suite.oracle) if suite.oracle is not None else None)
    if name is None:
        return None
    if name.endswith(".jsonl"):
        return Taken(with_texts(name, read_records(Path(name)))).with_text_of(suite)
    oracle = load(name, recipe)
    return cached(oracle.model, oracle.tokenizer, suite, recipe, voice)
