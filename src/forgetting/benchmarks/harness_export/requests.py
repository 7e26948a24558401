"""Token ids as the strings that lm-evaluation-harness takes, such that it reads the same tokens from them.

The harness takes a context and a continuation as text and cuts the tokens of both where those of the context end, after
it has moved the white space at the context's end to the continuation. So a context here never ends in white space:
what stands between it and the answer is asked for by itself, and its log-likelihood is taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from transformers import PreTrainedTokenizerBase

from forgetting.core.record import Score


class Request(NamedTuple):
    """What the harness is asked: the name of its method, and that method's arguments."""

    kind: Literal["loglikelihood", "generate_until"]
    arguments: tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Scoring:
    """How the log-likelihood of an answer is asked for: the first request's, less the second's if there is one."""

    requests: tuple[Request, ...]
    tokens: int
    same: bool
    """Whether the harness scores the tokens that are scored here, and sees the same ones before them."""

    def score(self, answers: Sequence[tuple[float, bool]]) -> Score:
        """The score that the harness's answers, `(log-likelihood, is greedy)` in nats, give."""
        logp, *before = (float(logp) for logp, _ in answers)
        return Score(logp=logp - sum(before), tokens=self.tokens)


def scoring(
    ids: Sequence[int], first: int, tokenizer: PreTrainedTokenizerBase, positions: int | None = None
) -> Scoring:
    """The requests for the log-likelihood of the tokens from `first` on, given those before.

    Args:
        ids: of a whole text, up to its last scored token.
        first: index of the first scored token, at least 1.
        tokenizer: of the model that the harness asks.
        positions: the model's, beyond which the harness cuts on the left; None: unknown.
    """
    whole, before = decoded(ids, tokenizer), decoded(ids[:first], tokenizer)
    start = next((k for k in range(first, 0, -1) if not decoded(ids[:k], tokenizer)[-1:].isspace()), 0)
    context = decoded(ids[:start], tokenizer)
    ends = [whole, *([before] if start < first else [])]
    same = (
        bool(context)
        and all(text.startswith(context) for text in ends)
        and read(context, tokenizer) == list(ids[:start])
        and [read(text, tokenizer) for text in ends] == [list(ids), list(ids[:first])][: len(ends)]
        and (positions is None or len(ids) <= positions)
    )
    if not same:
        stripped = before.rstrip()
        tokens = len(read(whole, tokenizer)) - len(read(stripped, tokenizer))
        return Scoring((_likelihood(before, whole[len(before) :]),), max(tokens, 1), same=False)
    return Scoring(tuple(_likelihood(context, text[len(context) :]) for text in ends), len(ids) - first, same=True)


def _likelihood(context: str, continuation: str) -> Request:
    return Request("loglikelihood", (context, continuation))


def writing(context: str, most: int, until: Sequence[str]) -> Request:
    """A request for a greedy continuation of at most `most` tokens."""
    return Request("generate_until", (context, {"max_gen_toks": most, "until": list(until), "do_sample": False}))


def decoded(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """The text of token ids, special tokens included."""
    text: str = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


def read(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The token ids that the harness reads from a text: with a beginning token, unless the text begins with it."""
    begin = tokenizer.bos_token or tokenizer.eos_token
    begun = {"add_special_tokens": False} if begin and text.startswith(str(begin)) else {}
    return list(tokenizer(text, **begun)["input_ids"])
