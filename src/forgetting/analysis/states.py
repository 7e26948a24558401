"""How far the hidden states of every layer moved, at the end of the question and over the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Rows, Work, by_role, means, read
from forgetting.analysis.distances import DISTANCES
from forgetting.analysis.registry import register_analysis
from forgetting.core.batch import Batch
from forgetting.core.errors import ModelError
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.data.batches import collate
from forgetting.data.encode import encode
from forgetting.evaluation.answers import padding_id
from forgetting.evaluation.rows import BATCH_TOKENS, ENOUGH_TOKENS, by_length
from forgetting.metrics.changes import mean_change
from forgetting.metrics.per_example import measure
from forgetting.models.head import head_of, supervised_hidden, text_config
from forgetting.models.hidden_states import states_kept
from forgetting.models.view import View

Moves = dict[str, NDArray[np.float64]]
"""By measure, `[N, P, L]`: of each example, place and layer."""
_PLACES = {"prompt": "the last token of the prompt", "answer": "the answer's tokens (their mean state)"}
_MEANINGS = {
    "cosine": "Cosine of the hidden states before and after at {}; 1 = the direction is unchanged",
    "distance": "ℓ2 distance between the hidden states before and after at {}, in their own units",
    "relative_distance": "ℓ2 distance between the hidden states before and after at {}, as a share of the norm before",
}


def _cost(known: Known, parameters: Mapping[str, Any]) -> Cost:
    """Forwards without the head; states of a batch stay in float64, and every layer has its own intervals."""
    shape, figures = known.shape, len(DISTANCES) * len(_PLACES)

    def of(rows: Rows) -> Cost:
        padded, _ = rows.batch()
        work = means(rows, figures * (1 + shape.layers))
        work += Work(touched=20.0 * rows.count * len(_PLACES) * shape.layers * shape.width)
        found = Cost(work, padded * shape.width * (8 + shape.layers * shape.itemsize))
        return read(shape, rows, times=2, logits=0).then(found)

    return by_role(known, of)


@register_analysis("states", cost=_cost, oracle=False)
def states() -> Analysis:
    """Cosine and ℓ2 distance of hidden states before and after, by layer: at the prompt's end, and over the answer.

    DUET's appendix on representation (its table 7), which does not say at which position; both here. A layer's state is
    the output of its block, the last one's before the final norm. `state_cosine_prompt` and the like are means over
    layers, then over examples; each layer's own mean is in the figure. ℓ2 grows with the norm of states, so its share
    of the norm before stands beside it. Intervals are clustered by source example.

    Both models see each batch in turn; states are held for one batch at once, and only the numbers are kept.
    """

    def analysis(compared: Compared) -> Findings:
        moves = {role: _moves(compared, role, some) for role, some in compared.examples.items() if some}
        clusters = {role: [e.cluster for e in compared.examples[role]] for role in moves}
        measures = [m for role, moved in moves.items() for m in _measures(role, moved, clusters[role])]
        series = [s for role, moved in moves.items() for s in _series(role, moved, clusters[role])]
        return Findings(measures=tuple(measures), series=tuple(series))

    return analysis


@torch.no_grad()
def _moves(compared: Compared, role: str, examples: Sequence[Example]) -> Moves:
    rows = [encode(example, compared.tokenizer, compared.formatting) for example in examples]
    layers = _layers(compared.start, compared.after)
    shape = (len(rows), len(_PLACES), layers)
    found: Moves = {name: np.full(shape, np.nan) for name in DISTANCES}
    done = 0
    for members in by_length([len(row.ids) for row in rows], BATCH_TOKENS, ENOUGH_TOKENS):
        batch = collate({"": [(m, rows[m]) for m in members]}, pad_id=padding_id(compared.tokenizer))
        before, after = (_pooled(view, batch, layers) for view in (compared.start, compared.after))
        for name, moved in DISTANCES.items():
            found[name][members] = moved(before, after)
        done += len(members)
        compared.voice.progress(done, len(rows), f"{role}: hidden states")
    return found


def _pooled(view: View, batch: Batch, layers: int) -> NDArray[np.float64]:
    """The states of each example of a batch, `[S, P, L, D]`: at the prompt's last token, and the answer's mean."""
    with view.active() as model, states_kept(model, range(layers)) as kept:
        there = batch.to(next(model.parameters()).device)
        supervised_hidden(model, head_of(model), there.input_ids_BT, there.attention_mask_BT, there.sources_N)
        pooled = [_at_places(kept[layer], there) for layer in range(layers)]
    return torch.stack(pooled, dim=2).double().cpu().numpy()


def _at_places(states_MD: Tensor, batch: Batch) -> Tensor:
    """One layer's states at both places, `[S, P, D]`; a token's own state is one place behind what predicts it."""
    count = int(batch.sequences_N.max()) + 1
    states_MD = states_MD.double()
    firsts_S = torch.searchsorted(batch.sequences_N, torch.arange(count, device=batch.sequences_N.device))
    own_ND = states_MD[batch.sources_N + 1]
    sums_SD = states_MD.new_zeros((count, states_MD.shape[-1])).index_add_(0, batch.sequences_N, own_ND)
    counts_S = torch.bincount(batch.sequences_N, minlength=count)
    return torch.stack([states_MD[batch.sources_N[firsts_S]], sums_SD / counts_S[:, None]], dim=1)


def _layers(*views: View) -> int:
    """How many layers the models have.

    Raises:
        ModelError: they differ in layers or in the size of their states.
    """
    configs = [text_config(view.model) for view in views]
    sizes = {(getattr(c, "num_hidden_layers", None), getattr(c, "hidden_size", None)) for c in configs}
    if len(sizes) > 1:
        shown = " and ".join(f"{layers} × {size}" for layers, size in sorted(sizes, key=str))
        raise ModelError(f"states: the models have layers × sizes of {shown}; compare models of one shape")
    [(layers, _)] = sizes
    if layers is None:
        raise ModelError("states: the model does not say how many layers it has; leave this analysis out")
    return int(layers)


def _measures(role: str, moves: Moves, clusters: Sequence[str]) -> list[Measure]:
    found = []
    for name, moved_NPL in moves.items():
        for place, (short, of) in enumerate(_PLACES.items()):
            key = f"state_{name}_{short}"
            values = moved_NPL[:, place].mean(axis=1).tolist()
            found.append(
                measure(
                    mean_change(values, clusters, key=f"{role}/{key}"),
                    name=key,
                    split=role,
                    direction="none",
                    meaning=f"{_MEANINGS[name].format(of)}; mean over layers.",
                    absent="every example has a state of length 0",
                )
            )
    return found


def _series(role: str, moves: Moves, clusters: Sequence[str]) -> list[Series]:
    found = []
    for name, moved_NPL in moves.items():
        for place, (short, of) in enumerate(_PLACES.items()):
            layers = range(moved_NPL.shape[2])
            key = f"{role}/state_{name}_{short}"
            means = [mean_change(moved_NPL[:, place, at].tolist(), clusters, key=f"{key}/{at}") for at in layers]
            found.append(
                Series(
                    figure=f"state_{name}_{short}",
                    name=role,
                    x_label="layer, from 1",
                    y_label=_MEANINGS[name].format(of),
                    x=tuple(float(at + 1) for at in layers),
                    y=tuple(mean.value for mean in means),
                    low=tuple(mean.low for mean in means),
                    high=tuple(mean.high for mean in means),
                )
            )
    return found
