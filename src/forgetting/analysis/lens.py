"""At which layer the right answer can be read: the logit lens on the models before, after and the oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from forgetting.analysis.by_layer import by_layer
from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Rows, by_role, means, read
from forgetting.analysis.registry import register_analysis
from forgetting.core.errors import ModelError
from forgetting.core.evaluator import Progress
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.data.batches import collate
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import padding_id
from forgetting.evaluation.rows import BATCH_TOKENS, ENOUGH_TOKENS, by_length, columns_of
from forgetting.metrics.changes import mean_change
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import Estimate, estimate_mean
from forgetting.models.head import Head, causal_model, head_of, supervised_hidden, text_config
from forgetting.models.hidden_states import decoder_blocks
from forgetting.models.modes import in_evaluation_mode
from forgetting.models.view import View
from forgetting.objectives.statistics import LOGP

_NORMS = ("norm", "final_layernorm", "final_layer_norm", "ln_f")
LogP = NDArray[np.float64]


def _cost(known: Known, parameters: Mapping[str, Any]) -> Cost:
    """A forward of each model, whose every layer goes through the head, and an interval for each layer."""
    layers = known.shape.layers

    def of(rows: Rows) -> Cost:
        found = read(known.shape, rows, times=known.views, logits=layers)
        return found.then(Cost(means(rows, known.views * (layers + 2))))

    return by_role(known, of)


@register_analysis("lens", cost=_cost)
def lens() -> Analysis:
    """Log p of the right answer, read after every decoder block through the final norm and the head.

    The logit lens (nostalgebraist 2020; see Belrose et al. 2023, https://arxiv.org/abs/2303.08112, for its limits): a
    fact that is gone cannot be read from any layer better than in a model that never saw it, one that is hidden can be
    read from a middle layer though the last one says something else. Values are means over an answer's tokens, nats,
    after the right tokens; intervals are clustered by source example. `hidden` is what a model's best layer says more
    than its last one; compare it with that of the oracle, since middle layers know a little of any text.
    """

    def analysis(compared: Compared) -> Findings:
        parts = [_of_role(compared, role, some) for role, some in compared.examples.items() if some]
        return Findings.joined(parts)

    return analysis


@torch.no_grad()
def layer_logp(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    formatting: Formatting,
    progress: Progress = lambda done, total, note: None,
) -> LogP:
    """Mean log p of each answer's tokens after each block, `[L, N]`, nats; the last row is the model's own.

    The model is in evaluation mode meanwhile. Logits of one block of one batch are in memory at a time.

    Raises:
        DataError: an example without a supervised token; its row is named.
        ModelError: the model's decoder blocks, final norm or head are not found.
    """
    rows = [encode(example, tokenizer, formatting) for example in examples]
    count = int(text_config(model).num_hidden_layers)
    blocks, head, norm = decoder_blocks(model, range(count)), head_of(model), final_norm(model)
    if head.weight_VD is None:
        raise ModelError(f"the head of a {text_config(model).model_type} model is not known; leave the lens out")
    device = next(model.parameters()).device
    found_LN = np.empty((count, len(rows)))
    done = 0
    with in_evaluation_mode(model):
        for members in by_length([len(row.ids) for row in rows], BATCH_TOKENS, ENOUGH_TOKENS):
            some = [rows[m] for m in members]
            batch = collate({"": list(enumerate(some))}, pad_id=padding_id(tokenizer)).to(device)
            kept: dict[int, Tensor] = {}
            with ExitStack() as hooks:
                for layer, block in blocks.items():
                    hooks.callback(block.register_forward_hook(partial(_keep, kept, layer, batch.sources_N)).remove)
                supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
            lengths = [row.supervised for row in some]
            for layer in range(count):
                logp_N = _read(kept.pop(layer), norm, head, batch.targets_N)
                means = [float(part.mean()) for part in logp_N.split(lengths)]
                found_LN[layer, members] = means
            done += len(members)
            progress(done, len(rows), "layers")
    return found_LN


def final_norm(model: nn.Module) -> nn.Module:
    """The norm between the last block and the head.

    Raises:
        ModelError: the decoder has none under a known name.
    """
    decoder = causal_model(model).get_decoder()
    for name in _NORMS:
        found = getattr(decoder, name, None)
        if isinstance(found, nn.Module):
            return found
    raise ModelError(f"the final norm of a {text_config(model).model_type} model is not found; leave the lens out")


def _keep(kept: dict[int, Tensor], layer: int, sources_N: Tensor, block: nn.Module, args: Any, output: Any) -> None:
    states_BTD: Tensor = output[0] if isinstance(output, tuple) else output
    kept[layer] = states_BTD.flatten(0, 1).index_select(0, sources_N)


def _read(states_ND: Tensor, norm: nn.Module, head: Head, targets_N: Tensor) -> Tensor:
    return columns_of(norm(states_ND), head, targets_N, (LOGP,))[LOGP.name]


def _of_role(compared: Compared, role: str, examples: Sequence[Example]) -> Findings:
    views = {"start": compared.start, "after": compared.after}
    if compared.oracle is not None and compared.against != "oracle":
        views["oracle"] = compared.oracle
    clusters = [e.cluster for e in examples]
    measures: list[Measure] = []
    series: list[Series] = []
    for point, view in views.items():
        found_LN = _logp(compared, view, role, examples)
        lines = [
            estimate_mean(list(map(float, row_N)), clusters, key=f"{role}/{point}/lens/{layer}")
            for layer, row_N in enumerate(found_LN)
        ]
        best = int(found_LN.mean(1).argmax())
        more = mean_change(list(map(float, found_LN[best] - found_LN[-1])), clusters, key=f"{role}/{point}/hidden")
        measures += _measures(role, point, best, lines[-1], more)
        series.append(by_layer("lens", f"{role}, {point}", "log p of the right answer's tokens, nats", lines))
    return Findings(measures=tuple(measures), series=tuple(series))


def _logp(compared: Compared, view: View, role: str, examples: Sequence[Example]) -> LogP:
    with view.active() as model:
        return layer_logp(
            model,
            compared.tokenizer,
            examples,
            formatting=compared.formatting,
            progress=lambda done, total, note: compared.voice.progress(done, total, f"{role}: {note}"),
        )


def _measures(role: str, point: str, best: int, last: Estimate, more: Estimate) -> list[Measure]:
    says = f"({point})"
    return [
        measure(
            last,
            name=f"logp_{point}",
            split=role,
            direction="none",
            meaning=f"Log p of the answer's tokens, nats {says}.",
        ),
        measure(
            more,
            name=f"hidden_{point}",
            split=role,
            direction="none",
            meaning=f"What the layer that says the answer best says more than the last one, nats {says}. It is chosen "
            "by the same examples.",
        ),
        Measure(
            name=f"best_layer_{point}",
            split=role,
            value=float(best),
            count=last.count,
            meaning=f"The layer, from 0, that says the answer best {says}.",
        ),
    ]
