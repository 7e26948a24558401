"""How the representations of the same prompts moved, layer by layer: CKA, SVCCA, the mean along PC1, angles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import subspace_angles

from forgetting.analysis.activations import States, even, mean, odd, pooled_states
from forgetting.analysis.by_layer import by_layer
from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Rows, Work, by_role, means, read
from forgetting.analysis.registry import register_analysis
from forgetting.analysis.similarity import (
    FEWEST_EXAMPLES,
    Matrix,
    cka,
    correlations,
    debiased_cka,
    directions,
    gram,
    leading,
)
from forgetting.core.example import Example
from forgetting.core.grid import Grid
from forgetting.core.measure import Measure
from forgetting.metrics.changes import mean_change
from forgetting.metrics.statistics import Estimate, seed_of
from forgetting.models.view import View

_HALVES = 200
_SHUFFLES = 20
_FEW_SHUFFLES = 5
"""For SVCCA, whose every shuffle takes a decomposition."""
_FEWEST_CLUSTERS = 2 * FEWEST_EXAMPLES
_ANGLES = 3
_DEGREES = 180 / math.pi


def _cost(known: Known, parameters: Mapping[str, Any]) -> Cost:
    """Forwards without the head; of every layer Gram matrices, four decompositions, and CKA of halves and shuffles."""
    shape, wide = known.shape, known.shape.width

    def of(rows: Rows) -> Cost:
        count, layers = rows.count, shape.layers
        least, most = min(count, wide), max(count, wide)
        leading = layers * (_FEW_SHUFFLES + 2 + layers) * 8 * (least / 2) ** 3  # half of the directions hold the share
        double = layers * (8 * count**2 * wide + 6 * (6 * most * least**2 + 20 * least**3)) + leading
        halves = _HALVES if rows.clusters >= _FEWEST_CLUSTERS else 0
        touched = layers * (halves * (count / 2) ** 2 + (_SHUFFLES + 4) * count**2) * 30
        work = means(rows, layers) + Work(double=double, touched=touched)
        held = layers * (4 * count * wide * 4 + 2 * count**2 * 8) + 40 * count * wide
        return read(shape, rows, times=2, logits=0).then(Cost(work, held))

    return by_role(known, of)


@register_analysis("geometry", cost=_cost, oracle=False)
def geometry(share: float = 0.99) -> Analysis:
    """Similarity of the representations before and after, by role and layer: CKA, SVCCA, shift along PC1, angles.

    Forget-to-Focus, section 4.5 and appendix A.4, on states that are means over an example's tokens. CKA is the
    debiased one; the biased one stands beside it, which is large for unrelated representations too where examples are
    few. Its floor is what rows in random order give, its ceiling the similarity of even and odd tokens of the same
    texts in the model at the start: that of two readings of one model. Intervals of CKA are by half-sampling of the
    source examples (200 halves without replacement), since a resample with repeats is biased upwards.

    SVCCA is drawn for every layer at the start with every layer after, too (the paper's figure 5), beside its own floor
    and ceiling. Where every correlation is 1 by counting alone there is no value.

    ΔPC1 is the move of the mean along the start's first principal direction, in the start's standard deviations along
    it; the paper prints it without a unit. Angles are those between the first three principal directions, in degrees.

    Args:
        share: of the variance, that the directions of SVCCA hold.

    Raises:
        ValueError: a share of nothing or of more than all.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; write a number above 0, at most 1")

    def analysis(compared: Compared) -> Findings:
        findings = [_of_role(compared, role, some, share) for role, some in compared.examples.items() if some]
        return Findings.joined(findings)

    return analysis


@dataclass(frozen=True)
class _Layers:
    """The states of one role in both models, `[L, N, D]` each; those of even and odd tokens at the start."""

    role: str
    clusters: Sequence[str]
    start: States
    after: States
    even: States
    odd: States

    @property
    def few(self) -> str:
        """Why there are too few examples for an estimate; empty: there are enough."""
        count = len(self.clusters)
        return "" if count >= FEWEST_EXAMPLES else f"{count} examples; CKA needs {FEWEST_EXAMPLES}"


def _of_role(compared: Compared, role: str, examples: Sequence[Example], share: float) -> Findings:
    def states(view: View, *poolings: object) -> States:
        with view.active() as model:
            return pooled_states(
                model,
                compared.tokenizer,
                examples,
                poolings,  # type: ignore[arg-type]
                formatting=compared.formatting,
                progress=lambda done, total, note: compared.voice.progress(done, total, f"{role}: {note}"),
            )

    start_PLND, after_PLND = states(compared.start, mean, even, odd), states(compared.after, mean)
    layers = _Layers(role, [e.cluster for e in examples], start_PLND[0], after_PLND[0], *start_PLND[1:])
    parts = [_cka(layers), _svcca(layers, share), _shift(layers)]
    return Findings.joined(parts)


def _cka(layers: _Layers) -> Findings:
    named = partial(_measure, layers.role, len(layers.clusters))
    if layers.few:
        return Findings(measures=(named("cka", Estimate(None, 0, reason=layers.few), _CKA),))
    pairs = [(gram(s), gram(a)) for s, a in zip(layers.start, layers.after, strict=True)]
    halves = _halves(layers.clusters, seed_of(f"{layers.role}/cka"))
    sampled = [[debiased_cka(*_part(pair, half)) for half in halves] for pair in pairs]
    alike_L = [_half_sampled(debiased_cka(*pair), some) for pair, some in zip(pairs, sampled, strict=True)]
    over = [_mean(some) for some in zip(*sampled, strict=True)]
    whole = _half_sampled(_mean([e.value for e in alike_L]), over)
    order = np.random.default_rng(seed_of(f"{layers.role}/floor"))
    shuffled = [[_shuffled(pair, order) for _ in range(_SHUFFLES)] for pair in pairs]
    floor = [_mean(some) for some in shuffled]
    ceiling = [debiased_cka(gram(e), gram(o)) for e, o in zip(layers.even, layers.odd, strict=True)]
    biased = [cka(*pair) for pair in pairs]
    lines = {
        layers.role: alike_L,
        f"{layers.role}, rows in random order": [Estimate(v, 0) for v in floor],
        f"{layers.role}, even against odd tokens": [Estimate(v, 0) for v in ceiling],
    }
    return Findings(
        measures=(
            named("cka", whole, _CKA),
            named("cka_biased", Estimate(_mean(biased), 0), _BIASED),
            named("cka_floor", Estimate(_mean(floor), 0), _FLOOR),
            named("cka_ceiling", Estimate(_mean(ceiling), 0), _CEILING),
        ),
        series=tuple(by_layer("cka", name, "CKA (debiased)", some) for name, some in lines.items()),
    )


def _svcca(layers: _Layers, share: float) -> Findings:
    starts, afters, evens, odds = (
        [leading(states, share) for states in some] for some in (layers.start, layers.after, layers.even, layers.odd)
    )
    found = [correlations(s, a) for s, a in zip(starts, afters, strict=True)]
    usable = [f.told if f is not None else None for f in found]
    counted = [f for f in found if f is not None]
    wanted = max((f.examples_wanted for f in counted), default=0)
    most = max((f.trivial for f in counted), default=0)
    count = len(layers.clusters)
    order = np.random.default_rng(seed_of(f"{layers.role}/svcca"))
    floor = [
        _mean([_svcca_shuffled(s, a, order) for _ in range(_FEW_SHUFFLES)]) for s, a in zip(starts, afters, strict=True)
    ]
    ceiling = [None if (f := correlations(e, o)) is None else f.told for e, o in zip(evens, odds, strict=True)]
    lines = {
        layers.role: usable,
        f"{layers.role}, rows in random order": floor,
        f"{layers.role}, even against odd tokens": ceiling,
    }
    reason = ""
    if _mean(usable) is None:
        reason = (
            f"{count} examples: every correlation is 1 by counting; give {wanted} or more"
            if counted
            else "the states do not vary"
        )
    trivial = f" Up to {most} of them are 1 by counting alone." if most else ""
    few = f" {count} examples are few for it: {wanted} are wanted." if count < wanted else ""
    estimate = Estimate(_mean(usable), 0, reason=reason)
    kept = _mean([float(sum(f.kept)) / 2 for f in counted])
    return Findings(
        measures=(
            _measure(layers.role, count, "svcca", estimate, f"{_SVCCA}{trivial}{few}"),
            _measure(layers.role, count, "svcca_floor", Estimate(_mean(floor), 0, reason=reason), _SVCCA_FLOOR),
            _measure(layers.role, count, "svcca_ceiling", Estimate(_mean(ceiling), 0, reason=reason), _SVCCA_CEILING),
            _measure(layers.role, count, "svcca_directions", Estimate(kept, 0), _KEPT),
        ),
        series=tuple(by_layer("svcca", name, "SVCCA", [Estimate(v, 0) for v in some]) for name, some in lines.items()),
        grids=(_map(layers.role, starts, afters, floor, ceiling),),
    )


def _svcca_shuffled(first_Nk: Matrix, second_Nk: Matrix, rng: np.random.Generator) -> float | None:
    """SVCCA of one model with rows in random order: what unrelated representations give."""
    order = rng.permutation(len(first_Nk))
    found = correlations(first_Nk, second_Nk[order])
    return None if found is None else found.told


def _map(
    role: str,
    starts: Sequence[Matrix],
    afters: Sequence[Matrix],
    floor: Sequence[float | None],
    ceiling: Sequence[float | None],
) -> Grid:
    """SVCCA of each layer at the start with each after (Forget-to-Focus, figure 5); None where all is counting."""
    values = tuple(tuple(None if (found := correlations(s, a)) is None else found.told for a in afters) for s in starts)
    marks = {"rows in random order": _mean(floor), "even against odd tokens": _mean(ceiling)}
    return Grid(
        name=role,
        label="SVCCA",
        x_label="layer after",
        y_label="layer at the start",
        values=values,
        marks=tuple((name, value) for name, value in marks.items() if value is not None),
        reason="1 by counting alone",
    )


def _shift(layers: _Layers) -> Findings:
    moves, shares, angles = [], [], []
    for number, (start_ND, after_ND) in enumerate(zip(layers.start, layers.after, strict=True)):
        axes_KD, share = directions(start_ND, _ANGLES)
        others_KD, _ = directions(after_ND, _ANGLES)
        move, angle = Estimate(None, 0, reason="the states do not vary"), None
        if len(axes_KD) and len(start_ND) > 1:
            spread = float((start_ND.astype(np.float64) @ axes_KD[0]).std(ddof=1))
            changes_N = ((after_ND - start_ND).astype(np.float64) @ axes_KD[0]) / spread
            move = mean_change(list(map(float, changes_N)), layers.clusters, key=f"{layers.role}/pc1/{number}")
        if len(axes_KD) and len(others_KD):
            angle = float(subspace_angles(axes_KD.T, others_KD.T).max()) * _DEGREES
        moves.append(move)
        shares.append(share)
        angles.append(angle)
    sizes = [None if m.value is None else abs(m.value) for m in moves]
    named = partial(_measure, layers.role, len(layers.clusters))
    return Findings(
        measures=(
            named("pc1_shift", Estimate(_mean(sizes), 0, reason="the states do not vary"), _PC1),
            named("pc1_share", Estimate(_mean(shares), 0), _SHARE),
            named("principal_angle", Estimate(_mean(angles), 0, reason="the states do not vary"), _ANGLE),
        ),
        series=(
            by_layer("pc1_shift", layers.role, "ΔPC1, standard deviations", moves),
            by_layer("pc1_share", layers.role, "share of the variance on PC1", [Estimate(v, 0) for v in shares]),
            by_layer("principal_angle", layers.role, "largest of 3 angles, degrees", [Estimate(v, 0) for v in angles]),
        ),
    )


def _halves(clusters: Sequence[str], seed: int) -> list[list[int]]:
    """Indices of the examples of half of the clusters, drawn without replacement; none where clusters are few."""
    members: dict[str, list[int]] = {}
    for place, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(place)
    names = sorted(members)
    if len(names) < _FEWEST_CLUSTERS:
        return []
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(len(names), size=len(names) // 2, replace=False) for _ in range(_HALVES)]
    return [sorted(place for c in some for place in members[names[c]]) for some in drawn]


def _half_sampled(value: float | None, halves: Sequence[float | None]) -> Estimate:
    """A value with ± 1.96 times the spread over halves, which is its standard error; at most 1.

    A half drawn without replacement has the variance σ²/(N/2) · (1 - 1/2) = σ²/N: that of the whole sample.
    """
    known = [h for h in halves if h is not None]
    spread = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
    if value is None or not spread:
        return Estimate(value, 0)
    return Estimate(value, 0, value - 1.96 * spread, min(value + 1.96 * spread, 1.0))


def _part(pair: tuple[Matrix, Matrix], half: Sequence[int]) -> tuple[Matrix, Matrix]:
    first_NN, second_NN = pair
    return first_NN[np.ix_(half, half)], second_NN[np.ix_(half, half)]


def _shuffled(pair: tuple[Matrix, Matrix], rng: np.random.Generator) -> float | None:
    order = rng.permutation(len(pair[0]))
    return debiased_cka(pair[0], pair[1][np.ix_(order, order)])


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean over layers; None where one of them has no value."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _measure(role: str, count: int, name: str, estimate: Estimate, meaning: str) -> Measure:
    reason = "" if estimate.value is not None else estimate.reason or "the states of a layer do not vary"
    return Measure(
        name=name,
        split=role,
        value=estimate.value,
        count=count,
        low=estimate.low,
        high=estimate.high,
        meaning=f"{meaning} Mean over the layers.",
        reason=reason,
    )


_CKA = (
    "Similarity (debiased linear CKA) of the representations of the same texts; 1 = the same up to turning and scaling."
)
_BIASED = "The same without the correction for few examples: it is large for unrelated representations too."
_FLOOR = "The same with the texts of one model in random order: what unrelated representations give."
_CEILING = "The same of even and odd tokens of the same texts in the model at the start: two readings of one model."
_SVCCA = "Mean canonical correlation of the leading directions (SVCCA)."
_SVCCA_FLOOR = "The same with the texts of the model after in random order: what unrelated representations give."
_SVCCA_CEILING = (
    "The same of even and odd tokens of the same texts in the model at the start: two readings of one model."
)
_KEPT = "How many leading directions SVCCA compares, of both models together over two."
_PC1 = "How far the mean moved along the start's first principal direction, without its sign, in standard deviations."
_SHARE = "Share of the variance that the start's first principal direction holds; small: a move along it says little."
_ANGLE = "Largest angle between the first three principal directions of both models, degrees."
