"""How deep a fact is gone: the model before with the states of another put in, layer by layer, beside the oracle's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from forgetting.analysis.by_layer import by_layer
from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Rows, by_role, means, read
from forgetting.analysis.registry import register_analysis
from forgetting.core.batch import Batch
from forgetting.core.errors import ModelError
from forgetting.core.evaluator import Progress
from forgetting.core.example import Example
from forgetting.core.series import Series
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded, encode
from forgetting.evaluation.answers import padding_id
from forgetting.evaluation.rows import BATCH_TOKENS, ENOUGH_TOKENS, by_length, columns_of
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import Estimate, estimate_mean
from forgetting.models.head import head_of, supervised_hidden, text_config
from forgetting.models.hidden_states import states_kept, states_put_in
from forgetting.models.view import View
from forgetting.objectives.statistics import LOGP

LEAST = 0.05
"""Nats that the oracle's states must take from a layer before it counts, by default; the authors' τ."""
Fall = NDArray[np.float64]
"""`[L, N]`: by how much log p of the right answer falls, nats a token, with another model's states of layer L."""


class Falls(NamedTuple):
    """Of the model before, where one layer's states at the answer are another model's."""

    oracle_LN: Fall
    after_LN: Fall


def _cost(known: Known, parameters: Mapping[str, Any]) -> Cost:
    """The model before once, and for each layer twice more; the states of both others are held for a batch."""
    layers = known.shape.layers

    def of(rows: Rows) -> Cost:
        found = read(known.shape, rows, times=1 + 2 * layers, states=2 * layers)
        return found.then(Cost(read(known.shape, rows, times=2, logits=0).work + means(rows, 1 + 2 * layers)))

    return by_role(known, of)


@register_analysis("depth", cost=_cost)
def depth(least: float = LEAST) -> Analysis:
    """The unlearning depth score: how much of what the model before keeps in its layers is gone as in the oracle.

    Of every layer, the states at the tokens that predict the answer are put into the model before: the oracle's, then
    the unlearned model's. How far log p of the right answer falls says how much of the fact these states lack. `uds` is
    1 where the unlearned model's states lack as much as the oracle's in every layer that holds the fact, and 0 where
    they lack nothing: the last layer only hides it. Means over an answer's tokens, nats, after the right tokens;
    intervals are clustered by source example.

        UDS = Σ_l δ_l · clip(ε_l / δ_l, 0, 1) / Σ_l δ_l, over the layers with δ_l > least,

    with δ_l the fall by the oracle's states and ε_l that by the unlearned model's. An example without such a layer has
    no score. More than the oracle lacks counts as 1, so damage does not show here. A layer's state is its block's
    output; the last one's before the final norm (the authors put the normed one in there, and norm it again).

    Source: the unlearning depth score, unlearning-depth-score at fc31639, `compute_uds.py`.

    Args:
        least: nats a token above which a layer counts.

    Raises:
        ValueError: `least` is below 0.
    """
    if not least >= 0:
        raise ValueError(f"least is {least}; write 0 or more")

    def analysis(compared: Compared) -> Findings:
        _check(compared)
        parts = [_of_role(compared, role, some, least) for role, some in compared.examples.items() if some]
        return Findings.joined(parts)

    return analysis


@torch.no_grad()
def falls(
    before: View,
    oracle: View,
    after: View,
    rows: Sequence[Encoded],
    *,
    pad_id: int,
    progress: Progress = lambda done, total, note: None,
) -> Falls:
    """How log p of each answer falls with another model's states of one layer; its supervised tokens are the answer.

    Args:
        before: the model that states are put into.
        oracle: one whose states are put in.
        after: likewise.
        rows: encoded examples.
        pad_id: any id of the vocabulary.
        progress: called after each batch.
    """
    layers = int(text_config(before.model).num_hidden_layers)
    found = Falls(np.empty((layers, len(rows))), np.empty((layers, len(rows))))
    done = 0
    for members in by_length([len(row.ids) for row in rows], BATCH_TOKENS, ENOUGH_TOKENS):
        some = [rows[m] for m in members]
        batch = collate({"": list(enumerate(some))}, pad_id=pad_id)
        lengths = [row.supervised for row in some]
        states = [_states(view, batch, layers) for view in (oracle, after)]
        with before.active() as model:
            own = _logp(model, batch, lengths)
            for fall_LN, of_layer in zip(found, states, strict=True):
                for layer, states_ND in enumerate(of_layer):
                    with states_put_in(model, layer, batch.sources_N, states_ND):
                        fall_LN[layer, members] = own - _logp(model, batch, lengths)
        done += len(members)
        progress(done, len(rows), "layers")
    return found


