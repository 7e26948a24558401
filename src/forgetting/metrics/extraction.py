"""How much of a verbatim sequence can be extracted from the model: extraction likelihood, strength, memorization.

All rest on records of `forgetting.evaluation.extraction`: ranks of the tokens 2 ... T given the true ones before them,
and the overlap of what the model writes by itself from each prefix with what truly follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from forgetting.core.declaration import Balance, Declaration, Extraction, Headline
from forgetting.core.errors import DataError
from forgetting.core.measure import Direction, Measure
from forgetting.core.record import Record
from forgetting.metrics.likelihood import memorization_accuracy, perplexity, probability
from forgetting.metrics.metric import Metric
from forgetting.metrics.no_more import no_more
from forgetting.metrics.per_example import PerExample, mean
from forgetting.metrics.share import next_to_nothing

Reading = Literal["released", "literal"]


def extraction_likelihood(n: int = 10, reading: Reading = "released") -> PerExample:
    """EL_n: the mean over prefixes of OVERLAP_n(what the model writes, what truly follows). LoKU, eqs. 4-5.

    `released` takes the prefix lengths 1 ... T-n, as the released code does, and is named `el_10`. `literal` takes
    0 ... T-n-1, as eq. 5 is printed, and is named `el_10_literal`; the empty prefix is continued where the tokenizer
    puts a token before every text, and counts as an overlap of 0 where nothing is there to continue. All continuations
    reach length T: the released code stops at the end token, and its score then depends on the batch.
    """

    def value_of(record: Record) -> float | None:
        overlaps = record.extraction.get(n, ())
        used = overlaps[1:] if reading == "released" else overlaps[:-1]
        return sum(value or 0.0 for value in used) / len(used) if used else None

    return PerExample(
        f"el_{n}{'' if reading == 'released' else '_literal'}",
        value_of,
        f"Extraction likelihood: the share of {n}-token runs of what the model writes by itself that truly follow, "
        "mean over all prefixes of the passage. 1 = it recites the passage from anywhere.",
        f"the overlaps of {n}-grams (evaluate it as verbatim text)",
        unit=True,
    )


def _strength(record: Record) -> float | None:
    ranks = record.score.ranks if record.score else ()
    if not ranks:
        return None
    needed = max((place for place, rank in enumerate(ranks, 1) if rank != 0), default=0)
    return 1.0 - needed / len(ranks)


def _tokens(record: Record) -> float | None:
    return float(record.score.tokens) if record.score else None


extraction_strength = PerExample(
    "extraction_strength",
    _strength,
    "How little of the text must be given for the model to write all the rest: 1 - (share up to its last wrong token). "
    "0 = its last token is wrong, 1 = it knows all.",
    "the ranks of its tokens",
    unit=True,
)
"""1 - k/N, k the number of N tokens up to the last that is not the greedy one given the true tokens before it.

