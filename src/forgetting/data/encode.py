"""Examples → token ids with a weight on every supervised token.

The whole text is tokenised once, as the model will see it, and a token is supervised if it holds any character of the
response. So a tokenizer that merges the end of the prompt with the start of the answer loses nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.text import quoted
from forgetting.data.formatting import Formatting
from forgetting.data.rendering import Rendered, render
from forgetting.data.tokens import check_ids, sequence_ids


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids with, for each, the weight of predicting it (0 = not supervised; the first token always is 0)."""

    key: str
    ids: tuple[int, ...]
    weights: tuple[float, ...]
    truncated: bool = False
    popularity: float | None = None
    """The example's, for losses that read it."""

    @property
    def supervised(self) -> int:
        """How many tokens are supervised."""
        return sum(w != 0 for w in self.weights)

    @property
    def target_ids(self) -> tuple[int, ...]:
        """The ids of the supervised tokens, in order."""
        return tuple(i for i, w in zip(self.ids, self.weights, strict=True) if w != 0)

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """The tokens before the first supervised one."""
        first = next(i for i, w in enumerate(self.weights) if w != 0)
        return self.ids[:first]


def encode(example: Example, tokenizer: PreTrainedTokenizerBase, formatting: Formatting) -> Encoded:
    """One example as token ids and weights, cut at `max_length` on the right; its `token_weights` are not applied.

    This is what is measured: every token of the response. What is trained on is `encode_all`.

    Of form `tokens`, or with `max_tokens`, it is a verbatim sequence: no end token is added, and its first token is
    not supervised even where a BOS precedes it. So what is trained on is what is extracted, token for token.

    Raises:
        DataError: no supervised token is left, or an id outside the vocabulary; the row is named. Or no token at all.
    """
    return _supervised(_cut(_whole(example, tokenizer, formatting), formatting.max_length), example, formatting)


def _whole(
    example: Example, tokenizer: PreTrainedTokenizerBase, formatting: Formatting, *, every: bool = False
) -> Encoded:
    if example.form == "tokens" or (example.form == "text" and example.max_tokens is not None):
        own, before = sequence_ids(example, tokenizer)
        ids = list(own)
        weights = [0.0] * (before + 1) + [example.weight] * (len(ids) - before - 1)
    else:
        ids, weights = _with_end(render(example, tokenizer, formatting, every=every), tokenizer, example.weight)
    check_ids(ids, tokenizer, example.where or example.id, response=example.response, prompt=example.prompt)
    return Encoded(example.id, tuple(ids), tuple(weights), popularity=example.popularity)


def encoded_digest(rows: Iterable[Encoded]) -> str:
    """16 hex digits of the token ids and weights of rows, in order: of all that a model reads."""
    found = hashlib.sha256()
    for row in rows:
        found.update(repr((row.ids, row.weights)).encode())
    return found.hexdigest()[:16]


def _cut(whole: Encoded, longest: int) -> Encoded:
    if len(whole.ids) <= longest:
        return whole
    return replace(whole, ids=whole.ids[:longest], weights=whole.weights[:longest], truncated=True)


def _supervised(encoded: Encoded, example: Example, formatting: Formatting) -> Encoded:
    if any(encoded.weights):
        return encoded
    why = (
        f"its prompt fills all {len(encoded.ids)} tokens; raise format.max_length{_fewer(formatting)}"
        if encoded.truncated
        else "the text is too short for a token to be predicted"
    )
    raise DataError(f"{example.where or example.id}: no supervised token is left ({why})")


def _fewer(formatting: Formatting) -> str:
    return "" if formatting.shots is None else ", or show fewer shots (format.shots.count)"


def _with_end(rendered: Rendered, tokenizer: PreTrainedTokenizerBase, weight: float) -> tuple[list[int], list[float]]:
    ids, weights = _tokens(rendered, tokenizer, weight)
    if not ids:
        raise DataError(f"{quoted(rendered.text)}: the tokenizer makes no tokens of it; give the model its own")
    eos = tokenizer.eos_token_id
    if rendered.end and eos is not None:
        if ids[-1] == eos:
            weights[-1] = weight
        else:
            ids.append(eos)
            weights.append(weight)
    weights[0] = 0.0
    return ids, weights


