"""FILA's importance of every row of many matrices, one group at a time, so that it fits next to a large model.

    w_i² = Σ_j F_f,ij / (F_r,ij + ε) = 1/|D_f| · Σ_{x ∈ D_f} Σ_j g_ij(x)² / (F_r,ij + ε)

with F from `forgetting.training.fisher` and g(x) the gradient of one forget example (LoKU, Cha et al. 2025, section
3.4). The quotient is taken entry by entry, and ε may depend on all of F_r, so F_r must be complete, in fp32, before
anything can be summed. F_f need not: the retain data are processed first, then each forget example is divided and
summed at once. So a group of matrices takes, in addition to weights and activations,

    4 bytes · Σ out·in  +  12 bytes · the largest out·in:

F_r, one example's gradient, and the buffer of the median in ε. Each group costs one pass over all examples: a forward,
and a backward down to the group's lowest layer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from peft import PeftModel
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.core.batch import Batch
from forgetting.core.errors import DataError, ModelError
from forgetting.core.example import Role
from forgetting.data.batches import batches_by_length
from forgetting.data.encode import Encoded
from forgetting.models.adapters.fila import Epsilon, Fila, epsilon_of
from forgetting.models.adapters.initialisation import Initialisation, InitialisationData, register_initialisation
from forgetting.models.adapters.targets import linear_layers
from forgetting.training.fisher import device_of, each_gradient, fisher, shape_of

_SMALLEST = torch.finfo(torch.float32).tiny


@register_initialisation("fila", title="FILA", keys={"epsilon": "epsilon", "importance_examples": "examples"})
def fila(epsilon: Epsilon = "relative", examples: Annotated[int, Field(gt=0)] | None = None) -> Initialisation:
    """Starts as the part of each weight that matters to the forget set and not to the retain set (LoKU, section 3.4).

    Args:
        epsilon: added to the retain Fisher information: `relative`, `released` or a number above 0.
        examples: number per role on which the importance is measured; default: all.
    """
    return MeasuredFila(epsilon, examples)


@dataclass(frozen=True)
class MeasuredFila(Fila):
    """FILA with its importance measured on forget and retain data."""

    budget: int | None = None
    """Bytes that a group of matrices may take (the module's docstring); None: `default_budget`."""

    def prepare(
        self, model: PreTrainedModel, modules: Sequence[str], data: InitialisationData
    ) -> Iterator[Mapping[str, Tensor]]:
        """The importance of every matrix, group by group."""
        return importance_by_group(model, modules, data, epsilon=self.epsilon, budget=self.budget)


def importance_by_group(
    model: PreTrainedModel | PeftModel,
    modules: Sequence[str],
    data: InitialisationData,
    *,
    epsilon: Epsilon = "relative",
    budget: int | None = None,
) -> Iterator[dict[str, Tensor]]:
    """FILA's w of each of `modules`, `[out]` float64 on the CPU: `row_weights` of their Fisher information.

    Yields one mapping per group of matrices. Weights and their `.grad` are unchanged. The cost is reported before the
    work begins.

    Args:
        modules: names in the plain model, as `resolve_targets` gives them.
        data: forget and retain examples.
        budget: bytes that a group of matrices may take (the module's docstring); None: `default_budget`. It determines
            the number of passes over the data.

    Raises:
        DataError: a role has no examples.
        ModelError: a matrix does not fit the budget alone, or a layer mixes examples.
    """
    forget, retain = data.examples.get(Role.FORGET, ()), data.examples.get(Role.RETAIN, ())
    for role, members in ((Role.FORGET, forget), (Role.RETAIN, retain)):
        if not members:
            raise DataError(f"FILA's importance needs {role} examples, and there are none; write data.{role}=…")
    layers = linear_layers(model)
    shapes = {name: shape_of(layers[name]) for name in modules}
    groups = groups_of(shapes, default_budget(device_of(model)) if budget is None else budget)
    if groups:
        largest = max(bytes_for([shapes[name] for name in group]) for group in groups)
        data.say(
            f"importance: {len(shapes)} matrices, {len(groups)} {'pass' if len(groups) == 1 else 'passes'} × "
            f"{len(forget)} forget + {len(retain)} retain examples, {largest / 2**30:,.2f} GiB at a time"
        )
    total = len(groups) * (len(forget) + len(retain))
    done = 0

    def told(members: Sequence[Encoded], role: str, note: str) -> Iterator[Batch]:
        nonlocal done
        for batch in batches_by_length(members, role, data.pad_id):
            yield batch
            done += len(batch.keys_S)
            data.progress(done, total, note)

    for number, group in enumerate(groups, 1):
        note = f"importance, pass {number} of {len(groups)}"
        yield _of_group(model, told(forget, Role.FORGET, note), told(retain, Role.RETAIN, note), group, epsilon)


def bytes_for(shapes: Sequence[tuple[int, int]]) -> int:
    """Bytes of a group of matrices, without weights and activations: 4 · Σ out·in + 12 · the largest out·in."""
    entries = [rows * columns for rows, columns in shapes]
    return 4 * sum(entries) + 12 * max(entries)


def groups_of(shapes: Mapping[str, tuple[int, int]], budget: int) -> list[list[str]]:
    """The modules in order, divided into as few groups as possible of at most `budget` bytes each.

    Raises:
        ModelError: one matrix alone takes more.
    """
    groups: list[list[str]] = []
    for name, shape in shapes.items():
        if bytes_for([shape]) > budget:
            raise ModelError(
                f"{name}: its importance takes {bytes_for([shape]):,} bytes, and {budget:,} are allowed or free; "
                "free memory or leave it out of the targets"
            )
        if groups and bytes_for([shapes[member] for member in (*groups[-1], name)]) <= budget:
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


def default_budget(device: torch.device) -> int:
    """Half of what is free on a CUDA device (the rest is for activations); else a quarter of the machine's memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return (free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)) // 2
    if not hasattr(os, "sysconf"):
        return 4 * 2**30
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


def _of_group(
    model: PreTrainedModel | PeftModel,
    forget: Iterator[Batch],
    retain: Iterator[Batch],
    group: Sequence[str],
    epsilon: Epsilon,
) -> dict[str, Tensor]:
    divisors = fisher(model, retain, group)
    for divisor_OI in divisors.values():
        divisor_OI.add_(epsilon_of(divisor_OI, epsilon)).clamp_min_(_SMALLEST)  # an ε too small for fp32 is 0
    sums = {name: divisor_OI.new_zeros(len(divisor_OI)) for name, divisor_OI in divisors.items()}

    def add(name: str, gradient_OI: Tensor) -> None:
        sums[name] += gradient_OI.square_().div_(divisors[name]).sum(1)

    examples = each_gradient(model, forget, group, add)
    return {name: (total.cpu().double() / examples).sqrt() for name, total in sums.items()}
