"""How many directions the gradients of a set of examples take: a surrogate of the LoRA rank that they would use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Rows, Work, alone_bytes, by_role
from forgetting.analysis.registry import register_analysis
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.progress import SILENT, Voice
from forgetting.core.series import Series
from forgetting.data.batches import batches_by_length
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import padding_id
from forgetting.evaluation.rows import BATCH_TOKENS
from forgetting.models.adapters.targets import linear_layers
from forgetting.models.view import View
from forgetting.training.fisher import device_of, each_gradient, shape_of
from forgetting.training.importance import default_budget, groups_of

_SHOWN = 64
"""Ranks of the curves that are drawn."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The squared singular values of one matrix's mean gradient C, and ‖C‖²_F, which they sum to."""

    name: str
    squares_K: NDArray[np.float64]
    """From the largest."""
    energy: float

    def explained(self, rank: int) -> float:
        """Share of ‖C‖²_F that the first `rank` directions hold."""
        return float(self.squares_K[:rank].sum() / self.energy)

    def rank_of(self, share: float) -> int:
        """The fewest directions that hold this share."""
        held_K = np.cumsum(self.squares_K) / self.energy
        return min(int(np.searchsorted(held_K, share - 1e-12)) + 1, len(held_K))

    @property
    def participation(self) -> float:
        """(Σ s²)² / Σ s⁴: how many directions of one size would spread the energy as much."""
        return float(self.energy**2 / (self.squares_K**2).sum())


def _cost(known: Known, parameters: Mapping[str, Any]) -> Cost:
    """Forward and backward of rows in batches, each row's gradient of every matrix, and all singular values of its sum.

    Matrices that do not fit the budget together take several passes, which are not counted here.
    """
    shape = known.shape
    sides = [(min(side), max(side)) for side in shape.matrices]

    def of(whole: Rows) -> Cost:
        rows = whole.first(int(parameters["examples"]))
        work = Work(
            forward=2 * shape.entries * rows.tokens * 3,
            logits=3 * shape.vocabulary * rows.answered,
            entries=2 * shape.entries * rows.count,
            double=sum(2 * most * least**2 + 3 * least**3 for least, most in sides),
            touched=4.0 * shape.entries,
        )
        padded = min(rows.count * max(rows.lengths), BATCH_TOKENS)
        held = alone_bytes(shape, padded, rows.answered) + 4 * shape.entries + 28 * shape.largest
        return Cost(work * 2, held)

    return by_role(known, of)


@register_analysis("spectra", cost=_cost, oracle=False)
def spectra(examples: int = 64, share: float = 0.9) -> Analysis:
    """Explained variance of the gradient of every matrix, by rank, before and after (F2F, appendix A.7).

    C of a matrix is the gradient of the loss of the examples, summed over their tokens (the paper's cross-covariance
    Y Xᵀ of output gradients and inputs is this gradient; no activation is stored). EV(r) is the share of ‖C‖²_F that
    the r largest singular values hold, computed from all of them: a truncated SVD that divides by what it found
    overstates it. The rank of C is at most the number of tokens, so few examples give low ranks by counting: the count
    is that of tokens. Two summaries: the mean over matrices weighted by ‖C‖²_F, and the least over matrices.

    Args:
        examples: of each role, at most.
        share: of the energy, that effective ranks are read at.

    Raises:
        ValueError: no examples, or a share that is none.
    """
    if examples < 1 or not 0 < share <= 1:
        raise ValueError(f"examples is {examples} and share is {share}; write a number from 1 up and one of (0, 1]")

    def analysis(compared: Compared) -> Findings:
        parts = [_of_role(compared, role, some[:examples], share) for role, some in compared.examples.items() if some]
        return Findings.joined(parts)

    return analysis


def gradient_spectra(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    formatting: Formatting,
    budget: int | None = None,
    voice: Voice = SILENT,
) -> tuple[list[Spectrum], int]:
    """The spectrum of every linear layer of the decoder, and the number of tokens read.

    A group of matrices takes 4 bytes for each of their entries; each group is one pass over the examples. A matrix
    whose gradient is 0 is left out. Weights and `.grad` stay as they are.

    Args:
        budget: bytes that a group may take; None: that of FILA's importance.

    Raises:
        DataError: an example without a supervised token.
        ModelError: a matrix does not fit the budget alone, or a layer mixes examples.
    """
    rows = [encode(example, tokenizer, formatting) for example in examples]
    layers = linear_layers(model)
    shapes = {name: shape_of(layer) for name, layer in layers.items()}
    groups = groups_of(shapes, default_budget(next(model.parameters()).device) if budget is None else budget)
    found: list[Spectrum] = []
    for number, names in enumerate(groups, 1):
        sums = {name: torch.zeros(shapes[name], device=device_of(layers[name])) for name in names}

        def add(name: str, gradient_OI: Tensor, sums: Mapping[str, Tensor] = sums) -> None:
            sums[name].add_(gradient_OI)

        each_gradient(model, batches_by_length(rows, "", padding_id(tokenizer)), names, add)
        for name, total_OI in sums.items():
            spectrum = spectrum_of(name, total_OI)
            if spectrum.energy:
                found.append(spectrum)
        voice.progress(number, len(groups), "spectra")
    return found, sum(len(row.ids) for row in rows)


