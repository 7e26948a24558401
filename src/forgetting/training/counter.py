"""The FLOPs of the matrix products in a piece of code: 2·m·k·n for [m, k] by [k, n].

The formulas are those of `torch.utils.flop_counter`. Its own counter is not used: it follows modules through the
backward pass, which fails for gradients with respect to intermediate results, and it omits in-place products.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


def counted(work: Callable[[], object]) -> int:
    """The FLOPs of `work`. Fused attention on a CPU and kernels of other packages are not counted."""
    with _Counter() as counter:
        work()
    return counter.flops


class _Counter(TorchDispatchMode):
    """Adds up the FLOPs of every dispatched operation."""

    def __init__(self) -> None:
        super().__init__()
        self.flops: int = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        operation = func._overloadpacket
        if operation in _PRODUCTS:
            a, b = args[_PRODUCTS[operation] :][:2]
            self.flops += 2 * math.prod(a.shape) * b.shape[-1]
        elif operation in flop_registry:
            self.flops += int(flop_registry[operation](*args, **kwargs, out_val=out))
        return out


_ATEN = torch.ops.aten
_PRODUCTS = {_ATEN.mm: 0, _ATEN.bmm: 0} | dict.fromkeys((_ATEN.addmm, _ATEN.baddbmm, _ATEN.addmm_, _ATEN.baddbmm_), 1)
"""The operations that are products, and which argument is the first factor."""
