"""What a model writes by itself from every prefix of a verbatim sequence, exactly and fast.

If the greedy token at a prefix is the text's, the continuation of that prefix is the token followed by the continuation
of the next one. So only mismatching prefixes are decoded, and all of them start from the key/value cache of one forward
over the text. They advance together by position: at position t every row that began at or before t takes one step, so
all rows have a cache of t entries and no mask and no padding is needed, whatever the attention.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from forgetting.core.errors import DataError, ModelError
from forgetting.core.evaluator import Progress
from forgetting.core.example import Example
from forgetting.core.record import Record, Score
from forgetting.models.head import Head, causal_model, head_of
from forgetting.models.vocabulary import statistics
from forgetting.objectives.statistics import LOGP, RANK, RUNNER_UP, Statistic

MAX_TOKENS = 200
"""Longer sequences are cut, as in LoKU and in Jang et al. (2023)."""
BATCH_TOKENS = 8_192
"""Padded tokens of one forward over texts."""
CACHE_BYTES = 2**30
"""Keys and values of the rows that are decoded together."""
TOKEN_IDS = "token_ids"
"""The field of an example that brings its own token ids."""

_GREEDY = Statistic("greedy", lambda d: d.logits_NV.argmax(-1).to(d.logits_NV.dtype))


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A sequence as token ids: what the tokenizer puts before every text (`before` tokens), then T of its own."""

    ids: tuple[int, ...]
    before: int = 0

    @property
    def own(self) -> tuple[int, ...]:
        """The sequence itself."""
        return self.ids[self.before :]


@dataclass(frozen=True, slots=True)
class Continued:
    """A sequence's likelihood given itself, and what the model writes in its place."""

    score: Score
    """Of tokens 2 ... T."""
    continuations: Mapping[int, tuple[int, ...]]
    """By the length of the prefix: the greedy tokens from there to length T, end tokens ignored."""


def extract(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    split: str,
    n: Sequence[int] = (10,),
    max_tokens: int = MAX_TOKENS,
    progress: Progress = lambda done, total, note: None,
) -> list[Record]:
    """The records of verbatim sequences: score and ranks of tokens 2 ... T, and n-gram overlaps for every prefix.

    The sequence is prompt and response as they are joined, its first `max_tokens` tokens, without an end token. The
    model is left in the mode it was in; no random number is drawn.

    Raises:
        DataError: an example that is not text, has no more than n tokens, or holds an id outside the vocabulary.
        ModelError: the model keeps no plain key/value cache.
    """
    vocabulary = causal_model(model).get_input_embeddings().num_embeddings
    sequences = [
        verbatim(e, tokenizer, shortest=max(n) + 1, longest=max_tokens, vocabulary=vocabulary) for e in examples
    ]
    found = continue_all(model, sequences, shortest=min(n), progress=progress)
    return [
        Record(
            id=example.id,
            split=split,
            prompt=example.prompt,
            answer=example.response,
            score=continued.score,
            popularity=example.popularity,
            group=example.group,
            kind=example.kind,
            extraction={size: overlaps(sequence.own, continued.continuations, size) for size in n},
        )
        for example, sequence, continued in zip(examples, sequences, found, strict=True)
    ]


def verbatim(
    example: Example, tokenizer: PreTrainedTokenizerBase, *, shortest: int, longest: int, vocabulary: int
) -> Verbatim:
    """The token ids of an example of form text: those it brings (`fields["token_ids"]`), or those of its text.

    Raises:
        DataError: not text, fewer than `shortest` tokens, or an id that is not below `vocabulary`.
    """
    where = example.where or example.id
    if example.form != "text":
        raise DataError(f"{where}: a question has no verbatim sequence to extract; give examples of form text")
    given = example.fields.get(TOKEN_IDS)
    if given is not None:
        sequence = Verbatim(tuple(given)[:longest])  # type: ignore[arg-type]
    else:
        text = example.prompt + example.response
        own = list(tokenizer(text, add_special_tokens=False)["input_ids"])
        whole = list(tokenizer(text)["input_ids"])
        before = next((k for k in range(len(whole)) if whole[k : k + len(own)] == own), 0)
        sequence = Verbatim((*whole[:before], *own[:longest]), before)
    if len(sequence.own) < shortest:
        raise DataError(
            f"{where}: has {len(sequence.own)} tokens, but overlaps of {shortest - 1} tokens need at least {shortest}; "
            "leave it out, or measure a smaller n"
        )
    if not 0 <= min(sequence.ids) <= max(sequence.ids) < vocabulary:
        raise DataError(
            f"{where}: token id {max(max(sequence.ids), -min(sequence.ids))} is outside the model's vocabulary of "
            f"{vocabulary}; give the ids of this model's tokenizer"
        )
    return sequence


