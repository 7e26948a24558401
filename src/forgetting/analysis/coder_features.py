"""What a sparse coder finds in the states of two models: how well it explains them, and which features changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forgetting.analysis.compared import Compared, Findings
from forgetting.analysis.discoveries import discoveries, flip_test
from forgetting.analysis.sparse_coder import TokenStates, coded, token_states, unexplained
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.metrics.changes import mean_change
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import Estimate, estimate_mean, seed_of
from forgetting.models.view import View

_WORDS = 5
_MEANINGS = {
    "fvu": "Share of the states' variance that the coder of the model before does not explain",
    "nll": "-log p of the answer, nats per token",
    "nll_reconstructed": "The same with the layer's states replaced by the coder's reconstructions",
    "cost": "Change of what reconstruction costs (NLL with it minus NLL), nats per token, after minus start.",
    "features_tested": "Features that changed in at least 6 source examples.",
    "features_changed": "Features active for more or fewer tokens than at the start, at 5% false discoveries.",
}


@dataclass(frozen=True, eq=False)
class _Point:
    """One model on the examples of one role."""

    tokens: TokenStates
    fvu_N: NDArray[np.float64]
    """FVU of each example's tokens, with the mean state over all examples."""
    weights_N: NDArray[np.float64]
    """The variance of each example's tokens, which weighs its FVU."""
    reconstructed_N: NDArray[np.float64]
    """-log p of each example with its states reconstructed."""
    active_NF: NDArray[np.float32]
    """Tokens of each example for which each feature is active."""
    strongest: Mapping[int, list[tuple[float, int]]]
    """Of some features, strength and token where they are the most active."""


def features_of_role(
    compared: Compared, role: str, examples: Sequence[Example], block: int, coder: Any, shown: int
) -> Findings:
    """How well the coder explains the models at start and after, and which of its features changed on these examples.

    Args:
        compared: the two models.
        role: of the examples; the split of the measures.
        examples: those to measure.
        block: the decoder block after which states are read.
        coder: of this layer of the model before.
        shown: how many of the changed features, most changed first, go to figure and list.
    """
    start, after = (_point(compared, view, role, examples, block, coder) for view in (compared.start, compared.after))
    clusters = [e.cluster for e in examples]
    measures = [
        m for name, point in (("start", start), ("after", after)) for m in _of_point(role, name, point, clusters)
    ]
    kept = [float(a - s) for s, a in zip(_cost(start), _cost(after), strict=True)]
    change = mean_change(kept, clusters, key=f"{role}/sae/cost")
    measures.append(
        measure(change, name="delta_cost_of_reconstruction", split=role, direction="none", meaning=_MEANINGS["cost"])
    )
    counts_N = np.bincount(start.tokens.rows_T, minlength=len(examples)).astype(np.float64)
    moved_NF = after.active_NF - start.active_NF
    names = sorted(set(clusters))
    place = {name: c for c, name in enumerate(names)}
    moved_CF = np.zeros((len(names), moved_NF.shape[1]))
    np.add.at(moved_CF, [place[c] for c in clusters], moved_NF)
    p_F = flip_test(moved_CF, seed=seed_of(f"{role}/sae"))
    found_F = discoveries(p_F)
    tested, count = int((~np.isnan(p_F)).sum()), len(names)
    for name, value in (("features_tested", tested), ("features_changed", int(found_F.sum()))):
        measures.append(Measure(name=name, split=role, value=float(value), count=count, meaning=_MEANINGS[name]))
    order = sorted(np.flatnonzero(found_F), key=lambda f: (-abs(float(moved_CF[:, f].sum())), int(f)))[:shown]
    estimates = [_shift(role, int(f), moved_NF, counts_N, clusters) for f in order]
    series = () if not order else (_drawn(role, [f"#{f}" for f in order], estimates),)
    return Findings(measures=tuple(measures), series=series, texts=_words(compared, role, order, (start, after)))


