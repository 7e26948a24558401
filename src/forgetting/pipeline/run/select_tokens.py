"""Token scores and the resulting signed weights, computed once for all runs that share model and data."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.benchmarks.registry import shipped_models, suite_model
from forgetting.core.digest import digest
from forgetting.core.errors import ModelError, RecipeError
from forgetting.core.example import Example, Role
from forgetting.data.encode import Encoded
from forgetting.data.formatting import Formatting
from forgetting.data.tokens import first_other_token
from forgetting.models.adapters import active_adapters, add_saved, chain_of, is_adapter, without
from forgetting.models.hub_names import is_hub_name
from forgetting.models.loading import load_model
from forgetting.pipeline.run.context import StageContext
from forgetting.pipeline.run.prepare import StageData
from forgetting.recipe import Recipe
from forgetting.runs.stage_result import TokenScores
from forgetting.runs.token_selection import TokenSelection, read_selection
from forgetting.token_selection.noise_detection import Truth
from forgetting.token_selection.quality import histogram
from forgetting.token_selection.redacted import Unsealed, redacted_part
from forgetting.token_selection.samples import Look
from forgetting.token_selection.score_files import BEGUN, check_same
from forgetting.token_selection.scoring import (
    ModelView,
    Scorers,
    Scores,
    rows_fingerprint,
    score_tokens,
    tokenizer_fingerprint,
)
from forgetting.token_selection.selection import Selected, select

REFERENCE = "quality-reference"
"""The reference's name among the adapters while tokens are scored."""


def check_selects(recipe: Recipe) -> None:
    """Checks that scores and references in folders exist, before anything is trained or measured.

    Raises:
        RecipeError: a stage selects by nothing, or by a folder that does not exist.
        RunError: the scores do not exist, or are not finished.
    """
    for stage in recipe.stages:
        asked = stage.select
        if asked is None or stage.reads is not None:
            continue
        if asked.scores is not None:
            Scores(asked.scores)
        elif asked.reference is None:
            raise RecipeError(
                f"stage '{stage.name}': select names no reference; write select.reference=stage:NAME or FOLDER"
            )
        elif not (
            Path(asked.reference).is_dir() or asked.reference in shipped_models() or is_hub_name(asked.reference)
        ):
            raise RecipeError(
                f"stage '{stage.name}': select.reference is '{asked.reference}', and there is no such folder; give an "
                "adapter, a model, or stage:NAME"
            )


def weighed(
    context: StageContext,
    model: PreTrainedModel,
    data: StageData,
    formatting: Formatting,
    reference: str | Path | None,
) -> list[Encoded]:
    """The stage's train rows with signed weights according to its `select`; rows without supervised tokens are dropped.

    Writes the selection and its scores' digests into the stage's folder.

    Args:
        context: the stage; its train rows are the encoded examples of `data`, in order.
        model: the model after the stage before: the base of the scores. It is left unchanged.
        data: the examples.
        formatting: how they were encoded.
        reference: the reference model or adapter of the scores; None if the stage names a folder of scores.
    """
    stage, folder, rows, voice = context.stage, context.folder, context.data[Role.TRAIN], context.voice
    assert stage.select is not None, "only a stage that selects is weighed"
    began = time.perf_counter()
    scores = _scores(context, model, reference)
    kept = TokenScores(**{f.name: scores.meta[f.name] for f in fields(TokenScores)})
    folder.check_token_scores(kept)
    selected = select(scores, stage.select, seed=context.seed)
    examples = data.examples[Role.TRAIN]
    labels = data.corpus.labels if data.corpus is not None else {}
    shown = Shown(Look(context.tokenizer, scores.rows, context.seed, labels), Truth(context.tokenizer, formatting))
    owners = owners_of(examples, rows)
    weighted = [signed for _, signed in weigh(zip(owners, rows, strict=True), scores, selected, shown)]
    selection = token_selection(scores, selected, shown)
    for note in selection.notes:
        voice.say(f"stage {stage.name}: {note}")
    folder.write_selection(selection)
    seconds = max(time.perf_counter() - began, kept.seconds)
    folder.write_token_scores(replace(kept, seconds=seconds))
    left = [encoded for encoded in weighted if encoded.supervised]
    voice.say(f"stage {stage.name}: {summary(selected, len(rows) - len(left))}")
    return left


