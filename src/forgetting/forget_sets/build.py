"""Builds forget sets from files (`forget build`).

With OUT.jsonl are written OUT.provenance.json (its sources, its settings and what it overlaps), OUT.html (the
same, with a drawing of how far it lies from the domain) and, by `select`, OUT.review.csv.
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
from forgetting.forget_sets.builders.separation import Separation, Tally, separation
from forgetting.forget_sets.builders.texts import text_of
from forgetting.forget_sets.builders.words import compare_words
from forgetting.forget_sets.files import Account, Built, Sides, review_file, streamed, write_built

WORDS = "share of words that are characteristic of the domain"
DISTANCE = "cosine distance to the domain's centroid"
_CHARACTERISTIC = 100
"""How many characteristic words a provenance lists."""


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
        """Its entry in a provenance."""
        own = dict(self.embedder.about) if self.embedder else {}
        return own | {f"{side}_file": str(p) for side, p in (("general", self.general), ("domain", self.domain)) if p}


@dataclass(frozen=True)
class Rule:
    """What `build_select` keeps."""

    most_words: float = select.MOST_WORDS
    """A text is kept if at most this share of its words is characteristic of the domain."""
    least_distance: float | None = None
    """And, with embeddings, if its cosine distance to the domain is above this; None: that of 99% of the domain."""


@dataclass(frozen=True)
class Review:
    """A table of what is kept, which a person may edit."""

    edited: Path | None = None
    """A review whose decisions replace those of the rule."""
    out: Path | None = None
    """Where a new one is written (.csv or .jsonl), if none is given; None: beside the output."""


@dataclass(frozen=True)
class Draw:
    """How many of the kept texts are drawn; None: all."""

    count: int | None = None
    seed: int = 0


def build_select(
    sides: Sides,
    out: Path,
    *,
    rule: Rule = Rule(),
    embedding: Embedding | None = None,
    review: Review = Review(),
    draw: Draw = Draw(),
    voice: Voice = SILENT,
) -> dict[str, Any]:
    """Keeps the texts that do not overlap the domain (BC-Select) and returns the provenance.

    Args:
        sides: the data.
        out: the .jsonl file to write.
        rule: what is kept.
        embedding: for distances to the domain beside shares of words.
        review: an edited one, or where a new one is written.
        draw: of what is kept.
        voice: log lines and progress.

    Raises:
        ForgettingError: bad input, nothing kept, or an edited review that would be overwritten.
    """
    built = Built.begin("select", sides, out, kept=(review.edited, review.out))
    texts, others = load_examples(built.general, built.heard), built.domain_examples
    placed = None if embedding is None else _placed(embedding, texts, others, voice)
    proposed = select.select(
        texts, others, most_words=rule.most_words, distances=placed, least_distance=rule.least_distance
    )
    found = select.reviewed(proposed, read_rows(Source(path=str(review.edited)))) if review.edited else proposed
    if not found.kept:
        raise DataError("nothing of the general corpus is kept; raise the share of words allowed or give other texts")
    chosen = [found.kept[i] for i in sorted(_drawn(len(found.kept), draw))]
    new = {} if review.edited else review_file(review.out or out.with_suffix(".review.csv"), select.review_rows(found))
    settings = {"most_words": rule.most_words, "least_distance": found.least_distance}
    account = Account(
        settings={**settings, "review": str(review.edited) if review.edited else None, "count": draw.count},
        counts={
            "general": len(texts),
            "kept": len(found.kept),
            "chosen": len(chosen),
            "changed_by_review": sum(a.keep != b.keep for a, b in zip(proposed.judged, found.judged, strict=True)),
            "domain": len(others),
            "domain_kept_by_the_rule": found.domain_kept,
        },
        seed=draw.seed if draw.count is not None else None,
        embedder=embedding.about if embedding else None,
        separations=_separations(texts, chosen, found, placed),
        characteristic=found.found.characteristic[:_CHARACTERISTIC],
        inputs={"review": review.edited, **_files(embedding)},
    )
    return write_built(built, [(one.example, _scores(one)) for one in chosen], account, new)


def _placed(
    embedding: Embedding, texts: Sequence[Example], domain: Sequence[Example], voice: Voice
) -> tuple[np.ndarray, np.ndarray]:
    """The distance of each general and of each domain text to the domain's centroid."""
    centre, far = _domain_side(embedding, domain, voice)
    near = [cosine.distances(v, centre) for _, v in embedding.blocks("general", texts, voice)]
    return np.concatenate(near), far


