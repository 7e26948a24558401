"""Losses written out plainly in float64 on whole logits: what every method is held against."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def probabilities(logits_NV: Tensor) -> Tensor:
    """softmax by its definition, shifted by the largest logit."""
    powers = (logits_NV - logits_NV.max(-1, keepdim=True).values).exp()
    return powers / powers.sum(-1, keepdim=True)


def log_probabilities(logits_NV: Tensor) -> Tensor:
    top = logits_NV.max(-1, keepdim=True).values
    return logits_NV - top - (logits_NV - top).exp().sum(-1, keepdim=True).log()


def runner_up_ids(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """By a plain loop: the largest logit of another token, the first of equals."""
    found = []
    for row, target in zip(logits_NV.tolist(), targets_N.tolist(), strict=True):
        best = max(value for token, value in enumerate(row) if token != target)
        found.append(next(t for t, value in enumerate(row) if value == best and t != target))
    return torch.tensor(found)


def statistic(name: str, logits_NV: Tensor, targets_N: Tensor, reference_NV: Tensor | None = None) -> Tensor:
    """Any statistic by its definition."""
    each = torch.arange(len(targets_N))
    log_p = log_probabilities(logits_NV)
    if name == "logp":
        return log_p[each, targets_N]
    if name == "runner_up":
        return log_p[each, runner_up_ids(logits_NV.detach(), targets_N)]
    if name == "entropy":
        return -(log_p.exp() * log_p).sum(-1)
    if name == "rank":
        rows = zip(logits_NV.tolist(), targets_N.tolist(), strict=True)
        return torch.tensor([float(sum(value > row[target] for value in row)) for row, target in rows])
    assert reference_NV is not None
    log_q = log_probabilities(reference_NV)
    if name == "kl_from_reference":
        return (log_q.exp() * (log_q - log_p)).sum(-1)
    assert name == "kl_to_reference", name
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def log_sigmoid(x: Tensor) -> Tensor:
    return -torch.log1p((-x).exp()) if x.item() > 0 else x - torch.log1p(x.exp())


def token_values(loss: str, logits_NV: Tensor, targets_N: Tensor, reference_NV: Tensor) -> Tensor:
    """The token losses by their formulas."""
    if loss == "nll":
        return -statistic("logp", logits_NV, targets_N)
    if loss == "ihl":
        p = probabilities(logits_NV)
        each = torch.arange(len(targets_N))
        return 1 + p[each, targets_N] - p[each, runner_up_ids(logits_NV.detach(), targets_N)]
    return statistic(loss, logits_NV, targets_N, reference_NV)


def averaged(values_N: Tensor, weights: list[float], sequences: list[int], average: str, sign: int) -> Tensor:
    """One average by plain loops over tokens and sequences; only weights of `sign` count."""
    mass = [max(sign * w, 0.0) for w in weights]
    by_sequence: dict[int, list[int]] = {}
    for n, s in enumerate(sequences):
        if mass[n] > 0:
            by_sequence.setdefault(s, []).append(n)
    if not by_sequence:
        return values_N.sum() * 0
    if average == "token":
        return sum(mass[n] * values_N[n] for n in range(len(mass))) / math.fsum(mass)
    sums = []
    for members in by_sequence.values():
        total = sum(mass[n] * values_N[n] for n in members)
        sums.append(total / math.fsum(mass[n] for n in members) if average == "sequence" else total)
    return sum(sums) / len(sums)


def log_ratios(
    logits_NV: Tensor, reference_NV: Tensor, targets_N: Tensor, sequences: list[int], weights: list[float], sign: int
) -> dict[int, tuple[Tensor, float]]:
    """By sequence: Σ log p − Σ log p_ref over the tokens whose weight has this sign, and the mean of their |weight|."""
    ratio_N = statistic("logp", logits_NV, targets_N) - statistic("logp", reference_NV, targets_N)
    found = {}
    for s in sorted(set(sequences)):
        own = [n for n, sequence in enumerate(sequences) if sequence == s and sign * weights[n] > 0]
        if own:
            found[s] = (sum(ratio_N[n] for n in own), math.fsum(abs(weights[n]) for n in own) / len(own))
    return found


def npo(
    logits_NV: Tensor,
    reference_NV: Tensor,
    targets_N: Tensor,
    sequences: list[int],
    beta: float,
    weights: list[float] | None = None,
    sign: int = 1,
) -> Tensor:
    """−(2/β)·mean over sequences of log σ(−β·(Σ log p − Σ log p_ref)), a sequence weighing as its tokens do."""
    given = weights or [1.0] * len(sequences)
    ratios = log_ratios(logits_NV, reference_NV, targets_N, sequences, given, sign).values()
    values = [-(2 / beta) * log_sigmoid(-beta * ratio) * weight for ratio, weight in ratios]
    return sum(values) / math.fsum(weight for _, weight in ratios)


def dpo(
    rejected: tuple[Tensor, Tensor, Tensor, list[int], list[float]],
    chosen: tuple[Tensor, Tensor, Tensor, list[int], list[float]],
    beta: float,
    factor: float = 1.0,
) -> Tensor:
    """−factor·mean over pairs of log σ(β·(Δ_chosen − Δ_rejected)), a pair weighing as its rejected tokens do.

    `rejected` and `chosen`: logits, the reference's logits, targets, sequences, weights.
    """
    down, up = log_ratios(*rejected, 1), log_ratios(*chosen, 1)
    total, weights = torch.zeros((), dtype=rejected[0].dtype), []
    for s, (ratio, weight) in down.items():
        better = up[s][0] if s in up else 0.0
        total = total - factor * weight * log_sigmoid(beta * (better - ratio))
        weights.append(weight)
    return total / math.fsum(weights)
