"""The losses that terms are made of: signals of one role in, one number per token or per sequence out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.signals import Signals
from forgetting.objectives.statistics import (
    KL_FROM_REFERENCE,
    KL_TO_REFERENCE,
    LOGP,
    RUNNER_UP,
    Statistic,
)


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss with what it needs to see.

    `compute` maps Signals to `[N]` values if `per` is "token", to `[S]` values if it is "sequence".
    """

    name: str
    compute: Callable[[Signals], Tensor]
    needs: tuple[Statistic, ...] = (LOGP,)
    of_reference: tuple[Statistic, ...] = ()
    """Statistics of the reference model itself."""
    per: Literal["token", "sequence"] = "token"
    of_pairs: bool = False
    """Whether it compares the role's sequences with those of a partner role."""

    @property
    def needs_reference(self) -> bool:
        """Whether the model as it was before the stage has to be consulted."""
        return bool(self.of_reference) or any(s.against_reference for s in self.needs)


nll = Loss("nll", lambda s: -s.logp)
"""−log p(y): next-token cross-entropy."""

kl_from_reference = Loss("kl_from_reference", lambda s: s.statistics["kl_from_reference"], needs=(KL_FROM_REFERENCE,))
"""KL(p_ref ‖ p): the direction of TOFU's and LoKU's KL baseline, on supervised positions only."""

kl_to_reference = Loss("kl_to_reference", lambda s: s.statistics["kl_to_reference"], needs=(KL_TO_REFERENCE,))
"""KL(p ‖ p_ref): the direction Forget-to-Focus writes, on supervised positions only."""


def _ihl(s: Signals) -> Tensor:
    return 1 + s.logp.exp() - s.statistics["runner_up"].exp()


ihl = Loss("ihl", _ihl, needs=(LOGP, RUNNER_UP))
"""Inverted hinge loss, 1 + p(y) − max_{v≠y} p(v), in fp32, ties to the lowest id (LoKU, section 3.2).

The paper clamps it at 0, which never binds: p(y) ≥ 0 and max p(v) ≤ 1.
"""


def _log_ratio(s: Signals) -> Tensor:
    """log π − log π_ref of each sequence, `[S]`: of likelihoods, so a counted token stands once whatever its weight."""
    return s.sum_by_sequence(torch.where(s.weights_N != 0, s.logp - s.reference["logp"], 0.0))


def npo(beta: float) -> Loss:
    """Negative preference optimisation, −(2/β)·log σ(−β·log(π/π_ref)) per sequence (arXiv 2404.05868, eq. 3).

    log π is the sum of log p over the sequence's supervised tokens. As β → 0 it becomes gradient ascent.
    """

    def compute(s: Signals) -> Tensor:
        return -(2 / beta) * F.logsigmoid(-beta * _log_ratio(s))

    return Loss("npo", compute, of_reference=(LOGP,), per="sequence")


Scale = Literal["published", "open_unlearning"]


def dpo(beta: float, scale: Scale = "published") -> Loss:
    """Direct preference optimisation, −log σ(β·(Δ_chosen − Δ_rejected)) per pair (arXiv 2305.18290, eq. 7).

    Δ = log(π/π_ref) of a whole answer. The term's role is rejected, its partner chosen. `open_unlearning` multiplies by
    2/β, NPO's factor, as that code base does.

    Raises:
        RecipeError: another scale.
    """
    factors = {"published": 1.0, "open_unlearning": 2 / beta}
    if scale not in factors:
        raise RecipeError(f"unknown scale '{scale}'; {nearest(str(scale), factors)}")

    def compute(s: Signals) -> Tensor:
        return -factors[scale] * F.logsigmoid(beta * (_log_ratio(s.paired) - _log_ratio(s)))

    return Loss("dpo", compute, of_reference=(LOGP,), per="sequence", of_pairs=True)
