"""What every builder of forget sets reads and writes: its sources, the rows, the provenance and the page."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from forgetting.core.digest import file_digest
from forgetting.core.errors import RecipeError, RunError
from forgetting.core.example import Example
from forgetting.core.folder import write_text
from forgetting.data.examples import each_example, read_examples, said
from forgetting.data.reading import Heard, Reading
from forgetting.data.source import Source, given_source
from forgetting.forget_sets.builders.overlap import NEAR, overlap_with
from forgetting.forget_sets.builders.separation import Separation
from forgetting.forget_sets.builders.texts import own_names, row_of
from forgetting.forget_sets.page import build_page

_NAMED = 20
"""Ids of overlapping examples that a provenance names."""


@dataclass(frozen=True)
class Sides:
    """The data of a builder, as the command takes them (`source_of`)."""

    general: str | Source
    """The corpus from which the forget set is taken."""
    domain: Sequence[str | Source]
    """Data of the domain; all of them are one domain."""
    evaluation: Sequence[str | Source] = ()
    """Data that will be measured; the overlap with them is reported."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a provenance says of a builder's choice."""

    settings: Mapping[str, object]
    counts: Mapping[str, object]
    separations: Sequence[Separation]
    seed: int | None = None
    embedder: Mapping[str, object] | None = None
    characteristic: Sequence[str] = ()
    """Words that are characteristic of the domain."""
    inputs: Mapping[str, Path | None] = field(default_factory=dict)
    """Further files that were read, by their role."""


@dataclass(frozen=True)
class Built:
    """A forget set that is being built: its sources, read where they have to be, and its file."""

    builder: str
    general: Source
    domain: tuple[Source, ...]
    evaluation: tuple[Source, ...]
    out: Path
    domain_examples: list[Example]
    heard: Heard
    """What was left out of the sources."""

    @classmethod
    def begin(cls, builder: str, sides: Sides, out: Path, kept: Sequence[Path | None] = ()) -> Built:
        """Reads the domain and checks the paths.

        Raises:
            ForgettingError: a source that cannot be used, or an output that is not a .jsonl file, is an input or is
                one of `kept`.
        """
        places = [sides.general, *sides.domain, *sides.evaluation]
        sources, size = [source_of(place) for place in places], len(sides.domain)
        if not size:
            raise RecipeError("no domain is given; name at least one file of it")
        taken = [Path(s.path) for s in sources if s.path] + [path for path in kept if path]
        if out.suffix != ".jsonl" or out.resolve() in [path.resolve() for path in taken]:
            raise RunError(f"{out}: name another file, ending in .jsonl, to write to")
        mine = tuple(sources[1 : 1 + size])
        heard = Heard()
        examples = own_names([e for source in mine for e in read_examples(source, heard).examples])
        return cls(builder, sources[0], mine, tuple(sources[1 + size :]), out, examples, heard)


def source_of(place: str | Source) -> Source:
    """A source as the command takes it: a file, hub:ORG/NAME, or a source of a recipe, `{path: …, columns: …}`.

    Raises:
        RecipeError: it is not a source, or it sets a key that has no meaning for a builder.
    """
    source = given_source(place)
    if source.suite is not None:
        raise RecipeError(f"{source}: builders read files and hub datasets; name one")
    extra = next((name for name in ("share", "count", "max_tokens") if getattr(source, name) is not None), None)
    if extra is not None:
        raise RecipeError(f"{source}: {extra} has no meaning for a builder; leave it out, limit reads the first rows")
    return source


def streamed(source: Source, heard: Heard | None = None) -> Iterator[Example]:
    """The examples of a source one by one, duplicates included; what is left out is told at the end.

    Raises:
        DataError: rows that cannot be used.
    """
    reading = Reading()
    yield from each_example(source, reading)
    if heard is not None:
        heard.take(source, reading)


def write_built(
    built: Built,
    chosen: Sequence[tuple[Example, Mapping[str, object]]],
    account: Account,
    extra: Mapping[Path, str] | None = None,
) -> dict[str, Any]:
    """Writes rows, provenance, page and `extra` files once everything is known; returns the provenance.

    Args:
        built: the sources and the file.
        chosen: the rows, each with the fields that the builder adds.
        account: of the choice.
        extra: other files and their text.

    Raises:
        ForgettingError: an evaluation file that cannot be read, or a disk that refuses.
    """
    rows = "".join(json.dumps(row_of(e, about), ensure_ascii=False, default=str) + "\n" for e, about in chosen)
    examples = [e for e, _ in chosen]
    others = [("domain", "+".join(map(str, built.domain)), built.domain_examples)]
    others += [("evaluation", str(s), list(read_examples(s, built.heard).examples)) for s in built.evaluation]
    page = built.out.with_suffix(".html")
    provenance: dict[str, Any] = {
        "builder": built.builder,
        "settings": dict(account.settings),
        "seed": account.seed,
        "embedder": dict(account.embedder) if account.embedder is not None else None,
        "sources": [
            _source("general", built.general),
            *(_source("domain", source) for source in built.domain),
            *(_source("evaluation", source) for source in built.evaluation),
            *({"role": r, "source": str(p), "sha256": file_digest(p)} for r, p in account.inputs.items() if p),
        ],
        "counts": dict(account.counts),
        "overlaps": [_overlap(role, name, examples, other) for role, name, other in others],
        "characteristic_words": list(account.characteristic),
        "separation": [asdict(one) for one in account.separations],
        "output": {
            "file": built.out.name,
            "sha256": hashlib.sha256(rows.encode("utf-8")).hexdigest(),
            "examples": len(chosen),
        },
        "left_out": list(built.heard.lines),
        "forgetting": version("forgetting"),
    }
    written = {
        **(extra or {}),
        built.out: rows,
        page: build_page(provenance),
        built.out.with_suffix(".provenance.json"): json.dumps(provenance, ensure_ascii=False, indent=1) + "\n",
    }
    for path, text in written.items():
        write_text(path, text)
    built.heard.write_beside(built.out)
    return provenance | {"files": [str(path) for path in written], "left_out": built.heard.lines}


def review_file(path: Path, rows: Sequence[Mapping[str, object]]) -> dict[Path, str]:
    """The path and text of a review.

    Raises:
        RunError: another one exists there, whose edits would be lost.
    """
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    elif path.suffix == ".csv":
        file = io.StringIO(newline="")
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = file.getvalue()
    else:
        raise RunError(f"{path}: a review is a table; choose a name that ends in .csv or .jsonl")
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise RunError(f"{path}: holds a review that may have been edited; give it back with --review, or remove it")
    return {path: text}


def _source(role: str, source: Source) -> dict[str, object]:
    """What was read, how its columns were mapped, and its SHA-256: of the bytes of a file, else of the texts."""
    asked = source.model_dump(exclude_defaults=True, exclude={"path", "hub"})
    found: dict[str, object] = {"role": role, "source": str(source), "settings": asked}
    if source.path is not None and Path(source.path).is_file():
        return found | {"sha256": file_digest(Path(source.path))}
    return found | {"sha256": _said_digest(streamed(source))}


def _said_digest(examples: Iterable[Example]) -> str:
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps([example.id, said(example)]).encode())
    return digest.hexdigest()


def _overlap(role: str, name: str, forget: Sequence[Example], other: Sequence[Example]) -> dict[str, object]:
    found = overlap_with(forget, other)
    return {
        "with": role,
        "source": name,
        "examples": len(other),
        "exact": len(found.exact),
        "near": len(found.near),
        "near_from": NEAR,
        "ids": [*found.exact, *found.near][:_NAMED],
    }
