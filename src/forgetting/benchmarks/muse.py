"""MUSE: news articles or books to forget, by six criteria.

Source: Shi et al. 2024, "MUSE: Machine Unlearning Six-Way Evaluation for Language Models"
(https://arxiv.org/abs/2407.06460); `muse-bench/MUSE-News` and `muse-bench/MUSE-Books` on the hub. The criteria:

1. verbatim memorization: `verbmem/verbmem`;
2. knowledge memorization: `knowmem/knowmem`;
3. privacy leakage: `privleak-forget/privleak`, a distance from the retrained model (the recipe's oracle);
4. utility: `retain-knowmem/knowmem`;
5. scale: the same after a larger forget set, `scale=2` to `scale=4`;
6. sustainability: the same after several stages, each of which forgets a fold, `fold=1` to `fold=4`.

A stage ends at the first checkpoint that knows no more than the retrained model by `until: knowmem/knowmem <= 0.331`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from forgetting.benchmarks.lab.suite import lab_suite
from forgetting.benchmarks.local_files import folder_of, source_of
from forgetting.benchmarks.registry import register_suite
from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.declaration import Balance, Declaration, Headline
from forgetting.core.errors import DataError, RecipeError, RowError, nearest
from forgetting.core.example import Example, Role, content_id
from forgetting.data.examples import load_examples
from forgetting.data.files import Row, each_row
from forgetting.data.reading import Reading
from forgetting.data.source import Source
from forgetting.metrics.likelihood import probability
from forgetting.metrics.metric import Metric
from forgetting.metrics.muse import SHARE, knowmem, leakage, verbmem
from forgetting.metrics.per_example import mean, toward_oracle

HUBS = {"news": "muse-bench/MUSE-News", "books": "muse-bench/MUSE-Books"}
VERBMEM_TOKENS, KNOWMEM_TOKENS, TEXT_TOKENS = 128, 32, 2048
"""Tokens of a continuation and of the truth that it is compared with, of an answer, and of a text scored by Min-K%."""
FAST = 32
"""Examples of each split in the middle of a stage."""
_LAB = "lab"
_FOLDS = ("1", "2", "3", "4")
T = TypeVar("T")


def muse_suite(
    corpus: str, folder: Path | None = None, *, forget: tuple[str, str] = ("raw", "forget"), fast: bool = False
) -> Suite:
    """MUSE on one corpus: `news` or `books`.

    Splits: `verbmem` (passages to continue), `knowmem` and `retain-knowmem` (questions behind ten answered ones, as
    text), `privleak-forget`, `privleak-retain` and `privleak-holdout` (texts). Answers are greedy. Unlike MUSE's code,
    the blank behind "Answer:" is not fed to the model by itself, which tokenizers cut otherwise than before a word; and
    with a beginning token, the first token of a text is not scored.

    `data` holds the texts of the roles `forget`, `retain` (the part that MUSE trains on, `retain1`) and `holdout`; in a
    folder without them, none.

    Args:
        corpus: which.
        folder: of local files as MUSE's repository has them: `knowmem/forget_qa.json`, `verbmem/forget.json`,
            `privleak/holdout.json`, `raw/forget.txt`, each a list of rows (.json, .jsonl, .parquet); None: the hub.
        forget: table and split of the texts to forget.
        fast: 32 examples of each split.

    Raises:
        RecipeError: an unknown corpus.
        DataError: a file is missing, the hub cannot be reached, or a row lacks its columns.
    """
    if corpus not in HUBS:
        raise RecipeError(f"MUSE has no corpus '{corpus}'; {nearest(corpus, [*HUBS, _LAB])}")

    def rows(table: str, split: str, make: Callable[[Row, str], T]) -> list[T]:
        source = _source(corpus, folder, table, split)
        found = list(each_row(source, Reading(), make))
        if not found:
            raise DataError(f"{source}: holds no rows; give at least one")
        return found

    def asked(name: str) -> tuple[Example, ...]:
        shown = "".join(f"{q.prompt}{q.response}\n\n" for q in rows("knowmem", f"{name}_qa_icl", _question))
        return tuple(
            Example(id=q.id, form="text", prompt=shown + q.prompt, response=q.response, where=q.where)
            for q in rows("knowmem", f"{name}_qa", _question)
        )

    texts = {name: tuple(rows("privleak", name, _text)) for name in ("forget", "retain", "holdout")}
    return _suite(
        f"muse-{corpus}",
        verbatim=tuple(rows("verbmem", "forget", _passage)),
        known=asked("forget"),
        kept=asked("retain"),
        texts=texts,
        data=_data(corpus, folder, forget),
        fast=fast,
    )


def muse_lab(*, fast: bool = False) -> Suite:
    """The same measures on the small world: its secret notes, its rare facts, and sentences about strangers.

    `verbmem` are the notes that occur eight times, `knowmem` and `retain-knowmem` the questions of the forget and
    retain set in the model's own form, without answered ones before them. The texts of privleak are sentences of the
    forgotten facts and of strangers whom no document mentions; the shipped oracle never saw either, but it read the
    notes.
    """
    lab = lab_suite("rare")
    splits = {split.name: split.examples for split in lab.splits}
    notes = tuple(e for e in splits["secrets"] if e.popularity == 8)
    texts = {"forget": "forget-narrative", "retain": "retain-narrative", "holdout": "holdout-narrative"}
    return _suite(
        "muse-lab",
        verbatim=notes,
        known=splits["forget"],
        kept=splits["retain"],
        texts={name: tuple(map(_whole, splits[split])) for name, split in texts.items()},
        data={
            str(Role.FORGET): (*lab.data["forget"], *map(_whole, notes)),
            str(Role.RETAIN): tuple(lab.data["retain"]),
            str(Role.HOLDOUT): tuple(lab.data["holdout"]),
        },
        fast=fast,
        oracle=lab.oracle,
    )


@register_suite("muse")
def muse_variant(variant: str, fast: bool = False) -> Suite:
    """MUSE: news or books by six criteria: `muse:news`, `muse:books@FOLDER`; `muse:lab` on the small world.

    Keys: `scale=2` (to 4: a forget set of so many times the size; News), `fold=1` (to 4: one of the folds that are
    forgotten one after the other; News). They choose the texts to forget, not what is measured.

    Raises:
        RecipeError: an unknown corpus or key.
        DataError: see `muse_suite`.
    """
    asked, folder = folder_of("muse", variant)
    corpus, *items = asked.split(",")
    if corpus == _LAB:
        if items or folder is not None:
            raise RecipeError("muse:lab is shipped whole and takes neither keys nor a folder")
        return muse_lab(fast=fast)
    forget = ("raw", "forget")
    for item in items:
        key, _, value = item.partition("=")
        if key not in ("scale", "fold") or value not in _FOLDS or corpus != "news":
            raise RecipeError(f"muse: '{item}' has no meaning; keys of news: scale=1 to scale=4, fold=1 to fold=4")
        forget = ({"scale": "scal", "fold": "sust"}[key], f"forget_{value}")
    if len(items) > 1:
        raise RecipeError("muse: give one of scale and fold")
    return muse_suite(corpus or "news", folder, forget=forget, fast=fast)


def _suite(
    name: str,
    *,
    verbatim: tuple[Example, ...],
    known: tuple[Example, ...],
    kept: tuple[Example, ...],
    texts: dict[str, tuple[Example, ...]],
    data: dict[str, tuple[Example, ...]],
    fast: bool,
    oracle: Path | None = None,
) -> Suite:
    limit = FAST if fast else None
    splits = [
        Split(
            name="verbmem",
            examples=verbatim[:limit],
            max_new_tokens=VERBMEM_TOKENS,
            answer_tokens=VERBMEM_TOKENS,
        ),
        Split(name="knowmem", examples=known[:limit], max_new_tokens=KNOWMEM_TOKENS),
        Split(name="retain-knowmem", examples=kept[:limit], max_new_tokens=KNOWMEM_TOKENS),
        *(
            Split(name=f"privleak-{kind}", examples=some[:limit], generate=False, membership=(SHARE,))
            for kind, some in texts.items()
        ),
    ]
    return Suite(
        name=name,
        splits=tuple(splits),
        metrics=muse_metrics(),
        data=data,
        oracle=oracle,
        declares=Declaration(
            headline=Headline(
                forgotten=("knowmem/knowmem",),
                forgotten_too=(("verbmem/verbmem",), ("privleak-forget/privleak",)),
                kept=("retain-knowmem/knowmem",),
            ),
            balance=Balance(forget="knowmem/knowmem", retain="retain-knowmem/knowmem"),
            alarm=("retain-knowmem/probability",),
            forget_splits=("knowmem", "verbmem"),
            retain_splits=("retain-knowmem",),
        ),
    )


def muse_metrics() -> tuple[Metric, ...]:
    """The measures of MUSE's splits; beside ROUGE the likelihood of the answers, which never ends at 0."""
    forgotten = ("knowmem", "verbmem")
    return (
        toward_oracle(mean(verbmem, ("verbmem",), "down")),
        toward_oracle(mean(knowmem, ("knowmem",), "down")),
        mean(knowmem, ("retain-knowmem",), "up"),
        toward_oracle(mean(probability, forgotten, "down")),
        mean(probability, ("retain-knowmem",), "up"),
        leakage("privleak-forget", "privleak-holdout"),
    )


