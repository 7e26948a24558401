"""Relative size and stable rank of the change of each matrix of a model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Work, entries
from forgetting.analysis.registry import register_analysis
from forgetting.core.errors import ModelError
from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.models.adapters.decompose import top_singular
from forgetting.models.adapters.factors import Factors, added_factors, side_by_side
from forgetting.models.adapters.targets import linear_layers, other_matrices, out_in, plain_model
from forgetting.models.quantised import whole_weight
from forgetting.models.view import View

_RELATIVE = "Relative change of the weights: the Frobenius norm of the change over that of W."
_STABLE = (
    "Stable rank of a matrix's change: squared Frobenius norm over squared largest singular value; 1 = a single "
    "direction. Mean over the matrices that changed."
)


@dataclass(frozen=True, slots=True)
class Moved:
    """One matrix: squared Frobenius norms of W and of its change D, and the largest singular value of D."""

    name: str
    size: float
    change: float
    largest: float

    @property
    def kind(self) -> str:
        """The end of its name, the same in every layer: `self_attn.q_proj`."""
        return ".".join(self.name.split("[")[0].split(".")[-2:])

    @property
    def layer(self) -> int | None:
        """Its layer, from 0; None for embeddings and head."""
        found = re.search(r"\.(\d+)\.", self.name)
        return int(found[1]) if found else None

    @property
    def relative(self) -> float | None:
        """‖D‖_F / ‖W‖_F; None if W is 0."""
        return math.sqrt(self.change / self.size) if self.size else None

    @property
    def stable_rank(self) -> float | None:
        """‖D‖²_F / σ₁(D)²; None if the matrix did not change."""
        return self.change / self.largest**2 if self.largest else None


def _cost(known: Known, parameters: Mapping[str, Any]) -> Cost:
    """Squares of every matrix; of a thin change two triangular factors, of another one its Gram matrix."""
    shape = known.shape
    sides = (*shape.matrices, (shape.vocabulary, shape.width))
    double = 0.0
    for rows, columns in sides:
        least, most = min(rows, columns), max(rows, columns)
        double += 4 * known.thin**2 * (rows + columns) if known.thin else 2 * most * least**2 + 9 * least**3
    most = max(rows * columns for rows, columns in sides)
    touched = entries(sides) * (2 + (1 if known.thin else 4))
    return Cost(Work(double=double, touched=touched), most * (12 if known.thin else 24))


@register_analysis("weights", cost=_cost, oracle=False)
def weights() -> Analysis:
    """Relative change and stable rank of the change, by layer and by kind of matrix.

    For every matrix of the decoder (each expert's of a mixture), the embeddings and an untied head: ‖D‖_F / ‖W‖_F, with
    W the weight that the change is relative to, and the stable rank ‖D‖²_F / σ₁(D)² (Rudelson and Vershynin 2007,
    https://arxiv.org/abs/math/0503442, section 1.1), between 1 and the rank of D. Over several matrices, the relative
    change is that of all of them together, the stable rank a mean. Norms and biases are left out. There is no sampling,
    so there are no intervals.

    With adapters on one set of weights, D is a product of thin factors and is never formed.
    """

    def analysis(compared: Compared) -> Findings:
        moved = list(movements(compared))
        kinds = dict.fromkeys(m.kind for m in moved)
        groups = {"all": moved, **{kind: [m for m in moved if m.kind == kind] for kind in kinds}}
        measures = [measure for name, some in groups.items() for measure in _measures(name, some)]
        series = [line for kind in kinds for line in _series(kind, groups[kind])]
        return Findings(measures=tuple(measures), series=tuple(series))

    return analysis


@torch.no_grad()
def movements(compared: Compared) -> Iterator[Moved]:
    """Every matrix that both models have, in the model's order.

    Raises:
        ModelError: the models do not have the same matrices.
    """
    first, second = (_matrices(view) for view in (compared.start, compared.after))
    if {name: m.shape for name, m in first.items()} != {name: m.shape for name, m in second.items()}:
        raise ModelError(
            f"the model {compared.against} and the model after have different matrices; compare models of one shape"
        )
    for number, (name, start) in enumerate(first.items(), 1):
        yield _moved(name, start, second[name])
        compared.voice.progress(number, len(first), "weights")


@dataclass(frozen=True)
class _Matrix:
    """A weight as stored, and the update of each active adapter of a view."""

    module: nn.Module
    added: Mapping[str, Factors]

    @property
    def base(self) -> nn.Module:
        return self.module.get_base_layer() if isinstance(self.module, BaseTunerLayer) else self.module

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.stored().shape)

    def stored(self) -> Tensor:
        """`[out, in]` without adapters, in its own precision."""
        return out_in(self.module, whole_weight(self.base)).detach()

    def effective(self) -> Tensor:
        """`[out, in]` with them, fp32 at least."""
        stored = self.stored()
        weight = stored.to(torch.promote_types(stored.dtype, torch.float32))
        return sum((left @ right for left, right in self.added.values()), weight)


def _matrices(view: View) -> dict[str, _Matrix]:
    model = cast(PreTrainedModel, view.model)
    added = {adapter: added_factors(model, (adapter,)) for adapter in view.adapters}
    plain = plain_model(model)
    names = {id(module): name for name, module in plain.named_modules()}
    embeddings, head = plain.get_input_embeddings(), plain.get_output_embeddings()
    ends = [embeddings] if head is None or head.weight is embeddings.weight else [embeddings, head]
    modules = {**{names[id(end)]: end for end in ends}, **linear_layers(model)}
    modules |= {part: one for name, p in other_matrices(model).items() for part, one in _parts(name, p)}
    return {
        name: _Matrix(module, {adapter: some[name] for adapter, some in added.items() if name in some})
        for name, module in modules.items()
    }


class _Part(nn.Module):
    """A matrix that is no layer of its own."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight


def _parts(name: str, tensor: Tensor) -> Iterator[tuple[str, nn.Module]]:
    """A matrix, or each expert's of a stack of them: `name[e]`."""
    if tensor.dim() == 2 or tensor.shape[1] == 1:  # the kernel of a convolution is a row for each channel
        yield name, _Part(tensor.flatten(1))
    else:
        yield from ((f"{name}[{e}]", _Part(one.flatten(1))) for e, one in enumerate(tensor))


def _moved(name: str, start: _Matrix, after: _Matrix) -> Moved:
    size = _squared(start.effective())
    if start.base is after.base:
        # An adapter on both sides cancels, and is left out, since its rounding would look like a change.
        gone = [(-left, right) for adapter, (left, right) in start.added.items() if adapter not in after.added]
        parts = gone + [factors for adapter, factors in after.added.items() if adapter not in start.added]
        change, largest = _of_factors(side_by_side(parts)) if parts else (0.0, 0.0)
    else:
        difference = after.effective().to(start.stored().device) - start.effective()
        change, largest = _squared(difference), 0.0
        if change:
            largest = float(top_singular(difference, 1)[0][0])
    return Moved(name, size, change, largest)


def _of_factors(factors: Factors) -> tuple[float, float]:
    """‖LR‖²_F and σ₁(LR) of L `[out, r]` and R `[r, in]`: those of the small product of their triangular factors."""
    left, right = (f.double() if f.device.type != "mps" else f.cpu().double() for f in factors)
    small = torch.linalg.qr(left).R @ torch.linalg.qr(right.T).R.T
    values = torch.linalg.svdvals(small)
    return float(values.square().sum()), float(values[0])


def _squared(matrix: Tensor) -> float:
    """‖M‖²_F, rows summed in the matrix's precision and their sums in float64."""
    return float(matrix.square().sum(1).cpu().double().sum())


def _measures(name: str, some: Sequence[Moved]) -> list[Measure]:
    ranks = [m.stable_rank for m in some if m.stable_rank is not None]
    size = sum(m.size for m in some)
    relative = math.sqrt(sum(m.change for m in some) / size) if size else None
    return [
        Measure(
            name="relative_change",
            split=name,
            value=relative,
            count=len(some),
            meaning=_RELATIVE,
            reason="" if size else "the weights are all 0",
        ),
        Measure(
            name="stable_rank",
            split=name,
            value=sum(ranks) / len(ranks) if ranks else None,
            count=len(ranks),
            meaning=_STABLE,
            reason="" if ranks else "no matrix moved",
        ),
    ]


def _series(kind: str, some: Sequence[Moved]) -> list[Series]:
    """Series by layer, without embeddings and head."""
    layers = {m.layer: m for m in some if m.layer is not None}
    if not layers:
        return []
    drawn: Mapping[str, tuple[str, list[float | None]]] = {
        "relative_change": ("relative change", [m.relative for m in layers.values()]),
        "stable_rank": ("stable rank of the change", [m.stable_rank for m in layers.values()]),
    }
    return [
        Series(figure=figure, name=kind, x_label="layer", y_label=label, x=tuple(map(float, layers)), y=tuple(values))
        for figure, (label, values) in drawn.items()
    ]