def spectrum_of(name: str, matrix_OI: Tensor) -> Spectrum:
    """All squared singular values: the eigenvalues of the smaller Gram matrix, float64."""
    wide = matrix_OI.double() if matrix_OI.device.type != "mps" else matrix_OI.cpu().double()
    gram = wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
    squares_K = torch.linalg.eigvalsh(gram).clamp_min(0).flip(0).cpu().numpy()
    return Spectrum(name, squares_K, float(wide.square().sum()))


def weighted(spectra: Sequence[Spectrum], rank: int) -> float:
    """EV(rank), the mean over matrices weighted by their energy."""
    return sum(s.energy * s.explained(rank) for s in spectra) / sum(s.energy for s in spectra)


def weighted_rank(spectra: Sequence[Spectrum], share: float) -> int:
    """The fewest directions a matrix at which the weighted EV reaches the share."""
    most = max(len(s.squares_K) for s in spectra)
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if weighted(spectra, middle) >= share - 1e-12 else (middle + 1, high)
    return low


def _of_role(compared: Compared, role: str, examples: Sequence[Example], share: float) -> Findings:
    measures: list[Measure] = []
    series: list[Series] = []
    for point, view in (("start", compared.start), ("after", compared.after)):
        found, tokens = _spectra(compared, view, examples)
        measures += _measures(role, point, found, tokens, share)
        series += _series(f"{role}, {point}", found) if found else []
    return Findings(measures=tuple(measures), series=tuple(series))


def _spectra(compared: Compared, view: View, examples: Sequence[Example]) -> tuple[list[Spectrum], int]:
    with view.active() as model:
        return gradient_spectra(
            cast(PreTrainedModel, model),
            compared.tokenizer,
            examples,
            formatting=compared.formatting,
            voice=compared.voice,
        )


def _measures(role: str, point: str, found: Sequence[Spectrum], tokens: int, share: float) -> list[Measure]:
    of = f"{share:.0%} of the gradient's energy ({point}); at most the number of tokens, {tokens:,}."
    values: dict[str, tuple[float, str]] = {}
    if found:
        values = {
            "rank": (
                float(weighted_rank(found, share)),
                f"Directions a matrix that hold {of} Mean weighted by energy.",
            ),
            "bottleneck_rank": (
                float(max(s.rank_of(share) for s in found)),
                f"Directions that hold {of} Of the matrix that needs most.",
            ),
            "participation": (
                sum(s.energy * s.participation for s in found) / sum(s.energy for s in found),
                f"Directions of one size that would spread the gradient as much ({point}); weighted by energy.",
            ),
        }
    names = ("rank", "bottleneck_rank", "participation")
    return [
        Measure(
            name=f"{name}_{point}",
            split=role,
            value=values[name][0] if found else None,
            count=tokens,
            meaning=values[name][1] if found else "",
            reason="" if found else "no matrix has a gradient",
        )
        for name in names
    ]


def _series(name: str, found: Sequence[Spectrum]) -> list[Series]:
    most = min(_SHOWN, max(len(s.squares_K) for s in found))
    ranks = range(1, most + 1)
    order = sorted(found, key=lambda s: s.rank_of(0.9))
    total = sum(s.energy for s in found)
    steps: dict[int, float] = {}
    held = 0.0
    for one in order:
        held += one.energy / total
        steps[one.rank_of(0.9)] = held
    curves = {
        "explained": ("explained variance, weighted by energy", [weighted(found, r) for r in ranks]),
        "explained_least": ("explained variance, least matrix", [min(s.explained(r) for s in found) for r in ranks]),
    }
    lines = [
        Series(figure=figure, name=name, x_label="rank", y_label=label, x=tuple(map(float, ranks)), y=tuple(values))
        for figure, (label, values) in curves.items()
    ]
    return [
        *lines,
        Series(
            figure="rank_shares",
            name=name,
            x_label="rank that holds 90% of a matrix's energy",
            y_label="share of the energy in matrices of this rank or less",
            x=tuple(map(float, steps)),
            y=tuple(steps.values()),
        ),
    ]
