"""Statistics of a next-token distribution: differentiable functions of a chunk of logits, one number per token.

Letters: N tokens of the chunk, V vocabulary. Everything is computed in fp32 for any precision of the model (a float64
input stays float64, for tests).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from forgetting.objectives.divergences import (
    CrossEntropyToDemoted,
    CrossEntropyWithoutTarget,
    Divergence,
    JensenShannon,
)
from forgetting.objectives.rows import few_rows


class _LogProbs(torch.autograd.Function):
    """log p of the target and, if requested, of the best other token, `[N, 1 or 2]`; ties go to the lowest id.

    Processes a few rows at a time; the backward pass writes a single (N, V) tensor.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, logits_NV: Tensor, targets_N: Tensor, with_runner_up: bool
    ) -> Tensor:
        ids_NK = targets_N[:, None].repeat(1, 1 + with_runner_up)
        below_NK = logits_NV.new_empty(ids_NK.shape)
        largest_N1, log_sum_N1 = logits_NV.new_empty(2, len(targets_N), 1)
        for rows in few_rows(logits_NV):
            # The largest logit is subtracted first, and the target is left out of the sum: log sum exp as one number
            # would be rounded at its size, and with it every log p near 0, as for memorised text.
            largest_N1[rows] = logits_NV[rows].amax(-1, keepdim=True)
            below_NV = logits_NV[rows] - largest_N1[rows]
            own_N1 = below_NV.gather(-1, ids_NK[rows, :1])
            others_NV = below_NV.scatter_(-1, ids_NK[rows, :1], -torch.inf)
            below_NK[rows, :1] = own_N1
            if with_runner_up:
                ids_NK[rows, 1] = most_likely(others_NV)
                below_NK[rows, 1:] = others_NV.gather(-1, ids_NK[rows, 1:])
            log_sum_N1[rows] = (_exp_(others_NV).sum(-1, keepdim=True) + own_N1.expm1()).log1p_()
        ctx.save_for_backward(logits_NV, ids_NK, largest_N1, log_sum_N1)
        return below_NK - log_sum_N1

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None, None]:
        logits_NV, ids_NK, largest_N1, log_sum_N1 = ctx.saved_tensors  # type: ignore[attr-defined]
        (grad_NK,) = grads
        out_NV = torch.empty_like(logits_NV)
        for rows in few_rows(logits_NV):
            torch.sub(logits_NV[rows], largest_N1[rows], out=out_NV[rows]).sub_(log_sum_N1[rows])
            _exp_(out_NV[rows]).mul_(-grad_NK[rows].sum(-1, keepdim=True))
        return out_NV.scatter_add_(-1, ids_NK, grad_NK), None, None


def _exp_(powers: Tensor) -> Tensor:
    """exp, in place: on a processor torch computes powers of 2 twice as fast as powers of e."""
    return powers.mul_(1 / math.log(2)).exp2_()


def most_likely(logits_NV: Tensor) -> Tensor:
    """The largest logit's token; ties go to the lowest id."""
    short = -logits_NV.shape[-1] % 128  # `amax` over blocks, then `argmax` in one, is five times as fast as `argmax`
    padded_NV = functional.pad(logits_NV, (0, short), value=-torch.inf) if short else logits_NV
    blocks_NBW = padded_NV.unflatten(-1, (-1, 128))
    block_N = blocks_NBW.amax(-1).argmax(-1)
    return 128 * block_N + blocks_NBW[torch.arange(len(block_N), device=block_N.device), block_N].argmax(-1)


@dataclass
class Distribution:
    """The next-token distributions of N tokens, given by logits; shared intermediates are computed once."""

    logits_NV: Tensor
    targets_N: Tensor
    with_runner_up: bool = False
    reference: Distribution | None = None

    @cached_property
    def _picked_NK(self) -> Tensor:
        return _LogProbs.apply(self.logits_NV, self.targets_N, self.with_runner_up)

    @property
    def logp_N(self) -> Tensor:
        """log p(target)."""
        return self._picked_NK[:, 0]

    @property
    def runner_up_logp_N(self) -> Tensor:
        """log p of the best token other than the target."""
        return self._picked_NK[:, 1]

    @cached_property
    def log_probs_NV(self) -> Tensor:
        """The whole log softmax, for statistics that need every token."""
        return self.logits_NV.log_softmax(-1)

    @property
    def against(self) -> Distribution:
        """The reference's distributions; it is a programming error if there is none."""
        assert self.reference is not None, "a statistic against the reference needs reference logits"
        return self.reference


@dataclass(frozen=True, slots=True)
class Statistic:
    """A named statistic; `against_reference`: it compares the model with the reference, whose logits it needs."""

    name: str
    compute: Callable[[Distribution], Tensor]
    against_reference: bool = False


