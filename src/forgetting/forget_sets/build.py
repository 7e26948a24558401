"""Forget sets built from files: what `forget build` does, with the provenance and the page beside the output.

Beside OUT.jsonl stand OUT.provenance.json (from what and how it was made, and what it overlaps), OUT.html (the same
with the separation drawn) and, of `select`, OUT.review.csv.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.progress import SILENT, Voice
from forgetting.data.examples import load_examples, said
from forgetting.data.files import read_rows
from forgetting.data.source import Source
from forgetting.forget_sets.builders import cosine, select
from forgetting.forget_sets.builders.embedding import Embedder, Vectors, embedded, stored
from forgetting.forget_sets.builders.mixed import mixed
from forgetting.forget_sets.builders.separation import Tally, separation
from forgetting.forget_sets.builders.texts import text_of
from forgetting.forget_sets.builders.words import compare_words
from forgetting.forget_sets.files import Built, review_file, streamed, write_built

WORDS = "share of words that are characteristic of the domain"
DISTANCE = "cosine distance to the domain's centroid"
_CHARACTERISTIC = 100
"""Characteristic words that a provenance names."""


@dataclass(frozen=True)
class Embedding:
    """Where embeddings come from: an embedder, or arrays with one row per example, in the order of the data."""

    embedder: Embedder | None = None
    general: Path | None = None
    domain: Path | None = None

    def blocks(self, side: str, examples: Iterable[Example], voice: Voice) -> Iterator[tuple[list[str], Vectors]]:
        """(ids, embeddings) of the examples of a side, `general` or `domain`, block by block.

        Raises:
            DataError: neither is given for this side, or an embedding cannot be used.
        """
        path = self.general if side == "general" else self.domain
        if path is not None:
            found = stored(path, (e.id for e in examples))
        elif self.embedder is not None:
            found = embedded(((e.id, text_of(e)) for e in examples), self.embedder)
        else:
            raise DataError(f"the {side} texts have no embeddings; name an embedder or a file with their embeddings")
        done = 0
        for ids, vectors in found:
            yield ids, vectors
            done += len(ids)
            voice.progress(done, done, f"embedding the {side} texts")

    @property
    def about(self) -> dict[str, object]:
        """What stands of it in a provenance."""
        own = dict(self.embedder.about) if self.embedder else {}
        return own | {f"{side}_file": str(p) for side, p in (("general", self.general), ("domain", self.domain)) if p}


def build_select(
    general: str | Source,
    domain: Sequence[str | Source],
    out: Path,
    *,
    most_words: float = select.MOST_WORDS,
    embedding: Embedding | None = None,
    least_distance: float | None = None,
    review: Path | None = None,
    review_out: Path | None = None,
    count: int | None = None,
    seed: int = 0,
    evaluation: Sequence[str | Source] = (),
    voice: Voice = SILENT,
) -> dict[str, Any]:
    """Keeps what does not overlap the domain (BC-Select); gives the provenance.

    Args:
        review: an edited review, whose decisions stand in place of the rule's.
        review_out: where the review goes (.csv or .jsonl); default: beside `out`. None is written if one is given.
        count: of what is kept only so many, drawn by the seed; default: all.

    Raises:
        ForgettingError: bad input, nothing kept, or an edited review that would be overwritten.
    """
    built = Built.begin("select", general, domain, evaluation, out, kept=(review, review_out))
    texts, others = load_examples(built.general), built.domain_examples
    placed = None
    if embedding is not None:
        centre, far = _domain_side(embedding, others, voice)
        near = [cosine.distances(v, centre) for _, v in embedding.blocks("general", texts, voice)]
        placed = (np.concatenate(near), far)
    proposed = select.select(texts, others, most_words=most_words, distances=placed, least_distance=least_distance)
    found = proposed if review is None else select.reviewed(proposed, read_rows(Source(path=str(review))))
    kept = found.kept
    if not kept:
        raise DataError("nothing of the general corpus is kept; raise the share of words allowed or give other texts")
    chosen = [kept[i] for i in sorted(_drawn(len(kept), count, seed))]
    extra = {} if review else review_file(review_out or out.with_suffix(".review.csv"), select.review_rows(found))
    changed = sum(a.keep != b.keep for a, b in zip(proposed.judged, found.judged, strict=True))
    words = {one.example.id: one.words for one in chosen}
    drawn = [
        separation(WORDS, _groups([words.get(e.id) for e in texts], found.found.general, found.found.domain)),
    ]
    if placed is not None:
        inside = [d if e.id in words else None for e, d in zip(texts, placed[0].tolist(), strict=True)]
        drawn.append(separation(DISTANCE, _groups(inside, *placed)))
    return write_built(
        built,
        [(one.example, _scores(one)) for one in chosen],
        settings={
            "most_words": most_words,
            "least_distance": found.least_distance,
            "review": None if review is None else str(review),
            "count": count,
        },
        counts={
            "general": len(texts),
            "kept": len(kept),
            "chosen": len(chosen),
            "changed_by_review": changed,
            "domain": len(others),
            "domain_kept_by_the_rule": found.domain_kept,
        },
        seed=seed if count is not None else None,
        embedder=embedding.about if embedding else None,
        separations=drawn,
        characteristic=found.found.characteristic[:_CHARACTERISTIC],
        extra=extra,
        inputs={"review": review, **_files(embedding)},
    )


def build_mixed(
    general: str | Source,
    domain: Sequence[str | Source],
    out: Path,
    *,
    count: int,
    domain_count: int,
    seed: int = 0,
    evaluation: Sequence[str | Source] = (),
) -> dict[str, Any]:
    """Draws `count` general and `domain_count` domain examples (BC-Mixed); gives the provenance.

    Raises:
        ForgettingError: bad input, or fewer examples than are asked for.
    """
    built = Built.begin("mixed", general, domain, evaluation, out)
    texts, others = load_examples(built.general), built.domain_examples
    found = mixed(texts, others, count=count, domain_count=domain_count, seed=seed)
    words = compare_words([text_of(e) for e in texts], [text_of(e) for e in others])
    shares = dict(zip(map(said, [*texts, *others]), [*words.general, *words.domain], strict=True))
    sides = {"general, chosen": False, "domain, chosen": True}
    groups = {
        name: Tally(
            np.array([shares[said(e)] for e, d in zip(found.examples, found.from_domain, strict=True) if d == of])
        )
        for name, of in sides.items()
    }
    groups["rest of the general"] = Tally(np.array([shares[said(e)] for e in found.rest]))
    rows = zip(found.examples, found.from_domain, strict=True)
    return write_built(
        built,
        [(e, {"drawn_from": "domain" if d else "general"}) for e, d in rows],
        settings={"general": count, "domain_count": domain_count},
        counts={
            "general": len(texts),
            "general_that_repeat_the_domain": found.of_domain,
            "domain": len(others),
            "chosen": len(found.examples),
            "chosen_of_domain": domain_count,
        },
        seed=seed,
        separations=[separation(WORDS, groups)],
        characteristic=words.characteristic[:_CHARACTERISTIC],
    )


def build_cosine(
    general: str | Source,
    domain: Sequence[str | Source],
    out: Path,
    *,
    count: int,
    embedding: Embedding,
    nearest: bool = False,
    evaluation: Sequence[str | Source] = (),
    voice: Voice = SILENT,
) -> dict[str, Any]:
    """Chooses the `count` texts farthest from the domain's centroid, or nearest (BC-Cosine); gives the provenance.

    The general corpus is read twice and never held. The chosen stand in the order of their distance.

    Raises:
        ForgettingError: bad input, or fewer texts than are asked for.
    """
    built = Built.begin("cosine", general, domain, evaluation, out)
    others = built.domain_examples
    centre, far = _domain_side(embedding, others, voice)
    everything = Tally()
    blocks = embedding.blocks("general", streamed(built.general), voice)
    placed = cosine.ranked(blocks, centre, count, nearest=nearest, tally=everything)
    cut = placed[-1].distance
    mine = np.array([one.distance for one in placed])
    groups = {"chosen": Tally(mine), "rest": everything.without(mine), "domain": Tally(far)}
    return write_built(
        built,
        [(e, {"domain_distance": round(one.distance, 6)}) for e, one in _fetched(built.general, placed)],
        settings={"count": count, "order": "nearest" if nearest else "farthest"},
        counts={
            "general": int(everything.counts.sum()),
            "chosen": len(placed),
            "cut_at": cut,
            "domain": len(others),
            "domain_beyond_the_cut": int((far <= cut).sum() if nearest else (far >= cut).sum()),
        },
        embedder=embedding.about,
        separations=[separation(DISTANCE, groups)],
        inputs=_files(embedding),
    )


def _domain_side(embedding: Embedding, domain: Sequence[Example], voice: Voice) -> tuple[cosine.Centre, Any]:
    """The domain's centroid, and the distance of each of its texts to it; unlike the general ones, they are held."""
    held = [vectors for _, vectors in embedding.blocks("domain", domain, voice)]
    centre = cosine.centroid(held)
    return centre, np.concatenate([cosine.distances(vectors, centre) for vectors in held])


