"""Whether a model is sure of what it answers rightly (R-Tuning, arXiv 2311.09677): average precision, with interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forgetting.core.measure import Measure
from forgetting.metrics.detection import average_precision
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import Estimate, Floats, estimate_mean, percentile_interval, seed_of

SURE, UNSURE = "I am sure.", "I am unsure."
"""What a model was taught to end its answers with."""
_RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer of a model's own."""

    cluster: str
    right: bool
    refused: bool
    confidence: float | None
    """p(answer)^(1/tokens) of its own greedy answer; None: it is empty, or has no finite likelihood."""
    sure: float | None
    """p("I am sure.") over p("I am sure.") + p("I am unsure."), behind the answer; likewise."""

    @property
    def score(self) -> float | None:
        """(confidence + sure) / 2, by which R-Tuning orders answers."""
        return None if self.confidence is None or self.sure is None else (self.confidence + self.sure) / 2


def sureness(split: str, point: str, found: Sequence[Answered]) -> list[Measure]:
    """Accuracy, refusals, sureness of all and of wrong answers, and the average precision of sureness: `NAME_point`.

    The average precision is that of right answers ordered by `Answered.score`, highest first; of a score that says
    nothing it is about the accuracy. Its interval resamples clusters, and a resample without a right answer counts 0.
    An empty answer is a wrong one that nothing is sure of: it counts for accuracy and refusals alone.
    """
    absent = f"no question of split '{split}'"
    scores = [a.score for a in found]
    wrong = [None if a.right else a.score for a in found]
    unscored = "no answer could be scored" if all(s is None for s in scores) else "no answer was wrong"
    means: dict[str, tuple[str, Sequence[float | None]]] = {
        "accuracy": ("Share of greedy answers that are the right one.", [float(a.right) for a in found]),
        "refusals": ("Share of greedy answers that begin with a known refusal.", [float(a.refused) for a in found]),
        "sureness": ("How sure the model is of its answer: (confidence + p(sure)) / 2.", scores),
        "sureness_wrong": ("The same of its wrong answers alone.", wrong),
    }
    clusters = [a.cluster for a in found]
    measures = [
        measure(
            estimate_mean(values, clusters, key=f"{split}/{name}/{point}", unit=True),
            name=f"{name}_{point}",
            split=split,
            direction="none",
            meaning=f"{meaning} ({point})",
            absent=unscored if found else absent,
        )
        for name, (meaning, values) in means.items()
    ]
    precision = measure(
        _precision([(a, s) for a in found if (s := a.score) is not None], key=f"{split}/sureness_ap/{point}"),
        name=f"sureness_ap_{point}",
        split=split,
        direction="none",
        meaning=f"Average precision of sureness: whether right answers are the surest ones. 1 = all are. ({point})",
        absent=unscored if found else absent,
    )
    return [*measures, precision]


def _precision(found: Sequence[tuple[Answered, float]], *, key: str) -> Estimate:
    scores_N = np.array([score for _, score in found])
    right_N = np.array([a.right for a, _ in found], dtype=bool)
    if not right_N.any() or right_N.all():
        said = "no answer was right" if found and not right_N.any() else "every answer was right" if found else ""
        return Estimate(None, len(found), reason=f"{said}, so nothing can be ordered" if said else "")
    value = average_precision(scores_N, right_N).value
    names, place_N = np.unique([a.cluster for a, _ in found], return_inverse=True)
    if len(names) < 2:
        return Estimate(value, len(found))
    members = [np.flatnonzero(place_N == c) for c in range(len(names))]
    rng = np.random.default_rng(seed_of(key))

    def drawn() -> float:
        rows = np.concatenate([members[c] for c in rng.integers(0, len(names), size=len(names))])
        return float(average_precision(scores_N[rows], right_N[rows]).value or 0.0)

    drawn_B: Floats = np.array([drawn() for _ in range(_RESAMPLES)])
    return Estimate(value, len(found), *percentile_interval(drawn_B, len(names)))
