"""Token scores, and the signed weights that follow from them: scored once for all runs that share model and data."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.benchmarks.registry import shipped_models, suite_model
from forgetting.core.errors import RecipeError, RunError
from forgetting.core.example import Example, Role
from forgetting.core.folder import is_complete, write_text
from forgetting.core.progress import Voice
from forgetting.data.encode import Encoded, Formatting
from forgetting.models.adapters import active_adapters, add_saved, is_adapter, without
from forgetting.models.loading import load_model
from forgetting.pipeline.run.ownership import locked
from forgetting.pipeline.run.prepare import StageData
from forgetting.recipe import Recipe, Stage
from forgetting.runs.redact import Redactor
from forgetting.token_selection.noise_detection import Truth
from forgetting.token_selection.quality import histogram
from forgetting.token_selection.redacted import Unsealed, redacted_part
from forgetting.token_selection.samples import Look
from forgetting.token_selection.score_files import BEGUN, META, check_same, part_files
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
    """Scores and references that stand in folders are there: known before anything is trained or measured.

    Raises:
        RecipeError: a stage selects by nothing, or by a folder that is not there.
        RunError: the scores are not there, or not finished.
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
            Path(asked.reference).is_dir() or asked.reference in shipped_models() or _of_the_hub(asked.reference)
        ):
            raise RecipeError(
                f"stage '{stage.name}': select.reference is '{asked.reference}', and there is no such folder; give an "
                "adapter, a model, or stage:NAME"
            )


def _of_the_hub(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def weighed(
    stage: Stage,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Encoded],
    *,
    data: StageData,
    formatting: Formatting,
    stages: Path,
    cache: Path,
    seed: int,
    voice: Voice,
    redactor: Redactor | None = None,
) -> list[Encoded]:
    """The stage's rows with signed weights, as its `select` tells; rows in which nothing is left are dropped.

    Leaves `selection.json` (what the report shows) and `scored.json` (what it took) in the stage's folder.

    Args:
        model: as the stage before left it: the base of the scores. It is left as it was.
        rows: what the train examples of `data` were encoded to, in order, by `formatting`.
        stages: the run's folder of stages, where a reference that was set aside stands.
        cache: where scores are shared between runs.
        redactor: of a run that writes no texts; token ids are texts.
    """
    assert stage.select is not None, "only a stage that selects is weighed"
    began = time.perf_counter()
    scores = _scores(stage, model, tokenizer, rows, stages, cache, voice, redactor)
    folder = stages / stage.name
    meta = scores.meta if redactor is None else {**scores.meta, "data": redactor.hash("data", scores.meta["data"])}
    _check_unchanged(folder, meta)
    selected = select(scores, stage.select, seed=seed)
    examples = data.examples[Role.TRAIN]
    look = Look(tokenizer, scores.rows, seed, data.corpus.labels if data.corpus is not None else {})
    truth = Truth(tokenizer, formatting)
    owners = owners_of(examples, rows)
    weighted = [signed for _, signed in weigh(zip(owners, rows, strict=True), scores, selected, look, truth)]
    shown = selection_json(scores, selected, look, truth)
    for note in shown["notes"]:
        voice.say(f"stage {stage.name}: {note}")
    shown = shown if redactor is None else redactor.selection(shown)
    write_text(folder / "selection.json", json.dumps(shown, ensure_ascii=False))
    seconds = max(time.perf_counter() - began, float(meta["seconds"]))
    write_text(folder / "scored.json", json.dumps({**meta, "seconds": seconds}))
    left = [encoded for encoded in weighted if encoded.supervised]
    voice.say(f"stage {stage.name}: {summary(selected, len(rows) - len(left))}")
    return left


def _scores(
    stage: Stage,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Encoded],
    stages: Path,
    cache: Path,
    voice: Voice,
    redactor: Redactor | None,
) -> Scores:
    """Those that the recipe names, checked; or those of the reference it names, computed where no run has yet."""
    asked = stage.select
    assert asked is not None
    if asked.scores is not None:
        scores = Scores(asked.scores)
        own = ModelView(model, active_adapters(model)).fingerprint()
        here = {"model": own, "tokenizer": tokenizer_fingerprint(tokenizer), "data": rows_fingerprint(rows)}
        check_same(scores.folder, scores.meta, here)
        return scores
    assert asked.reference is not None, "a recipe is checked before it is run"
    reference = stages / stage.reads / "model" if stage.reads is not None else Path(asked.reference)
    with views(model, reference) as (base, other):
        whose = [base.fingerprint(), other.fingerprint(), tokenizer_fingerprint(tokenizer), rows_fingerprint(rows)]
        if redactor is not None:
            whose.append(redactor.name)
        folder = cache / "scores" / hashlib.sha256(repr(whose).encode()).hexdigest()[:16]
        with locked(folder, wait=lambda: voice.say(f"stage {stage.name}: another run is scoring; waiting")):
            found = _found(folder, voice)
            if found is not None:
                voice.say(f"stage {stage.name}: token scores found ({folder})")
                return found if redactor is None else Unsealed(folder, rows)
            made = score_tokens(
                rows,
                folder,
                Scorers(base, other, tokenizer),
                progress=lambda done, note: voice.progress(done, len(rows), note),
                seal=None if redactor is None else partial(redacted_part, redactor=redactor),
            )
            return made if redactor is None else Unsealed(folder, rows)


