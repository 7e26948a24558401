"""What an initialisation computes from data before the adapter is attached: stored part by part and found again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from peft import PeftModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.core.errors import DataError, ModelError, RunError
from forgetting.core.folder import is_complete, recover, written_whole
from forgetting.data.encode import Encoded
from forgetting.models.adapters.active import active_adapters
from forgetting.models.adapters.initialisation import Initialisation, InitialisationData
from forgetting.training.stored_reference import data_fingerprint, fingerprint

_TENSORS = "rows.safetensors"


def rows_read(initialisation: Initialisation, data: Mapping[str, Sequence[Encoded]]) -> dict[str, Sequence[Encoded]]:
    """The examples of each role that an initialisation reads: its first `limit`, or all.

    Raises:
        DataError: a role has none.
    """
    for role in initialisation.roles:
        if not data.get(role):
            raise DataError(f"adapter.init reads {role} data, and there are none; write data.{role}=…")
    return {role: data[role][: initialisation.limit] for role in initialisation.roles}


def prepare(
    initialisation: Initialisation,
    model: PreTrainedModel | PeftModel,
    modules: Sequence[str],
    data: InitialisationData,
    *,
    folder: Path | None = None,
    key: str = "",
) -> dict[str, Tensor]:
    """What the initialisation computes for each of `modules`, by module; empty where it reads no data.

    Args:
        modules: names in the plain model, as `resolve_targets` gives them.
        data: of its roles; the first `limit` examples of each are read.
        folder: where finished parts are kept, and found again after an interruption if the model, data, modules and
            `key` are the same.
        key: the initialisation's name and parameters.

    Raises:
        DataError: a role has no examples.
        ModelError: nothing was computed for one of the modules, or the model does not suit it.
        RunError: `folder` cannot be written, or what it holds cannot be read.
    """
    if not initialisation.roles:
        return {}
    data = replace(data, examples=rows_read(initialisation, data.examples))
    digest = "" if folder is None else _digest(model, data.examples, modules, key)
    found = {} if folder is None else _stored(folder, digest)
    if found:
        data.say(f"initialisation: {len(found)} of {len(modules)} matrices found in {folder}")
    missing = [name for name in modules if name not in found]
    for part in initialisation.prepare(model, missing, data) if missing else ():
        found |= part
        if folder is not None:
            _store(folder, digest, found)
    absent = next((name for name in modules if name not in found), None)
    if absent is not None:
        raise ModelError(f"{type(initialisation).__name__} prepared nothing for {absent}; yield one tensor a module")
    return {name: found[name] for name in modules}


def _digest(
    model: PreTrainedModel | PeftModel, data: Mapping[str, Sequence[Encoded]], modules: Sequence[str], key: str
) -> str:
    """16 hex digits of all that the result depends on: weights, active adapters and their scale, rows, modules, key."""
    adapters = [(n, model.peft_config[n].lora_alpha) for n in active_adapters(model)]
    asked = (fingerprint(model), adapters, data_fingerprint(data), list(modules), key)
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]


def _stored(folder: Path, digest: str) -> dict[str, Tensor]:
    """What an interrupted computation of the same left."""
    recover(folder)
    if not is_complete(folder):
        return {}
    try:
        with safe_open(str(folder / _TENSORS), framework="pt") as file:
            same = file.metadata()["key"] == digest
            return {name: file.get_tensor(name) for name in file.keys()} if same else {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{folder / _TENSORS}: what the initialisation stored cannot be read ({error}); remove the folder"
        ) from error


def _store(folder: Path, digest: str, tensors: Mapping[str, Tensor]) -> None:
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with written_whole(folder) as partial:
            save_file(kept, str(partial / _TENSORS), metadata={"key": digest})
    except SafetensorError as error:  # what it makes of a full disk
        raise RunError(
            f"{folder}: what the initialisation computed cannot be written ({error}); free space or choose another "
            "output"
        ) from error