def _scores(context: StageContext, model: PreTrainedModel, reference: str | Path | None) -> Scores:
    """The scores that the recipe names, checked; or those of the reference, computed if no run has done so."""
    asked, rows, voice = context.stage.select, context.data[Role.TRAIN], context.voice
    assert asked is not None
    if asked.scores is not None:
        scores = Scores(asked.scores)
        own = ModelView(model, active_adapters(model)).fingerprint()
        here = {"model": own, "tokenizer": tokenizer_fingerprint(context.tokenizer), "data": rows_fingerprint(rows)}
        check_same(scores.folder, scores.meta, here)
        return scores
    assert reference is not None, "a recipe is checked before it is run"
    redactor = context.folder.redactor
    with views(model, context.tokenizer, reference) as (base, other):
        key = [base.fingerprint(), other.fingerprint(), tokenizer_fingerprint(context.tokenizer)]
        key += [rows_fingerprint(rows), *([] if redactor is None else [redactor.name])]
        waiting = f"stage {context.stage.name}: another run is scoring; waiting"
        with context.output.scores.entry(digest(*key), wait=lambda: voice.say(waiting)) as entry:
            if entry.is_complete(voice.say):
                voice.say(f"stage {context.stage.name}: token scores found ({entry.folder})")
            else:
                if not (entry.folder / BEGUN).is_file():
                    entry.clear()  # the parts do not say which rows they belong to
                made = score_tokens(
                    rows,
                    entry.folder,
                    Scorers(base, other, context.tokenizer),
                    progress=lambda done, note: voice.progress(done, len(rows), note),
                    seal=None if redactor is None else partial(redacted_part, redactor=redactor),
                )
                entry.complete(made.rows)
            return Scores(entry.folder) if redactor is None else Unsealed(entry.folder, rows)


@contextmanager
def views(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, reference: str | Path
) -> Iterator[tuple[ModelView, ModelView]]:
    """The current model and the reference, for the duration of the block.

    A reference adapter (trained on this model with its active adapters) is added to the model, so that both are views
    of one set of weights; a reference that is a separate model is loaded in addition.

    Raises:
        ModelError: the reference cannot be loaded or does not fit.
    """
    before = active_adapters(model)
    if not (is_adapter(reference) and chain_of(str(reference)).stackable):
        own = next(model.parameters())
        other = load_model(suite_model(str(reference)), dtype=str(own.dtype).removeprefix("torch."), device=own.device)
        if (token := first_other_token(tokenizer, other.tokenizer)) is not None:
            raise ModelError(
                f"{reference}: has another vocabulary than the model (the token '{token}' has another id there, or "
                "none), so its scores are of other tokens; give a reference with the same tokenizer"
            )
        yield ModelView(model, before), ModelView(other.model, active_adapters(other.model))
        return
    adapted, names = add_saved(model, reference, name=REFERENCE)
    try:
        yield ModelView(adapted, before), ModelView(adapted, names)
    finally:
        without(adapted, names)


class Shown(NamedTuple):
    """Data collected for the report while rows are weighted."""

    look: Look
    truth: Truth


def weigh(
    rows: Iterable[tuple[Example, Encoded]], scores: Scores, selected: Selected, shown: Shown
) -> Iterator[tuple[Encoded, Encoded]]:
    """Yields each row before and with signed weights, and collects the samples for the report.

    Raises:
        RunError: the scores belong to other rows.
    """
    for (example, encoded), scored in zip(rows, scores, strict=True):
        signs_N = selected.signs(scored)
        yield encoded, selected.weighted(encoded, scored)
        shown.look.add(example, encoded, scored, signs_N)
        shown.truth.add(example, encoded, scored, signs_N)


def owners_of(examples: Sequence[Example], rows: Sequence[Encoded]) -> Iterator[Example]:
    """The example of each row: a document's windows follow each other, any other example is one row."""
    found = iter(examples)
    current = next(found)
    for row in rows:
        while not (row.key == current.id or (current.is_document and row.key.startswith(f"{current.id}#"))):
            current = next(found)
        yield current


def token_selection(scores: Scores, selected: Selected, shown: Shown) -> TokenSelection:
    """The data of a selection for the report; `noise` if noise labels are known."""
    asked = selected.selection
    values = {
        "reference": asked.reference if asked.scores is None else f"scores {asked.scores}",
        "level": asked.level,
        "asked": asked.positives,
        "share": selected.share,
        "forget_rate": asked.forget_rate,
        "forget_by": asked.forget_by,
        "share_positive": selected.share_positive,
        "share_above_zero": selected.share_above_zero,
        "threshold": selected.threshold,
        "ties": selected.ties,
        "tokens": selected.tokens,
        "positive": selected.positive,
        "negative": selected.negative,
        "ignored": selected.ignored,
        "rows": selected.rows,
        "seed": selected.seed,
        "notes": [*selected.notes, *shown.look.notes],
        "quality": {"mean": selected.survey.mean, "std": selected.survey.std},
        "histogram": histogram(scores, asked.level, selected.survey.count),
        **shown.look.to_json(),
        "noise": shown.truth.to_json() if shown.truth.known else None,
    }
    return read_selection(values, "the selection")


def summary(selected: Selected, emptied: int = 0) -> str:
    """One line for the terminal."""
    dropped = f"; {emptied} rows without supervised tokens are dropped" if emptied else ""
    return (
        f"{selected.positive:,} of {selected.tokens:,} tokens are learned, {selected.negative:,} forgotten, "
        f"{selected.ignored:,} ignored (Q ≥ {selected.threshold:.4g} is positive; Q > 0 holds for "
        f"{selected.share_above_zero:.1%}){dropped}"
    )
