"""A dataset with signed token weights, written as Parquet: what a selection found, to train on here or elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.folder import written_file
from forgetting.core.text import said
from forgetting.data.encode import Encoded
from forgetting.data.examples import own_ids
from forgetting.data.files import JSON_TEXT, Row
from forgetting.data.source import COLUMNS, Source

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_OF_A_GROUP = 1024


def write_weighted(
    path: Path, examples: Sequence[Example], weighted: Iterable[tuple[Encoded, Sequence[float]]]
) -> Source:
    """Writes examples with their token weights, and returns the source that reads them back.

    The columns are those that an example holds (`prompt` and `response`, `text`, `messages` or `token_ids`; `id`; what
    else any example has), its other fields under their own names, `token_weights` (list of float32) and `target_ids`
    (list of int32). Read back and encoded as before, each row has the weights `example.weight` x token weight. Rows are
    written as they come, and the file takes its name only when it is whole. An id that a second example has gets a
    number (`id~2`).

    Args:
        path: a name that ends in .parquet.
        examples: without token weights of their own.
        weighted: what `encode_all` made of the examples, in their order, each with one number per supervised token:
            positive to learn, negative to forget, 0 for neither. The windows of a document become one row.

    Raises:
        DataError: `weighted` is not of these examples, or examples that one source cannot read back.
        RunError: the disk refuses.
    """
    if path.suffix != ".parquet":
        raise DataError(f"{path}: a weighted dataset is written as Parquet; choose a name that ends in .parquet")
    source = _source(path, examples)
    writers = {name: fill for name, fill in _FILLS.items() if any(fill(e) is not None for e in examples)}
    own = sorted({name for e in examples for name in e.fields} - set(COLUMNS))
    schema = _schema(writers, own, examples)
    texts = {field.name for field in schema if field.metadata == JSON_TEXT}

    def rows() -> Iterator[Row]:
        for own_id, (example, weights, ids) in zip(own_ids(examples), _joined(examples, weighted), strict=True):
            row: Row = {name: fill(example) for name, fill in writers.items()} | {"id": own_id}
            for name in own:
                value = example.fields.get(name)
                row[name] = json.dumps(value, default=str) if name in texts and value is not None else value
            yield row | {"token_weights": weights, "target_ids": ids}

    _write(path, schema, rows())
    return source


def _source(path: Path, examples: Sequence[Example]) -> Source:
    if not examples:
        raise DataError(f"{path}: there are no examples to write; give at least one")
    forms = {e.form for e in examples}
    if "tokens" in forms and len(forms) > 1:
        raise DataError(f"{path}: token ids and texts cannot be in one file; write one for each")
    if "qa" in forms and any(e.form == "text" and e.prompt for e in examples):
        raise DataError(f"{path}: questions and texts with a prompt cannot be in one file; write one for each")
    limits = {e.max_tokens for e in examples}
    if len(limits) != 1:
        raise DataError(f"{path}: its texts have different max_tokens, and a file has one; write one file for each")
    weighted = next((e for e in examples if e.token_weights), None)
    if weighted is not None:
        raise DataError(f"{weighted.where or weighted.id}: has token_weights already; score the rows without them")
    form = forms.pop() if len(forms) == 1 else None
    return Source(path=str(path), form=form, max_tokens=limits.pop())


def _joined(
    examples: Sequence[Example], weighted: Iterable[tuple[Encoded, Sequence[float]]]
) -> Iterator[tuple[Example, list[float], list[int]]]:
    """Each example with the weights and ids of its row, or of its windows one after the other."""
    rest = iter(weighted)
    row = next(rest, None)
    for example in examples:
        weights: list[float] = []
        ids: list[int] = []
        key, window = example.id, 1
        while row is not None and row[0].key == key:
            encoded, factors = row
            if len(factors) != encoded.supervised:
                raise DataError(
                    f"{key}: has {encoded.supervised} supervised tokens and {len(factors)} weights; give one each"
                )
            weights += map(float, factors)
            ids += encoded.target_ids
            window += 1
            row = next(rest, None)
            if not example.is_document:
                break
            key = f"{example.id}#{window}"
        if not ids:
            raise DataError(f"{example.where or example.id}: no token weights are given for it; score it first")
        yield example, weights, ids
    if row is not None:
        raise DataError(f"{row[0].key}: has token weights, but is none of the examples; give them in one order")


def _turns(example: Example) -> object:
    if not example.context:
        return None
    turns = [(m.role, m.content) for m in example.context]
    turns += [("user", example.prompt), ("assistant", example.response)]
    return [{"role": role, "content": content} for role, content in turns]


def _is_document(example: Example) -> bool:
    return example.form == "text" and not example.prompt


def _is_pair(example: Example) -> bool:
    return not (example.context or example.form == "tokens" or _is_document(example))


_FILLS: dict[str, Callable[[Example], object]] = {
    "id": lambda e: e.id,
    "messages": _turns,
    "prompt": lambda e: e.prompt if _is_pair(e) else None,
    "response": lambda e: e.response if _is_pair(e) else None,
    "text": lambda e: e.response if _is_document(e) else None,
    "token_ids": lambda e: list(e.token_ids) if e.form == "tokens" else None,
    "paraphrased_prompt": lambda e: e.paraphrased_prompt,
    "paraphrased": lambda e: e.paraphrased,
    "perturbed": lambda e: list(e.perturbed) or None,
    "popularity": lambda e: e.popularity,
    "group": lambda e: e.group or None,
    "kind": lambda e: e.kind or None,
    "weight": lambda e: e.weight if e.weight != 1 else None,
}
"""By column, what an example puts there; None: nothing."""


def _schema(names: Iterable[str], own: Sequence[str], examples: Sequence[Example]) -> pa.Schema:
    import pyarrow as pa

    text = pa.string()
    known = {
        "messages": pa.list_(pa.struct([("role", text), ("content", text)])),
        "token_ids": pa.list_(pa.int32()),
        "perturbed": pa.list_(text),
        "popularity": pa.float64(),
        "weight": pa.float64(),
    }
    fields = [pa.field(name, known.get(name, text)) for name in names]
    for name in own:
        kind = _scalar([e.fields.get(name) for e in examples])
        fields.append(pa.field(name, kind) if kind is not None else pa.field(name, text, metadata=JSON_TEXT))
    fields += [pa.field("token_weights", pa.list_(pa.float32())), pa.field("target_ids", pa.list_(pa.int32()))]
    return pa.schema(fields)


def _scalar(values: Sequence[object]) -> pa.DataType | None:
    """The type of a column that holds one kind of scalar; None for any other, which is written as JSON text."""
    import pyarrow as pa

    kinds = {type(v) for v in values if v is not None}
    if kinds == {int} and not all(-(2**63) <= v < 2**63 for v in values if isinstance(v, int)):
        return None
    types = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    return types.get(kinds.pop()) if len(kinds) == 1 else None


def _write(path: Path, schema: pa.Schema, rows: Iterator[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with written_file(path) as partial, pq.ParquetWriter(partial, schema) as writer:
            while group := list(islice(rows, _ROWS_OF_A_GROUP)):
                writer.write_batch(pa.RecordBatch.from_pylist(group, schema=schema))
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise DataError(f"{path}: a value cannot be written as Parquet ({said(error)}); fix or remove it") from error