def _rank(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    rank_N = torch.empty_like(logits_NV[:, 0])
    for rows in few_rows(logits_NV):
        own_N1 = logits_NV[rows].gather(-1, targets_N[rows, None])
        rank_N[rows] = torch.gt(logits_NV[rows], own_N1, out=torch.empty_like(logits_NV[rows])).sum(-1)
    return rank_N


def _varentropy(log_probs_NV: Tensor) -> Tensor:
    probs_NV = log_probs_NV.exp()
    mean_N1 = (probs_NV * log_probs_NV).sum(-1, keepdim=True)
    return (probs_NV * (log_probs_NV - mean_N1).square()).sum(-1)


def _margin(logits_NV: Tensor) -> Tensor:
    top_N1 = most_likely(logits_NV.detach())[:, None]
    return logits_NV.gather(-1, top_N1)[:, 0] - logits_NV.mean(-1)


LOGP = Statistic("logp", lambda d: d.logp_N)
"""log p(target), nats."""
RUNNER_UP = Statistic("runner_up", lambda d: d.runner_up_logp_N)
"""log p of the best token other than the target, nats."""
ENTROPY = Statistic("entropy", lambda d: -(d.log_probs_NV.exp() * d.log_probs_NV).sum(-1))
"""Entropy of the distribution, nats."""
VARENTROPY = Statistic("varentropy", lambda d: _varentropy(d.log_probs_NV))
"""Variance of log p under the distribution itself, nats²; its mean there is the entropy with the sign turned."""
RANK = Statistic("rank", lambda d: _rank(d.logits_NV.detach(), d.targets_N))
"""The number of tokens that are more likely than the target; not differentiable."""
LOGIT_MARGIN = Statistic("logit_margin", lambda d: _margin(d.logits_NV))
"""The largest logit minus the mean of all: 0 if the distribution is uniform."""
KL_FROM_REFERENCE = Statistic(
    "kl_from_reference", lambda d: Divergence.apply(d.against.logits_NV, d.logits_NV), against_reference=True
)
"""KL(p_reference ‖ p_model), nats (TOFU's direction)."""
KL_TO_REFERENCE = Statistic(
    "kl_to_reference", lambda d: Divergence.apply(d.logits_NV, d.against.logits_NV), against_reference=True
)
"""KL(p_model ‖ p_reference), nats (Forget-to-Focus's direction)."""
JS_TO_REFERENCE = Statistic(
    "js_to_reference", lambda d: JensenShannon.apply(d.logits_NV, d.against.logits_NV), against_reference=True
)
"""Jensen–Shannon divergence of p_model and p_reference, nats, between 0 and log 2."""
JS_TO_UNIFORM = Statistic(
    "js_to_uniform", lambda d: JensenShannon.apply(d.logits_NV, d.logits_NV.new_zeros(()).expand_as(d.logits_NV))
)
"""Jensen–Shannon divergence of p_model and 1/V, nats."""
KL_FROM_UNIFORM = Statistic(
    "kl_from_uniform", lambda d: Divergence.apply(d.logits_NV.new_zeros(()).expand_as(d.logits_NV), d.logits_NV)
)
"""KL(1/V ‖ p_model), nats: −log V − mean_v log p(v)."""
CE_WITHOUT_TARGET = Statistic("ce_without_target", lambda d: CrossEntropyWithoutTarget.apply(d.logits_NV, d.targets_N))
"""Cross-entropy to the model's own distribution (without gradient) over all tokens except the target, nats.

Its gradient is that of −log(1 − p(target)); the values differ by the entropy of that distribution.
"""


def ce_to_demoted_reference(beta: float) -> Statistic:
    """Cross-entropy to softmax(z_ref − β·onehot(y)), nats."""

    def compute(d: Distribution) -> Tensor:
        return CrossEntropyToDemoted.apply(d.logits_NV, d.against.logits_NV, d.targets_N, beta)

    return Statistic(f"ce_to_reference_demoted_by_{beta}", compute, against_reference=True)


def statistics_of(
    logits_NV: Tensor, targets_N: Tensor, wanted: tuple[Statistic, ...], reference_logits_NV: Tensor | None = None
) -> dict[str, Tensor]:
    """The wanted statistics of one chunk, each `[N]`, differentiable in `logits_NV`.

    Args:
        logits_NV: the model's logits at N supervised positions.
        targets_N: the token ids that follow.
        wanted: the names of the statistics.
        reference_logits_NV: the reference's logits at the same positions, for statistics that compare.
    """
    reference = None
    if reference_logits_NV is not None:
        reference = Distribution(reference_logits_NV.detach(), targets_N)
    distribution = Distribution(logits_NV, targets_N, RUNNER_UP in wanted, reference)
    return {statistic.name: statistic.compute(distribution) for statistic in wanted}
