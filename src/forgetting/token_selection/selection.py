"""Selects the tokens to learn, to forget and to ignore by their quality, over the whole corpus.

A token is positive if its quality Q is at or above a threshold, else negative (Forgetting, eqs. 6 and 7). The threshold
is an exact order statistic of all qualities, found without keeping them in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, field_validator, model_validator

from forgetting.core.errors import DataError, RecipeError, RunError
from forgetting.core.strict import Strict
from forgetting.data.encode import Encoded
from forgetting.token_selection.order_statistics import Keys, keys_of, order_statistics, value_of
from forgetting.token_selection.quality import Level, Survey, draws, of_rows, qualities, survey_of
from forgetting.token_selection.score_files import ScoredRow, Scores


class Selection(Strict):
    """How a stage divides tokens into positive and negative ones."""

    model_config = ConfigDict(extra="forbid")

    reference: str | None = Field(
        None, description="The model that was trained on the reference data: stage:NAME, or a folder."
    )
    scores: str | None = Field(None, description="A folder of scores that were already computed.")
    positives: float | Literal["auto", "zero"] = Field(
        0.7,
        description="Share of all tokens that is positive; auto: the share with a quality above 0, rounded up to the "
        "next 0.05; zero: the tokens above 0, which the paper finds harmful.",
    )
    level: Level = Field("token", description="sequence: whole answers, by the mean quality of their tokens.")
    forget_rate: float | None = Field(
        None, ge=0, lt=1, description="Share of all tokens that is forgotten; default: all that are not positive."
    )
    forget_by: Literal["lowest", "random"] = Field(
        "lowest", description="Which negative tokens a forget_rate takes; the others are ignored."
    )

    learn_ends: bool = Field(
        False,
        description="Learn the last token of every answer at any quality: a base that knows when to stop gains nothing "
        "there, and would unlearn it.",
    )

    @field_validator("positives", mode="before")
    @classmethod
    def _a_word(cls, value: object) -> object:
        if isinstance(value, str) and value not in ("auto", "zero"):
            raise ValueError(f"positives is '{value}'; write a share between 0 and 1, or auto, or zero")
        return value

    @field_validator("positives")
    @classmethod
    def _a_share(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 < value < 1:
            raise ValueError(f"positives is {value:g}; write a share between 0 and 1, such as 0.7, or auto, or zero")
        return value

    @model_validator(mode="after")
    def _no_more_than_negative(self) -> Self:
        if isinstance(self.positives, float) and self.forget_rate is not None:
            most = 1 - _as_written(self.positives)
            if _as_written(self.forget_rate) > most:
                raise ValueError(
                    f"forget_rate is {self.forget_rate:g}, but with positives {self.positives:g} only "
                    f"{float(most):g} are negative; write at most that"
                )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The selection over a corpus. Units are tokens or, at level `sequence`, the rows that have scored tokens."""

    selection: Selection
    seed: int
    share: float | None
    """The requested share of positive units, with `auto` resolved; None for `zero`."""
    threshold: float
    """A unit is positive if its Q is at or above it, nats. For `zero` it is the smallest Q above 0."""
    ties: int
    """Units with Q equal to the threshold; they are positive."""
    lower: float | None
    """A negative unit is forgotten if its Q is at or below it; None: no limit by Q. −inf: none is forgotten."""
    lower_ties: int
    """Units with Q equal to `lower`; they are forgotten."""
    draw: int | None
    """A negative unit is forgotten if its draw is at most this; None: no draw. −1: none is forgotten."""
    survey: Survey
    """Statistics of the units' Q: count, share above 0, mean, standard deviation, minimum and maximum."""
    rows: int
    tokens: int
    positive: int = 0
    """Tokens to learn."""
    negative: int = 0
    """Tokens to forget."""
    ignored: int = 0
    """Tokens that are neither."""
    notes: tuple[str, ...] = ()
    """Warnings, a sentence each."""

    @property
    def share_positive(self) -> float:
        """Of all tokens."""
        return self.positive / self.tokens

    @property
    def share_above_zero(self) -> float:
        """Share of the units with Q above 0."""
        return self.survey.above / self.survey.count

    def signs(self, row: ScoredRow) -> NDArray[np.int8]:
        """1 to learn, −1 to forget, 0 neither, for each of the row's N tokens."""
        quality = of_rows([row], self.selection.level)
        positive = quality >= self.threshold
        forgotten = ~positive
        if self.lower is not None:
            forgotten &= quality <= self.lower
        if self.draw is not None:
            forgotten &= draws(self.seed, row.key, len(quality)) <= self.draw
        signs = positive.astype(np.int8) - forgotten.astype(np.int8)
        if self.selection.level == "sequence":
            signs = np.repeat(signs, len(row.target_ids))
        if self.selection.learn_ends:
            signs[-1:] = 1
        return signs

    def weighted(self, encoded: Encoded, row: ScoredRow) -> Encoded:
        """The row with |weight| · sign on every scored token; it may have no supervised token left.

        Raises:
            RunError: the scores belong to another row or to other tokens.
        """
        if encoded.key != row.key:
            raise RunError(f"row '{encoded.key}': these scores belong to row '{row.key}'; score these data again")
        if encoded.target_ids != tuple(row.target_ids.tolist()):
            raise RunError(f"row '{encoded.key}': its scores belong to other tokens; score these data again")
        signs = iter(self.signs(row).tolist())
        return replace(encoded, weights=tuple(abs(w) * next(signs) if w else 0.0 for w in encoded.weights))


