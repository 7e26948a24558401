"""Whether a linear probe tells right answers from wrong ones inside the model, layer by layer."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.analysis.activations import States, of_answer, pooled_states
from forgetting.analysis.by_layer import by_layer
from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Rows, Work, by_role, means, read
from forgetting.analysis.registry import register_analysis
from forgetting.core.evaluator import Progress
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.data.formatting import Formatting
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import Estimate, estimate_mean, seed_of
from forgetting.models.view import View

FEWEST_CLUSTERS = 10
"""With fewer subjects no probe is trained."""


def _cost(known: Known, parameters: Mapping[str, Any]) -> Cost:
    """Every question with two answers through each model, and a ridge regression for every layer and fold."""
    shape, folds = known.shape, int(parameters["folds"])

    def of(rows: Rows) -> Cost:
        asked, share = len(rows.offered), len(rows.offered) / max(1, rows.count)
        if min(asked, rows.clusters) < FEWEST_CLUSTERS:
            return Cost()
        learned, wide = 2 * asked * (folds - 1) / folds, shape.width
        least, most = min(learned, wide), max(learned, wide)
        fits = (known.views + 1) * shape.layers * folds
        work = Work(double=fits * (2 * most * least**2 + least**3 / 3), touched=fits * 40 * learned * wide, calls=fits)
        work += means(rows, (known.views + 1) * (1 + shape.layers))
        held = 4 * 2 * asked * shape.layers * wide + 5 * 8 * learned * wide
        return read(shape, rows, times=2 * share * known.views, logits=0).then(Cost(work, held))

    return by_role(known, of)


@register_analysis("probe", cost=_cost)
def probe(folds: int = 5, strength: float = 100.0) -> Analysis:
    """Accuracy of a linear probe that tells a question's right answer from a wrong one, by layer.

    Each question is read once with its right answer and once with one of its wrong answers (drawn by its id), states
    are means over the answer's tokens, and a ridge classifier on standardised states is trained on some subjects and
    tested on others (folds over source examples), so nothing can be remembered of a subject. A question counts as right
    where its right answer has the higher score; chance is one half. The control has right and wrong exchanged at random
    for each question in training. Wrong answers may differ from right ones in form, which a probe reads too: compare
    with the oracle, which never saw the fact. At least ten subjects.

    Args:
        folds: parts of the subjects, each tested once.
        strength: of the ridge penalty.

    Raises:
        ValueError: fewer than two folds, or a strength that is not above 0 or not finite.
    """
    if folds < 2 or not 0 < strength < math.inf:
        raise ValueError(f"folds is {folds} and strength is {strength}; write a number from 2 up and one above 0")

    def analysis(compared: Compared) -> Findings:
        parts = [_of_role(compared, role, some, folds, strength) for role, some in compared.examples.items() if some]
        return Findings.joined(parts)

    return analysis


def told_apart(
    right_ND: NDArray[np.floating],
    wrong_ND: NDArray[np.floating],
    clusters: Sequence[str],
    *,
    folds: int = 5,
    strength: float = 100.0,
    seed: int = 0,
    control: bool = False,
) -> NDArray[np.float64]:
    """For each question, whether a probe that never saw its cluster prefers the right answer: 1, 0, or ½ for a tie.

    Args:
        right_ND: states of questions with their right answers.
        wrong_ND: the same with wrong ones.
        clusters: of each question; a cluster lies in one fold.
        control: exchange right and wrong of each training question at random.
    """
    rng = np.random.default_rng(seed)
    names = sorted(set(clusters))
    fold_of = dict(zip(names, rng.permutation(len(names)) % folds, strict=True))
    fold_N = np.array([fold_of[c] for c in clusters])
    found_N = np.full(len(clusters), 0.5)
    signs_N = rng.choice([-1.0, 1.0], size=len(clusters)) if control else np.ones(len(clusters))
    for fold in range(min(folds, len(names))):
        train_N, test_N = fold_N != fold, fold_N == fold
        states_MD = np.concatenate([right_ND[train_N], wrong_ND[train_N]]).astype(np.float64)
        labels_M = np.concatenate([signs_N[train_N], -signs_N[train_N]])
        scaler = StandardScaler().fit(states_MD)
        fitted = RidgeClassifier(alpha=strength).fit(scaler.transform(states_MD), labels_M > 0)
        right_K, wrong_K = (
            fitted.decision_function(scaler.transform(some[test_N].astype(np.float64))) for some in (right_ND, wrong_ND)
        )
        found_N[test_N] = np.where(right_K > wrong_K, 1.0, np.where(right_K < wrong_K, 0.0, 0.5))
    return found_N


def told_by_layer(
    states: tuple[States, States],
    clusters: Sequence[str],
    *,
    folds: int = 5,
    strength: float = 100.0,
    seed: int = 0,
    control: bool = False,
) -> NDArray[np.float64]:
    """`told_apart` of every layer, `[L, N]`, from the states of `answer_states`."""
    return np.stack(
        [
            told_apart(right, wrong, clusters, folds=folds, strength=strength, seed=seed, control=control)
            for right, wrong in zip(*states, strict=True)
        ]
    )


def answer_states(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    formatting: Formatting,
    progress: Progress = lambda done, total, note: None,
) -> tuple[States, States]:
    """States of questions with their right answers, and with one wrong answer each, `[L, N, D]` both.

    Args:
        examples: each with wrong answers (`perturbed`), of which one is drawn by its id.

    Raises:
        DataError: an example without a supervised token; its row is named.
        ModelError: the model's decoder blocks are not found.
    """
    right = [_asked(e, e.paraphrased or e.response) for e in examples]
    wrong = [_asked(e, random.Random(e.id).choice(e.perturbed)) for e in examples]
    both = [*right, *wrong]
    found_LND = pooled_states(model, tokenizer, both, (of_answer,), formatting=formatting, progress=progress)[0]
    return found_LND[:, : len(right)], found_LND[:, len(right) :]


def _of_role(compared: Compared, role: str, examples: Sequence[Example], folds: int, strength: float) -> Findings:
    offered = [e for e in examples if e.perturbed]
    clusters = [e.cluster for e in offered]
    views = {"start": compared.start, "after": compared.after}
    if compared.oracle is not None and compared.against != "oracle":
        views["oracle"] = compared.oracle
    if len(set(clusters)) < FEWEST_CLUSTERS:
        reason = f"{len(set(clusters))} subjects with wrong answers; a probe needs {FEWEST_CLUSTERS}"
        return Findings(measures=tuple(_absent(role, point, reason) for point in views))
    found: list[tuple[Measure, Series]] = []
    seed = seed_of(f"{role}/probe")
    for point, view in views.items():
        states = _states(compared, view, role, offered)
        found.append(_read(role, point, states, clusters, folds=folds, strength=strength, seed=seed))
        if point == "start":
            found.append(_read(role, point, states, clusters, folds=folds, strength=strength, seed=seed, control=True))
    return Findings(measures=tuple(m for m, _ in found), series=tuple(s for _, s in found))


def _read(
    role: str,
    point: str,
    states: tuple[States, States],
    clusters: Sequence[str],
    *,
    folds: int,
    strength: float,
    seed: int,
    control: bool = False,
) -> tuple[Measure, Series]:
    """The mean over layers, and a line by layer."""
    answers_LN = told_by_layer(states, clusters, folds=folds, strength=strength, seed=seed, control=control)
    label = "control" if control else point

    def estimate(values_N: NDArray[np.float64], key: str) -> Estimate:
        return estimate_mean(list(map(float, values_N)), clusters, key=f"{role}/{label}/probe{key}", unit=True)

    meaning = f"{_MEANING} {_CONTROL}" if control else f"{_MEANING} ({point})"
    whole = estimate(answers_LN.mean(0), "")
    lines = [estimate(row_N, f"/{layer}") for layer, row_N in enumerate(answers_LN)]
    return (
        measure(whole, name=f"probe_{label}", split=role, direction="none", meaning=meaning),
        by_layer("probe", f"{role}, {'labels exchanged' if control else point}", _AXIS, lines),
    )


def _states(compared: Compared, view: View, role: str, examples: Sequence[Example]) -> tuple[States, States]:
    with view.active() as model:
        return answer_states(
            model,
            compared.tokenizer,
            examples,
            formatting=compared.formatting,
            progress=lambda done, total, note: compared.voice.progress(done, total, f"{role}: {note}"),
        )


def _asked(example: Example, answer: str) -> Example:
    prompt = example.paraphrased_prompt or example.prompt
    return replace(example, prompt=prompt, response=answer, perturbed=(), token_weights=(), target_ids=())


def _absent(role: str, point: str, reason: str) -> Measure:
    return measure(
        Estimate(None, 0, reason=reason), name=f"probe_{point}", split=role, direction="none", meaning=_MEANING
    )


_AXIS = "right answers told from wrong ones by a linear probe"
_MEANING = (
    "Share of questions whose right answer a linear probe of other subjects prefers; mean over layers, chance 0.5."
)
_CONTROL = "Right and wrong exchanged at random in training: what is left is no knowledge."
