"""DUET's rows: the published splits, on the hub or in files, and sets that are drawn from the whole of it."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from forgetting.benchmarks.duet.flags import fact_of
from forgetting.core.errors import DataError, RecipeError, nearest
from forgetting.core.example import Example
from forgetting.data.examples import read_examples
from forgetting.data.source import Source

HUB = "SwetieePawsss/DUET"
FULL = "full_"
RETAIN = "city_fast_retain_500"
PUBLISHED = (
    FULL,
    *(f"city_forget_{which}_{percent}" for which in ("rare", "popular") for percent in (1, 5, 10)),
    RETAIN,
    "city_fast_retain_1500",
)
"""The published splits; `paraphrases_NAME` has the paraphrases of a forget set."""
PARAPHRASES = "paraphrases_"
DRAWN = re.compile(r"full_(rare|popular)_(1|5|10)|domains_(rare|popular)")
"""Sets that the paper describes and that are no published split: drawn from `full_`."""
DOMAIN_COUNT = 500
_THEME = "source_csv"
Rows = tuple[Example, ...]


def published_rows(split: str, folder: Path | None) -> Rows:
    """The examples of a published split; those of one fact share a group. A row that repeats another is left out.

    Args:
        split: its name.
        folder: of local files `SPLIT.jsonl`, `.json`, `.csv` or `.parquet`; None: the hub.

    Raises:
        RecipeError: the hub has no such split.
        DataError: the file is missing, the hub cannot be reached, or a row is not a question with an answer.
    """
    if Path(split).name != split:
        raise RecipeError(f"DUET: '{split}' is a path, not a split; write duet:SPLIT@FOLDER")
    if folder is None:
        if split.removeprefix(PARAPHRASES) not in PUBLISHED:
            raise RecipeError(f"DUET has no split '{split}'; {nearest(split, PUBLISHED)}")
        source = Source(hub=HUB, split=split)
    else:
        files = [folder / f"{split}{end}" for end in (".jsonl", ".jsonl.gz", ".json", ".csv", ".parquet")]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            there = [f.name.split(".")[0] for f in sorted(folder.iterdir()) if f.is_file()]
            raise DataError(f"{folder}: holds no {split}.jsonl (or .json, .csv, .parquet); {nearest(split, there)}")
        source = Source(path=str(file))
    found: dict[str, Example] = {}
    for example in read_examples(source).examples:
        found.setdefault(example.id, replace(example, group=example.group or fact_of(example)))
    return tuple(found.values())


def drawn_rows(name: str, folder: Path | None) -> tuple[Rows, Rows]:
    """A forget set that is drawn from the whole benchmark, and its retain set.

    - `full_rare_5`: the 5% of all facts that are least popular (`full_popular_5`: most); 1, 5 or 10. Retained is the
      rest without the as large set at the other end (the paper's retain intersection).
    - `domains_rare`: 500 facts, as many of each theme as it has, the least popular of each (`domains_popular`: the
      most). Retained are 500 of the others, drawn likewise; the set of the other end is not among them. The paper's
      own multi-domain subset (its table 8) is not published, so this is ours.

    Raises:
        DataError: too few facts with popularity, or no themes.
    """
    found = DRAWN.fullmatch(name)
    assert found is not None, "the name is of DRAWN"
    rows = [e for e in published_rows(FULL, folder) if e.popularity is not None]
    if found[2]:
        low, middle, high = _ends(rows, int(found[2]))
        return (low if found[1] == "rare" else high), middle
    return balanced(rows, found[3])


def balanced(rows: Sequence[Example], which: str, count: int = DOMAIN_COUNT) -> tuple[Rows, Rows]:
    """`count` facts to forget and as many to keep, from the themes in turn: equally many of each, as far as it goes.

    Of fewer than three times `count` rows, each set is a third.

    Args:
        rows: facts with popularity and theme (`source_csv`).
        which: `rare` or `popular`.
        count: size of each set.

    Raises:
        DataError: a row has no theme, or there are fewer than three rows.
    """
    without = next((e for e in rows if not e.fields.get(_THEME)), None)
    if without is not None:
        raise DataError(f"{without.place}: has no {_THEME}, by which themes are told; give the published columns")
    if len(rows) < 3:
        raise DataError(f"DUET: {len(rows)} facts with popularity are too few to draw rare, popular and other ones")
    count = min(count, len(rows) // 3)
    ordered = _by_popularity(rows)
    rare = _in_turn(ordered, count)
    taken = {e.id for e in rare}
    popular = _in_turn([e for e in reversed(ordered) if e.id not in taken], count)
    taken |= {e.id for e in popular}
    rest = [e for e in rows if e.id not in taken]
    random.Random(0).shuffle(rest)
    return (rare if which == "rare" else popular), _in_turn(rest, count)


def _in_turn(ordered: Sequence[Example], count: int) -> Rows:
    """The first of every theme, then the second of every theme, and so on."""
    themes: dict[str, list[Example]] = {}
    for example in ordered:
        themes.setdefault(str(example.fields[_THEME]), []).append(example)
    longest = max(map(len, themes.values()))
    rounds = [of[n] for n in range(longest) for _, of in sorted(themes.items()) if n < len(of)]
    return tuple(rounds[:count])


def _ends(rows: Sequence[Example], percent: int) -> tuple[Rows, Rows, Rows]:
    """The least popular N%, the middle, and the most popular N%; ties stay in their order."""
    ordered = _by_popularity(rows)
    size = len(ordered) * percent // 100
    if not size:
        raise DataError(f"DUET: {percent}% of {len(ordered)} facts with popularity are none")
    return tuple(ordered[:size]), tuple(ordered[size:-size]), tuple(ordered[-size:])


def _by_popularity(rows: Sequence[Example]) -> list[Example]:
    return sorted(rows, key=lambda e: e.popularity or 0.0)