def _tokens(rendered: Rendered, tokenizer: PreTrainedTokenizerBase, weight: float) -> tuple[list[int], list[float]]:
    if not tokenizer.is_fast:
        return _tokens_by_prefix(rendered, tokenizer, weight)
    whole = rendered.text + rendered.follows
    encoding = tokenizer(whole, add_special_tokens=rendered.special, return_offsets_mapping=True)
    ids, places, last = list(encoding["input_ids"]), encoding["offset_mapping"], len(rendered.text)
    if rendered.follows:
        kept = next((i for i, (first, stop) in enumerate(places) if first >= last < stop), len(places))
        ids, places = ids[:kept], places[:kept]
    weights = [0.0] * len(places)
    for start, end in rendered.spans:
        # At the text's end by `stop` alone: some tokenizers give a token of mere spaces an empty span there. What they
        # add has (0, 0).
        upto = end if end < last else last + 1
        for index, (first, stop) in enumerate(places):
            if stop > start and first < upto:
                weights[index] = weight
    return ids, weights


def _tokens_by_prefix(
    rendered: Rendered, tokenizer: PreTrainedTokenizerBase, weight: float
) -> tuple[list[int], list[float]]:
    """For tokenizers that give no offsets: from the first token that a span's text changes to the last it reaches."""

    def ids_of(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=rendered.special)["input_ids"])

    ids = ids_of(rendered.text + rendered.follows)

    def shared(stop: int) -> tuple[int, int]:
        """How many tokens the text up to `stop` begins with alike, and how many it has."""
        before = ids_of(rendered.text[:stop])
        same = next(
            (i for i, (a, b) in enumerate(zip(ids, before, strict=False)) if a != b), min(map(len, (ids, before)))
        )
        return same, len(before)

    if rendered.follows:
        same, length = shared(len(rendered.text))
        ids = ids[: min(same + (same < length), len(ids))]
    weights = [0.0] * len(ids)
    for start, end in rendered.spans:
        first, stop = shared(start)[0], len(ids)
        if end < len(rendered.text):
            same, length = shared(end)
            stop = min(same + (same < length), len(ids))
        weights[first:stop] = [weight] * (stop - first)
    if rendered.special and ids[-1] == tokenizer.eos_token_id:  # the tokenizer's own, not part of the response
        weights[-1] = 0.0
    return ids, weights


def encode_all(
    examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase, formatting: Formatting
) -> list[Encoded]:
    """All examples encoded; a document longer than `max_length` becomes windows sharing one token (key `id#2`, …).

    Each supervised token weighs `weight` times its own of `token_weights`, where an example has them. A row or window
    in which all of those are 0 is left out.

    Raises:
        DataError: no supervised token is left in an example, or in all of them; token weights that are not this text's.
    """
    encoded: list[Encoded] = []
    left_out = ""
    for example in examples:
        document = example.is_document
        longest = formatting.max_length
        whole = _whole(example, tokenizer, formatting, every=formatting.turns == "all")
        _supervised(whole if document else _cut(whole, longest), example, formatting)
        if example.token_weights:
            whole = _weighted(whole, example, None if document else longest)
        rows = _windows(whole, longest) if document else [_cut(whole, longest)]
        kept = [row for row in rows if any(row.weights)]
        encoded += kept
        left_out = left_out if kept else example.where or example.id
    if left_out and not encoded:
        raise DataError(f"{left_out}: all its token_weights are 0, as in every other row, so nothing is trained on")
    return encoded


def _weighted(whole: Encoded, example: Example, longest: int | None) -> Encoded:
    """The text with its token weights, given for all its supervised tokens or for those within `longest`."""
    places = [i for i, w in enumerate(whole.weights) if w != 0]
    within = len(places) if longest is None else sum(i < longest for i in places)
    given, where = len(example.token_weights), example.where or example.id
    if given not in (len(places), within):
        cut = f" ({within} within format.max_length={longest})" if within < len(places) else ""
        raise DataError(
            f"{where}: has {given} token_weights, but its text has {len(places)} supervised tokens{cut}; read it with "
            "the tokenizer and format it was scored with, or score it again"
        )
    if example.target_ids and example.target_ids != tuple(whole.ids[i] for i in places[:given]):
        raise DataError(
            f"{where}: was scored with another tokenizer: its target_ids are not this text's; score it again"
        )
    weights = [0.0] * len(whole.weights)
    for place, factor in zip(places, example.token_weights, strict=False):
        weights[place] = whole.weights[place] * factor if factor else 0.0
    return replace(whole, weights=tuple(weights))


def _windows(encoded: Encoded, longest: int) -> list[Encoded]:
    if len(encoded.ids) <= longest:
        return [encoded]
    parts: list[Encoded] = []
    for start in range(0, len(encoded.ids) - 1, longest - 1):
        stop = start + longest
        weights: Sequence[float] = (0.0, *encoded.weights[start + 1 : stop])
        key = encoded.key if not parts else f"{encoded.key}#{len(parts) + 1}"
        parts.append(replace(encoded, key=key, ids=encoded.ids[start:stop], weights=tuple(weights)))
    return parts
