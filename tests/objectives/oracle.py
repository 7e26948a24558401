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
    if name == "varentropy":
        mean_N1 = (log_p.exp() * log_p).sum(-1, keepdim=True)
        return (log_p.exp() * log_p.square()).sum(-1) - mean_N1[:, 0].square()
    if name == "rank":
        rows = zip(logits_NV.tolist(), targets_N.tolist(), strict=True)
        return torch.tensor([float(sum(value > row[target] for value in row)) for row, target in rows])
    if name == "js_to_uniform":
        return jensen_shannon(log_p.exp(), torch.full_like(log_p, 1 / log_p.shape[-1]))
    if name == "kl_from_uniform":
        return (math.log(1 / log_p.shape[-1]) - log_p).mean(-1)
    if name == "ce_without_target":
        return -(without_target(logits_NV.detach(), targets_N) * log_p).sum(-1)
    assert reference_NV is not None
    if name.startswith("ce_to_reference_demoted_by_"):
        beta = float(name.removeprefix("ce_to_reference_demoted_by_"))
        teacher = probabilities(reference_NV - beta * torch.nn.functional.one_hot(targets_N, log_p.shape[-1]))
        return -(teacher * log_p).sum(-1)
    if name == "js_to_reference":
        return jensen_shannon(log_p.exp(), probabilities(reference_NV))
    log_q = log_probabilities(reference_NV)
    if name == "kl_from_reference":
        return (log_q.exp() * (log_q - log_p)).sum(-1)
    assert name == "kl_to_reference", name
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def without_target(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """The distribution over the other tokens: p(v)/(1 − p(y)), and 0 for y."""
    others = probabilities(logits_NV).scatter(-1, targets_N[:, None], 0.0)
    return others / others.sum(-1, keepdim=True)


def jensen_shannon(p_NV: Tensor, q_NV: Tensor) -> Tensor:
    """½·KL(p ‖ m) + ½·KL(q ‖ m), m = (p + q)/2, with 0·log 0 = 0."""
    m_NV = (p_NV + q_NV) / 2
    return sum((torch.xlogy(x, x) - torch.xlogy(x, m_NV)).sum(-1) for x in (p_NV, q_NV)) / 2  # type: ignore[return-value]


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
    if loss == "js_to_target":
        onehot = torch.nn.functional.one_hot(targets_N, logits_NV.shape[-1]).to(logits_NV.dtype)
        return jensen_shannon(probabilities(logits_NV), onehot)
    if loss == "ceu":
        return statistic("ce_without_target", logits_NV, targets_N)
    if loss.startswith("undial"):
        return statistic(f"ce_to_reference_demoted_by_{loss.split()[1]}", logits_NV, targets_N, reference_NV)
    if loss.startswith("weighted_nll"):
        sure, unsure, *ratio = map(float, loss.split()[1:])
        p = statistic("logp", logits_NV, targets_N).exp()
        weight = p**sure * (1 - p) ** unsure
        for beta in ratio:
            before = statistic("logp", reference_NV, targets_N).exp()
            weight = weight * 2 * p**beta / (p**beta + before**beta)
        return -weight.detach() * p.log()
    if loss.startswith("npo"):
        beta = float(loss.split()[1])
        ratio = statistic("logp", logits_NV, targets_N) - statistic("logp", reference_NV, targets_N)
        return torch.stack([-(2 / beta) * log_sigmoid(-beta * r) for r in ratio])
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


def simnpo(
    logits_NV: Tensor,
    targets_N: Tensor,
    sequences: list[int],
    beta: float,
    gamma: float,
    reference_NV: Tensor | None = None,
) -> Tensor:
    """−(2/β)·mean over sequences of log σ(−(β/|y|)·Σ log p − γ); with a reference, of log p − log p_ref."""
    score_N = statistic("logp", logits_NV, targets_N)
    if reference_NV is not None:
        score_N = score_N - statistic("logp", reference_NV, targets_N)
    values = []
    for s in sorted(set(sequences)):
        own = [score_N[n] for n, sequence in enumerate(sequences) if sequence == s]
        values.append(-(2 / beta) * log_sigmoid(-(beta / len(own)) * sum(own) - gamma))
    return sum(values) / len(values)


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
