"""What the difference of two models gives away: a classifier that tells forgotten texts by how their scores changed.

Who has a model before and after unlearning may learn from their difference what was forgotten: Chen et al. 2021, "When
Machine Unlearning Jeopardizes Privacy" (https://arxiv.org/abs/2005.02205); TAPE (https://arxiv.org/abs/2502.19770),
which rebuilds images. Features of a text are its membership scores before and how each changed; the classifier is a
logistic regression.

A model that never saw the forgotten texts differs from the model before in exactly them, so it gives them away too:
what is told of the model after is to be compared with the oracle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from forgetting.core.example import Role
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.metrics.detection import auc
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import Estimate, Floats

BEFORE = "before_"
"""What stands before the name of a score of the model before, in `Record.values`."""
FOLDS = 5
FEWEST = 10
"""The fewest clusters of each kind that a classifier is trained and tested on."""
_OTHERS = {Role.RETAIN: "kept", Role.HOLDOUT: "never seen"}


def posterior_measures(
    records: Mapping[str, Sequence[Record]], shadow: Mapping[str, Sequence[Record]] | None = None
) -> list[Measure]:
    """The AUC with which forgotten texts are told from kept and from never seen ones, each clustered.

    Without a shadow each text is judged by a classifier of the other folds, and a cluster (a fact, or a subject) is
    never on both sides. With one, by a classifier that was trained on another run's texts and models.

    Args:
        records: by role, with scores and, under `BEFORE`, those of the model before; without these nothing is measured.
        shadow: another run's.
    """
    found = []
    for role, what in _OTHERS.items():
        told = _told(records, shadow, role)
        how = "trained on another run" if shadow is not None else f"cross-validated over {FOLDS} parts of the clusters"
        meaning = (
            f"The chance that a classifier of the change since the model before ({how}) holds a forgotten text rather "
            f"than a {what} one to be forgotten; ½: no telling. A model that never saw the forget set gives it away "
            "too: compare with the oracle."
        )
        name = f"posterior_{role.value}_auc"
        found.append(measure(told, name=name, split=str(Role.FORGET), direction="none", meaning=meaning))
    return found


def features_of(record: Record) -> list[float] | None:
    """The scores before and their changes, in the order of their names; None if there is no model before."""
    names = sorted(name for name in record.values if f"{BEFORE}{name}" in record.values)
    if not names:
        return None
    before = [record.values[f"{BEFORE}{name}"] for name in names]
    return [*before, *(record.values[name] - then for name, then in zip(names, before, strict=True))]


def folds(labels: NDArray[np.bool_], clusters: Sequence[str]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Indices to train on and to test, in `FOLDS` parts; no cluster is on both sides, kinds are about evenly shared."""
    from sklearn.model_selection import StratifiedGroupKFold

    cut = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    yield from cut.split(np.zeros(len(labels)), labels, np.asarray(clusters))


def _told(
    records: Mapping[str, Sequence[Record]], shadow: Mapping[str, Sequence[Record]] | None, role: Role
) -> Estimate:
    rows, labels, clusters = _table(records, role)
    reason = _too_few(labels, clusters)
    if reason:
        return Estimate(None, len(labels), reason=reason)
    scores = np.empty(len(labels))
    if shadow is None:
        for train, test in folds(labels, clusters):
            scores[test] = _judged(rows[train], labels[train], rows[test])
    else:
        other, known, theirs = _table(shadow, role)
        reason = _too_few(known, theirs)
        if reason or other.shape[1] != rows.shape[1]:
            return Estimate(None, len(labels), reason=f"the other run: {reason or 'it has other scores'}")
        scores = _judged(other, known, rows)
    return auc(scores, labels, clusters)


def _judged(rows_NF: Floats, labels_N: NDArray[np.bool_], asked_MF: Floats) -> Floats:
    """How surely each of the asked rows is of the labelled kind, by a classifier of the others."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    judged: Floats = classifier.fit(rows_NF, labels_N).decision_function(asked_MF)
    return judged


def _table(records: Mapping[str, Sequence[Record]], role: Role) -> tuple[Floats, NDArray[np.bool_], list[str]]:
    """Features, whether forgotten, and clusters of the forgotten texts and those of another role.

    Texts that lack a score that others have are left out.
    """
    every = [
        (features, kind == Role.FORGET, f"{kind}/{record.cluster}")
        for kind in (Role.FORGET, role)
        for record in records.get(kind, ())
        if (features := features_of(record)) is not None
    ]
    width = max((len(features) for features, _, _ in every), default=0)
    whole = [row for row in every if len(row[0]) == width]
    rows_NF = np.array([row[0] for row in whole], dtype=np.float64).reshape(len(whole), width)
    return rows_NF, np.array([row[1] for row in whole], dtype=bool), [row[2] for row in whole]


def _too_few(labels: NDArray[np.bool_], clusters: Sequence[str]) -> str:
    if not len(labels):
        return "there is no model before to compare with"
    counts = [len({c for c, label in zip(clusters, labels, strict=True) if label == side}) for side in (True, False)]
    if min(counts) < FEWEST:
        return f"{counts[0]} forgotten and {counts[1]} other source examples are too few; {FEWEST} of each are needed"
    return ""
