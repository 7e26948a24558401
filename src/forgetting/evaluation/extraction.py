"""The greedy continuation of every prefix of a verbatim sequence, exactly and fast.

If the greedy token at a prefix is the text's, the continuation of that prefix is the token followed by the continuation
of the next one. So only mismatching prefixes are decoded, and all of them start from the key/value cache of one forward
over the text. They advance together by position: at position t every row that began at or before t takes one step, so
all rows have a cache of t entries and no mask and no padding is needed, whatever the attention.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase
from transformers.cache_utils import DynamicCache

from forgetting.core.errors import DataError, ModelError
from forgetting.core.example import Example
from forgetting.core.processes import own_share, united
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record, Score
from forgetting.data.tokens import sequence_ids
from forgetting.evaluation.cache import GREEDY, Row, decode, shares_cache, states
from forgetting.evaluation.outlook import Continuing
from forgetting.evaluation.records import record_of
from forgetting.evaluation.rows import BATCH_TOKENS, by_length
from forgetting.models.head import Head, causal_model, embedding_rows, head_of
from forgetting.models.modes import in_evaluation_mode
from forgetting.models.vocabulary import statistics
from forgetting.objectives.statistics import LOGP, RANK, RUNNER_UP

MAX_TOKENS = 200
"""Longer sequences are cut, as in LoKU and in Jang et al. (2023)."""
CACHE_BYTES = 2**30
"""Keys and values of the rows that are decoded together."""


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
    written: Collection[str] | None = None,
    voice: Voice = SILENT,
) -> list[Record]:
    """The records of verbatim sequences: score and ranks of tokens 2 ... T, and n-gram overlaps for every prefix.

    The sequence is prompt and response as they are joined, or the ids of an example of form `tokens`: its first
    `max_tokens` tokens, without an end token. One of no more than n tokens has no overlaps; without any n nothing is
    decoded, which is all the time there is to save. The model is left in the mode it was in; no random number is drawn.

    Args:
        written: ids of the examples whose prefixes are continued; None: all. The others have a score and ranks alone.
        voice: receives progress, and what continuing will take if that is long.

    Raises:
        DataError: an example that is a question, has fewer than two tokens, or holds an id outside the vocabulary; or
            none of them has more than n tokens.
        ModelError: the model keeps no plain key/value cache.
    """
    vocabulary = embedding_rows(model)
    sequences = passages(examples, tokenizer, split, n, vocabulary=vocabulary, max_tokens=max_tokens)
    nothing = max(len(sequence.own) for sequence in sequences)
    chosen = [written is None or example.id in written for example in examples]
    shortest = min(n, default=nothing)
    found = continue_all(model, sequences, shortest=shortest, chosen=chosen, what=split, voice=voice)
    return [
        record_of(
            example,
            split,
            tokenizer,
            score=continued.score,
            extraction={size: overlaps(sequence.own, continued.continuations, size) for size in n if wanted},
        )
        for example, sequence, continued, wanted in zip(examples, sequences, found, chosen, strict=True)
    ]


def passages(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    split: str,
    n: Sequence[int],
    *,
    vocabulary: int,
    max_tokens: int = MAX_TOKENS,
) -> list[Verbatim]:
    """The sequences to extract. Some may be too short for an n, and are then missing from it.

    Raises:
        DataError: see `verbatim`; or all are too short for the largest n.
    """
    sequences = [verbatim(e, tokenizer, longest=max_tokens, vocabulary=vocabulary) for e in examples]
    largest = max(n, default=0)
    longest = max((len(s.own) for s in sequences), default=largest + 1)
    if longest <= largest:
        raise DataError(
            f"{split}: the longest passage has {longest} tokens, but overlaps of {largest} tokens need at least "
            f"{largest + 1}; give longer passages, or measure a smaller n"
        )
    return sequences


def verbatim(example: Example, tokenizer: PreTrainedTokenizerBase, *, longest: int, vocabulary: int) -> Verbatim:
    """The token ids of a text, or those that an example of form `tokens` brings; `longest` of them at most.

    Raises:
        DataError: a question, fewer than two tokens, or an id that is not below `vocabulary`.
    """
    where = example.where or example.id
    if example.form == "qa":
        raise DataError(f"{where}: a question has no verbatim sequence to extract; give examples of form text")
    sequence = Verbatim(*sequence_ids(example, tokenizer, longest))
    if len(sequence.own) < 2:
        raise DataError(f"{where}: is a single token, before which there is nothing to extract it by; leave it out")
    if not 0 <= min(sequence.ids) <= max(sequence.ids) < vocabulary:
        raise DataError(
            f"{where}: token id {max(max(sequence.ids), -min(sequence.ids))} is outside the model's vocabulary of "
            f"{vocabulary}; give the ids of this model's tokenizer"
        )
    return sequence


def overlaps(sequence: Sequence[int], continuations: Mapping[int, Sequence[int]], n: int) -> tuple[float | None, ...]:
    """OVERLAP_n(a, b) for prefix lengths 0 ... T-n: a the continuation, b what truly follows. LoKU, eq. 4.

    The share of a's n-grams that occur in b; a and b are equally long. None where a prefix was not continued.
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
    chosen: Sequence[bool] | None = None,
    what: str = "",
    voice: Voice = SILENT,
) -> list[Continued]:
    """The greedy continuation, to length T, of each prefix after which at least `shortest` tokens follow.

    The empty prefix is among them where the tokenizer puts tokens before the text. Equal to decoding each prefix by
    itself, up to the rounding of the model's arithmetic. Several processes divide the batches.

    Args:
        chosen: by sequence, whether it is continued, or only scored; None: all are continued.
        what: what is measured, in words.
        voice: receives progress in sequences, and what continuing will take if that is long.

    Raises:
        ModelError: the model keeps no plain key/value cache.
    """
    head = head_of(model)
    found: dict[int, Continued] = {}
    asked = [True] * len(sequences) if chosen is None else list(chosen)
    with in_evaluation_mode(model):
        if not shares_cache(model, max((len(s.ids) for s in sequences), default=0)):
            kind = causal_model(model).config.model_type
            raise ModelError(f"extraction needs a model that caches keys and values of every token; '{kind}' does not")
        batches = list(own_share(by_length([len(s.ids) for s in sequences], BATCH_TOKENS)))
        heard = Continuing([[len(sequences[i].ids) for i in members if asked[i]] for members in batches], voice, what)
        for members in batches:
            batch = [sequences[i] for i in members]
            wanted = [asked[i] for i in members]
            found.update(zip(members, _continue_batch(model, head, batch, wanted, shortest, heard), strict=True))
            heard.ended()
    found = united(found)
    return [found[i] for i in range(len(sequences))]