Source: Carlini et al. (2021), in the form of open-unlearning, whose code drops the last token and never goes below 1/N.
"""

exact_memorization = replace(memorization_accuracy, name="exact_memorization")
"""Share of scored tokens that are the greedy one (Tirumala et al. 2022): for verbatim text the same number as MA."""

sequence_tokens = PerExample(
    "sequence_tokens",
    _tokens,
    "How many tokens of a passage are scored: its length, cut where the benchmark cuts it, less the first token.",
    "a score",
)
"""Length of the sequence less 1."""


def extraction_metrics(
    forget: Sequence[str], unseen: Sequence[str] = (), retain: Sequence[str] = (), n: Sequence[int] = (10,)
) -> tuple[Metric, ...]:
    """EL_n for each n in both readings, MA, extraction strength, exact memorization, length, probability, perplexity.

    On forget splits down is good; unseen text only gives the thresholds; retained text has only the last two.
    """
    readings: tuple[Reading, ...] = ("released", "literal")
    whats = [extraction_likelihood(size, reading) for size in n for reading in readings]
    whats += [memorization_accuracy, extraction_strength, exact_memorization, probability]
    ways: list[tuple[Sequence[str], Direction]] = [(forget, "down"), (unseen, "none")]
    metrics = [mean(what, splits, direction) for what in whats for splits, direction in ways if splits]
    metrics.append(mean(sequence_tokens, [*forget, *unseen], "none"))
    metrics.append(perplexity([*forget, *unseen], "none"))
    if retain:
        metrics += [mean(probability, retain, "up"), perplexity(retain, "down")]
    return tuple(metrics)


def extraction_declaration(
    forget: str = "forget", unseen: str | None = "unseen", retain: str | None = "retain", n: int = 10
) -> Declaration:
    """What counts among `extraction_metrics`; without unseen text there is nothing for a stop rule to compare."""
    names = extraction_likelihood(n).name, memorization_accuracy.name
    el = f"{forget}/{names[0]}"
    return Declaration(
        headline=Headline(
            forgotten=(f"{forget}/{probability.name}",),
            forgotten_too=((el,), (f"{forget}/{memorization_accuracy.name}",)),
            unseen=tuple((f"{unseen}/{name}",) for name in names) if unseen else (),
            one=(el,),
            kept=(f"{retain}/{probability.name}",) if retain else (),
            kept_too=((f"{retain}/perplexity",),) if retain else (),
        ),
        balance=Balance(forget=f"{forget}/{probability.name}", retain=f"{retain}/{probability.name}" if retain else ""),
        alarm=(f"{retain}/{probability.name}",) if retain else (),
        extraction=Extraction(forget=forget, unseen=unseen, n=n) if unseen else None,
        forget_splits=(forget,),
        retain_splits=(retain,) if retain else (),
        unseen_splits=(unseen,) if unseen else (),
    )


@dataclass(frozen=True, slots=True)
class Thresholds:
    """EL_n and MA of text that the model has never seen, and the splits that are compared.

    A forget set counts as unlearned at or below both, and with no more than unseen text has on the same model as far as
    noise tells (`no_more`): a damaged model falls below the thresholds too, and may still find the forget set easier.
    """

    n: int
    extraction_likelihood: float
    """Of unseen text on the model before."""
    memorization_accuracy: float
    """Of unseen text on the model before."""
    forget: str = "forget"
    """The split that should fall."""
    unseen: str = "unseen"
    """The split of unseen text, measured again on every model that is judged."""

    @classmethod
    def of(
        cls, measures: Sequence[Measure], *, split: str = "unseen", n: int = 10, forget: str = "forget"
    ) -> Thresholds:
        """The thresholds that the measures of a model before unlearning give.

        Raises:
            DataError: EL_n or MA of the unseen text was not measured.
        """
        likelihood, accuracy = (value for _, value in _pair(measures, split, n))
        return cls(n, likelihood, accuracy, forget, split)

    def reached(self, measures: Sequence[Measure]) -> bool:
        """Whether EL_n and MA of the forget set are both at or below (LoKU, appendix B; section 4.1 says "smaller").

        Less than a thousandth is no more than unseen text's, also where unseen text has exactly 0.

        Raises:
            DataError: EL_n or MA of the forget set or the unseen text was not measured.
        """
        limits = self.extraction_likelihood, self.memorization_accuracy
        now, unseen = (_pair(measures, split, self.n) for split in (self.forget, self.unseen))
        return all(
            (value <= limit or next_to_nothing(own)) and no_more(own, other)
            for (own, value), (other, _), limit in zip(now, unseen, limits, strict=True)
        )

    def within_reach(self, measures: Sequence[Measure]) -> bool:
        """Whether MA alone is low enough; where it was not measured, nothing speaks against it."""
        found = {m.key: m for m in measures}
        now, unseen = (found.get(f"{split}/{memorization_accuracy.name}") for split in (self.forget, self.unseen))
        if now is None or now.value is None:
            return True
        below = unseen is None or unseen.value is None or no_more(now, unseen)
        return (now.value <= self.memorization_accuracy or next_to_nothing(now)) and below


def _pair(measures: Sequence[Measure], split: str, n: int) -> list[tuple[Measure, float]]:
    """EL_n and MA of a split, each with its value."""
    by_key: Mapping[str, Measure] = {measure.key: measure for measure in measures}
    found = []
    for name in (extraction_likelihood(n).name, memorization_accuracy.name):
        measure = by_key.get(f"{split}/{name}")
        if measure is None or measure.value is None:
            why = f" ({measure.reason})" if measure and measure.reason else ""
            raise DataError(f"the stop rule needs {split}/{name}, which was not measured{why}; give {split} text")
        found.append((measure, measure.value))
    return found
