"""Perplexity of plain text, such as WikiText or the validation part of the Pile."""

from __future__ import annotations

from pathlib import PurePath

from forgetting.benchmarks.registry import register_suite
from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.declaration import Declaration, Headline
from forgetting.core.errors import RecipeError
from forgetting.data.examples import load_examples
from forgetting.data.source import Source, text_source
from forgetting.metrics.likelihood import perplexity

TOKENS = 1_024
"""Of each passage its first so many tokens, or as many as a row may have."""
FAST = 64


@register_suite("text")
def text_variant(variant: str, fast: bool) -> Suite:
    """Perplexity of plain text: text:FILE, text:FILE,limit=200, or text:hub:ORG/NAME/CONFIGURATION/SPLIT.

    One split, named after the file (`wikitext` of `wikitext.jsonl.gz`) or the dataset. A passage is measured from its
    second token on, up to 1,024 tokens or `format.max_length`, without an end token: a passage is an excerpt, and
    where it ends says nothing about the model. Token ids (`ids.npy`, `prefix.npy+suffix.npy`) are measured as they are.
    `fast` takes 64 passages at most.

    Raises:
        RecipeError: a key that has no meaning, or no file.
        DataError: a file or row that cannot be used.
    """
    place, limit = place_and_limit("text", variant, "FILE")
    if fast:
        limit = min(limit or FAST, FAST)
    source = text_source(place, limit=limit, max_tokens=TOKENS)
    name = _name(source)
    return Suite(
        name=f"text:{variant}",
        splits=(Split(name=name, examples=tuple(load_examples(source)), generate=False),),
        metrics=(perplexity([name], "down"),),
        declares=Declaration(headline=Headline(others=((f"{name}/perplexity",),))),
    )


def _name(source: Source) -> str:
    """The file's name without its endings, or the dataset's without its owner."""
    return PurePath(source.path or source.hub or "").name.split(".")[0] or "text"


def place_and_limit(suite: str, variant: str, what: str) -> tuple[str, int | None]:
    """`PLACE` or `PLACE,limit=100` as its two parts.

    Raises:
        RecipeError: no place, another key, or a limit that is no whole number above 0.
    """
    place, comma, rest = variant.partition(",")
    key, _, value = rest.partition("=")
    if not place or (comma and (key != "limit" or not value.isdecimal() or int(value) < 1)):
        raise RecipeError(f"{suite}:{variant}: has no meaning; write {suite}:{what}, or {suite}:{what},limit=100")
    return place, int(value) if comma else None
