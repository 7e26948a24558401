"""Statistics of every token of each answer, where records keep only sums."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.core.evaluator import Progress
from forgetting.core.example import Example
from forgetting.data.batches import collate
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import padding_id
from forgetting.evaluation.rows import BATCH_TOKENS, ENOUGH_TOKENS, by_length, columns_of
from forgetting.models.head import head_of, supervised_hidden
from forgetting.models.modes import in_evaluation_mode
from forgetting.objectives.statistics import Statistic

Columns = dict[str, tuple[float, ...]]
"""By statistic, one number for each supervised token of an answer."""


@torch.no_grad()
def token_columns(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    wanted: Sequence[Statistic],
    *,
    formatting: Formatting,
    progress: Progress = lambda done, total, note: None,
) -> list[Columns]:
    """The wanted statistics of each answer's tokens, in the order of the examples.

    An answer's tokens are those that are supervised: all that hold a character of it, and the end token where one
    follows. The model is in evaluation mode meanwhile; no random number is drawn.

    Raises:
        DataError: an example without a supervised token; its row is named.
    """
    rows = [encode(example, tokenizer, formatting) for example in examples]
    head, device = head_of(model), next(model.parameters()).device
    found: list[Columns] = [{} for _ in rows]
    done = 0
    with in_evaluation_mode(model):
        for members in by_length([len(row.ids) for row in rows], BATCH_TOKENS, ENOUGH_TOKENS):
            some = [rows[m] for m in members]
            batch = collate({"": list(enumerate(some))}, pad_id=padding_id(tokenizer)).to(device)
            hidden_ND = supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
            columns = columns_of(hidden_ND, head, batch.targets_N, tuple(wanted))
            lengths = [row.supervised for row in some]
            for name, values_N in columns.items():
                for member, part in zip(members, values_N.split(lengths), strict=True):
                    found[member][name] = tuple(part.tolist())
            done += len(members)
            progress(done, len(rows), "tokens")
    return found