def overlaps(sequence: Sequence[int], continuations: Mapping[int, Sequence[int]], n: int) -> tuple[float | None, ...]:
    """OVERLAP_n(a, b) for prefix lengths 0 ... T-n: a the continuation, b what truly follows. LoKU, eq. 4.

    The share of a's n-grams that stand in b; a and b are equally long. None where a prefix was not continued.
    """
    text = tuple(sequence)
    last = {text[i : i + n]: i for i in range(len(text) - n + 1)}  # an n-gram is in b if its last place is not before b
    found: list[float | None] = []
    for length in range(len(text) - n + 1):
        a = continuations.get(length)
        if a is None:
            found.append(None)
            continue
        grams = [tuple(a[i : i + n]) for i in range(len(a) - n + 1)]
        found.append(sum(last.get(gram, -1) >= length for gram in grams) / len(grams))
    return tuple(found)


@torch.no_grad()
def continue_all(
    model: nn.Module,
    sequences: Sequence[Verbatim],
    *,
    shortest: int = 1,
    progress: Progress = lambda done, total, note: None,
) -> list[Continued]:
    """The greedy continuation, to length T, of each prefix after which at least `shortest` tokens follow.

    The empty prefix is among them where the tokenizer puts tokens before the text. Equal to decoding each prefix by
    itself, up to the rounding of the model's arithmetic.

    Raises:
        ModelError: the model keeps no plain key/value cache.
    """
    head = head_of(model)
    found: dict[int, Continued] = {}
    was_training = model.training
    model.eval()
    try:
        for members in _by_length([len(s.ids) for s in sequences]):
            batch = [sequences[i] for i in members]
            found.update(zip(members, _continue_batch(model, head, batch, shortest), strict=True))
            progress(len(found), len(sequences), "continuations")
    finally:
        model.train(was_training)
    return [found[i] for i in range(len(sequences))]