def _data(corpus: str, folder: Path | None, forget: tuple[str, str]) -> dict[str, tuple[Example, ...]]:
    """The texts to train on, by role; of a folder those that are there, of a chosen forget set all of it."""
    wanted = {str(Role.FORGET): forget, str(Role.RETAIN): ("raw", "retain1"), str(Role.HOLDOUT): ("raw", "holdout")}
    found = {}
    for role, (table, split) in wanted.items():
        if folder is not None and table == "raw" and not any((folder / table).glob(f"{split}.*")):
            continue
        found[role] = tuple(load_examples(_source(corpus, folder, table, split)))
    return found


def _source(corpus: str, folder: Path | None, table: str, split: str) -> Source:
    if folder is None:
        return Source(hub=HUBS[corpus], name=table, split=split)
    below = folder / table
    if not below.is_dir():
        raise DataError(f"{folder}: holds no folder {table}; it should hold {table}/{split}.json")
    text = below / f"{split}.txt"
    return Source(path=str(text)) if text.is_file() else source_of(split, below, hub=Source(hub=HUBS[corpus]))


def _question(row: Row, where: str) -> Example:
    question, answer = _texts_of(row, where, "question", "answer")
    prompt = f"Question: {question}\nAnswer: "
    return Example(id=content_id(prompt, answer), form="text", prompt=prompt, response=answer, where=where)


def _passage(row: Row, where: str) -> Example:
    prompt, truth = _texts_of(row, where, "prompt", "gt")
    return Example(id=content_id(prompt, truth), form="text", prompt=prompt, response=truth, where=where)


def _text(row: Row, where: str) -> Example:
    (text,) = _texts_of(row, where, "text")
    return Example(id=content_id("", text), form="text", response=text, max_tokens=TEXT_TOKENS, where=where)


def _texts_of(row: Row, where: str, *columns: str) -> Sequence[str]:
    values = [row.get(column) for column in columns]
    for column, value in zip(columns, values, strict=True):
        if not isinstance(value, str) or not value.strip():
            raise RowError(where, f"{column} is no text; write it")
    return [str(value) for value in values]


def _whole(example: Example) -> Example:
    """A passage with its beginning as one text, verbatim."""
    text = example.prompt + example.response
    return Example(
        id=f"{example.id}-whole",
        form="text",
        response=text,
        max_tokens=TEXT_TOKENS,
        group=example.group,
        kind=example.kind,
        popularity=example.popularity,
    )