def _check_unchanged(folder: Path, meta: Mapping[str, Any]) -> None:
    """A stage that has trained goes on with the scores that it began with, or not at all."""
    file = folder / "scored.json"
    if not (file.is_file() and is_complete(folder / "last")):
        return
    began = json.loads(file.read_text())
    changed = [what for what in ("model", "reference", "tokenizer", "data") if began.get(what) != meta[what]]
    if changed:
        raise RunError(
            f"{folder}: the {changed[0]} of its token scores changed since it began; put it back, or write name=…"
        )


def _found(folder: Path, voice: Voice) -> Scores | None:
    """Whole scores of the cache; what is left of damaged ones is removed, since its name says how to make it anew."""
    if (folder / META).is_file():
        try:
            return Scores(folder)
        except RunError as error:
            voice.say(f"{error}; scoring again")
    if (folder / META).is_file() or not (folder / BEGUN).is_file():
        for file in (*part_files(folder), folder / META, folder / BEGUN):
            file.unlink(missing_ok=True)
    return None


@contextmanager
def views(model: PreTrainedModel, reference: str | Path) -> Iterator[tuple[ModelView, ModelView]]:
    """The model as it is and the reference, for the time of the block.

    A reference that is an adapter (trained on this very model, with all that was active then) is put on the model, so
    that both are views of one set of weights; one that is a model of its own is loaded beside it.

    Raises:
        ModelError: the reference cannot be loaded or does not fit.
    """
    before = active_adapters(model)
    if not is_adapter(reference):
        own = next(model.parameters())
        other = load_model(
            suite_model(str(reference)),
            dtype=str(own.dtype).removeprefix("torch."),
            device=own.device,
        )
        yield ModelView(model, before), ModelView(other.model)
        return
    adapted = add_saved(model, reference, name=REFERENCE)
    try:
        yield ModelView(adapted, before), ModelView(adapted, (REFERENCE,))
    finally:
        without(adapted, (REFERENCE,))


def weigh(
    rows: Iterable[tuple[Example, Encoded]], scores: Scores, selected: Selected, look: Look, truth: Truth
) -> Iterator[tuple[Encoded, Encoded]]:
    """Each row as it was and with signed weights; what is shown of them is gathered on the way.

    Raises:
        RunError: the scores are of other rows.
    """
    for (example, encoded), scored in zip(rows, scores, strict=True):
        signs_N = selected.signs(scored)
        yield encoded, selected.weighted(encoded, scored)
        look.add(example, encoded, scored, signs_N)
        truth.add(example, encoded, scored, signs_N)


def owners_of(examples: Sequence[Example], rows: Sequence[Encoded]) -> Iterator[Example]:
    """The example that each row is of: a document's windows follow each other, anything else is one row."""
    found = iter(examples)
    current = next(found)
    for row in rows:
        while not (row.key == current.id or (current.is_document and row.key.startswith(f"{current.id}#"))):
            current = next(found)
        yield current


def selection_json(scores: Scores, selected: Selected, look: Look, truth: Truth) -> dict[str, Any]:
    """All that is shown of a selection; `noise` where the truth is known."""
    asked = selected.selection
    return {
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
        "notes": [*selected.notes, *look.notes],
        "quality": {"mean": selected.survey.mean, "std": selected.survey.std},
        "histogram": histogram(scores, asked.level, selected.survey.count),
        **look.to_json(),
        **({"noise": truth.to_json()} if truth.known else {}),
    }


def summary(selected: Selected, emptied: int = 0) -> str:
    """One line for the terminal."""
    dropped = f"; {emptied} rows in which nothing is left are dropped" if emptied else ""
    return (
        f"{selected.positive:,} of {selected.tokens:,} tokens are learned, {selected.negative:,} forgotten, "
        f"{selected.ignored:,} ignored (Q ≥ {selected.threshold:.4g} is positive; Q > 0 holds for "
        f"{selected.share_above_zero:.1%}){dropped}"
    )
