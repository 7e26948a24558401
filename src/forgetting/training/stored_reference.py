"""The reference of full tuning: computed once and stored on disk.

One number per token for ratios; for whole distributions the final hidden states (not the logits) and one copy of the
head; for hidden states, those of the layers in use (d numbers per token and layer).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedConfig

from forgetting.core.batch import Batch, Positions
from forgetting.core.cache import Cache
from forgetting.core.digest import digest
from forgetting.core.errors import RunError
from forgetting.core.processes import by_first
from forgetting.core.text import said
from forgetting.core.written import read_json
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded
from forgetting.models.head import Head, causal_model, head_of, hidden_size, supervised_hidden, vocabulary_size
from forgetting.models.hidden_states import states_kept
from forgetting.models.modes import in_evaluation_mode
from forgetting.models.quantised import has_quantised
from forgetting.models.vocabulary import statistics
from forgetting.objectives.objective import Objective
from forgetting.training.learner import ReferenceSignals
from forgetting.training.reference import asking_roles, logits_by_slice

_FILE = "reference.safetensors"
_NOT_THE_MODEL = ("_name_or_path", "transformers_version", "dtype", "architectures")


class _Batching(NamedTuple):
    """How rows are batched."""

    pad_id: int
    device: torch.device
    size: int


class StoredReference:
    """Reads the output of `store_reference` by example; hidden states stay on disk until a batch needs them."""

    def __init__(self, file: Path, objective: Objective, device: torch.device) -> None:
        self.objective = objective
        self.device = device
        try:
            self._file = safe_open(str(file), framework="pt")
        except (OSError, SafetensorError) as error:
            raise RunError(f"{file}: the stored reference cannot be read ({said(error)}); remove the file") from error
        self._names = set(self._file.keys())
        meta = read_json(self._file.metadata()["head"])
        self._head: Head | None = None
        if "head.weight" in self._names or meta["identity"]:
            self._head = Head(self._tensor("head.weight"), self._tensor("head.bias"), meta["scale"], meta["softcap"])

    def _tensor(self, name: str) -> Tensor | None:
        return self._file.get_tensor(name).to(self.device) if name in self._names else None

    def _rows(self, name: str, role: str, indices: Sequence[int], positions: Positions = "supervised") -> Tensor:
        """The stored values of these examples' tokens, concatenated."""
        offsets = self._file.get_tensor(_offsets(role, positions)).tolist()
        stored = self._file.get_slice(f"{role}.{name}")
        return torch.cat([stored[offsets[i] : offsets[i + 1]] for i in indices]).to(self.device)

    def __call__(self, batch: Batch) -> dict[str, ReferenceSignals]:
        """Looks the batch's examples up by their index within the role."""
        found: dict[str, ReferenceSignals] = {}
        for role in asking_roles(self.objective):
            if role in batch.roles:
                indices = batch.indices_S[batch.roles[role].sequences]
                stats = {s.name: self._rows(s.name, role, indices) for s in self.objective.of_reference(role)}
                logits = None
                if self.objective.compares(role):
                    assert self._head is not None, "hidden states are stored together with their head"
                    logits = logits_by_slice(self._head, self._rows("hidden", role, indices))
                states = self.objective.states(role, of_reference=True)
                hidden = {(n, at): self._rows(_layer(n, at), role, indices, at) for n, at in states}
                found[role] = ReferenceSignals(stats, logits, hidden)
        return found


def _offsets(role: str, positions: Positions) -> str:
    """The name of the tensor of offsets, where each example's values begin: per supervised token, or per token."""
    return f"{role}.offsets" if positions == "supervised" else f"{role}.offsets_of_all"


def _layer(layer: int, positions: Positions) -> str:
    return f"layer_{layer}" if positions == "supervised" else f"layer_{layer}_of_all"


def fingerprint(model: nn.Module) -> str:
    """16 hex digits of the model's config (without its source) and of every weight's name and bytes."""
    return fingerprint_of(causal_model(model).config, model.state_dict().items())


def weights_fingerprint(model: nn.Module) -> str | None:
    """16 hex digits of every weight's name and bytes alone, whichever version wrote the config; None for 4 bits.

    Weights in 4 bits are computed from whole ones on each device, not read.
    """
    return None if has_quantised(model) else fingerprint_of(None, model.state_dict().items())


def fingerprint_of(config: PreTrainedConfig | None, weights: Iterable[tuple[str, Tensor]]) -> str:
    """The same of a config and named weights."""
    said = [] if config is None else sorted((k, v) for k, v in config.to_dict().items() if k not in _NOT_THE_MODEL)
    found = hashlib.sha256(repr(said).encode())
    for name, tensor in sorted(weights, key=lambda named: named[0]):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()[:16]


def data_fingerprint(data: Mapping[str, Sequence[Encoded]]) -> str:
    """16 hex digits of every role's token ids and weights, in order."""
    found = hashlib.sha256()
    for role, members in data.items():
        found.update(role.encode())
        for encoded in members:
            found.update(repr((encoded.key, encoded.ids, encoded.weights)).encode())
    return found.hexdigest()[:16]


