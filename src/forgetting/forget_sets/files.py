"""What every builder of forget sets reads and leaves: its sources, the rows, the provenance and the page."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from forgetting.core.errors import RecipeError, RunError, nearest
from forgetting.core.example import Example
from forgetting.core.folder import write_text
from forgetting.data.examples import read_examples, said, to_example
from forgetting.data.files import read_rows
from forgetting.data.source import Source
from forgetting.forget_sets.builders.overlap import NEAR, overlap_with
from forgetting.forget_sets.builders.separation import Separation
from forgetting.forget_sets.builders.texts import own_names, row_of
from forgetting.forget_sets.page import build_page

_NAMED = 20
"""Ids of overlapping examples that a provenance names."""


@dataclass(frozen=True)
class Built:
    """A forget set that is being built: what it is made of and where it goes."""

    builder: str
    general: Source
    domain: tuple[Source, ...]
    evaluation: tuple[Source, ...]
    out: Path
    domain_examples: list[Example]

    @classmethod
    def begin(
        cls,
        builder: str,
        general: str | Source,
        domain: Sequence[str | Source],
        evaluation: Sequence[str | Source],
        out: Path,
        kept: Sequence[Path | None] = (),
    ) -> Built:
        """Reads the domain, all of whose files are one, and checks the places.

        Raises:
            ForgettingError: a source that cannot be used, or an output that is none, an input or one of `kept`.
        """
        sources = [source_of(general), *map(source_of, domain), *map(source_of, evaluation)]
        if not domain:
            raise RecipeError("no domain is given; name at least one file of it")
        taken = [Path(s.path) for s in sources if s.path] + [path for path in kept if path]
        if out.suffix != ".jsonl" or out.resolve() in [path.resolve() for path in taken]:
            raise RunError(f"{out}: name another file, ending in .jsonl, to write to")
        mine = tuple(sources[1 : 1 + len(domain)])
        examples = own_names([e for source in mine for e in read_examples(source).examples])
        return cls(builder, sources[0], mine, tuple(sources[1 + len(domain) :]), out, examples)


def source_of(place: str | Source) -> Source:
    """A source as the command takes it: a file, hub:ORG/NAME, or a source as in a recipe, `{path: …, columns: …}`.

    Raises:
        RecipeError: it is none, or it asks for what a builder does not do.
    """
    if isinstance(place, Source):
        source = place
    else:
        try:
            source = Source.model_validate(yaml.safe_load(place) if place.lstrip().startswith("{") else place)
        except yaml.YAMLError:
            raise RecipeError(
                f"{place}: is no source; write a file, or {{path: FILE, columns: {{prompt: …}}}}"
            ) from None
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            why = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                why = f"unknown key; {nearest(key, Source.model_fields)}"
            raise RecipeError(f"{place}: {f'{key}: ' if key else ''}{why}") from error
    if source.suite is not None:
        raise RecipeError(f"{source}: builders read files and hub datasets; name one")
    extra = next((name for name in ("share", "count", "max_tokens") if getattr(source, name) is not None), None)
    if extra is not None:
        raise RecipeError(f"{source}: {extra} has no meaning for a builder; leave it out, limit reads the first rows")
    return source


def streamed(source: Source) -> Iterator[Example]:
    """The examples of a source one by one, copies among them.

    Raises:
        DataError: a row that cannot be used.
    """
    for where, row in islice(read_rows(source), source.limit):
        yield to_example(row, where, source)


def write_built(
    built: Built,
    chosen: Sequence[tuple[Example, Mapping[str, object]]],
    *,
    settings: Mapping[str, object],
    counts: Mapping[str, object],
    separations: Sequence[Separation],
    seed: int | None = None,
    embedder: Mapping[str, object] | None = None,
    characteristic: Sequence[str] = (),
    inputs: Mapping[str, Path | None] | None = None,
    extra: Mapping[Path, str] | None = None,
) -> dict[str, Any]:
    """Writes rows, provenance, page and `extra` files once everything is known; gives the provenance.

    Raises:
        ForgettingError: an evaluation file that cannot be read, or a disk that refuses.
    """
    rows = "".join(json.dumps(row_of(e, about), ensure_ascii=False, default=str) + "\n" for e, about in chosen)
    examples = [e for e, _ in chosen]
    others = [("domain", "+".join(map(str, built.domain)), built.domain_examples)]
    others += [("evaluation", str(s), list(read_examples(s).examples)) for s in built.evaluation]
    page = built.out.with_suffix(".html")
    provenance: dict[str, Any] = {
        "builder": built.builder,
        "settings": dict(settings),
        "seed": seed,
        "embedder": dict(embedder) if embedder is not None else None,
        "sources": [
            _source("general", built.general),
            *(_source("domain", source) for source in built.domain),
            *(_source("evaluation", source) for source in built.evaluation),
            *({"role": r, "source": str(p), "sha256": file_digest(p)} for r, p in (inputs or {}).items() if p),
        ],
        "counts": dict(counts),
        "overlaps": [_overlap(role, name, examples, other) for role, name, other in others],
        "characteristic_words": list(characteristic),
        "separation": [asdict(one) for one in separations],
        "output": {
            "file": built.out.name,
            "sha256": hashlib.sha256(rows.encode("utf-8")).hexdigest(),
            "examples": len(chosen),
        },
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
    return provenance | {"files": [str(path) for path in written]}


def review_file(path: Path, rows: Sequence[Mapping[str, object]]) -> dict[Path, str]:
    """The review to be written.

    Raises:
        RunError: another one stands there, whose edits would be lost.
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


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as `sha256sum` gives it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _source(role: str, source: Source) -> dict[str, object]:
    """What was read, how its columns were mapped, and its SHA-256: of a file its bytes, else what it says."""
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
