"""Token ids as data: arrays of them on disk, and the one reading of a verbatim sequence, to train on and to measure."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError, RowError
from forgetting.core.example import Example

COLUMN = "token_ids"
_LIMIT = "_ids_of_the_model"
"""The attribute of a tokenizer that holds how many ids its model has embeddings for."""


def array_rows(path: Path, suffix: Path | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yields (`file, row 0`, {token_ids: …}) for each row of an array `[passages, tokens]` saved by numpy (.npy).

    Args:
        path: of the array.
        suffix: a second array with as many rows, each of which continues the same row of the first.

    Raises:
        DataError: no such file, not such an array, or another number of rows.
    """
    first = _array(path)
    after = _array(suffix) if suffix is not None else first[:, :0]
    if len(after) != len(first):
        raise DataError(f"{suffix}: has {len(after)} rows, but {path} has {len(first)}; give matching files")
    for number, (begin, end) in enumerate(zip(first, after, strict=True)):
        yield f"{path}, row {number}", {COLUMN: begin.tolist() + end.tolist()}


def _array(path: Path) -> NDArray[np.integer]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    try:
        with cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as file:
            values = np.load(file, allow_pickle=False)
    except Exception as error:  # numpy reads a header as Python, and a broken one may raise anything
        ragged = "Object arrays" in str(error)
        why = "rows of unequal length" if ragged else "not an array"
        remedy = "save whole numbers as one array [passages, tokens] with numpy.save"
        if ragged:
            remedy += f', or as .jsonl with {{"{COLUMN}": […]}} on each line'
        raise DataError(f"{path}: {why}; {remedy}") from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or not values.size:
        shape = list(getattr(values, "shape", ()))
        raise DataError(f"{path}: has the shape {shape}; token ids are an array [passages, tokens] that is not empty")
    if not np.issubdtype(values.dtype, np.integer):
        raise DataError(f"{path}: holds {values.dtype} numbers; token ids are whole numbers, save them as int32")
    return values


def token_ids(value: object, where: str) -> tuple[int, ...]:
    """The ids of a row.

    Raises:
        RowError: not a list of whole numbers, or an empty one.
    """
    if value is None:
        raise RowError(where, f"no column '{COLUMN}'; give one with a list of token ids, or map it with columns")
    if not isinstance(value, list) or not value or not all(type(i) is int for i in value):
        raise RowError(where, f"the {COLUMN} are {{}}, not a list of whole numbers; write [1, 2, …]", value)
    return tuple(value)


def sequence_ids(
    example: Example, tokenizer: PreTrainedTokenizerBase, longest: int | None = None
) -> tuple[tuple[int, ...], int]:
    """A verbatim sequence as token ids, and how many of them the tokenizer puts before it (BOS).

    Of form `tokens` the ids are the example's own, and nothing precedes them. A text is prompt and response as
    they are joined. No end token follows. The sequence is cut at `longest` tokens and at the example's `max_tokens`,
    which do not count what precedes.

    Raises:
        DataError: an id outside the tokenizer's vocabulary; the row is named.
    """
    limits = [limit for limit in (longest, example.max_tokens) if limit is not None]
    stop = min(limits, default=None)
    if example.form == "tokens":
        _check(example, len(tokenizer))
        return example.token_ids[:stop], 0
    text = example.prompt + example.response
    own = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    whole = list(tokenizer(text)["input_ids"])
    before = next((k for k in range(len(whole)) if whole[k : k + len(own)] == own), 0)
    return (*whole[:before], *own[:stop]), before


def _check(example: Example, vocabulary: int) -> None:
    strange = next((i for i in example.token_ids if not 0 <= i < vocabulary), None)
    if strange is not None:
        raise DataError(
            f"{example.where or example.id}: token id {strange} is outside the tokenizer's vocabulary of {vocabulary}; "
            "give the ids of this model's tokenizer"
        )


def limit_ids(tokenizer: PreTrainedTokenizerBase, embeddings: int) -> None:
    """Tells a tokenizer how many token ids its model has embeddings for, so that every text can be checked for it."""
    tokenizer.__dict__[_LIMIT] = embeddings


def is_known(token: int, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer's model has an embedding for this id, as far as the tokenizer was told."""
    limit = tokenizer.__dict__.get(_LIMIT)
    return limit is None or 0 <= token < limit


def check_ids(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase, where: str, **texts: str) -> None:
    """Checks that the tokenizer's model has embeddings for all these ids, if the tokenizer was told how many it has.

    Args:
        ids: of a text.
        tokenizer: that they come from.
        where: the text's place.
        texts: its parts, by the name of their field.

    Raises:
        DataError: it has not; place, field and token are named.
    """
    beyond = next((i for i in ids if not is_known(i, tokenizer)), None)
    if beyond is None:
        return
    limit = tokenizer.__dict__[_LIMIT]
    token = tokenizer.convert_ids_to_tokens(beyond)
    field = next((name for name, text in texts.items() if token in text), "text")
    raise DataError(
        f"{where}: the token '{token}' of its {field} has the id {beyond}, but the model has {limit} embeddings; "
        "take it out of the row, or give the model its own tokenizer"
    )


def first_other_token(tokenizer: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> str | None:
    """The first token of a tokenizer that has another id in the other one, or none there; None if there is no such."""
    theirs = other.get_vocab()
    ours = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return next((token for token, i in ours if is_known(i, tokenizer) and theirs.get(token) != i), None)


def response_text(example: Example, tokenizer: PreTrainedTokenizerBase) -> str:
    """The response for a reader: of form `tokens`, its decoded ids."""
    if example.form != "tokens":
        return example.response
    return tokenizer.decode(list(example.token_ids), clean_up_tokenization_spaces=False)


def cut_to(text: str, tokens: int, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text up to its first so many tokens, those that the tokenizer puts before it counted too.

    A text that is short enough stays as it is. White space before it is kept.
    """
    ids = list(tokenizer(text)["input_ids"])
    if len(ids) <= tokens:
        return text
    cut = tokenizer.decode(ids[:tokens], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text[: len(text) - len(text.lstrip())] + cut.lstrip()


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """16 hex digits of the tokenizer's vocabulary and chat template."""
    said = json.dumps([sorted(tokenizer.get_vocab().items()), getattr(tokenizer, "chat_template", None)])
    return hashlib.sha256(said.encode()).hexdigest()[:16]