def select(scores: Scores, selection: Selection, *, seed: int) -> Selected:
    """Selects over all units of the corpus, with constant memory.

    With a share ρ of positives and n units the threshold is the ⌈ρ·n⌉-th largest Q: our reading of F_S(1 − ρ), the
    (1 − ρ)-th percentile. Units that tie with it are positive, so there may be more than ⌈ρ·n⌉. Shares are treated as
    exact decimal numbers. A `forget_rate` f takes the ⌊f·n⌋ lowest and those that tie with the last of them; or as many
    drawn from the negative ones by seed, key and position, independently of the order of the rows. Both are exact.

    The settings `reference` and `scores` are not used; the seed is that of `forget_by: random`.

    Raises:
        DataError: nothing is left to forget, or to learn; the message has the reason.
        RecipeError: `forget_rate` is above the share of negative units.
        RunError: a score is not finite; the row is named.
    """
    level, survey = selection.level, survey_of(scores, selection.level)
    n = survey.count
    if survey.least == survey.greatest:
        raise _nothing_to_forget(scores.folder, survey)
    share = _share(scores, selection, survey)
    positives = survey.above if share is None else math.ceil(share * n)
    forgotten = _forgotten(selection, n, n - positives)
    lowest = forgotten is not None and selection.forget_by == "lowest"
    ranks = [n - positives, *([forgotten - 1] if lowest and forgotten else [])]
    at, *low = order_statistics(lambda: map(keys_of, qualities(scores, level)), ranks)
    if at.below == 0:
        raise _nothing_to_forget(scores.folder, survey, at.equal)
    if low and low[0].key >= at.key:  # ties at the threshold left fewer negative ones than requested: take all
        lowest, low = False, []
    selected = Selected(
        selection=selection,
        seed=seed,
        share=None if share is None else float(share),
        threshold=value_of(at.key),
        ties=at.equal,
        lower=None if not lowest else value_of(low[0].key) if low else -math.inf,
        lower_ties=low[0].equal if low else 0,
        draw=None,
        survey=survey,
        rows=scores.rows,
        tokens=scores.tokens,
    )
    if forgotten is not None and selection.forget_by == "random":
        selected = replace(selected, draw=_draw(scores, selected, min(forgotten, at.below)))
    notes = _notes(selected, asked=positives, negatives=at.below, forgotten=forgotten)
    counted = replace(_counted(scores, selected), notes=notes)
    if selection.learn_ends and not counted.negative and forgotten != 0:
        raise DataError(f"{scores.folder}: only last tokens would be forgotten, which learn_ends learns; leave it out")
    return counted


