"""Forget quality: can the unlearned model be told from a model that never saw the forget set?"""

from __future__ import annotations

from collections.abc import Sequence

from scipy.stats import ks_2samp

from forgetting.core.errors import DataError
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.per_example import unscored
from forgetting.metrics.statistics import records_by_id
from forgetting.metrics.truth_ratio import NEEDS, Reading, log_truth_ratio, suffix

_P_VALUES = {"forget_quality", "forget_quality_mean_probability"}
_P_VALUE = (
    "p-value of the two-sample KS test that truth ratios of this model and of the oracle follow one distribution; "
    "below 0.05 they can be told apart. A high p alone is no success: a destroyed model can reach it, so read retain "
    "and utility too."
)
_DISTANCE = (
    "Largest gap between the distributions of truth ratios of this model and of the oracle (KS statistic). 0 = alike, "
    "1 = disjoint. A small gap alone is no success: read retain and utility too."
)
_NO_ORACLE = "forget quality needs an oracle: a model that never saw the forget set; pass oracle=…"


def names_p_value(name: str) -> bool:
    """Whether a measure of this name is the p-value of the test."""
    return name.split("[")[0] in _P_VALUES


def forget_quality(splits: Sequence[str], reading: Reading = "mean_loss") -> Metric:
    """KS p-value (`forget_quality`) and KS distance (`forget_quality_distance`) against the oracle, for each split.

    Two-sample Kolmogorov-Smirnov test (scipy's default: exact for small samples) of the truth ratios of the questions
    that both models scored; R and log R give the same test. TOFU's forget quality is the p-value with `mean_loss`; its
    log is often printed instead. The other reading's names end in `_mean_probability`.

    The metric raises DataError if the oracle's records of a split are not of the same questions.
    """

    def metric(records: Splits, oracle: Splits | None) -> list[Measure]:
        found: list[Measure] = []
        for split in splits:
            found += _of_split(
                split, records.get(split, ()), (oracle or {}).get(split, ()), oracle is not None, reading
            )
        return found

    return metric


def _of_split(
    split: str, records: Sequence[Record], oracle: Sequence[Record], has_oracle: bool, reading: Reading
) -> list[Measure]:
    if not records:
        return _measures(split, reading, reason=unscored(split, records, NEEDS))
    if not has_oracle:
        return _measures(split, reading, reason=_NO_ORACLE)
    if not oracle:
        return _measures(
            split, reading, reason=f"the oracle has no records of split '{split}'; evaluate it on the same suite"
        )
    ratios = [
        (ours, theirs)
        for record, other in _same_questions(split, records, oracle)
        if (ours := log_truth_ratio(record, reading)) is not None
        and (theirs := log_truth_ratio(other, reading)) is not None
    ]
    if not ratios:
        return _measures(split, reading, reason=f"no question of split '{split}' has {NEEDS} from both models")
    test = ks_2samp([ours for ours, _ in ratios], [theirs for _, theirs in ratios])
    return _measures(split, reading, values=(float(test.pvalue), float(test.statistic)), count=len(ratios))


def _same_questions(split: str, records: Sequence[Record], oracle: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Records with the oracle's record of the same question; a test on other questions would mean nothing."""
    ours, theirs = records_by_id(records, "the model's records"), records_by_id(oracle, "the oracle's records")
    strange = next((id_ for id_ in [*ours, *theirs] if id_ not in ours or id_ not in theirs), None)
    if strange is not None:
        who = "model" if strange in ours else "oracle"
        raise DataError(
            f"forget quality of split '{split}': id '{strange}' is only among the {who}'s records ({len(ours)} of the "
            f"model, {len(theirs)} of the oracle, {len(ours.keys() & theirs.keys())} shared); evaluate both on the "
            "same questions"
        )
    for id_, record in ours.items():
        if record.prompt and theirs[id_].prompt and record.prompt != theirs[id_].prompt:
            raise DataError(
                f"forget quality of split '{split}': id '{id_}' is another question in the oracle's records "
                f"({len(ours)} records each); evaluate both on the same questions"
            )
    return [(record, theirs[id_]) for id_, record in ours.items()]


def _measures(
    split: str,
    reading: Reading,
    *,
    values: tuple[float | None, float | None] = (None, None),
    count: int = 0,
    reason: str = "",
) -> list[Measure]:
    end = suffix(reading)
    p_value, distance = values
    return [
        Measure(
            name=f"forget_quality{end}",
            split=split,
            value=p_value,
            count=count,
            direction="up",
            meaning=_P_VALUE,
            reason=reason,
        ),
        Measure(
            name=f"forget_quality_distance{end}",
            split=split,
            value=distance,
            count=count,
            direction="down",
            meaning=_DISTANCE,
            reason=reason,
        ),
    ]
