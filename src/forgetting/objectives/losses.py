"""Losses of terms: they map the signals of one role to one number per token or per sequence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.signals import Signals
from forgetting.objectives import statistics as known
from forgetting.objectives.statistics import LOGP, RUNNER_UP, Statistic


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss and its inputs.

    `compute` maps Signals to `[N]` values if `per` is "token", to `[S]` values if it is "sequence".

    Raises:
        RecipeError: it needs statistics of the vocabulary and hidden states at once, or hidden states of the reference
            only.
    """

    name: str
    compute: Callable[[Signals], Tensor]
    needs: tuple[Statistic, ...] = (LOGP,)
    of_reference: tuple[Statistic, ...] = ()
    """Statistics of the reference model itself."""
    per: Literal["token", "sequence"] = "token"
    of_pairs: bool = False
    """Whether it compares the role's sequences with those of a partner role."""
    layers: tuple[int, ...] = ()
    """Decoder blocks, from 0, with the outputs it reads; write `needs=()` with them."""
    layers_of_reference: tuple[int, ...] = ()
    """The same for the reference model."""
    needs_popularity: bool = False
    """Whether it reads the popularity of each example."""
    unit: Literal["nats", ""] = ""
    """Nats per token for a cross-entropy or a divergence, comparable between models. Empty: its own unit."""

    def __post_init__(self) -> None:
        if self.layers_of_reference and not self.layers:
            raise RecipeError(f"the loss '{self.name}' sees no states of the model itself; give it layers=")
        if self.over_hidden_states and (self.needs or self.of_reference):
            raise RecipeError(
                f"the loss '{self.name}' asks for hidden states and for statistics of the vocabulary; write two terms, "
                "a loss each"
            )

    @property
    def over_hidden_states(self) -> bool:
        """Whether it reads hidden states, and no statistics of the vocabulary."""
        return bool(self.layers)

    @property
    def needs_reference(self) -> bool:
        """Whether it needs the model before the stage."""
        compares = any(s.against_reference for s in self.needs)
        return bool(self.of_reference or self.layers_of_reference) or compares


def of_statistic(name: str, statistic: Statistic) -> Loss:
    """A loss that equals one statistic: a cross-entropy or a divergence, in nats per token."""
    return Loss(name, lambda s: s.statistics[statistic.name], needs=(statistic,), unit="nats")


nll = Loss("nll", lambda s: -s.logp, unit="nats")
"""−log p(y): next-token cross-entropy."""

kl_from_reference = of_statistic("kl_from_reference", known.KL_FROM_REFERENCE)
"""KL(p_ref ‖ p): the direction of TOFU's and LoKU's KL baseline, on supervised positions only."""

kl_to_reference = of_statistic("kl_to_reference", known.KL_TO_REFERENCE)
"""KL(p ‖ p_ref): the direction in Forget-to-Focus, on supervised positions only."""

js_to_reference = of_statistic("js_to_reference", known.JS_TO_REFERENCE)
"""Jensen–Shannon divergence of p and p_ref, on supervised positions only: JensUn's retain loss (arXiv 2509.02820)."""

js_to_uniform = of_statistic("js_to_uniform", known.JS_TO_UNIFORM)
"""Jensen–Shannon divergence of p and 1/V: pulls the token's distribution to uniform."""

kl_from_uniform = of_statistic("kl_from_uniform", known.KL_FROM_UNIFORM)
"""KL(1/V ‖ p): pulls the token's distribution to uniform, without a bound (MaxEnt, arXiv 2410.08109)."""

ceu = of_statistic("ceu", known.CE_WITHOUT_TARGET)
"""CE-U: cross-entropy to the model's own distribution, detached, with the target's logit at −∞ (arXiv 2503.01224).

Its gradient is that of the unlikelihood loss, −log(1 − p(y)).
"""


def undial(beta: float) -> Loss:
    """UNDIAL: cross-entropy to softmax(z_ref − β·onehot(y)) (arXiv 2402.10052, section 3).

    CE-U is its limit β → ∞ with the model itself as the teacher.
    """
    return of_statistic("undial", known.ce_to_demoted_reference(beta))


def _js_to_target(s: Signals) -> Tensor:
    p, log1p = s.logp.exp(), s.logp.exp().log1p()
    return math.log(2) + (p * (s.logp - log1p) - log1p) / 2


js_to_target = Loss("js_to_target", _js_to_target, unit="nats")
"""Jensen–Shannon divergence of p and onehot(y): log 2 + ½·(p(y)·log p(y) − (1 + p(y))·log(1 + p(y))) (JensUn)."""


@dataclass(frozen=True, slots=True)
class ByPopularity:
    """An exponent for each example: clip(a·s^−b, low, high), s its popularity; the most popular have the least."""

    a: float
    b: float
    low: float
    high: float

    def of(self, s: Signals) -> Tensor:
        """The exponent of each token, `[N]`."""
        assert s.popularity_N is not None, "a loss by popularity was computed on examples without"
        return (self.a * s.popularity_N.to(s.logp.dtype).pow(-self.b)).clamp(self.low, self.high)


