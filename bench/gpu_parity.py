"""Losses and gradients of every objective on a device, beside those of the processor in fp32."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from forgetting.core.example import Role
from forgetting.data.encode import Encoded
from forgetting.data.plan import StepPlan
from forgetting.objectives.methods import METHODS, build_method
from forgetting.training.learner import Learner
from forgetting.training.micro_batches import MicroBatches, pass_tokens
from forgetting.training.reference import LiveReference

TOLERANCES = {"float32": 1e-3, "bfloat16": 0.1}
"""The largest difference of a loss or of the whole gradient, over its size, that counts as equal. That of bf16 is
eight bits of mantissa through eight layers; IHL's runner-up may turn, too."""
VOCABULARY, LENGTH, ROWS = 257, 24, 4
LAYERS = 8
"""RMU reads layer 7."""


@dataclass(frozen=True)
class Parity:
    """One objective in one precision on the device."""

    method: str
    precision: str
    loss_error: float
    """|loss − fp32 loss of the processor| over its size, or over 1 where that is smaller."""
    gradient_error: float
    """‖g − g of the processor‖ / ‖g of the processor‖, all weights together."""

    @property
    def equal(self) -> bool:
        """Whether both are within the tolerance."""
        return max(self.loss_error, self.gradient_error) <= TOLERANCES[self.precision]


def methods() -> list[str]:
    """Every objective that the library has."""
    return sorted(METHODS.names())


def parity(method: str, device: str) -> list[Parity]:
    """An objective on the device in fp32 and under autocast in bf16, beside the processor's fp32."""
    loss, gradient = loss_and_gradient(method, "cpu", None)
    found = []
    for precision, dtype in (("float32", None), ("bfloat16", torch.bfloat16)):
        other, theirs = loss_and_gradient(method, device, dtype)
        size = max(abs(loss), 1.0)
        found.append(
            Parity(method, precision, abs(other - loss) / size, float((theirs - gradient).norm() / gradient.norm()))
        )
    return found


def loss_and_gradient(method: str, device: str, dtype: torch.dtype | None) -> tuple[float, Tensor]:
    """One step of full tuning: the loss, and the gradient of all weights as one vector on the processor.

    The model that is trained differs a little from the reference, so that no ratio of the two is 1.
    """
    reference = _model().to(device).eval().requires_grad_(False)
    torch.manual_seed(1)
    trained = _model()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    trained = trained.to(device).train()
    objective = build_method(method)
    data = {role: _rows(role) for role in objective.roles}
    plan = StepPlan({role: len(rows) for role, rows in data.items()}, ROWS, 0, objective.partners)
    cut = MicroBatches(
        data, None, partners=objective.partners, pad_id=0, packed=False, pass_tokens=pass_tokens(trained.device)
    )
    batches = list(cut.of(plan.at(0)))
    learner, total = Learner(trained, objective), 0.0
    live = LiveReference(reference, objective)
    for batch in (b.to(trained.device) for b in batches):
        with torch.autocast(trained.device.type, torch.bfloat16, enabled=dtype is not None):
            signals = live(batch) if objective.needs_reference else {}
            share, _ = learner(
                batch, weights=objective.weights(1, 2), denominators=objective.denominators(batches), reference=signals
            )
        share.backward()
        total += share.item()
    parts = [torch.zeros(p.numel()) if p.grad is None else p.grad.float().cpu().flatten() for p in trained.parameters()]
    return total, torch.cat(parts)


def _model() -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
        initializer_range=0.1,
    )
    return copy.deepcopy(LlamaForCausalLM(config))


def _rows(role: str) -> Sequence[Encoded]:
    """Random rows of unlike length; of training data, a third of the tokens are to be forgotten."""
    random = torch.Generator().manual_seed([*Role].index(Role(role)))
    found = []
    for i in range(ROWS):
        length = LENGTH - 3 * i
        ids = torch.randint(3, VOCABULARY, (length,), generator=random).tolist()
        marks = [0.0] * 6 + [-1.0 if role == Role.TRAIN and k % 3 == 0 else 1.0 for k in range(length - 6)]
        found.append(Encoded(f"{i}", tuple(ids), tuple(marks), popularity=10.0 ** (1 + i % 3)))
    return found
