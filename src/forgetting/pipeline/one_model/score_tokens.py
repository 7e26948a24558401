"""Scores data with a model and a reference, without a run (`forget score`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forgetting.benchmarks.registry import suite_model
from forgetting.core.errors import RecipeError
from forgetting.core.example import Example
from forgetting.core.folder import check_suffix, write_text
from forgetting.core.locks import locked
from forgetting.core.progress import SILENT, Voice
from forgetting.data.encode import Encoded, encode_all
from forgetting.data.examples import each_example, read_examples
from forgetting.data.formatting import Formatting, dated
from forgetting.data.reading import Heard, Reading
from forgetting.data.source import Source, given_source
from forgetting.data.weights import write_weighted
from forgetting.models.loading import LoadedModel, load_model
from forgetting.pipeline.run.select_tokens import Shown, summary, token_selection, views, weigh
from forgetting.report.tokens.section import quality_page
from forgetting.runs.pages import PAGE
from forgetting.runs.stage_folder import StageFolder
from forgetting.runs.token_selection import TokenSelection
from forgetting.token_selection.noise_detection import Truth
from forgetting.token_selection.samples import Look
from forgetting.token_selection.scoring import Scorers, Scores, score_tokens
from forgetting.token_selection.selection import Selection, select


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Options of scoring apart from model, data and reference."""

    selection: Selection | None = None
    """None: the default selection by the reference."""
    formatting: Formatting = field(default_factory=Formatting)
    dtype: str = "auto"
    seed: int = 0
    out: Path | None = None
    """Where to write the data with signed token weights (.parquet); they are then held in memory."""
    page: Path | None = None
    """Where to write the examples, coloured by quality, as one HTML page."""


def score(
    model: str,
    data: Sequence[str | Source],
    *,
    reference: str,
    folder: Path,
    options: ScoreOptions | None = None,
    voice: Voice = SILENT,
) -> TokenSelection:
    """Scores every answer token of the data under model and reference, and selects.

    Without `out` the data are streamed and may be larger than memory. Existing scores in the folder are reused if they
    belong to the same model, reference, tokenizer and data, so a second selection costs two passes over the scores and
    none over the model. Also writes `selection.json` into the folder.

    Args:
        model: folder, hub id, or the name of a suite's model.
        data: files or hub datasets, one after the other.
        reference: an adapter of this model, or a separate model, trained on the reference data.
        folder: the folder of the scores.
        options: the selection, the format of rows, and further output files.
        voice: receives progress.

    Raises:
        ForgettingError: bad input, or scores of something else in the folder.
    """
    options = options or ScoreOptions()
    asked, formatting, out = options.selection or Selection(reference=reference), options.formatting, options.out
    sources = [given_source(place) for place in data]
    if not sources:
        raise RecipeError("no data are given; name at least one file")
    if out is not None and out.suffix != ".parquet":
        raise RecipeError(f"{out}: weighted data are written as Parquet; choose a name that ends in .parquet")
    if options.page is not None:
        check_suffix(options.page, *PAGE)
    for source in sources:  # before hours of work on those before it
        next(each_example(source, Reading()), None)
    loaded = load_model(suite_model(model), dtype=options.dtype)
    formatting = dated(formatting, loaded.tokenizer)
    heard = Heard(voice.say)
    held = [e for source in sources for e in read_examples(source, heard).examples] if out is not None else None

    def rows() -> Iterator[tuple[Example, Encoded]]:
        return _encoded(held if held is not None else _streamed(sources, heard), loaded, formatting)

    scores = _scores(loaded, reference, rows, folder, voice)
    selected = select(scores, asked, seed=options.seed)
    shown = Shown(Look(loaded.tokenizer, scores.rows, options.seed), Truth(loaded.tokenizer, formatting))
    weighed = weigh(rows(), scores, selected, shown)
    if out is not None and held is not None:
        write_weighted(out, held, ((row, _signs(row, signed)) for row, signed in weighed))
    else:
        deque(weighed, maxlen=0)
    heard.write_beside(out or folder / "scored")
    found = token_selection(scores, selected, shown)
    for line in (*found.notes, summary(selected)):
        voice.say(line)
    StageFolder(folder).write_selection(found)
    if options.page is not None:
        write_text(options.page, quality_page(found, " + ".join(map(str, sources))))
    return found


def _streamed(sources: Sequence[Source], heard: Heard) -> Iterator[Example]:
    """The examples of every source; what is left out is told once, however often they are read."""
    for source in sources:
        reading = Reading()
        yield from each_example(source, reading)
        if not any(one.where == bad.where for one in heard.skipped for bad in reading.bad[:1]):
            heard.take(source, reading)


def _encoded(
    examples: Iterable[Example], loaded: LoadedModel, formatting: Formatting
) -> Iterator[tuple[Example, Encoded]]:
    for example in examples:
        for encoded in encode_all([example], loaded.tokenizer, formatting):
            yield example, encoded


def _signs(row: Encoded, signed: Encoded) -> list[float]:
    """1, 0 or -1 for each supervised token of the row."""
    return [float((x > 0) - (x < 0)) for w, x in zip(row.weights, signed.weights, strict=True) if w]


def _scores(
    loaded: LoadedModel,
    reference: str,
    rows: Callable[[], Iterator[tuple[Example, Encoded]]],
    folder: Path,
    voice: Voice,
) -> Scores:
    with views(loaded.model, loaded.tokenizer, reference) as (base, other), locked(folder):
        return score_tokens(
            (encoded for _, encoded in rows()),
            folder,
            Scorers(base, other, loaded.tokenizer),
            progress=lambda done, note: voice.progress(done, done, note),
        )
