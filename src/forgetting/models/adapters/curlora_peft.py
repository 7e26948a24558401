"""CURLoRA as a method of PEFT: W x + C·U·R x, with C and R fixed columns and rows of W.

Fawi 2024, https://arxiv.org/abs/2408.14572. Only U `[r, r]` trains, from zero: the model is unchanged at the start, and
the update stays within the columns of C and the rows of R, which `cur.draw` chooses among those of small norm.

C and R are kept and saved as copies, not as indices into W: an adapter then stays the same after another one was merged
into W, on a base of another precision, and while it is merged itself. They are r·(out + in) numbers per matrix, as many
as in a LoRA of that rank. With a 16-bit base, U is kept in fp32, C and R in the base's precision.

PEFT finds the method once this module is imported; `register_peft_method` takes only names of PEFT's own enumeration,
so its tables are filled here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import torch
from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers.pytorch_utils import Conv1D

from forgetting.core.errors import ModelError
from forgetting.models.adapters.cur import draw, seed_of
from forgetting.models.adapters.spec import Drawing
from forgetting.models.adapters.targets import out_in

CURLORA = "CURLORA"
"""The method's name in `adapter_config.json`."""
PREFIX = "curlora_"


@dataclass
class CurLoraConfig(PeftConfig):
    """CURLoRA's values in `adapter_config.json`."""

    r: int = 8
    """Number of columns and rows taken from each matrix."""
    target_modules: list[str] | str | None = field(default=None)
    exclude_modules: list[str] | str | None = field(default=None)
    drawing: Drawing = "without_replacement"
    seed: int = 0
    """Seed of the drawing, combined with each module's name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = CURLORA


class Factors(nn.Module):
    """One adapter on one matrix: C `[out, r]` and R `[r, in]`, fixed, and U `[r, r]`, which trains."""

    C: Tensor
    R: Tensor

    def __init__(self, weight: Tensor, columns: Tensor, rows: Tensor) -> None:
        """`weight` is W `[out, in]`; `columns` and `rows` are indices, `[r]`."""
        super().__init__()
        weight = weight.detach()
        self.register_buffer("C", weight[:, columns.to(weight.device)].contiguous())
        self.register_buffer("R", weight[rows.to(weight.device)].contiguous())
        self.U = nn.Parameter(torch.zeros(len(columns), len(rows)))

    def forward(self, x: Tensor) -> Tensor:
        """C·U·R x."""
        low = linear(linear(x.to(self.R.dtype), self.R).to(self.U.dtype), self.U)
        return linear(low.to(self.C.dtype), self.C)

    def delta(self) -> Tensor:
        """C·U·R, `[out, in]`, in fp32 at least."""
        dtype = torch.promote_types(self.C.dtype, torch.float32)
        return self.C.to(dtype) @ self.U.to(dtype) @ self.R.to(dtype)


class CurLoraLinear(nn.Module, BaseTunerLayer):
    """A matrix of the base with its CURLoRA adapters."""

    adapter_layer_names = ("curlora_factors",)
    # PEFT's, with types
    get_base_layer: Callable[[], Any]
    set_adapter: Callable[..., None]
    active_adapters: list[str]

    def __init__(self, base_layer: nn.Module, name: str, config: CurLoraConfig, module: str) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.curlora_factors = nn.ModuleDict()
        self.merged_adapters: list[str] = []
        self._active_adapter = name
        base = self.get_base_layer()
        self.out_features, self.in_features = out_in(base, base.weight).shape
        self.add(name, config, module)

    def add(self, name: str, config: CurLoraConfig, module: str) -> None:
        """Adds an adapter, from the base's current weight; one that will be loaded needs no drawing.

        Several adapters as one may have more columns than the matrix.
        """
        weight = out_in(self, self.get_base_layer().weight)
        if config.inference_mode:
            columns = rows = torch.zeros(config.r, dtype=torch.long)
        else:
            seed = seed_of(config.seed, module)
            columns, rows = draw(weight, config.r, seed=seed, drawing=config.drawing, where=module)
        self.curlora_factors[name] = Factors(weight, columns, rows)
        cast(Any, self)._move_adapter_to_device_of_base_layer(name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The base's output plus those of the active adapters."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        for name in self.active_adapters:
            if name in self.curlora_factors:
                result = result + self.curlora_factors[name](x).to(result.dtype)
        return result

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Adds adapters to the weight: summed in fp32 and rounded once to the weight's own precision.

        Raises:
            ValueError: with `safe_merge`, the sum is not finite; the weight is unchanged.
        """
        names = [n for n in check_adapters_to_merge(self, adapter_names) if n in self.curlora_factors]
        self._shift(names, 1, checked=safe_merge)
        self.merged_adapters.extend(names)

    def unmerge(self) -> None:
        """Subtracts merged adapters from the weight again, up to rounding."""
        self._shift(self.merged_adapters, -1)
        self.merged_adapters = []

    @torch.no_grad()
    def _shift(self, names: list[str], sign: int, checked: bool = False) -> None:
        if not names:
            return
        weight = self.get_base_layer().weight
        total = sum((self.factors(name).delta() for name in names), torch.zeros(()))
        whole = out_in(self, weight) + sign * total.to(weight.device)
        if checked and not torch.isfinite(whole).all():
            raise ValueError(f"the sum with the adapters {', '.join(names)} is not finite; they seem to be broken")
        weight.copy_(out_in(self, whole))

    def get_delta_weight(self, adapter: str) -> Tensor:
        """The update of an adapter, shaped as the base stores its weight."""
        return out_in(self, self.factors(adapter).delta())

    def factors(self, name: str) -> Factors:
        """Those of one adapter."""
        return cast(Factors, self.curlora_factors[name])


class CurLoraModel(BaseTuner):
    """A model with CURLoRA adapters on its target matrices."""

    prefix = PREFIX
    tuner_layer_cls = CurLoraLinear
    target_module_mapping: ClassVar[dict[str, list[str]]] = {}

    def _create_and_replace(
        self,
        peft_config: CurLoraConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **kwargs: Any,
    ) -> None:
        if isinstance(target, CurLoraLinear):
            target.add(adapter_name, peft_config, current_key)
            return
        if not isinstance(target, (nn.Linear, Conv1D)) or not target.weight.is_floating_point():
            raise ModelError(f"{current_key}: CURLoRA takes columns and rows of whole matrices, and this is not one")
        self._replace_module(parent, target_name, CurLoraLinear(target, adapter_name, peft_config, current_key), target)


PEFT_TYPE_TO_CONFIG_MAPPING[CURLORA] = CurLoraConfig
PEFT_TYPE_TO_TUNER_MAPPING[CURLORA] = CurLoraModel
PEFT_TYPE_TO_PREFIX_MAPPING[CURLORA] = PREFIX
