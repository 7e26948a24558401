"""Hidden states of every decoder block, pooled over the tokens of each example while the model runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from forgetting.core.evaluator import Progress
from forgetting.core.example import Example
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded, encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import padding_id
from forgetting.evaluation.rows import BATCH_TOKENS, ENOUGH_TOKENS, by_length
from forgetting.models.head import head_of, supervised_hidden, text_config
from forgetting.models.hidden_states import decoder_blocks
from forgetting.models.modes import in_evaluation_mode

Pooling = Callable[[Encoded], NDArray[np.float32]]
"""The weight of each token's state in an example's, one for each token; they sum to 1."""
States = NDArray[np.float32]


def mean(row: Encoded) -> NDArray[np.float32]:
    """All tokens alike (Forget-to-Focus, section 4.5)."""
    return np.full(len(row.ids), 1 / len(row.ids), dtype=np.float32)


def even(row: Encoded) -> NDArray[np.float32]:
    """The 1st, 3rd, 5th … token alike."""
    return _alike(np.arange(len(row.ids)) % 2 == 0)


def odd(row: Encoded) -> NDArray[np.float32]:
    """The 2nd, 4th, 6th … token alike; the only one of a row of one."""
    return _alike(np.arange(len(row.ids)) % 2 == 1) if len(row.ids) > 1 else mean(row)


def last_of_prompt(row: Encoded) -> NDArray[np.float32]:
    """The last token before the answer, whose state the answer's first token is predicted from."""
    return _alike(np.arange(len(row.ids)) == max(len(row.prompt_ids) - 1, 0))


def of_answer(row: Encoded) -> NDArray[np.float32]:
    """The answer's tokens alike."""
    return _alike(np.asarray(row.weights) != 0)


@torch.no_grad()
def pooled_states(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    poolings: Sequence[Pooling],
    *,
    formatting: Formatting,
    progress: Progress = lambda done, total, note: None,
) -> States:
    """The residual stream after each block, pooled in each way, `[P, L, N, D]` fp32.

    P poolings, L decoder blocks in order (the last one before the final norm), N examples in their order. Whole states
    of a batch live for one block only. The model is in evaluation mode meanwhile; no random number is drawn.

    Raises:
        DataError: an example without a supervised token; its row is named.
        ModelError: the model's decoder blocks are not found.
    """
    rows = [encode(example, tokenizer, formatting) for example in examples]
    count = int(text_config(model).num_hidden_layers)
    blocks = decoder_blocks(model, range(count))
    head, device = head_of(model), next(model.parameters()).device
    found: States | None = None
    done = 0
    with in_evaluation_mode(model):
        for members in by_length([len(row.ids) for row in rows], BATCH_TOKENS, ENOUGH_TOKENS):
            some = [rows[m] for m in members]
            batch = collate({"": list(enumerate(some))}, pad_id=padding_id(tokenizer)).to(device)
            weights_PBT = torch.from_numpy(_weights(some, poolings)).to(device)
            kept: dict[int, Tensor] = {}
            with ExitStack() as hooks:
                for layer, block in blocks.items():
                    hooks.callback(block.register_forward_hook(partial(_pool, kept, layer, weights_PBT)).remove)
                supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
            pooled_PLBD = torch.stack([kept[layer] for layer in range(count)], dim=1).cpu().numpy()
            if found is None:
                found = np.empty((len(poolings), count, len(rows), pooled_PLBD.shape[-1]), dtype=np.float32)
            found[:, :, members] = pooled_PLBD
            done += len(members)
            progress(done, len(rows), "hidden states")
    return np.empty((len(poolings), count, 0, 0), dtype=np.float32) if found is None else found


def _pool(kept: dict[int, Tensor], layer: int, weights_PBT: Tensor, block: nn.Module, args: Any, output: Any) -> None:
    states_BTD: Tensor = output[0] if isinstance(output, tuple) else output
    kept[layer] = torch.einsum("pbt,btd->pbd", weights_PBT, states_BTD.float())


def _weights(rows: Sequence[Encoded], poolings: Sequence[Pooling]) -> NDArray[np.float32]:
    """`[P, B, T]`, 0 at padding."""
    weights_PBT = np.zeros((len(poolings), len(rows), max(len(row.ids) for row in rows)), dtype=np.float32)
    for p, pooling in enumerate(poolings):
        for b, row in enumerate(rows):
            weights_PBT[p, b, : len(row.ids)] = pooling(row)
    return weights_PBT


def _alike(chosen_T: NDArray[np.bool_]) -> NDArray[np.float32]:
    return (chosen_T / chosen_T.sum()).astype(np.float32)