def _continue_batch(
    model: nn.Module, head: Head, batch: Sequence[Verbatim], wanted: Sequence[bool], shortest: int, heard: Continuing
) -> list[Continued]:
    """B sequences of T tokens at most; a shorter one is filled up on the right, which causal attention never sees."""
    longest = max(len(s.ids) for s in batch)
    device = next(model.parameters()).device
    ids_BT = torch.tensor([[*s.ids, *[s.ids[-1]] * (longest - len(s.ids))] for s in batch], device=device)
    text = DynamicCache()
    states_BTD = states(model, head, ids_BT, text)
    targets_N = ids_BT[:, 1:].flatten()
    stats = statistics(states_BTD[:, :-1].flatten(0, 1), head, targets_N, (LOGP, RUNNER_UP, RANK, GREEDY))
    columns = {name: values.double().cpu().view(len(batch), -1) for name, values in stats.items()}
    greedy = [[int(t) for t in row] for row in columns["greedy"]]
    rows = [
        Row(i, start, greedy[i][start - 1], len(s.ids))
        for i, s in enumerate(batch)
        if wanted[i]
        for start in _begins(s, greedy[i], shortest)
    ]
    heard.begun(rows)
    per_row = sum(layer.keys[0].nbytes + layer.values[0].nbytes for layer in text.layers)
    decoded: list[dict[int, tuple[int, ...]]] = [{} for _ in batch]
    for row, tokens in decode(model, head, text, rows, size=max(1, CACHE_BYTES // per_row), after=heard.written):
        decoded[row.source][row.start] = tokens
    return [
        Continued(
            _score({name: values[i] for name, values in columns.items()}, sequence),
            _chained(sequence, decoded[i], shortest) if wanted[i] else {},
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