def _fetched(general: Source, placed: Sequence[cosine.Placed]) -> list[tuple[Example, cosine.Placed]]:
    """The chosen texts themselves, in the order of `placed`.

    Raises:
        DataError: another row says something else under the id of a chosen one.
    """
    rows, ids = {one.row for one in placed}, {one.id for one in placed}
    found: dict[str, Example] = {}
    others = []
    for row, example in enumerate(streamed(general)):
        if row in rows:
            found[example.id] = example
        elif example.id in ids:
            others.append((example.id, said(example), example.where))
    for name, words, where in others:
        if words != said(found[name]):
            raise DataError(f"{where}: the id '{name}' stands in rows that say different things; make ids unique")
    return [(found[one.id], one) for one in placed]


def _drawn(has: int, count: int | None, seed: int) -> Sequence[int]:
    if count is None:
        return range(has)
    if not 1 <= count <= has:
        raise DataError(f"count is {count}, and {has} examples are kept; give a number from 1 to {has}")
    return np.random.default_rng(seed).permutation(has)[:count].tolist()


def _groups(chosen: Sequence[float | None], general: Any, domain: Any) -> dict[str, Tally]:
    """Chosen, rest and domain; `chosen` holds the value of each general text that is chosen, None of the others."""
    mine = np.array([value for value in chosen if value is not None])
    return {"chosen": Tally(mine), "rest": Tally(general).without(mine), "domain": Tally(domain)}


def _scores(one: select.Judged) -> dict[str, object]:
    found: dict[str, object] = {"domain_words": round(one.words, 6)}
    return found if one.distance is None else found | {"domain_distance": round(one.distance, 6)}


def _files(embedding: Embedding | None) -> dict[str, Path | None]:
    return {"general_file": embedding.general, "domain_file": embedding.domain} if embedding else {}
