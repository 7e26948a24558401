"""Which adapters a folder stands for: its own, those that its base is made of, and the whole model below them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from peft import LoraConfig, PeftConfig
from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors import SafetensorError, safe_open
from transformers.utils import cached_file, find_adapter_config_file

from forgetting.core.errors import ModelError
from forgetting.core.text import said
from forgetting.models.adapters.curlora_peft import CURLORA
from forgetting.models.places import attempt, check_place

_ANY_VALUE = frozenset(
    {"r", "lora_alpha", "lora_dropout", "rank_pattern", "alpha_pattern", "use_rslora"}  # all of them end in a scaling
    | {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "fan_in_fan_out"}
    | {"peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"}
    | {"inference_mode", "runtime_config", "qalora_group_size", "megatron_core", "eva_config", "init_lora_weights"}
)
"""Values of a LoRA's config that leave it a sum s·B A."""
_KEEPS_THE_BASE = (True, False, "gaussian", "orthogonal", "eva")
"""Initialisations that do not change the base's own weights (PiSSA, OLoRA, CorDA and LoftQ do)."""


@dataclass(frozen=True, slots=True)
class Link:
    """One adapter of a chain."""

    place: str
    """Its folder or hub id."""
    revision: str | None
    config: PeftConfig
    plain: bool
    """Whether it only adds s·B A, or C·U·R, to matrices: such adapters can be stacked and concatenated exactly."""

    @property
    def kind(self) -> str:
        """PEFT's name of its method."""
        return str(getattr(self.config.peft_type, "value", self.config.peft_type))


@dataclass(frozen=True, slots=True)
class Chain:
    """A whole model and the adapters on it."""

    base: str
    """The folder or hub id of the whole model at the bottom; empty if the lowest adapter does not name it."""
    revision: str | None
    links: tuple[Link, ...]
    """The adapters, the lowest first; none for a whole model."""

    @property
    def stackable(self) -> bool:
        """Whether all of them can be active on the base together."""
        return all(link.plain for link in self.links) and len({link.kind for link in self.links}) <= 1


def chain_of(name: str, revision: str | None = None) -> Chain:
    """The adapters of a folder or hub id, down to the whole model.

    Raises:
        ModelError: an adapter's files are missing or damaged, it names no base, is of a kind that cannot be loaded, or
            is its own base.
    """
    links: list[Link] = []
    while name and is_adapter(name, revision):
        if any(link.place == name for link in links):
            raise ModelError(f"{name}/adapter_config.json: it is its own base; write the whole model there")
        link = _link(name, revision)
        links.insert(0, link)
        name, revision = str(link.config.base_model_name_or_path or ""), link.config.revision
        if name:
            _check_base(link.place, name, revision)
    return Chain(name, revision, tuple(links))


def _check_base(place: str, base: str, revision: str | None) -> None:
    try:
        check_place(base, revision)
    except ModelError as error:
        raise ModelError(f"{place}: its base model cannot be loaded: {error}") from error


def is_adapter(name: str | Path, revision: str | None = None) -> bool:
    """Whether a folder or hub id holds an adapter and not a whole model."""
    folder = Path(name)
    if folder.is_dir():
        return (folder / "adapter_config.json").is_file()
    return attempt(str(name), "model", find_adapter_config_file, str(name), revision=revision) is not None


def optional_file(name: str, file: str, revision: str | None) -> str | None:
    """A file of a folder or hub id; None if it has none of that name."""
    missing = {"_raise_exceptions_for_missing_entries": False}
    return attempt(name, "model", cached_file, name, file, revision=revision, **missing)


def _link(name: str, revision: str | None) -> Link:
    weights = optional_file(name, SAFETENSORS_WEIGHTS_NAME, revision)
    if weights is None:
        raise ModelError(f"{name}: no {SAFETENSORS_WEIGHTS_NAME}; only safetensors are read, convert the adapter")
    config = attempt(name, "adapter", PeftConfig.from_pretrained, name, revision=revision)
    if config.is_prompt_learning or config.is_adaption_prompt:
        raise ModelError(
            f"{name}: {config.peft_type} adds tokens instead of changing matrices, and is not loaded here; give a LoRA "
            "or a whole model"
        )
    try:
        with safe_open(weights, framework="pt") as file:
            names = list(file.keys())
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{name}: {SAFETENSORS_WEIGHTS_NAME} cannot be read ({said(error)}); copy it again") from error
    return Link(name, revision, config, _is_plain(config, names))


def _is_plain(config: PeftConfig, names: list[str]) -> bool:
    """Whether config and tensors hold nothing but thin factors; what is not known counts as more."""
    prefix = PEFT_TYPE_TO_PREFIX_MAPPING.get(config.peft_type)
    if prefix is None or not all(prefix in name for name in names):
        return False
    return config.peft_type == CURLORA or is_plain_config(config)


def is_plain_config(config: PeftConfig) -> bool:
    """Whether a LoRA only adds s·B A to matrices: no DoRA, no bias, no other module, no changed base."""
    if not isinstance(config, LoraConfig) or config.init_lora_weights not in _KEEPS_THE_BASE:
        return False
    default = LoraConfig()
    pairs = [(getattr(config, f.name), getattr(default, f.name)) for f in fields(config) if f.name not in _ANY_VALUE]
    return all(value == other or not (value or other) for value, other in pairs)  # PEFT writes an empty set for none
