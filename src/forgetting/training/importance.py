"""FILA's importance of every row of many matrices, a group of them at a time, so that it fits beside a large model.

    w_i² = Σ_j F_f,ij / (F_r,ij + ε) = 1/|D_f| · Σ_{x ∈ D_f} Σ_j g_ij(x)² / (F_r,ij + ε)

with F from `forgetting.training.fisher` and g(x) the gradient of one forget example (LoKU, Cha et al. 2025, section
3.4). The quotient is taken entry by entry, and ε may depend on all of F_r, so F_r must be whole, in fp32, before
anything can be summed. F_f need not: with the retain data gone through first, each forget example is divided and summed
at once. So a group of matrices takes, beside weights and activations,

    4 bytes · Σ out·in  +  12 bytes · the largest out·in:

F_r, one example's gradient, and what the median in ε takes. Each group costs one pass over all examples: a forward,
and a backward down to the group's lowest layer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from peft import PeftModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.core.batch import Batch
from forgetting.core.cache import Cache
from forgetting.core.digest import digest
from forgetting.core.errors import DataError, ModelError, RunError
from forgetting.core.evaluator import Progress
from forgetting.core.example import Role
from forgetting.core.folder import is_complete, recover, written_whole
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded
from forgetting.models.adapters.active import active_adapters
from forgetting.models.adapters.fila import epsilon_of
from forgetting.models.adapters.spec import Epsilon
from forgetting.models.adapters.targets import linear_layers
from forgetting.training.fisher import device_of, each_gradient, fisher, shape_of
from forgetting.training.stored_reference import data_fingerprint, fingerprint

BATCH_TOKENS = 256
"""Padded tokens of one forward. More only takes memory: most of the time goes to the gradients of single examples."""
_GROUPS, _ROWS = "groups", "rows.safetensors"
_SMALLEST = torch.finfo(torch.float32).tiny


def row_importance(
    model: PreTrainedModel | PeftModel,
    forget: Sequence[Encoded],
    retain: Sequence[Encoded],
    modules: Sequence[str],
    *,
    pad_id: int,
    epsilon: Epsilon = "relative",
    budget: int | None = None,
    cache: Cache | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda done, total, note: None,
) -> dict[str, Tensor]:
    """FILA's w of each of `modules`, `[out]` float64 on the CPU: `row_weights` of their Fisher information.

    Neither weights nor their `.grad` are touched. What it will take is said before it begins.

    Args:
        modules: names in the plain model, as `resolve_targets` gives them.
        budget: bytes that a group of matrices may take (the module's docstring); None: `default_budget`. It decides how
            often the data are gone through.
        cache: where the importance is shared by what it depends on: model, data, ε and modules. An interrupted
            computation keeps its finished groups there.

    Raises:
        DataError: a role has no examples.
        ModelError: a matrix does not fit the budget alone, or a layer mixes examples.
        RunError: the cache cannot be written.
    """
    for role, members in ((Role.FORGET, forget), (Role.RETAIN, retain)):
        if not members:
            raise DataError(f"FILA's importance needs {role} examples, and there are none; write data.{role}=…")
    asked = _Asked(model, forget, retain, modules, pad_id, epsilon, budget)
    if cache is None:
        return _computed(asked, None, say, progress)
    with cache.entry(_key(asked), wait=lambda: say("importance: another run is computing it; waiting")) as entry:
        found = entry.is_complete(say)
        rows = _computed(asked, entry.folder / _GROUPS, say, progress)
        if not found:
            entry.complete(len(rows))
    return rows


class _Asked(NamedTuple):
    """What the importance is asked of."""

    model: PreTrainedModel | PeftModel
    forget: Sequence[Encoded]
    retain: Sequence[Encoded]
    modules: Sequence[str]
    pad_id: int
    epsilon: Epsilon
    budget: int | None


def _computed(asked: _Asked, folder: Path | None, say: Callable[[str], None], progress: Progress) -> dict[str, Tensor]:
    """The importance, group by group; `folder` keeps the groups that are finished."""
    layers, forget, retain = linear_layers(asked.model), asked.forget, asked.retain
    rows = {} if folder is None else _stored(folder, say)
    if rows:
        say(f"importance: {len(rows)} of {len(asked.modules)} matrices found in {folder}")
    shapes = {name: shape_of(layers[name]) for name in asked.modules if name not in rows}
    budget = default_budget(device_of(asked.model)) if asked.budget is None else asked.budget
    groups = groups_of(shapes, budget)
    if groups:
        largest = max(bytes_for([shapes[name] for name in group]) for group in groups)
        say(
            f"importance: {len(shapes)} matrices, {len(groups)} {'pass' if len(groups) == 1 else 'passes'} × "
            f"{len(forget)} forget + {len(retain)} retain examples, {largest / 2**30:,.2f} GiB at a time"
        )
    total = len(groups) * (len(forget) + len(retain))
    done = 0

    def told(members: Sequence[Encoded], role: str, note: str) -> Iterator[Batch]:
        nonlocal done
        for batch in _batches(members, role, asked.pad_id):
            yield batch
            done += len(batch.keys_S)
            progress(done, total, note)

    for number, group in enumerate(groups, 1):
        note = f"importance, pass {number} of {len(groups)}"
        on_retain, on_forget = told(retain, Role.RETAIN, note), told(forget, Role.FORGET, note)
        rows |= _of_group(asked.model, on_forget, on_retain, group, asked.epsilon)
        if folder is not None:
            _store(folder, rows)
    return {name: rows[name] for name in asked.modules}


def bytes_for(shapes: Sequence[tuple[int, int]]) -> int:
    """What a group of matrices takes beside weights and activations: 4 · Σ out·in + 12 · the largest out·in."""
    entries = [rows * columns for rows, columns in shapes]
    return 4 * sum(entries) + 12 * max(entries)


def groups_of(shapes: Mapping[str, tuple[int, int]], budget: int) -> list[list[str]]:
    """The modules in their order, cut into as few runs as can be so that each takes at most `budget` bytes.

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


def _batches(members: Sequence[Encoded], role: str, pad_id: int) -> Iterator[Batch]:
    """Rows of like length together, at most `BATCH_TOKENS` padded tokens in a batch or a single row."""
    rows: list[tuple[int, Encoded]] = []
    for row in sorted(enumerate(members), key=lambda row: len(row[1].ids)):
        if rows and (len(rows) + 1) * len(row[1].ids) > BATCH_TOKENS:
            yield collate({role: rows}, pad_id=pad_id)
            rows = []
        rows.append(row)
    yield collate({role: rows}, pad_id=pad_id)


def _key(asked: _Asked) -> str:
    """The digest of all that w depends on: weights, active adapters and their scale, examples, modules, ε."""
    model = asked.model
    adapters = [(n, model.peft_config[n].lora_alpha) for n in active_adapters(model)]
    data = data_fingerprint({Role.FORGET: asked.forget, Role.RETAIN: asked.retain})
    return digest(fingerprint(model), adapters, data, list(asked.modules), asked.epsilon)


def _stored(folder: Path, say: Callable[[str], None]) -> dict[str, Tensor]:
    """The rows that are there of the same importance, finished or interrupted; none where they cannot be read."""
    recover(folder)
    if not is_complete(folder):
        return {}
    try:
        with safe_open(str(folder / _ROWS), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        say(f"{folder / _ROWS}: the stored importance cannot be read ({error}); computing it again")
        return {}


def _store(folder: Path, rows: Mapping[str, Tensor]) -> None:
    try:
        with written_whole(folder) as partial:
            save_file(dict(rows), str(partial / _ROWS))
    except SafetensorError as error:  # what it makes of a full disk
        raise RunError(
            f"{folder}: the importance cannot be written ({error}); free space or choose another output"
        ) from error
