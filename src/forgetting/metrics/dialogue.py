"""Dialogue F1: how many words the model's next turn shares with the true one."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from forgetting.core.errors import RecipeError
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.data.words import has_other_script
from forgetting.data.words import words as words_of_any_script
from forgetting.metrics.likelihood import perplexity
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.per_example import Caveat, PerExample, mean, unscored
from forgetting.metrics.statistics import by_cluster, percentile_interval, resampled_means
from forgetting.metrics.utility import ALL

_BLANKS = str.maketrans(string.punctuation, " " * len(string.punctuation))
_OTHER = (
    "another script than Latin: compared over all their words, where a script has no spaces character by character."
)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def words(text: str) -> list[str]:
    """The words that F1 counts: lower-cased, each ASCII punctuation mark a blank, without the articles a, an, the.

    This is ParlAI's normalisation: `don't` becomes the words `don` and `t`.
    """
    return _ARTICLES.sub(" ", text.lower().translate(_BLANKS)).split()


def _every_word(text: str) -> list[str]:
    """The words of any script (`forgetting.data.words`), without the articles."""
    return [word for word in words_of_any_script(text) if not _ARTICLES.fullmatch(word)]


def word_f1(answer: str, generation: str) -> float | None:
    """F1 of the words of two texts as bags: 2 · shared / (words of one + words of the other), from 0 to 1.

    A word that occurs twice on one side counts as often as it occurs on the other. None if `answer` has no words.
    Where either text holds another script than Latin, in which punctuation is another or no spaces part the words, all
    words of both are counted, and not ParlAI's.
    """
    of = _every_word if has_other_script(answer + generation) else words
    right, said = (Counter(of(unicodedata.normalize("NFC", text))) for text in (answer, generation))
    if not right:
        return None
    return 2 * (right & said).total() / (right.total() + said.total())


def next_turn(generation: str) -> str:
    """The model's own turn: its first line. A model that continues writes the other speaker's turn too."""
    return generation.strip().split("\n", 1)[0]


def _f1(record: Record) -> float | None:
    return None if record.generation is None else word_f1(record.answer, next_turn(record.generation))


dialogue_f1 = PerExample(
    "dialogue_f1",
    _f1,
    "Words that the model's next turn shares with the true one, as an F1; case, punctuation and articles are ignored. "
    "1 = the same words.",
    "a generated turn and a true turn with words",
    unit=True,
    caveats=(Caveat(lambda r: has_other_script(r.answer + next_turn(r.generation or "")), _OTHER),),
)
"""Word F1 of the next turn, ParlAI's normalisation. LoKU's tables print it as 100 · F1."""


def dialogue_metrics(splits: Sequence[str]) -> tuple[Metric, ...]:
    """F1 of each dialogue set, `all/dialogue_f1` as their mean, and the perplexity of the true turns.

    Raises:
        RecipeError: there are no sets.
    """
    if not splits:
        raise RecipeError("dialogue F1 is a mean over dialogue sets; name at least one")
    return mean(dialogue_f1, splits, "up"), _mean_of_sets(splits), perplexity(splits, "down")


def _mean_of_sets(splits: Sequence[str]) -> Metric:
    """Each set counts alike, as in LoKU's tables. The sets are resampled each by itself, over clusters."""
    meaning = f"Mean of the F1 of {len(splits)} dialogue sets ({', '.join(splits)}), each counted alike."

    def metric(records: Splits, oracle: Splits | None) -> list[Measure]:
        members = {split: records.get(split, ()) for split in splits}
        tables = {
            split: by_cluster([_f1(record) for record in found], [record.cluster for record in found])
            for split, found in members.items()
        }
        absent = [split for split, (_, weights_C) in tables.items() if not weights_C.sum()]
        reason = "; ".join(unscored(split, members[split], dialogue_f1.needs) for split in absent)
        value, low, high = None, None, None
        if not absent:
            value = float(np.mean([sums_C.sum() / weights_C.sum() for sums_C, weights_C in tables.values()]))
            fewest = min(int((weights_C > 0).sum()) for _, weights_C in tables.values())
            if fewest > 1:
                drawn = [
                    resampled_means(sums_C[None], weights_C[None], key=f"{split}/{dialogue_f1.name}/mean")[:, 0]
                    for split, (sums_C, weights_C) in tables.items()
                ]
                low, high = percentile_interval(np.mean(drawn, axis=0), fewest)
        return [
            Measure(
                name=dialogue_f1.name,
                split=ALL,
                value=value,
                count=int(sum(weights_C.sum() for _, weights_C in tables.values())),
                low=low,
                high=high,
                direction="up",
                meaning=meaning,
                reason=reason,
            )
        ]

    return metric
