"""Keys and values of one forward, used again: to score what else may follow a prefix, and to write on from it.

Rows are filled up on the right and never masked: under causal attention no token sees a later one. Rows that
go through the model together have equally many positions behind them, so no padding lies between a prefix and what
follows, and no family needs a mask or positions of its own.
"""

from __future__ import annotations

import inspect
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from forgetting.models.head import Head, final_states, members_of, text_config
from forgetting.models.vocabulary import statistics
from forgetting.objectives.statistics import Statistic, most_likely

GREEDY = Statistic("greedy", lambda d: most_likely(d.logits_NV).to(d.logits_NV.dtype))
"""The most likely token."""

Ended = Callable[[Sequence[int]], bool]


@torch.no_grad()
def shares_cache(model: nn.Module, longest: int) -> bool:
    """Whether rows of up to `longest` positions can go on from another row's keys and values.

    Not where the model keeps a state instead of a key and a value per token, where layers share, compress or index
    them, where it fills no cache that is handed to it, and where the rotation of early keys depends on how long the
    row becomes.
    """
    return all(_shares(member, longest) for member in members_of(model))


def _shares(inner: PreTrainedModel, longest: int) -> bool:
    takes_cache = "past_key_values" in inspect.signature(inner.forward).parameters
    if not takes_cache or getattr(inner, "_is_stateful", False) or _rotation_changes(text_config(inner), longest):
        return False
    plain = {DynamicLayer, DynamicSlidingWindowLayer}
    if any(type(layer) not in plain for layer in DynamicCache(config=inner.config).layers):
        return False
    tried = DynamicCache()
    inner.base_model(
        input_ids=torch.zeros(1, 2, dtype=torch.long, device=inner.device), past_key_values=tried, use_cache=True
    )
    return bool(tried.layers) and all(type(x) is DynamicLayer and x.get_seq_length() == 2 for x in tried.layers)


def _rotation_changes(config: Any, longest: int) -> bool:
    rope = getattr(config, "rope_parameters", None) or {}
    for parameters in (rope, *rope.values()):
        if isinstance(parameters, dict) and parameters.get("rope_type") in ("dynamic", "longrope"):
            until = parameters.get("original_max_position_embeddings") or config.max_position_embeddings
            return longest > until
    return False


def states(model: nn.Module, head: Head, ids_BT: Tensor, cache: Cache) -> Tensor:
    """The inputs of `head`: final hidden states `[B, T, D]`, or plain logits `[B, T, V]`; `cache` grows by T."""
    return final_states(model, head, input_ids=ids_BT, past_key_values=cache, use_cache=True)


def behind(text: Cache, members: Sequence[int], length: int, room: int) -> Cache:
    """A cache of R rows, the first `length` positions of these rows of `text`, with room for so many more."""
    return Cache(layers=[_Rows(layer, members, length, length, length + room) for layer in text.layers])


@dataclass(frozen=True, slots=True)
class Row:
    """A continuation to be decoded from a prefix of a row of a text."""

    source: int
    """Which row of the text."""
    start: int
    """Length of the prefix: the position of the first token written."""
    token: int
    """That token, the greedy one after the prefix."""
    stop: int
    """Tokens are written up to here, this position excluded."""


@torch.no_grad()
def decode(
    model: nn.Module,
    head: Head,
    text: Cache,
    rows: Sequence[Row],
    *,
    ended: Ended = lambda written: False,
    size: int = 0,
    after: Callable[[Sequence[Row]], None] = lambda group: None,
) -> Iterator[tuple[Row, tuple[int, ...]]]:
    """Each row with its greedy tokens from `start` to `stop`, or to the one with which it has `ended`.

    All rows that have begun and not ended take a step together, position by position; rows that have ended leave.

    Args:
        text: keys and values of the rows' texts, at least up to each row's start.
        ended: whether a row ends with the last of the tokens that it has written.
        size: how many rows are decoded together; 0: all of them.
        after: receives the rows that were decoded together.
    """
    ordered = sorted(rows, key=lambda row: (row.start, row.source))
    for begin in range(0, len(ordered), size or max(1, len(ordered))):
        group = ordered[begin : begin + size] if size else ordered
        found = _advance(model, head, text, group, ended)
        after(group)
        yield from zip(group, found, strict=True)


def _advance(model: nn.Module, head: Head, text: Cache, rows: Sequence[Row], ended: Ended) -> list[tuple[int, ...]]:
    written = [[row.token] for row in rows]
    over = [ended([row.token]) or row.stop - row.start <= 1 for row in rows]
    live = [i for i, done in enumerate(over) if not done]  # by place in the cache, which is by start
    if not live:
        return [tuple(tokens) for tokens in written]
    starts = [rows[i].start for i in live]
    size = max(rows[i].stop for i in live)
    layers = [_Rows(layer, [rows[i].source for i in live], starts[0], starts[-1], size) for layer in text.layers]
    cache, device = Cache(layers=layers), layers[0].keys.device
    while live:
        position = max(layers[0].length, starts[0])
        for layer in layers:
            layer.length = position
        begun = bisect_right(starts, position)
        fed_R1 = torch.tensor([[written[i][-1]] for i in live[:begun]], device=device)
        states_RD = states(model, head, fed_R1, cache)[:, -1]
        greedy_R = statistics(states_RD, head, fed_R1[:, 0], (GREEDY,))["greedy"]
        for i, token in zip(live, greedy_R.long().tolist(), strict=False):
            if not over[i]:
                written[i].append(token)
                over[i] = len(written[i]) == rows[i].stop - rows[i].start or ended(written[i])
        done = sum(over[i] for i in live[:begun])
        if 4 * done >= begun:  # moving the others costs a copy, so not for each that ends
            kept = [place for place, i in enumerate(live) if not over[i]]
            live, starts = [live[place] for place in kept], [starts[place] for place in kept]
            for layer in layers:
                layer.keep(kept)
    return [tuple(tokens) for tokens in written]


class _Rows(DynamicLayer):
    """One layer's keys and values of R rows, with room to the end; the first rows may go on before the others."""

    def __init__(self, text: Any, members: Sequence[int], length: int, copied: int, size: int) -> None:
        """Copies `copied` positions of the text's rows, of which `length` are in use."""
        super().__init__()
        self.keys, self.values = (_roomy(t, members, copied, size) for t in (text.keys, text.values))
        self.dtype, self.device, self.is_initialized = text.keys.dtype, text.keys.device, True
        self.length = length

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Writes the next positions of the first rows, and gives what they have so far."""
        count, begin = len(key_states), self.length
        self.length += key_states.shape[-2]
        self.keys[:count, :, begin : self.length] = key_states
        self.values[:count, :, begin : self.length] = value_states
        return self.keys[:count, :, : self.length], self.values[:count, :, : self.length]

    def keep(self, places: Sequence[int]) -> None:
        """Drops all rows but these."""
        index = torch.tensor(places, dtype=torch.long, device=self.keys.device)
        self.keys, self.values = self.keys[index], self.values[index]

    def get_seq_length(self) -> int:
        """Positions in use."""
        return self.length


def _roomy(text: Tensor, members: Sequence[int], copied: int, size: int) -> Tensor:
    # What lies behind a row's prefix is overwritten before it is looked at.
    room = text.new_empty(len(members), text.shape[1], size, text.shape[3])
    room[:, :, :copied] = text[torch.tensor(members, device=text.device), :, :copied]
    return room