def _point(compared: Compared, view: View, role: str, examples: Sequence[Example], block: int, coder: Any) -> _Point:
    def read(with_coder: Any) -> TokenStates:
        with view.active() as model:
            return token_states(
                model,
                compared.tokenizer,
                examples,
                block,
                formatting=compared.formatting,
                coder=with_coder,
                progress=lambda done, total, note: compared.voice.progress(done, total, f"{role}: {note}"),
            )

    tokens = read(None)
    changed_N = read(coder).nll_N
    coder = coder.to("cpu")
    hat_TD, strengths_TK, numbers_TK = coded(coder, tokens.states_TD)
    left_T, all_T = unexplained(tokens.states_TD, hat_TD)
    count = len(examples)
    left_N, all_N = (np.bincount(tokens.rows_T, some, count).astype(np.float64) for some in (left_T, all_T))
    active_TK = strengths_TK > 0
    active_NF = torch.zeros(count, coder.num_latents)
    rows_TK = torch.from_numpy(tokens.rows_T)[:, None].expand_as(numbers_TK)
    active_NF.index_put_((rows_TK[active_TK], numbers_TK[active_TK]), torch.ones(int(active_TK.sum())), accumulate=True)
    return _Point(
        tokens=tokens,
        fvu_N=np.divide(left_N, all_N, out=np.full(count, np.nan), where=all_N > 0),
        weights_N=all_N,
        reconstructed_N=changed_N,
        active_NF=active_NF.numpy(),
        strongest=_strongest(strengths_TK, numbers_TK, tokens.ids_T),
    )


def _cost(point: _Point) -> NDArray[np.float64]:
    return point.reconstructed_N - point.tokens.nll_N


def _strongest(
    strengths_TK: Tensor, numbers_TK: Tensor, ids_T: NDArray[np.int64]
) -> dict[int, list[tuple[float, int]]]:
    """Of each feature the tokens where it is the most active, each token once."""
    found: dict[int, dict[int, float]] = {}
    for strengths, numbers, token in zip(strengths_TK.tolist(), numbers_TK.tolist(), ids_T.tolist(), strict=True):
        for strength, number in zip(strengths, numbers, strict=True):
            if strength > 0:
                own = found.setdefault(number, {})
                own[token] = max(strength, own.get(token, 0.0))
    return {f: sorted(((s, t) for t, s in own.items()), reverse=True)[:_WORDS] for f, own in found.items()}


def _of_point(role: str, name: str, point: _Point, clusters: Sequence[str]) -> list[Measure]:
    fvu = estimate_mean(list(point.fvu_N), clusters, key=f"{role}/{name}/fvu", weights=list(point.weights_N))
    estimates = {
        "fvu": fvu,
        "nll": estimate_mean(list(point.tokens.nll_N), clusters, key=f"{role}/{name}/nll"),
        "nll_reconstructed": estimate_mean(list(point.reconstructed_N), clusters, key=f"{role}/{name}/nll_hat"),
    }
    return [
        measure(estimate, name=f"{key}_{name}", split=role, direction="none", meaning=f"{_MEANINGS[key]} ({name}).")
        for key, estimate in estimates.items()
    ]


def _shift(
    role: str, feature: int, moved_NF: NDArray[np.float32], counts_N: NDArray[np.float64], clusters: Sequence[str]
) -> Estimate:
    """The change of a feature's rate: of all tokens together, clustered by source example."""
    rates = [float(m) / n if n else None for m, n in zip(moved_NF[:, feature], counts_N, strict=True)]
    return estimate_mean(rates, clusters, key=f"{role}/sae/{feature}", weights=list(counts_N))


def _drawn(role: str, names: Sequence[str], estimates: Sequence[Estimate]) -> Series:
    return Series(
        figure=f"features_{role}",
        name=role,
        x_label="feature",
        y_label="share of tokens that a feature is active for, after − start",
        x=tuple(names),
        y=tuple(e.value for e in estimates),
        low=tuple(e.low for e in estimates),
        high=tuple(e.high for e in estimates),
        points=True,
    )


def _words(compared: Compared, role: str, order: Sequence[Any], points: Sequence[_Point]) -> dict[str, str]:
    """The tokens that each of these features is the most active for, in any of the models."""
    found = {}
    for feature in order:
        best = sorted((pair for point in points for pair in point.strongest.get(int(feature), ())), reverse=True)
        tokens = list(dict.fromkeys(token for _, token in best))[:_WORDS]
        found[f"{role} #{feature}"] = ", ".join(repr(compared.tokenizer.decode([token])) for token in tokens)
    return found
