"""Corrupting answers in stated ways, with the truth kept beside: which characters of each response are wrong.

The truth is in `Example.fields["noise"]`: a list of `[start, stop, kind]` character spans of the response, empty
where nothing was done to it. In a file it is the column `noise`.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError, nearest
from forgetting.core.example import Example, Message
from forgetting.core.text import shown
from forgetting.data.cells import listed
from forgetting.data.encode import Encoded
from forgetting.data.formatting import Formatting
from forgetting.data.rendering import render
from forgetting.data.words import PART, PIECE

NoiseKind = Literal["wrong_answer", "boilerplate", "shuffled"]
KINDS: tuple[NoiseKind, ...] = get_args(NoiseKind)
FIELD = "noise"
PHRASES = (
    "I hope this helps.",
    "All rights reserved.",
    "As a language model:",
    "Click here for more.",
    "Thank you for asking.",
    "See our website.",
)
SHORTEST_SPAN = 4
"""Words of the shortest span that is shuffled, where there are as many."""
_TRIES = 50
_SENTENCE_END = re.compile(r"(?<=[.!?؟।])\s+|(?<=[。！？])(?![」』”’）]|\Z)")


class Span(NamedTuple):
    """Characters of a response that are wrong."""

    start: int
    stop: int
    kind: str


_Way = Callable[[Example, random.Random], tuple[str, Span] | None]


def corrupted(
    examples: Sequence[Example], *, share: float, kinds: Sequence[str] = KINDS, seed: int = 0
) -> list[Example]:
    """Corrupts the responses of a share of the examples, drawn by the seed; their order stays.

    - `wrong_answer`: the last line of the response, or of a single line the last sentence (a short answer is one), is
      replaced by that of another example of the same `kind`.
    - `boilerplate`: one of `PHRASES` is put before or behind the response.
    - `shuffled`: the words of a span are put in another order: at least four words, or all of them if there are fewer.

    What is marked as wrong runs from the first character that differs from the truth to the last word that does; an
    ending that is missing is not marked. The ways are dealt evenly; an answer that cannot be corrupted in the way dealt
    (a single word cannot be shuffled) takes the way that was used least so far, so `noise_counts` tells how often that
    was. With one seed, the examples of a smaller share are corrupted alike in a larger one. Ids stay as they are.

    Raises:
        DataError: a share outside [0, 1], an unknown kind, an example that is token ids, carries token weights or is
            corrupted already, or too few answers that can be corrupted.
    """
    if not 0 <= share <= 1:
        raise DataError(f"share is {share:g}; give a number from 0 to 1")
    if not kinds:
        raise DataError("no kind of noise is given; name at least one")
    for kind in kinds:
        if kind not in KINDS:
            raise DataError(f"unknown kind of noise '{kind}'; {nearest(kind, KINDS)}")
    for example in examples:
        reason = _unfit(example)
        if reason:
            raise DataError(f"{example.where or example.id}: {reason}")
    rng = random.Random(seed)
    found = _draw(examples, round(share * len(examples)), _ways(examples, kinds), rng)
    clean: list[Span] = []
    return [_noisy(e, *found.get(index, (e.response, clean))) for index, e in enumerate(examples)]


def as_row(example: Example) -> dict[str, object]:
    """The example as a row of a JSONL file that is read back as it was, but for `where`: its noise is a column."""
    row: dict[str, object] = {"id": example.id}
    if example.context:
        turns = [*example.context, Message("user", example.prompt), Message("assistant", example.response)]
        row["messages"] = [asdict(turn) for turn in turns]
    elif example.form == "text" and not example.prompt:
        row["text"] = example.response
    else:
        row |= {"prompt": example.prompt, "response": example.response}
    for name in ("paraphrased_prompt", "paraphrased", "perturbed", "popularity", "group", "kind"):
        value = getattr(example, name)
        if value not in (None, "", ()):
            row[name] = value
    if example.weight != 1:
        row["weight"] = example.weight
    return row | {name: value for name, value in example.fields.items() if name not in row}


def noise_spans(example: Example) -> list[Span]:
    """The spans of the response that are known to be wrong; none where nothing is known.

    Raises:
        DataError: the field `noise` is not a list of `[start, stop, kind]` within the response.
    """
    value = example.fields.get(FIELD)
    if value is None or value == "":
        return []
    try:
        spans = [Span(*part) for part in listed(value, "noise spans", example.where)]  # type: ignore[attr-defined]
        sound = all(
            (type(s.start), type(s.stop), type(s.kind)) == (int, int, str)
            and 0 <= s.start < s.stop <= len(example.response)
            for s in spans
        )
    except TypeError:
        sound = False
    if not sound:
        raise DataError(
            f"{example.where or example.id}: the noise is {shown(value)}; write a list of [start, stop, kind] "
            f"within the response's {len(example.response)} characters"
        )
    return spans


def noise_counts(examples: Iterable[Example]) -> dict[str, int]:
    """How many examples are corrupted in each way, in the order of `KINDS`; those that are absent are left out."""
    found = Counter(kind for example in examples for kind in {span.kind for span in noise_spans(example)})
    return {kind: found[kind] for kind in sorted(found, key=lambda k: (*KINDS, k).index(k))}


def noise_labels(
    example: Example, encoded: Encoded, tokenizer: PreTrainedTokenizerBase, formatting: Formatting
) -> NDArray[np.bool_]:
    """Of each supervised token of `encoded`, in order, whether it holds a character of a noise span.

    `encoded` is the example as `data.encode` made it with these arguments, cut at `max_length` or one window of a
    document. The end token holds no character of the response and is never noisy.

    Raises:
        DataError: the tokenizer gives no offsets, or `encoded` is not this example in this encoding.
    """
    name = example.where or example.id
    if not tokenizer.is_fast:
        raise DataError(f"{name}: noise is found by offsets, which this tokenizer does not give; use a fast tokenizer")
    rendered = render(example, tokenizer, formatting)
    encoding = tokenizer(rendered.text, add_special_tokens=rendered.special, return_offsets_mapping=True)
    start = _window_start(example, encoded, formatting)
    length = len(encoded.ids)
    ids = list(encoding["input_ids"])[start : start + length]
    if list(encoded.ids[: len(ids)]) != ids or length - len(ids) > int(rendered.end):
        raise DataError(f"{name}: these tokens are not its own in this encoding; encode it again")
    place = example.response.find(rendered.response)
    if place < 0:
        raise DataError(f"{name}: the chat template rewrites its answer, so its noise cannot be found; write it plain")
    shift = rendered.answer[0] - place
    spans = [(span.start + shift, span.stop + shift) for span in noise_spans(example)]
    offsets = list(encoding["offset_mapping"])[start : start + length] + [(0, 0)] * (length - len(ids))
    noisy = [any(a < stop and b > first for first, stop in spans) for a, b in offsets]
    return np.array(noisy, dtype=np.bool_)[np.array(encoded.weights) != 0]


def _window_start(example: Example, encoded: Encoded, formatting: Formatting) -> int:
    """Which token of the whole text is the first of `encoded`: windows of a document share one token."""
    number = encoded.key.removeprefix(example.id).removeprefix("#")
    return (int(number) - 1) * (formatting.max_length - 1) if number.isdigit() else 0


def _unfit(example: Example) -> str:
    """Why an example cannot be corrupted at all."""
    if example.form == "tokens":
        return "is token ids, which have no words; give texts"
    if example.token_weights:
        return "has token weights, which no longer fit a corrupted answer; leave them out, or corrupt first"
    return "is corrupted already; start from the clean data" if noise_spans(example) else ""


def _draw(
    examples: Sequence[Example], count: int, ways: Mapping[str, _Way], rng: random.Random
) -> dict[int, tuple[str, list[Span]]]:
    """`count` new responses by the example's index, in a fixed order: a larger count only adds to them."""
    used: Counter[str] = Counter()
    found: dict[int, tuple[str, list[Span]]] = {}
    names = list(ways)
    for index in rng.sample(range(len(examples)), len(examples)):
        if len(found) == count:
            break
        dealt = names[len(found) % len(names)]
        for kind in sorted(names, key=lambda k: (k != dealt, used[k])):
            outcome = ways[kind](examples[index], rng)
            if outcome is not None:
                used[kind] += 1
                found[index] = (outcome[0], [outcome[1]])
                break
    if len(found) < count:
        raise DataError(
            f"only {len(found)} of {len(examples)} answers can be corrupted by {', '.join(names)}, not {count}; lower "
            "the share, or name more kinds"
        )
    return found