def weighted_nll(sure: float | ByPopularity, unsure: float = 0.0, ratio: float | None = None) -> Loss:
    """−[p^sure · (1 − p)^unsure · 2p^ratio/(p^ratio + p_ref^ratio)]·log p(y); the bracket has no gradient.

    The bracket is a weight, not normalised. Its last factor, NPO's own per token, is 1 without `ratio`, and only it
    needs the reference. With (0, 0) it is `nll`; with (0, 0, β) its gradient is that of −1 times `npo(β, "token")`.
    """

    def compute(s: Signals) -> Tensor:
        logp = s.logp.detach()
        exponent = sure.of(s) if isinstance(sure, ByPopularity) else sure
        weight = (exponent * logp).exp() * (-logp.expm1()).pow(unsure)
        if ratio is not None:
            weight = weight * 2 * torch.sigmoid(ratio * _log_ratio(s).detach())
        return -weight * s.logp

    of_reference = () if ratio is None else (LOGP,)
    return Loss("weighted_nll", compute, of_reference=of_reference, needs_popularity=isinstance(sure, ByPopularity))


logit_margin = Loss("logit_margin", lambda s: s.statistics["logit_margin"].square(), needs=(known.LOGIT_MARGIN,))
"""(max_v z_v − mean_v z_v)²: logit-margin flattening, PDU's forget loss (arXiv 2506.05314); ties: the lowest id."""


def _ihl(s: Signals) -> Tensor:
    return 1 + s.logp.exp() - s.statistics["runner_up"].exp()


ihl = Loss("ihl", _ihl, needs=(LOGP, RUNNER_UP))
"""Inverted hinge loss, 1 + p(y) − max_{v≠y} p(v), in fp32, ties to the lowest id (LoKU, section 3.3, without a number).

The released code clamps it at 0, which the paper does not; it never binds: p(y) ≥ 0 and max p(v) ≤ 1.
"""


def _sums(s: Signals, values_N: Tensor) -> Tensor:
    """The log-ratio of each sequence, `[S]`: a sum, in which each counted token has weight 1."""
    return s.sum_by_sequence(torch.where(s.weights_N != 0, values_N, 0.0))


def _means(s: Signals, values_N: Tensor) -> Tensor:
    return _sums(s, values_N) / _sums(s, torch.ones_like(values_N)).clamp(min=1)


def _log_ratio(s: Signals) -> Tensor:
    """log π − log π_ref of each token, `[N]`."""
    return s.logp - s.reference["logp"]


Level = Literal["sequence", "mean", "token"]
_SCORES: dict[str, Callable[[Signals, Tensor], Tensor]] = {"sequence": _sums, "mean": _means, "token": lambda _, x: x}


def npo(beta: float, level: Level = "sequence", *, reference: bool = True, gamma: float = 0.0) -> Loss:
    """Negative preference optimisation, −(2/β)·log σ(−β·r − γ) (arXiv 2404.05868, eq. 3).

    r is log(π/π_ref) of a `sequence` (the sum over its supervised tokens: NPO), its `mean` over them, or that of each
    `token`; without `reference`, log π alone (its mean: SimNPO). For β → 0 it becomes gradient ascent.

    Raises:
        RecipeError: unknown level.
    """
    if level not in _SCORES:
        raise RecipeError(f"unknown level '{level}'; {nearest(str(level), _SCORES)}")

    def compute(s: Signals) -> Tensor:
        score = _SCORES[level](s, _log_ratio(s) if reference else s.logp)
        return -(2 / beta) * F.logsigmoid(-beta * score - gamma)

    of_reference = (LOGP,) if reference else ()
    return Loss("npo", compute, of_reference=of_reference, per="token" if level == "token" else "sequence")


Scale = Literal["published", "open_unlearning"]


def dpo(beta: float, scale: Scale = "published") -> Loss:
    """Direct preference optimisation, −log σ(β·(Δ_chosen − Δ_rejected)) per pair (arXiv 2305.18290, eq. 7).

    Δ = log(π/π_ref) of a whole answer. The term's role is rejected, its partner chosen. `open_unlearning` multiplies by
    2/β, NPO's factor, like that code base.

    Raises:
        RecipeError: unknown scale.
    """
    factors = {"published": 1.0, "open_unlearning": 2 / beta}
    if scale not in factors:
        raise RecipeError(f"unknown scale '{scale}'; {nearest(str(scale), factors)}")

    def compute(s: Signals) -> Tensor:
        rejected, chosen = (_sums(half, _log_ratio(half)) for half in (s, s.paired))
        return -factors[scale] * F.logsigmoid(beta * (chosen - rejected))

    return Loss("dpo", compute, of_reference=(LOGP,), per="sequence", of_pairs=True)


def of_partner(loss: Loss) -> Loss:
    """A token loss on the partner of each pair: its mean over that answer's tokens, `[S]`."""

    def compute(s: Signals) -> Tensor:
        return _means(s.paired, loss.compute(s.paired))

    return replace(loss, compute=compute, per="sequence", of_pairs=True)
