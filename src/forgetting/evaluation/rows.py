"""Rows of prompt and answer: which ones are needed, their batches, and their scores and answers row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn
from transformers import GenerationConfig

from forgetting.core.processes import own_share
from forgetting.core.record import Score
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded
from forgetting.evaluation.endings import Ending
from forgetting.models.head import Head, head_of, longest_row, supervised_hidden
from forgetting.models.vocabulary import statistics
from forgetting.objectives.statistics import LOGP, RANK, RUNNER_UP, Statistic

BATCH_TOKENS = 8_192
"""Padded tokens of one forward, and positions in one cache."""
ENOUGH_TOKENS = 512
"""Tokens that keep a forward busy: past them a batch is closed rather than filled up."""

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """The different rows that examples ask for, each once."""

    rows: Sequence[Encoded]
    places: Sequence[Sequence[int]]
    """By example: its own row, then those of its variants."""
    owned: frozenset[int]
    """Rows that are some example's own: only their ranks are wanted."""

    @classmethod
    def of(cls, encoded: Sequence[Sequence[Encoded]]) -> Asked:
        """From the own row and the variants of each example."""
        index: dict[tuple[Ids, tuple[float, ...]], int] = {}
        rows: list[Encoded] = []
        for e in (e for some in encoded for e in some):
            if index.setdefault((e.ids, e.weights), len(rows)) == len(rows):
                rows.append(e)
        places = [[index[e.ids, e.weights] for e in some] for some in encoded]
        return cls(rows, places, frozenset(at[0] for at in places))

    def questions(self) -> dict[Ids, list[int]]:
        """Rows by the tokens before their answer, an example's own row first."""
        found: dict[Ids, list[int]] = {}
        for i in sorted(range(len(self.rows)), key=lambda i: i not in self.owned):
            found.setdefault(self.rows[i].prompt_ids, []).append(i)
        return found


def by_length(lengths: Sequence[int], tokens: int, enough: int | None = None) -> Iterator[list[int]]:
    """Indices in batches of similar length, longest first, each within so many padded tokens.

    Args:
        tokens: at most; an eighth more if nothing is left then.
        enough: a batch that has so many ends before a row that is shorter than its longest by more than an eighth.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    begin = 0
    while begin < len(order):
        longest = lengths[order[begin]]
        count = max(1, tokens // longest)
        if enough is not None:
            alike = sum(8 * lengths[i] >= 7 * longest for i in order[begin : begin + count])
            count = min(count, max(alike, -(-enough // longest)))
        if len(order) - begin - count <= count // 8:
            count = len(order) - begin
        yield order[begin : begin + count]
        begin += count


def columns_of(hidden_ND: Tensor, head: Head, targets_N: Tensor, wanted: tuple[Statistic, ...]) -> dict[str, Tensor]:
    """The wanted statistics of N tokens, float64 on the processor."""
    stats = statistics(hidden_ND, head, targets_N, wanted)
    return {name: values.double().cpu() for name, values in stats.items()}


def scores_of(columns: Mapping[str, Tensor], rows: Sequence[Encoded]) -> list[Score]:
    """The score of each of these rows, whose supervised tokens fill the columns row after row."""
    return [
        Score(
            logp=float(columns["logp"][start:stop].sum()),
            tokens=stop - start,
            ranks=tuple(int(r) for r in columns["rank"][start:stop]) if "rank" in columns else (),
            runner_up=float(columns["runner_up"][start:stop].sum()),
        )
        for start, stop in pairwise(accumulate((e.supervised for e in rows), initial=0))
    ]


def each_scored(model: nn.Module, asked: Asked, indices: Sequence[int], pad_id: int) -> Iterator[dict[int, Score]]:
    """The scores of these rows, batch by batch, each row run whole; of several processes, this one's share."""
    device, head = next(model.parameters()).device, head_of(model)
    for members in own_share(by_length([len(asked.rows[i].ids) for i in indices], BATCH_TOKENS, ENOUGH_TOKENS)):
        some = [indices[m] for m in members]
        rows = [asked.rows[i] for i in some]
        batch = collate({"": list(enumerate(rows))}, pad_id=pad_id).to(device)
        hidden_ND = supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
        columns = columns_of(hidden_ND, head, batch.targets_N, (LOGP, RUNNER_UP, RANK))
        yield dict(zip(some, scores_of(columns, rows), strict=True))


def each_written(
    model: nn.Module, room: Mapping[Ids, int], pad_id: int, ending: Ending, *, padded: bool
) -> dict[Ids, Ids]:
    """What `generate` writes after each prompt of this process's share, at most as many tokens as it has room for.

    Args:
        padded: prompts of different length go together, filled up on the left. Not every model that keeps a state
            leaves the filling out of it.
    """
    device = next(model.parameters()).device
    groups: dict[tuple[int, int], list[Ids]] = {}
    for p, tokens in room.items():  # those with less room by themselves: padding would take it from them
        groups.setdefault((tokens, 0 if padded else len(p)), []).append(p)
    written: dict[Ids, Ids] = {}
    for (tokens, _), prompts in groups.items():
        for members in own_share(by_length([len(p) + tokens for p in prompts], BATCH_TOKENS)):
            batch = [prompts[m] for m in members]
            longest = max(len(p) for p in batch)
            config = GenerationConfig(
                do_sample=False, max_new_tokens=tokens, pad_token_id=pad_id, eos_token_id=list(ending.ids) or None
            )
            ids = torch.tensor([[pad_id] * (longest - len(p)) + list(p) for p in batch], device=device)
            mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in batch], device=device)
            output = model.generate(  # type: ignore[operator]
                input_ids=ids,
                attention_mask=mask,
                generation_config=config,
                stopping_criteria=ending.criteria(longest),
            )
            written |= {p: tuple(row) for p, row in zip(batch, output[:, longest:].tolist(), strict=True)}
    return written


def room_after(model: nn.Module, prompt: Ids, limit: int) -> int:
    """How many tokens may be written after a prompt: `limit`, or what the model's positions leave."""
    positions = longest_row(model)
    return limit if positions is None else min(limit, positions - len(prompt))
