"""Examples → token ids with a weight on every supervised token.

The whole text is tokenised once, as the model will see it, and a token is supervised if it holds any character of the
response. So a tokenizer that merges the end of the prompt with the start of the answer loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.data.tokens import sequence_ids

_SENTINEL = "\u2402response\u2403"


class Formatting(BaseModel):
    """How an example becomes text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: Literal["auto", "chat", "plain"] = Field(
        "auto", description="chat: the tokenizer's chat template; plain: `plain`; auto: chat if there is one."
    )
    plain: str = Field(
        "Question: {prompt}\nAnswer: ", description="What precedes the response without a chat template."
    )
    system: str | None = Field(None, description="A system prompt for the chat template.")
    max_length: int = Field(1024, gt=1, description="Tokens per row; longer documents are cut into windows.")


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids with, for each, the weight of predicting it (0 = not supervised; the first token always is 0)."""

    key: str
    ids: tuple[int, ...]
    weights: tuple[float, ...]
    truncated: bool = False

    @property
    def supervised(self) -> int:
        """How many tokens are supervised."""
        return sum(w != 0 for w in self.weights)

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """The tokens before the first supervised one."""
        first = next(i for i, w in enumerate(self.weights) if w != 0)
        return self.ids[:first]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text in three parts, of which the middle is the response; `special`: whether the tokenizer adds its BOS/EOS."""

    before: str
    response: str
    after: str
    special: bool
    end: bool
    """Whether the end token is added and supervised after the response (where no template closes the turn)."""


def render(example: Example, tokenizer: PreTrainedTokenizerBase, formatting: Formatting) -> Rendered:
    """The text of an example as the model will see it."""
    if example.form == "text":
        return Rendered(example.prompt, example.response, "", special=True, end=not example.prompt)
    has_template = getattr(tokenizer, "chat_template", None) is not None
    if formatting.template == "chat" and not has_template:
        raise DataError(
            "format.template is 'chat', but the tokenizer has no chat template; write 'plain', or give it one"
        )
    if formatting.template == "plain" or not has_template:
        if example.context:
            raise DataError(
                f"{example.where or example.id}: a conversation of several turns needs a chat template; write "
                "format.template=auto, and give the tokenizer one"
            )
        before = formatting.plain.replace("{prompt}", example.prompt)
        return Rendered(before, example.response.strip(), "", special=True, end=True)
    turns = [{"role": m.role, "content": m.content} for m in example.context]
    if formatting.system is not None and not (turns and turns[0]["role"] == "system"):
        turns.insert(0, {"role": "system", "content": formatting.system})
    turns += [{"role": "user", "content": example.prompt}, {"role": "assistant", "content": _SENTINEL}]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False)
    except Exception as error:  # jinja's and the templates' own errors share no base
        raise DataError(f"{example.where or example.id}: the chat template refuses it ({error})") from error
    before, found, after = text.rpartition(_SENTINEL)
    if not found:
        raise DataError(
            "the tokenizer's chat template does not render the assistant's turn; write format.template=plain"
        )
    return Rendered(before, example.response.strip(), after.rstrip(), special=False, end=not after.strip())


def encode(example: Example, tokenizer: PreTrainedTokenizerBase, formatting: Formatting) -> Encoded:
    """One example as token ids and weights, cut at `max_length` on the right.

    Of form `tokens`, or with `max_tokens`, it is a verbatim sequence: no end token is added, and its first token is
    not supervised even where a BOS precedes it. So what is trained on is what is extracted, token for token.

    Raises:
        DataError: no supervised token is left, or an id outside the vocabulary; the row is named.
    """
    if example.form == "tokens" or (example.form == "text" and example.max_tokens is not None):
        own, before = sequence_ids(example, tokenizer)
        ids = list(own)
        weights = [0.0] * (before + 1) + [example.weight] * (len(ids) - before - 1)
    else:
        ids, weights = _with_end(example, tokenizer, formatting)
    longest = formatting.max_length
    encoded = Encoded(example.id, tuple(ids[:longest]), tuple(weights[:longest]), truncated=len(ids) > longest)
    if not any(encoded.weights):
        why = (
            f"its prompt fills all {longest} tokens; raise format.max_length"
            if encoded.truncated
            else "the text is too short for a token to be predicted"
        )
        raise DataError(f"{example.where or example.id}: no supervised token is left ({why})")
    return encoded


def _with_end(
    example: Example, tokenizer: PreTrainedTokenizerBase, formatting: Formatting
) -> tuple[list[int], list[float]]:
    rendered = render(example, tokenizer, formatting)
    ids, weights = _tokens(rendered, tokenizer, example.weight)
    eos = tokenizer.eos_token_id
    if rendered.end and eos is not None:
        if ids[-1] == eos:
            weights[-1] = example.weight
        else:
            ids.append(eos)
            weights.append(example.weight)
    weights[0] = 0.0
    return ids, weights


def _tokens(rendered: Rendered, tokenizer: PreTrainedTokenizerBase, weight: float) -> tuple[list[int], list[float]]:
    text = rendered.before + rendered.response + rendered.after
    start = len(rendered.before)
    if not tokenizer.is_fast:
        return _tokens_by_prefix(rendered, text, tokenizer, weight)
    encoding = tokenizer(text, add_special_tokens=rendered.special, return_offsets_mapping=True)
    offsets = encoding["offset_mapping"]
    # By its end alone: some tokenizers give a token of mere spaces an empty span there. What they add has (0, 0).
    return list(encoding["input_ids"]), [weight if stop > start else 0.0 for _, stop in offsets]


def _tokens_by_prefix(
    rendered: Rendered, text: str, tokenizer: PreTrainedTokenizerBase, weight: float
) -> tuple[list[int], list[float]]:
    """For tokenizers that give no offsets: supervised from the first token that the response changes."""
    ids = list(tokenizer(text, add_special_tokens=rendered.special)["input_ids"])
    before = list(tokenizer(rendered.before, add_special_tokens=rendered.special)["input_ids"])
    shared = next((i for i, (a, b) in enumerate(zip(ids, before, strict=False)) if a != b), min(len(ids), len(before)))
    weights = [0.0] * shared + [weight] * (len(ids) - shared)
    if rendered.special and ids[-1] == tokenizer.eos_token_id:  # the tokenizer's own, not part of the response
        weights[-1] = 0.0
    return ids, weights


def encode_all(
    examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase, formatting: Formatting
) -> list[Encoded]:
    """All examples encoded; a document longer than `max_length` becomes windows sharing one token (key `id#2`, …)."""
    encoded: list[Encoded] = []
    whole = formatting.model_copy(update={"max_length": 2**31})
    for example in examples:
        if example.form != "qa" and not example.prompt:
            encoded += _windows(encode(example, tokenizer, whole), formatting.max_length)
        else:
            encoded.append(encode(example, tokenizer, formatting))
    return encoded


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
