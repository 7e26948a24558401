"""Dialogue: what a model says next in four sets of conversations, by F1 of words and by perplexity.

Source: Jang et al., "Knowledge Unlearning for Mitigating Privacy Risks in Language Models" (2023), and LoKU's table 1:
Blended Skill Talk, Empathetic Dialogues, Wizard of Wikipedia and Wizard of Internet; one question per dialogue, its
last turn; greedy turns of at most 32 tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from forgetting.benchmarks.registry import register_suite
from forgetting.benchmarks.suite import Split, Suite
from forgetting.benchmarks.text import place_and_limit
from forgetting.core.declaration import Declaration, Headline
from forgetting.core.errors import DataError
from forgetting.core.example import Example, content_id
from forgetting.data.files import Row, read_rows
from forgetting.data.source import Source
from forgetting.metrics.dialogue import dialogue_metrics

SETS = ("blended_skill_talk", "empathetic_dialogues", "wizard_of_wikipedia", "wizard_of_internet")
ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz")
TURN_TOKENS = 32
HISTORY_WORDS = 400
"""A longer history is reduced to its last turns; with the answer it must fit into 1,024 tokens."""
FAST = 50
_DECLARED = Declaration(headline=Headline(others=(("all/dialogue_f1",),)))


@register_suite("dialogue")
def dialogue_variant(variant: str, fast: bool) -> Suite:
    """The next turn of four sets of dialogues (F1, perplexity): dialogue:FOLDER, or dialogue:FOLDER,limit=100.

    The folder holds `blended_skill_talk`, `empathetic_dialogues`, `wizard_of_wikipedia` and `wizard_of_internet` as
    .jsonl or .json (.gz allowed); each file there is a split, the others are left out. A row is {"text": [turn, …]}.
    All turns but the last are the prompt, a line each, with the speakers' names before them:

        User 1: Do you like books?
        User 2: I do! What do you read?
        User 1:

    and the last turn is the answer. Turns are kept as written, stripped of surrounding blanks. Of a history of more
    than 400 words the first turns are left out. The model's turn is its first line. `limit` takes the first so many
    dialogues of each set, `fast` 50 at most.

    The first two sets are on the hub (`ParlAI/blended_skill_talk`, `facebook/empathetic_dialogues`), the other two come
    with ParlAI; each is laid out in its own way there, so write them as files of this form.

    Raises:
        RecipeError: a key that has no meaning, or no folder.
        DataError: no such folder, none of the sets in it, or a row that is not a dialogue.
    """
    place, limit = place_and_limit("dialogue", variant, "FOLDER")
    if fast:
        limit = min(limit or FAST, FAST)
    files = _files(Path(place))
    splits = tuple(
        Split(name=name, examples=_examples(file, limit), max_new_tokens=TURN_TOKENS) for name, file in files.items()
    )
    return Suite(name=f"dialogue:{variant}", splits=splits, metrics=dialogue_metrics(list(files)), declares=_DECLARED)


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; write dialogue:FOLDER")
    candidates = {name: [folder / f"{name}{ending}" for ending in ENDINGS] for name in SETS}
    existing = {name: [file for file in files if file.is_file()] for name, files in candidates.items()}
    found = {name: files[0] for name, files in existing.items() if files}
    if not found:
        raise DataError(f"{folder}: holds none of {', '.join(SETS)} (.jsonl or .jsonl.gz); add at least one of them")
    return found


def _examples(file: Path, limit: int | None) -> tuple[Example, ...]:
    rows = islice(read_rows(Source(path=str(file))), limit)
    found = {example.id: example for example in _dialogues(rows)}  # a dialogue that occurs twice is one
    if not found:
        raise DataError(f"{file}: holds no dialogues; give at least one")
    return tuple(found.values())


def _dialogues(rows: Iterator[tuple[str, Row]]) -> Iterator[Example]:
    for where, row in rows:
        turns = _turns(row, where)
        prompt = _prompt(turns[:-1])
        answer = turns[-1]
        yield Example(id=content_id(prompt, answer), form="text", prompt=prompt, response=answer, where=where)


def _turns(row: Row, where: str) -> list[str]:
    turns = row.get("text")
    if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in turns):
        raise DataError(f'{where}: is not a dialogue; write {{"text": [turn, turn, …]}} with each turn as text')
    if len(turns) < 2 or not all(turn.strip() for turn in turns):
        raise DataError(f"{where}: a dialogue needs two turns at least, none of them empty; fix or remove the row")
    return [" ".join(turn.split()) for turn in turns]


def _prompt(history: list[str]) -> str:
    """The last turns of at most `HISTORY_WORDS` words, at least one, and the name of the next speaker."""
    words, first = 0, len(history)
    while first and (first == len(history) or words + len(history[first - 1].split()) <= HISTORY_WORDS):
        first -= 1
        words += len(history[first].split())
    lines = [f"{_speaker(i)}: {turn}\n" for i, turn in enumerate(history) if i >= first]
    return "".join(lines) + f"{_speaker(len(history))}: "


def _speaker(turn: int) -> str:
    return f"User {turn % 2 + 1}"