def _noisy(example: Example, response: str, spans: Sequence[Span]) -> Example:
    return replace(example, response=response, fields={**example.fields, FIELD: [list(span) for span in spans]})


def _ways(examples: Sequence[Example], kinds: Sequence[str]) -> dict[str, _Way]:
    by_kind: dict[str, list[str]] = {}
    for example in examples:
        text = example.response.strip()
        by_kind.setdefault(example.kind, []).append(text[_last_piece(text) :])
    ways: dict[str, _Way] = {
        "wrong_answer": partial(_wrong_answer, by_kind),
        "boilerplate": _boilerplate,
        "shuffled": _shuffled,
    }
    return {kind: ways[kind] for kind in kinds}


def _wrong_answer(
    by_kind: Mapping[str, Sequence[str]], example: Example, rng: random.Random
) -> tuple[str, Span] | None:
    core, start = _core(example)
    cut = start + _last_piece(core)
    for _ in range(_TRIES):
        other = example.response[:cut] + rng.choice(by_kind[example.kind])
        changed = _changed(example.response[: start + len(core)], other)
        if changed is not None:
            return other + example.response[start + len(core) :], Span(*changed, "wrong_answer")
    return None


def _boilerplate(example: Example, rng: random.Random) -> tuple[str, Span]:
    core, start = _core(example)
    phrase = rng.choice(PHRASES)
    at, text = (start, f"{phrase} ") if rng.random() < 0.5 else (start + len(core), f" {phrase}")
    first = at + len(text) - len(text.lstrip())
    return example.response[:at] + text + example.response[at:], Span(first, first + len(phrase), "boilerplate")