def _separations(
    texts: Sequence[Example],
    chosen: Sequence[select.Judged],
    found: select.Selected,
    placed: tuple[np.ndarray, np.ndarray] | None,
) -> list[Separation]:
    """How far what was chosen lies from the domain: by words, and by distance where there are distances."""
    words = {one.example.id: one.words for one in chosen}
    shares = _groups([words.get(e.id) for e in texts], found.found.general, found.found.domain)
    by_words = separation(WORDS, shares)
    if placed is None:
        return [by_words]
    inside = [d if e.id in words else None for e, d in zip(texts, placed[0].tolist(), strict=True)]
    return [by_words, separation(DISTANCE, _groups(inside, *placed))]


def build_mixed(sides: Sides, out: Path, *, count: int, domain_count: int, seed: int = 0) -> dict[str, Any]:
    """Draws `count` general and `domain_count` domain examples (BC-Mixed) and returns the provenance.

    Raises:
        ForgettingError: bad input, or fewer examples than are asked for.
    """
    built = Built.begin("mixed", sides, out)
    texts, others = load_examples(built.general, built.heard), built.domain_examples
    found = mixed(texts, others, count=count, domain_count=domain_count, seed=seed)
    words = compare_words([text_of(e) for e in texts], [text_of(e) for e in others])
    shares = dict(zip(map(said, [*texts, *others]), [*words.general, *words.domain], strict=True))
    rows = list(zip(found.examples, found.from_domain, strict=True))
    groups = {
        name: Tally(np.array([shares[said(e)] for e, from_domain in rows if from_domain == of]))
        for name, of in {"general, chosen": False, "domain, chosen": True}.items()
    }
    groups["rest of the general"] = Tally(np.array([shares[said(e)] for e in found.rest]))
    account = Account(
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
    return write_built(built, [(e, {"drawn_from": "domain" if d else "general"}) for e, d in rows], account)


def build_cosine(
    sides: Sides, out: Path, *, count: int, embedding: Embedding, nearest: bool = False, voice: Voice = SILENT
) -> dict[str, Any]:
    """Chooses the `count` texts farthest from the domain's centroid, or nearest (BC-Cosine); returns the provenance.

    The general corpus is read twice and never held in memory. The rows are in the order of their distance.

    Raises:
        ForgettingError: bad input, or fewer texts than are asked for.
    """
    built = Built.begin("cosine", sides, out)
    others = built.domain_examples
    centre, far = _domain_side(embedding, others, voice)
    everything = Tally()
    blocks = embedding.blocks("general", streamed(built.general, built.heard), voice)
    placed = cosine.ranked(blocks, centre, count, nearest=nearest, tally=everything)
    cut = placed[-1].distance
    mine = np.array([one.distance for one in placed])
    groups = {"chosen": Tally(mine), "rest": everything.without(mine), "domain": Tally(far)}
    account = Account(
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
    rows = _fetched(built.general, placed)
    return write_built(built, [(e, {"domain_distance": round(one.distance, 6)}) for e, one in rows], account)


def _domain_side(embedding: Embedding, domain: Sequence[Example], voice: Voice) -> tuple[cosine.Centre, Any]:
    """The domain's centroid, and the distance of each of its texts to it; its vectors are held in memory."""
    held = [vectors for _, vectors in embedding.blocks("domain", domain, voice)]
    centre = cosine.centroid(held)
    return centre, np.concatenate([cosine.distances(vectors, centre) for vectors in held])


def _fetched(general: Source, placed: Sequence[cosine.Placed]) -> list[tuple[Example, cosine.Placed]]:
    """The chosen texts themselves, in the order of `placed`.

    Raises:
        DataError: another row has the id of a chosen one and another text.
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
            raise DataError(f"{where}: the id '{name}' is that of rows with different texts; make ids unique")
    return [(found[one.id], one) for one in placed]


def _drawn(has: int, draw: Draw) -> Sequence[int]:
    if draw.count is None:
        return range(has)
    if not 1 <= draw.count <= has:
        raise DataError(f"count is {draw.count}, and {has} examples are kept; give a number from 1 to {has}")
    return np.random.default_rng(draw.seed).permutation(has)[: draw.count].tolist()


def _groups(chosen: Sequence[float | None], general: Any, domain: Any) -> dict[str, Tally]:
    """Chosen, rest and domain; `chosen` holds the value of each general text that is chosen, None of the others."""
    mine = np.array([value for value in chosen if value is not None])
    return {"chosen": Tally(mine), "rest": Tally(general).without(mine), "domain": Tally(domain)}


def _scores(one: select.Judged) -> dict[str, object]:
    found: dict[str, object] = {"domain_words": round(one.words, 6)}
    return found if one.distance is None else found | {"domain_distance": round(one.distance, 6)}


def _files(embedding: Embedding | None) -> dict[str, Path | None]:
    return {"general_file": embedding.general, "domain_file": embedding.domain} if embedding else {}
