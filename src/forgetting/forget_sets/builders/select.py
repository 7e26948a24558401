"""BC-Select of Forget-to-Focus (section 3.3): what of a general corpus does not overlap the domain, to be reviewed.

The paper excluded overlapping texts by hand. Here a rule proposes and a person decides: every text is judged by its
share of the domain's characteristic words (`words`), and if asked by its cosine distance to the domain's centroid; the
judgements go into a file that can be edited and given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forgetting.core.errors import DataError, nearest
from forgetting.core.example import Example
from forgetting.data.examples import said
from forgetting.forget_sets.builders.texts import text_of
from forgetting.forget_sets.builders.words import Words, compare_words

MOST_WORDS = 0.05
"""A text overlaps the domain if more than one in twenty of its words is characteristic of it."""
TAIL = 0.01
"""A text overlaps the domain if it lies as near to the centroid as all but this share of the domain's own texts."""
START = 160
"""Letters of a text that its review shows."""
DECISIONS = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Judged:
    """One general text, its scores and whether it is kept."""

    example: Example
    words: float
    """The share of its distinct words that are characteristic of the domain."""
    telling: tuple[str, ...]
    """Which, the most characteristic first, eight at most."""
    distance: float | None
    """Its cosine distance to the domain's centroid; None: no embeddings were asked for."""
    keep: bool


@dataclass(frozen=True, slots=True)
class Selected:
    """All general texts as judged, and what they were judged by."""

    judged: tuple[Judged, ...]
    found: Words
    most_words: float
    least_distance: float | None
    domain_kept: int
    """How many of the domain's own texts the same rule would have kept: the rule's blindness."""

    @property
    def kept(self) -> list[Judged]:
        """Those that are kept, in their order."""
        return [one for one in self.judged if one.keep]


def select(
    general: Sequence[Example],
    domain: Sequence[Example],
    *,
    most_words: float = MOST_WORDS,
    distances: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    least_distance: float | None = None,
) -> Selected:
    """Judges every general text: it is kept if its share of domain words is at most `most_words`, and, where distances
    are given, it lies farther than `least_distance` from the domain's centroid. A copy of a domain text (but for case
    and spaces) is not kept, whatever its words.

    Args:
        distances: the cosine distance of each general and of each domain text to the centroid.
        least_distance: default: the distance within which 99% of the domain's own texts lie.

    Raises:
        DataError: no words, a share outside [0, 1], or a least distance without distances.
    """
    if not 0 <= most_words <= 1:
        raise DataError(f"most words is {most_words:g}; give a share from 0 to 1")
    if distances is None and least_distance is not None:
        raise DataError("a least distance needs an embedder or stored embeddings; name one or leave it out")
    found = compare_words([text_of(e) for e in general], [text_of(e) for e in domain])
    there = {said(e) for e in domain}
    kept = (found.general <= most_words) & np.array([said(e) not in there for e in general], dtype=bool)
    domain_kept = found.domain <= most_words
    if distances is not None:
        if least_distance is None:
            least_distance = float(np.quantile(distances[1], 1 - TAIL))
        kept, domain_kept = kept & (distances[0] > least_distance), domain_kept & (distances[1] > least_distance)
    judged = (
        Judged(
            example,
            float(found.general[i]),
            found.telling[i],
            None if distances is None else float(distances[0][i]),
            bool(kept[i]),
        )
        for i, example in enumerate(general)
    )
    return Selected(tuple(judged), found, most_words, least_distance, int(domain_kept.sum()))


def review_rows(selected: Selected) -> list[dict[str, object]]:
    """A row per general text, the most like the domain first: what a person reads and edits."""
    ordered = sorted(selected.judged, key=lambda one: (-one.words, one.distance or 0.0, one.example.id))
    return [
        {
            "id": one.example.id,
            "keep": "yes" if one.keep else "no",
            "words": round(one.words, 4),
            **({} if one.distance is None else {"distance": round(one.distance, 4)}),
            "telling": " ".join(one.telling),
            "text": _start(one.example),
        }
        for one in ordered
    ]


def reviewed(selected: Selected, rows: Iterable[tuple[str, Mapping[str, object]]]) -> Selected:
    """The same with the decisions of a review: (where, row) pairs, of which `id` and `keep` are read.

    Raises:
        DataError: a row without them, a decision that is neither yes nor no, an id that is unknown, occurs twice or is
            missing.
    """
    known = {one.example.id for one in selected.judged}
    decisions: dict[str, bool] = {}
    where = "the review"
    for where, row in rows:
        missing = next((name for name in ("id", "keep") if row.get(name) is None), None)
        if missing is not None:
            raise DataError(f"{where}: no column '{missing}'; keep the columns id and keep (separated by commas)")
        name, keep = str(row["id"]), str(row["keep"]).strip().casefold()
        if keep not in DECISIONS:
            raise DataError(f"{where}: keep is '{str(row['keep'])[:40]}'; write yes or no")
        if name not in known:
            raise DataError(f"{where}: the general corpus has no id '{name[:40]}'; {nearest(name, _few(known, name))}")
        if name in decisions:
            raise DataError(f"{where}: the id '{name[:40]}' is that of two rows; keep one")
        decisions[name] = DECISIONS[keep]
    lacking = [one.example.id for one in selected.judged if one.example.id not in decisions]
    if lacking:
        raise DataError(
            f"{where}: ends without a row for {len(lacking)} texts, such as '{lacking[0]}'; write yes or no"
        )
    return replace(selected, judged=tuple(replace(one, keep=decisions[one.example.id]) for one in selected.judged))


def _few(known: Iterable[str], name: str) -> list[str]:
    """A few of the ids to point at: those that begin alike, or any three."""
    return sorted(known, key=lambda one: (one[:3] != name[:3], one))[:3]


def _start(example: Example) -> str:
    """The start of a text on one line. What a spreadsheet would take for a formula gets an apostrophe before it."""
    text = " ".join(text_of(example).split())
    text = text if len(text) <= START else text[:START].rstrip() + "…"
    return f"'{text}" if text[:1] in "=+-@" else text
