"""The data pass of an initialisation, before the adapter is attached; its parts are stored and reused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from peft import PeftModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.core.cache import Cache
from forgetting.core.digest import digest
from forgetting.core.errors import DataError, ModelError
from forgetting.core.folder import is_complete, recover, written_whole
from forgetting.core.text import said
from forgetting.data.encode import Encoded
from forgetting.models.adapters.active import active_adapters
from forgetting.models.adapters.initialisation import Initialisation, InitialisationData
from forgetting.training.stored_reference import data_fingerprint, fingerprint

_PARTS, _TENSORS = "parts", "rows.safetensors"


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
    cache: Cache | None = None,
    key: str = "",
) -> dict[str, Tensor]:
    """Runs the initialisation's data pass for `modules`; the results by module, empty if it reads no data.

    Args:
        modules: names in the plain model, as `resolve_targets` gives them.
        data: the data of its roles; the first `limit` examples of each are read.
        cache: stores the result, keyed by its inputs: model, data, modules and `key`. An interrupted computation keeps
            its finished parts there.
        key: the initialisation's name and parameters.

    Raises:
        DataError: a role has no examples.
        ModelError: nothing was computed for one of the modules, or the model is unsuitable.
        RunError: the cache cannot be written.
    """
    if not initialisation.roles:
        return {}
    data = replace(data, examples=rows_read(initialisation, data.examples))
    if cache is None:
        return _computed(initialisation, model, modules, data, None)
    whose = _digest(model, data.examples, modules, key)
    with cache.entry(whose, wait=lambda: data.say("initialisation: another run is computing it; waiting")) as entry:
        found = entry.is_complete(data.say)
        tensors = _computed(initialisation, model, modules, data, entry.folder / _PARTS)
        if not found:
            entry.complete(len(tensors))
    return tensors


def _computed(
    initialisation: Initialisation,
    model: PreTrainedModel | PeftModel,
    modules: Sequence[str],
    data: InitialisationData,
    folder: Path | None,
) -> dict[str, Tensor]:
    """The tensors, part by part; `folder` keeps the parts that are finished."""
    found = {} if folder is None else _stored(folder, data.say)
    if found:
        data.say(f"initialisation: {len(found)} of {len(modules)} matrices found in {folder}")
    missing = [name for name in modules if name not in found]
    for part in initialisation.prepare(model, missing, data) if missing else ():
        found |= part
        if folder is not None:
            _store(folder, found)
    absent = next((name for name in modules if name not in found), None)
    if absent is not None:
        raise ModelError(f"{type(initialisation).__name__} prepared nothing for {absent}; yield one tensor a module")
    return {name: found[name] for name in modules}


def _digest(
    model: PreTrainedModel | PeftModel, data: Mapping[str, Sequence[Encoded]], modules: Sequence[str], key: str
) -> str:
    """The digest of the result's inputs: weights, active adapters and their scale, rows, modules, key."""
    adapters = [(n, model.peft_config[n].lora_alpha) for n in active_adapters(model)]
    return digest(fingerprint(model), adapters, data_fingerprint(data), list(modules), key)


def _stored(folder: Path, say: Callable[[str], None]) -> dict[str, Tensor]:
    """The stored tensors of the same computation, finished or interrupted; empty if they cannot be read."""
    recover(folder)
    if not is_complete(folder):
        return {}
    try:
        with safe_open(str(folder / _TENSORS), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        say(f"{folder / _TENSORS}: cannot be read ({said(error)}); computing it again")
        return {}


def _store(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_whole(folder) as partial:
        save_file(kept, str(partial / _TENSORS))