def _as_written(share: float) -> Fraction:
    """0.55 as 55/100, not as the binary number next to it: ⌈0.55·100⌉ is 55."""
    return Fraction(str(share))


def _share(scores: Scores, selection: Selection, survey: Survey) -> Fraction | None:
    """The requested share of positive units; None: those above 0."""
    where = f"{scores.folder}: positives is {selection.positives}"
    if isinstance(selection.positives, float):
        return _as_written(selection.positives)
    if survey.above == 0:
        raise DataError(
            f"{where}, but nothing has a quality above 0: the reference is nowhere better than the base; write a "
            "share, such as 0.7, or train the reference longer"
        )
    if selection.positives == "zero":
        return None
    steps = -(-survey.above * 20 // survey.count)
    if steps == 20:
        raise DataError(
            f"{where}, but {survey.above / survey.count:.1%} have a quality above 0, and rounded up nothing is left to "
            "forget; write a share such as 0.9"
        )
    return Fraction(steps, 20)


def _forgotten(selection: Selection, n: int, negatives: int) -> int | None:
    """The number of units that the forget rate requests; None: all negative ones."""
    if selection.forget_rate is None:
        return None
    asked = math.floor(_as_written(selection.forget_rate) * n)
    if asked > negatives:
        raise RecipeError(
            f"forget_rate is {selection.forget_rate:g}, but with positives {selection.positives} only "
            f"{math.floor(1000 * negatives / n) / 1000:g} are negative; write at most that"
        )
    return asked


def _nothing_to_forget(where: Path, survey: Survey, ties: int = 0) -> DataError:
    if survey.least == survey.greatest:
        why = f"all have the same quality ({survey.least:g} nats); is the reference the base itself?"
    elif survey.least > 0:
        why = f"the lowest quality is {survey.least:g}, above 0; write positives as a share, such as 0.7"
    else:
        why = f"the threshold is the lowest quality ({survey.least:g} nats, {ties:,} times); write fewer positives"
    return DataError(f"{where}: nothing is left to forget: {why}")


def _draw(scores: Scores, selected: Selected, count: int) -> int:
    """The largest draw among the `count` smallest of the negative units."""

    def of_negatives() -> Iterator[Keys]:
        for row in scores:
            quality = of_rows([row], selected.selection.level)
            yield draws(selected.seed, row.key, len(quality))[quality < selected.threshold]

    return order_statistics(of_negatives, [count - 1])[0].key if count else -1


def _counted(scores: Scores, selected: Selected) -> Selected:
    """Adds the token counts of each sign."""
    counts = np.zeros(3, dtype=np.int64)
    for row in scores:
        counts += np.bincount(selected.signs(row) + 1, minlength=3)
    negative, ignored, positive = counts.tolist()
    return replace(selected, positive=positive, negative=negative, ignored=ignored)


def _notes(selected: Selected, *, asked: int, negatives: int, forgotten: int | None) -> tuple[str, ...]:
    """Warnings, if `asked` positive units and `forgotten` negative ones were requested."""
    n, selection = selected.survey.count, selected.selection
    units = "tokens" if selection.level == "token" else "sequences"
    notes = []
    if selection.positives == "zero":
        notes.append(
            f"positives: zero takes the {selected.share_above_zero:.1%} of {units} with a quality above 0; the paper "
            "finds this threshold harmful: prefer 0.7 or auto"
        )
    if n - negatives - asked > 0.01 * n:  # more than a percentage point
        notes.append(
            f"{selected.ties:,} {units} tie at the threshold and are positive: {1 - negatives / n:.1%} are, "
            f"but {asked / n:.1%} were requested"
        )
    if forgotten is not None and forgotten > negatives:
        notes.append(f"forget_rate asks for {forgotten:,} {units}; only {negatives:,} are negative, and all are taken")
    return tuple(notes)