@torch.no_grad()
def store_reference(
    model: nn.Module,
    objective: Objective,
    data: Mapping[str, Sequence[Encoded]],
    cache: Cache,
    *,
    pad_id: int,
    batch_size: int = 16,
    say: Callable[[str], None] = lambda _: None,
) -> StoredReference:
    """Computes the reference once, in evaluation mode, or finds it stored by an earlier run.

    The cache entry is keyed by the model's weights, the encoded data and the objective's inputs; its size is reported
    before it is written.
    """
    roles, device = asking_roles(objective), next(model.parameters()).device
    asked: dict[str, Any] = {r: ([s.name for s in objective.of_reference(r)], objective.compares(r)) for r in roles}
    asked |= {f"{r}.states": states for r in roles if (states := objective.states(r, of_reference=True))}
    data = {role: data[role] for role in roles}
    key = digest(fingerprint(model), data_fingerprint(data), asked)
    with cache.entry(key, wait=lambda: say("reference: another run is computing it; waiting")) as entry:
        file = entry.folder / _FILE
        if entry.is_complete(say):
            say(f"reference: reusing {file}")
        else:
            by_first(lambda: _store(model, objective, data, file, _Batching(pad_id, device, batch_size), say))
            entry.complete(sum(e.supervised for members in data.values() for e in members))
    return StoredReference(file, objective, device)


def _store(
    model: nn.Module,
    objective: Objective,
    data: Mapping[str, Sequence[Encoded]],
    file: Path,
    batching: _Batching,
    say: Callable[[str], None],
) -> None:
    """Computes the objective's inputs from the reference and writes them to `file`."""
    roles = asking_roles(objective)
    head = head_of(model)
    compared = [r for r in roles if objective.compares(r)]
    tokens = {r: sum(e.supervised for e in data[r]) for r in roles}
    numbers = sum(stored_numbers(model, objective, r, data[r]) for r in roles)
    copies = [t for t in (head.weight_VD, head.bias_V) if t is not None] if compared else []
    size = 4 * numbers + sum(t.numel() * t.element_size() for t in copies)
    say(f"reference: {sum(tokens.values()):,} tokens, {size / 2**20:,.1f} MiB on disk")
    tensors: dict[str, Tensor] = {}
    with in_evaluation_mode(model):
        for role in roles:
            tensors |= _computed(model, head, objective, role, data[role], batching)
    if compared:
        tensors |= {
            f"head.{n}": t.detach().cpu().clone()
            for n, t in (("weight", head.weight_VD), ("bias", head.bias_V))
            if t is not None
        }
    meta = {"identity": head.weight_VD is None, "scale": head.scale, "softcap": head.softcap}
    try:
        save_file(tensors, str(file), metadata={"head": json.dumps(meta)})
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{file.parent}: the reference cannot be written ({said(error)}); free space or choose another output"
        ) from error


def stored_numbers(model: nn.Module, objective: Objective, role: str, members: Sequence[Encoded]) -> int:
    """The count of stored numbers of one role: statistics, final hidden states, states of named layers."""
    supervised, every = sum(e.supervised for e in members), sum(len(e.ids) for e in members)
    width = causal_width(model, head_of(model)) if objective.compares(role) else 0
    states = objective.states(role, of_reference=True)
    size = hidden_size(model) if states else 0
    by_position = sum(supervised if at == "supervised" else every for _, at in states)
    return supervised * (len(objective.of_reference(role)) + width) + size * by_position


def causal_width(model: nn.Module, head: Head) -> int:
    """Size of the head's input per token: the hidden size, or the vocabulary on the plain path."""
    if head.weight_VD is not None:
        return int(head.weight_VD.shape[1])
    return vocabulary_size(model)


def _computed(
    model: nn.Module,
    head: Head,
    objective: Objective,
    role: str,
    members: Sequence[Encoded],
    batching: _Batching,
) -> dict[str, Tensor]:
    """One role's statistics and hidden states in the order of its data, on the CPU."""
    wanted, states = objective.of_reference(role), objective.states(role, of_reference=True)
    names = [s.name for s in wanted] + (["hidden"] if objective.compares(role) else [])
    names += [_layer(n, at) for n, at in states]
    columns: dict[str, list[Tensor]] = {name: [] for name in names}
    for start in range(0, len(members), batching.size):
        rows = list(enumerate(members[start : start + batching.size], start))
        batch = collate({role: rows}, pad_id=batching.pad_id).to(batching.device)
        with states_kept(model, [n for n, _ in states]) as kept:
            hidden_ND = supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
        found = statistics(hidden_ND, head, batch.targets_N, wanted) if wanted else {}
        if "hidden" in columns:
            found["hidden"] = hidden_ND
        found |= {_layer(n, at): kept[n].index_select(0, batch.places(role, at)[0]) for n, at in states}
        for name, value in found.items():
            columns[name].append(value.cpu())
    offsets = {_offsets(role, "supervised"): torch.tensor([0, *(e.supervised for e in members)]).cumsum(0)}
    if any(at == "all" for _, at in states):
        offsets[_offsets(role, "all")] = torch.tensor([0, *(len(e.ids) for e in members)]).cumsum(0)
    return offsets | {f"{role}.{n}": torch.cat(v).contiguous() for n, v in columns.items()}
