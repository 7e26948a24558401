"""Divergences of next-token distributions: differentiable, a few rows at a time.

Letters: N tokens of a chunk, V vocabulary. Apart from the logits and their gradients, no (N, V) tensor is kept.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from forgetting.objectives.rows import few_rows


class Divergence(torch.autograd.Function):
    """KL(a ‖ b) = Σ a·(log a − log b) of two sets of logits, `[N]`."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, a_NV: Tensor, b_NV: Tensor) -> Tensor:
        divergence_N = torch.empty_like(a_NV[:, 0])
        for rows in few_rows(a_NV):
            log_a, log_b = a_NV[rows].log_softmax(-1), b_NV[rows].log_softmax(-1)
            gap = log_b.neg_().add_(log_a)
            divergence_N[rows] = log_a.exp_().mul_(gap).sum(-1)
        ctx.save_for_backward(a_NV, b_NV, divergence_N)
        return divergence_N

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a_NV, b_NV, divergence_N = ctx.saved_tensors  # type: ignore[attr-defined]
        needs_a, needs_b = ctx.needs_input_grad  # type: ignore[attr-defined]
        to_a_NV = torch.empty_like(a_NV) if needs_a else None
        to_b_NV = torch.empty_like(b_NV) if needs_b else None
        for rows in few_rows(a_NV):
            log_a, log_b, slope = a_NV[rows].log_softmax(-1), b_NV[rows].log_softmax(-1), grads[0][rows, None]
            probs_a = log_a.exp()
            if to_a_NV is not None:  # a·(log a − log b − KL)
                gap = log_a.sub_(log_b).sub_(divergence_N[rows, None])
                to_a_NV[rows] = _adding_up_to_nothing(gap.mul_(probs_a), *probs_a.max(-1, keepdim=True)).mul_(slope)
            if to_b_NV is not None:  # b − a
                probs_b = log_b.exp_()
                likeliest = probs_b.max(-1, keepdim=True)
                to_b_NV[rows] = _adding_up_to_nothing(probs_b.sub_(probs_a), *likeliest).mul_(slope)
        return to_a_NV, to_b_NV


def _adding_up_to_nothing(slopes_NV: Tensor, top_N1: Tensor, likeliest_N1: Tensor) -> Tensor:
    """Slopes of logits, which add up to 0: that of a token of more than one half is what the others leave.

    Of a token that is nearly certain it is a small difference of two large numbers, of which rounding leaves little;
    where none is, the sum over the vocabulary has the larger error.

    Args:
        slopes_NV: changed in place.
        top_N1: the probability of each row's likeliest token.
        likeliest_N1: that token.
    """
    own_N1 = slopes_NV.gather(-1, likeliest_N1)
    others_N1 = slopes_NV.scatter_(-1, likeliest_N1, 0.0).sum(-1, keepdim=True)
    return slopes_NV.scatter_(-1, likeliest_N1, torch.where(top_N1 > 0.5, -others_N1, own_N1))


