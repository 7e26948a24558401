"""Which weights train: full tuning, LoRA, CURLoRA; initialisation of adapters, views, export. One idea per file."""

from forgetting.models.adapters.active import active_adapters, adapters_active
from forgetting.models.adapters.attach import attach
from forgetting.models.adapters.chain import chain_of, is_adapter
from forgetting.models.adapters.curlora import add_curlora
from forgetting.models.adapters.export import joined, merged, merged_into_whole, save_adapter
from forgetting.models.adapters.initialisation import (
    INITIALISATIONS,
    Initialisation,
    InitialisationData,
    Start,
    build_initialisation,
    register_initialisation,
)
from forgetting.models.adapters.lora import adapter_name, add_lora, trainable_share
from forgetting.models.adapters.remove import without
from forgetting.models.adapters.saved import add_saved
from forgetting.models.adapters.spec import AdapterSpec
from forgetting.models.adapters.state import adapter_state, load_state, trainable_state
from forgetting.models.adapters.targets import check_rank, coverage, linear_layers, resolve_targets

__all__ = [
    "INITIALISATIONS",
    "AdapterSpec",
    "Initialisation",
    "InitialisationData",
    "Start",
    "active_adapters",
    "adapter_name",
    "adapter_state",
    "adapters_active",
    "add_curlora",
    "add_lora",
    "add_saved",
    "attach",
    "build_initialisation",
    "chain_of",
    "check_rank",
    "coverage",
    "is_adapter",
    "joined",
    "linear_layers",
    "load_state",
    "merged",
    "merged_into_whole",
    "register_initialisation",
    "resolve_targets",
    "save_adapter",
    "trainable_share",
    "trainable_state",
    "without",
]
