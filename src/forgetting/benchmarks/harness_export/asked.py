"""Examples of a suite as requests to lm-evaluation-harness, and its answers as records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.harness_export.requests import Request, decoded, read, scoring, writing
from forgetting.benchmarks.suite import Split
from forgetting.core.example import Example
from forgetting.core.record import Record, Score
from forgetting.data.encode import Encoded, encode
from forgetting.data.formatting import Formatting
from forgetting.data.tokens import cut_to, sequence_ids
from forgetting.evaluation.answers import variants
from forgetting.evaluation.endings import closing_of_answers
from forgetting.evaluation.extraction import MAX_TOKENS, overlaps
from forgetting.evaluation.records import record_of

_NOTHING = -1
"""Stands for a token that the model did not write because it had ended; equal to no id."""


@dataclass(frozen=True)
class Asked:
    """One example: what the harness is asked, and the record that its answers make, in the same order."""

    example: Example
    requests: tuple[Request, ...]
    read: Callable[[Sequence[Any]], Record]
    same: bool
    """Whether every request is read as the tokens that are measured here."""

    @property
    def expected(self) -> list[Any]:
        """Answers as a model might give them: they show which measures can be had at all."""
        return [(-1.0, False) if r.kind == "loglikelihood" else self.example.response for r in self.requests]


def asked(
    split: Split, tokenizer: PreTrainedTokenizerBase, formatting: Formatting, positions: int | None = None
) -> list[Asked]:
    """The examples of a split as requests; those of texts that were seen or not cannot be asked, and give nothing.

    Args:
        split: of a suite.
        tokenizer: of the model that the harness asks.
        formatting: how a question is put.
        positions: how many tokens the model can read; None: unknown.

    Raises:
        DataError: an example without a supervised token.
    """
    if split.membership is not None:
        return []
    if split.extraction is not None:
        return [_passage(e, split, tokenizer, positions) for e in split.examples]
    examples = split.examples
    if split.answer_tokens is not None:
        examples = tuple(replace(e, response=cut_to(e.response, split.answer_tokens, tokenizer)) for e in examples)
    rows = [[encode(e, tokenizer, formatting) for e in (own, *variants(own))] for own in examples]
    longest = max((some[0].supervised for e, some in zip(examples, rows, strict=True) if not e.is_document), default=1)
    most = longest if split.max_new_tokens is None else split.max_new_tokens
    until = (*formatting.stops(tokenizer), *closing_of_answers(tokenizer))
    return [
        _question(e, split, some, tokenizer, most if _writes(e, split) else 0, until, positions)
        for e, some in zip(examples, rows, strict=True)
    ]


def _writes(example: Example, split: Split) -> bool:
    wanted = split.written is None or example.id in split.written
    return split.generate and wanted and not example.is_document


def _question(
    example: Example,
    split: Split,
    rows: Sequence[Encoded],
    tokenizer: PreTrainedTokenizerBase,
    most: int,
    until: Sequence[str],
    positions: int | None,
) -> Asked:
    """The likelihood of its answer and of the other answers, and the greedy answer."""
    ways = [scoring(_scored(row), len(row.prompt_ids), tokenizer, positions) for row in rows]
    prompt = rows[0].prompt_ids
    room = most if positions is None else min(most, positions - len(prompt))
    text = decoded(prompt, tokenizer)
    written = [writing(text, room, until)] if room > 0 else []
    same = all(way.same for way in ways) and (not written or read(text, tokenizer) == list(prompt))
    same = same and not any(row.truncated for row in rows)

    def record(answers: Sequence[Any]) -> Record:
        given = iter(answers)
        own, *others = (way.score([next(given) for _ in way.requests]) for way in ways)
        return record_of(
            example,
            split.name,
            tokenizer,
            score=own,
            paraphrase=others[0] if others else None,
            perturbed=tuple(others[1:]),
            generation=str(next(given)).strip() if written else None,
        )

    return Asked(example, (*(r for way in ways for r in way.requests), *written), record, same)


def _scored(row: Encoded) -> tuple[int, ...]:
    """The row's tokens up to the last that is supervised: what follows it changes nothing before it."""
    last = max(i for i, weight in enumerate(row.weights) if weight)
    return row.ids[: last + 1]


def _passage(example: Example, split: Split, tokenizer: PreTrainedTokenizerBase, positions: int | None) -> Asked:
    """The likelihood of a verbatim sequence, and its greedy continuation from every prefix.

    The harness ends a continuation at the end token, after which ours goes on: what is missing then follows nothing.
    """
    ids, before = sequence_ids(example, tokenizer, MAX_TOKENS)
    own = ids[before:]
    way = scoring(ids, before + 1, tokenizer, positions)
    texts = {k: decoded(ids[: before + k], tokenizer) for k in range(0 if before else 1, len(own))}
    written = {k: writing(text, len(own) - k, ()) for k, text in texts.items()}
    same = way.same and all(read(text, tokenizer) == list(ids[: before + k]) for k, text in texts.items())

    def record(answers: Sequence[Any]) -> Record:
        count = len(way.requests)
        given = zip(written, answers[count:], strict=True)
        continued = dict(_continued(given, texts, before, len(own), tokenizer))
        score = way.score(answers[:count])
        ranks = tuple(int(continued[k][0] != own[k]) for k in range(1, len(own)))
        return record_of(
            example,
            split.name,
            tokenizer,
            score=Score(logp=score.logp, tokens=score.tokens, ranks=ranks),
            extraction={n: overlaps(own, continued, n) for n in split.extraction or ()},
        )

    return Asked(example, (*way.requests, *written.values()), record, same)


def _continued(
    given: Iterable[tuple[int, str]],
    texts: Mapping[int, str],
    before: int,
    length: int,
    tokenizer: PreTrainedTokenizerBase,
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """By prefix length, the tokens that were written up to the passage's length."""
    for k, text in given:
        tokens = read(texts[k] + text, tokenizer)[before + k : before + length]
        yield k, (*tokens, *[_NOTHING] * (length - k - len(tokens)))