class JensenShannon(torch.autograd.Function):
    """½·KL(a ‖ m) + ½·KL(b ‖ m) of two sets of logits, m = (a + b)/2, `[N]`; the gradient is with respect to a only."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, a_NV: Tensor, b_NV: Tensor) -> Tensor:
        divergence_N, own_N = torch.empty_like(a_NV[:, 0]), torch.empty_like(a_NV[:, 0])
        for rows in few_rows(a_NV):
            log_a, log_b = a_NV[rows].log_softmax(-1), b_NV[rows].log_softmax(-1)
            log_m = torch.logaddexp(log_a, log_b).sub_(math.log(2))
            own_N[rows] = (log_a - log_m).mul_(log_a.exp_()).sum(-1)
            divergence_N[rows] = (log_b - log_m).mul_(log_b.exp_()).sum(-1).add_(own_N[rows]).div_(2)
        ctx.save_for_backward(a_NV, b_NV, own_N)
        return divergence_N

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        a_NV, b_NV, own_N = ctx.saved_tensors  # type: ignore[attr-defined]
        to_a_NV = torch.empty_like(a_NV)
        for rows in few_rows(a_NV):  # ½·a·(log a − log m − KL(a ‖ m))
            log_a = a_NV[rows].log_softmax(-1)
            log_m = torch.logaddexp(log_a, b_NV[rows].log_softmax(-1)).sub_(math.log(2))
            gap, probs_a = (log_a - log_m).sub_(own_N[rows, None]), log_a.exp_()
            likeliest = probs_a.max(-1, keepdim=True)
            to_a_NV[rows] = _adding_up_to_nothing(gap.mul_(probs_a), *likeliest).mul_(grads[0][rows, None] / 2)
        return to_a_NV, None


class CrossEntropyToDemoted(torch.autograd.Function):
    """−Σ q·log p, q the softmax of a teacher's logits with the target's lowered by β, `[N]`; q has no gradient."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, logits_NV: Tensor, teacher_NV: Tensor, targets_N: Tensor, beta: float
    ) -> Tensor:
        entropy_N = torch.empty_like(logits_NV[:, 0])
        for rows in few_rows(logits_NV):
            q_NV = _demoted(teacher_NV[rows], targets_N[rows], beta)
            entropy_N[rows] = q_NV.mul_(logits_NV[rows].log_softmax(-1)).sum(-1).neg_()
        ctx.save_for_backward(logits_NV, teacher_NV, targets_N)
        ctx.beta = beta  # type: ignore[attr-defined]
        return entropy_N

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        logits_NV, teacher_NV, targets_N = ctx.saved_tensors  # type: ignore[attr-defined]
        out_NV = torch.empty_like(logits_NV)
        for rows in few_rows(logits_NV):  # p − q
            probs = logits_NV[rows].softmax(-1)
            likeliest = probs.max(-1, keepdim=True)
            gap = probs.sub_(_demoted(teacher_NV[rows], targets_N[rows], ctx.beta))  # type: ignore[attr-defined]
            out_NV[rows] = _adding_up_to_nothing(gap, *likeliest).mul_(grads[0][rows, None])
        return out_NV, None, None, None


class CrossEntropyWithoutTarget(torch.autograd.Function):
    """−Σ q·log p, q the logits' own softmax over all tokens except the target, `[N]`; q has no gradient."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, logits_NV: Tensor, targets_N: Tensor) -> Tensor:
        entropy_N = torch.empty_like(logits_NV[:, 0])
        for rows in few_rows(logits_NV):
            q_NV = _demoted(logits_NV[rows], targets_N[rows], math.inf)
            entropy_N[rows] = q_NV.mul_(logits_NV[rows].log_softmax(-1)).sum(-1).neg_()
        ctx.save_for_backward(logits_NV, targets_N)
        return entropy_N

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        logits_NV, targets_N = ctx.saved_tensors  # type: ignore[attr-defined]
        out_NV = torch.empty_like(logits_NV)
        for rows in few_rows(logits_NV):
            # p − q = p(y)·(onehot(y) − q): the difference would be lost to rounding if p(y) is small.
            own_N1 = logits_NV[rows].softmax(-1).gather(-1, targets_N[rows, None]).mul_(grads[0][rows, None])
            q_NV = _demoted(logits_NV[rows], targets_N[rows], math.inf)
            out_NV[rows] = q_NV.mul_(-own_N1).scatter_add_(-1, targets_N[rows, None], own_N1)
        return out_NV, None


def _demoted(logits_NV: Tensor, targets_N: Tensor, beta: float) -> Tensor:
    """softmax(z − β·onehot(y)); for infinite β the target has probability 0."""
    lowered = torch.full_like(targets_N[:, None], -beta, dtype=logits_NV.dtype)
    return logits_NV.scatter_add(-1, targets_N[:, None], lowered).softmax(-1)