def _shuffled(example: Example, rng: random.Random) -> tuple[str, Span] | None:
    words = list(PIECE.finditer(example.response))
    if len(words) < 2:
        return None
    shortest = min(SHORTEST_SPAN, len(words))
    length = rng.randint(shortest, max(shortest, len(words) // 2))
    first = rng.randint(0, len(words) - length)
    span = words[first : first + length]
    for _ in range(_TRIES):
        text, at = "", 0
        for place, word in zip(span, rng.sample(span, length), strict=True):
            text += example.response[at : place.start()] + word.group()
            at = place.end()
        other = text + example.response[at:]
        changed = _changed(example.response, other)
        if changed is not None:
            return other, Span(*changed, "shuffled")
    return None


def _core(example: Example) -> tuple[str, int]:
    """The response without white space around it, and where that begins."""
    return example.response.strip(), len(example.response) - len(example.response.lstrip())


def _last_piece(text: str) -> int:
    """Where the last line begins, or of a single line the last sentence."""
    line = text.rfind("\n") + 1
    if line:
        return line
    ends = [end.end() for end in _SENTENCE_END.finditer(text)]
    return ends[-1] if ends else 0


def _changed(truth: str, text: str) -> tuple[int, int] | None:
    """The characters of `text` from the first that differs from `truth` to the end of the last word that does."""
    shared = next((i for i, (a, b) in enumerate(zip(truth, text, strict=False)) if a != b), min(len(truth), len(text)))
    rest, other = PART.findall(text[shared:]), PART.findall(truth[shared:])
    while rest and other and rest[-1] == other[-1]:
        rest.pop()
        other.pop()
    wrong = "".join(rest)
    bare = wrong.strip()
    if not bare:
        return None
    start = shared + len(wrong) - len(wrong.lstrip())
    return start, start + len(bare)