def _by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    while order:
        count = max(1, BATCH_TOKENS // lengths[order[0]])
        yield order[:count]
        order = order[count:]


@dataclass(frozen=True, slots=True)
class _Row:
    """A prefix whose next greedy token is not the text's."""

    start: int
    """Length of the prefix, tokens before the text included: the position of its first own token."""
    sequence: int
    token: int
    """That greedy token."""


def _continue_batch(model: nn.Module, head: Head, batch: Sequence[Verbatim], shortest: int) -> list[Continued]:
    """B sequences of T tokens at most; a shorter one is filled up on the right, which causal attention never sees."""
    longest = max(len(s.ids) for s in batch)
    device = next(model.parameters()).device
    ids_BT = torch.tensor([[*s.ids, *[s.ids[-1]] * (longest - len(s.ids))] for s in batch], device=device)
    text = DynamicCache()
    states_BTD = _states(model, head, ids_BT, text)
    if not text.layers or any(type(x) is not DynamicLayer or x.get_seq_length() != longest for x in text.layers):
        kind = causal_model(model).config.model_type
        raise ModelError(f"extraction needs a model that caches keys and values of every token; '{kind}' does not")
    targets_N = ids_BT[:, 1:].flatten()
    stats = statistics(states_BTD[:, :-1].flatten(0, 1), head, targets_N, (LOGP, RUNNER_UP, RANK, _GREEDY))
    columns = {name: values.double().cpu().view(len(batch), -1) for name, values in stats.items()}
    greedy = [[int(t) for t in row] for row in columns["greedy"]]
    rows = sorted(
        (
            _Row(start, i, greedy[i][start - 1])
            for i, s in enumerate(batch)
            for start in _begins(s, greedy[i], shortest)
        ),
        key=lambda row: (row.start, row.sequence),
    )
    decoded = dict(_decode(model, head, text, rows, [len(s.ids) for s in batch]))
    return [
        Continued(
            _score({name: values[i] for name, values in columns.items()}, sequence),
            _chained(sequence, {start: tokens for (j, start), tokens in decoded.items() if j == i}, shortest),
        )
        for i, sequence in enumerate(batch)
    ]


def _begins(sequence: Verbatim, greedy: Sequence[int], shortest: int) -> list[int]:
    """Mismatching prefixes that are asked for, and the first one after them, in which a matching prefix may end."""
    length = len(sequence.ids)
    wrong = [p for p in range(max(sequence.before, 1), length) if greedy[p - 1] != sequence.ids[p]]
    asked = [p for p in wrong if p <= length - shortest]
    return wrong[: len(asked) + 1]


def _score(columns: Mapping[str, Tensor], sequence: Verbatim) -> Score:
    own = slice(sequence.before, len(sequence.ids) - 1)  # column p - 1 is about token p; the text's first is left out
    wrong = columns["greedy"][own] != torch.tensor(sequence.ids[sequence.before + 1 :])
    # Among equally likely tokens greedy decoding takes one: if that is not the text's, the text's has no rank 0.
    ranks = torch.maximum(columns["rank"][own], wrong.double())
    return Score(
        logp=float(columns["logp"][own].sum()),
        tokens=len(sequence.own) - 1,
        ranks=tuple(int(r) for r in ranks),
        runner_up=float(columns["runner_up"][own].sum()),
    )


def _chained(
    sequence: Verbatim, decoded: Mapping[int, tuple[int, ...]], shortest: int
) -> Mapping[int, tuple[int, ...]]:
    """The continuation of every prefix: the text up to the next mismatch, then what was decoded from there."""
    found: dict[int, tuple[int, ...]] = {}
    following: tuple[int, ...] = ()
    for start in range(len(sequence.ids) - 1, max(sequence.before, 1) - 1, -1):
        following = decoded[start] if start in decoded else (sequence.ids[start], *following)
        if start <= len(sequence.ids) - shortest:
            found[start - sequence.before] = following
    return found


def _decode(
    model: nn.Module, head: Head, text: Cache, rows: Sequence[_Row], stops: Sequence[int]
) -> Iterator[tuple[tuple[int, int], tuple[int, ...]]]:
    """((sequence, start), greedy tokens from there to the sequence's end), in groups that fit into `CACHE_BYTES`."""
    longest = max(stops)
    per_row = sum(layer.keys[0].nbytes + layer.values[0].nbytes for layer in text.layers)
    size = max(1, CACHE_BYTES // per_row)
    for begin in range(0, len(rows), size):
        group = rows[begin : begin + size]
        tokens_RT = _advance(model, head, text, group, max(stops[row.sequence] for row in group), longest)
        for row, tokens in zip(group, tokens_RT.tolist(), strict=True):
            yield (row.sequence, row.start), tuple(tokens[row.start : stops[row.sequence]])


def _advance(model: nn.Module, head: Head, text: Cache, rows: Sequence[_Row], stop: int, longest: int) -> Tensor:
    """The rows' tokens by position, `[R, T]`: a step of all rows that have begun, from the first start to `stop`."""
    device = text.layers[0].keys.device
    cache = Cache(layers=[_Rows(layer, rows) for layer in text.layers])
    tokens_RT = torch.zeros(len(rows), longest, dtype=torch.long, device=device)
    for index, row in enumerate(rows):
        tokens_RT[index, row.start] = row.token
    begun = 0
    for position in range(rows[0].start, stop - 1):
        while begun < len(rows) and rows[begun].start <= position:
            begun += 1
        states_RD = _states(model, head, tokens_RT[:begun, position : position + 1], cache)[:, -1]
        wanted = statistics(states_RD, head, torch.zeros_like(tokens_RT[:begun, 0]), (_GREEDY,))
        tokens_RT[:begun, position + 1] = wanted["greedy"].long()
    return tokens_RT


class _Rows(DynamicLayer):
    """One layer's keys and values of rows that begin one after the other, each with its prefix of the text in place."""

    def __init__(self, text: Any, rows: Sequence[_Row]) -> None:
        super().__init__()
        members = torch.tensor([row.sequence for row in rows], device=text.keys.device)
        # A whole text for each row: what lies behind a row's start is overwritten before it is looked at.
        self.keys, self.values = text.keys[members], text.values[members]
        self.dtype, self.device, self.is_initialized = text.keys.dtype, text.keys.device, True
        self.length = rows[0].start

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Writes one position of the first rows, and gives what they have so far."""
        count, position = len(key_states), self.length
        self.keys[:count, :, position : position + 1] = key_states
        self.values[:count, :, position : position + 1] = value_states
        self.length += 1
        return self.keys[:count, :, : self.length], self.values[:count, :, : self.length]

    def get_seq_length(self) -> int:
        """Positions in use."""
        return self.length


def _states(model: nn.Module, head: Head, ids_BT: Tensor, cache: Cache) -> Tensor:
    """What `head` is applied to: final hidden states `[B, T, D]`, or plain logits `[B, T, V]`."""
    inner = causal_model(model)
    inputs = {"input_ids": ids_BT, "past_key_values": cache, "use_cache": True}
    if head.weight_VD is None:
        return inner(**inputs).logits
    return inner.base_model(**inputs).last_hidden_state