def scores(found: Falls, least: float = LEAST) -> list[float | None]:
    """The unlearning depth score of each example; None where no layer holds the fact."""
    held_LN = np.where(found.oracle_LN > least, found.oracle_LN, 0.0)
    gone_LN = np.where(held_LN > 0, np.clip(found.after_LN, 0.0, held_LN), 0.0)
    of = zip(gone_LN.sum(axis=0), held_LN.sum(axis=0), strict=True)
    return [float(gone / held) if held > 0 else None for gone, held in of]


def _check(compared: Compared) -> None:
    if compared.against == "oracle":
        raise ModelError("depth reads what the model before holds; count changes from that one, not from the oracle")
    if compared.oracle is None:
        raise ModelError("depth needs an oracle, a model that never saw the forget set; name one")
    shapes = {
        (text_config(view.model).num_hidden_layers, text_config(view.model).hidden_size)
        for view in (compared.start, compared.after, compared.oracle)
    }
    if len(shapes) > 1:
        said = " and ".join(f"{layers} × {size}" for layers, size in sorted(shapes))
        raise ModelError(f"depth: the models have layers × sizes of {said}; compare models of one shape")


def _states(view: View, batch: Batch, layers: int) -> list[Tensor]:
    """Each block's output at the tokens that predict the answer, `[N, D]`."""
    with view.active() as model, states_kept(model, range(layers)) as kept:
        there = batch.to(next(model.parameters()).device)
        supervised_hidden(model, head_of(model), there.input_ids_BT, there.attention_mask_BT, there.sources_N)
        return [kept[layer].index_select(0, there.sources_N) for layer in range(layers)]


def _logp(model: nn.Module, batch: Batch, lengths: list[int]) -> NDArray[np.float64]:
    """The mean log p of each answer's tokens, nats."""
    head, there = head_of(model), batch.to(next(model.parameters()).device)
    hidden = supervised_hidden(model, head, there.input_ids_BT, there.attention_mask_BT, there.sources_N)
    logp_N = columns_of(hidden, head, there.targets_N, (LOGP,))[LOGP.name]
    return np.array([float(part.mean()) for part in logp_N.split(lengths)])


def _of_role(compared: Compared, role: str, examples: Sequence[Example], least: float) -> Findings:
    assert compared.oracle is not None
    rows = [encode(example, compared.tokenizer, compared.formatting) for example in examples]
    found = falls(
        compared.start,
        compared.oracle,
        compared.after,
        rows,
        pad_id=padding_id(compared.tokenizer),
        progress=lambda done, total, note: compared.voice.progress(done, total, f"{role}: {note}"),
    )
    clusters = [e.cluster for e in examples]
    of_row = scores(found, least)
    score = measure(
        estimate_mean(of_row, clusters, key=f"{role}/uds", unit=True),
        name="uds",
        split=role,
        direction="none",
        meaning="Unlearning depth score: 1 = in every layer that holds the answer the model after lacks as much of it "
        f"as the oracle, 0 = it lacks nothing. Of the {sum(s is not None for s in of_row)} of {len(of_row)} examples "
        f"whose log p falls by more than {least:g} nats with the oracle's states.",
        absent="no layer holds an answer that the oracle lacks",
    )
    lines = [_line(role, name, part_LN, clusters) for name, part_LN in found._asdict().items()]
    return Findings(measures=(score,), series=tuple(lines))


def _line(role: str, name: str, fall_LN: Fall, clusters: Sequence[str]) -> Series:
    point = name.removesuffix("_LN")
    means_L: list[Estimate] = [
        estimate_mean(row_N.tolist(), clusters, key=f"{role}/{point}/depth/{layer}")
        for layer, row_N in enumerate(fall_LN)
    ]
    return by_layer("depth", f"{role}, {point}", "fall of log p with this model's states put in, nats", means_L)
