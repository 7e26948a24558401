"""A model, or several with coefficients, by one expression: `lab + 0.5*runs/gd - 0.5*lab`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import ModelError
from forgetting.models.adapters.active import active_adapters
from forgetting.models.adapters.chain import chain_of
from forgetting.models.adapters.saved import add_chain
from forgetting.models.composed import ComposedModel, Part
from forgetting.models.loading import LoadedModel, load_model, tokenizer_of
from forgetting.models.places import check_place
from forgetting.models.quantised import Quantise

EXAMPLE = "lab + 0.5*runs/gd - 0.5*lab"
_TERM = re.compile(r"(?:(?P<factor>[0-9.]+(?:[eE][+-]?[0-9]+)?)\s*\*\s*)?(?P<model>(?![+-](?:\s|$))[^*]+)")


@dataclass(frozen=True, slots=True)
class Term:
    """A model and its coefficient."""

    coefficient: float
    model: str


def terms_of(expression: str) -> tuple[Term, ...]:
    """The terms of an expression; a model's name alone is one term with the coefficient 1.

    `+` and `-` between terms have a space on both sides, since names may contain them too; a coefficient precedes `*`.
    An expression that is the name of a folder means that folder.

    Raises:
        ModelError: an invalid term.
    """
    text = expression.strip()
    if text and Path(text).exists():
        return (Term(1.0, text),)
    leading = "-" if re.match(r"-\s*[0-9.]+\s*\*", text) else "+"
    pieces = re.split(r"(?:^|\s+)([+-])(?:\s+|$)", text.removeprefix("-") if leading == "-" else text)
    signs_and_terms = [leading, *pieces]
    terms = []
    for sign, said in zip(signs_and_terms[::2], signs_and_terms[1::2], strict=True):
        match = _TERM.fullmatch(said.strip())
        try:
            factor = float(match["factor"] or 1) if match else None
        except ValueError:
            factor = None
        if match is None or factor is None or not math.isfinite(factor):
            raise ModelError(f"'{expression}': '{said.strip()}' is not a term; write a combination like \"{EXAMPLE}\"")
        terms.append(Term(-factor if sign == "-" else factor, match["model"].strip()))
    return tuple(terms)


def check_places(expression: str, source: Callable[[str], str]) -> None:
    """Checks, without loading one, that there may be a model wherever an expression names one.

    Args:
        expression: see `terms_of`.
        source: maps a name to its folder or hub id.

    Raises:
        ModelError: an expression that cannot be read, or no such folder.
    """
    for term in terms_of(expression):
        check_place(source(term.model))


def load_expression(
    expression: str,
    *,
    source: Callable[[str], str] = str,
    dtype: str = "auto",
    revision: str | None = None,
    device: str | torch.device | None = None,
    quantise: Quantise | None = None,
    trains_all: bool = False,
) -> LoadedModel:
    """The model of a single name, loaded by `load_model`, or a `ComposedModel` of several.

    In a combination an adapter is a view of its base, which is loaded once for all terms that name it or an adapter of
    it. The tokenizer, with its chat template and its end token, is the first term's. A term with coefficient 0 is
    checked and left out.

    Args:
        source: maps a name to its folder or hub id.
        revision: of the hub's model, if the expression is a single name.
        trains_all: whether all weights of a single model will be trained.

    Raises:
        ModelError: an expression or a model that cannot be read, or models of different vocabularies (both are named).
    """
    terms = terms_of(expression)
    if terms == (Term(1.0, terms[0].model),):
        where = source(terms[0].model)
        return load_model(
            where, dtype=dtype, revision=revision, device=device, quantise=quantise, trains_all=trains_all
        )
    check_places(expression, source)
    loader = _Loader(dtype, device, quantise)
    views: dict[str, tuple[float, str, _View]] = {}
    for term in terms:
        place = source(term.model)
        key = _key(place)
        factor, name, view = views[key] if key in views else (0.0, term.model, loader.view(place))
        views[key] = (factor + term.coefficient, name, view)
    every = list(views.values())
    _check_vocabularies([(name, view.tokenizer) for _, name, view in every])
    parts = [Part(factor, view.base.loaded.model, view.adapters) for factor, _, view in every if factor != 0]
    if not parts:
        raise ModelError(f"'{expression}': every coefficient is 0; leave one model")
    first = every[0][2]
    model = ComposedModel(parts)
    return replace(first.base.loaded, model=model, tokenizer=first.tokenizer, source=expression, revision=None)


@dataclass(slots=True)
class _Base:
    """A loaded model; adapters may have been added since."""

    loaded: LoadedModel
    kind: str | None = None
    """The method of its adapters; PEFT does not mix methods."""


@dataclass(frozen=True, slots=True)
class _View:
    """A base with exactly some of its adapters."""

    base: _Base
    adapters: tuple[str, ...]
    tokenizer: PreTrainedTokenizerBase


class _Loader:
    """Loads each model once, and adapters onto the loaded bases."""

    def __init__(self, dtype: str, device: str | torch.device | None, quantise: Quantise | None) -> None:
        self._dtype, self._device, self._quantise = dtype, device, quantise
        self._bases: dict[str, _Base] = {}
        self._adapters = 0

    def view(self, place: str) -> _View:
        """The model of a folder or hub id; adapters that cannot be put beside others get a base of their own."""
        chain = chain_of(place)
        kind = chain.links[0].kind if chain.links else None
        base = self._base(chain.base) if chain.stackable else None
        if base is None or (kind is not None and base.kind not in (None, kind)):
            own = self._load(place)
            return _View(_Base(own), active_adapters(own.model), own.tokenizer)
        if kind is None:
            return _View(base, (), base.loaded.tokenizer)
        model, names = add_chain(base.loaded.model, chain, name=f"term-{self._adapters}")
        self._adapters += 1
        base.kind, base.loaded = kind, replace(base.loaded, model=model)
        return _View(base, names, tokenizer_of(chain))

    def _base(self, place: str) -> _Base:
        key = _key(place)
        if key not in self._bases:
            self._bases[key] = _Base(self._load(place))
        return self._bases[key]

    def _load(self, place: str) -> LoadedModel:
        return load_model(place, dtype=self._dtype, device=self._device, quantise=self._quantise)


def _key(place: str) -> str:
    """One model by one name."""
    return str(Path(place).resolve()) if Path(place).is_dir() else place


def _check_vocabularies(named: Sequence[tuple[str, PreTrainedTokenizerBase]]) -> None:
    (first, tokenizer), *others = named
    vocabulary = tokenizer.get_vocab()
    for name, other in others:
        theirs = other.get_vocab()
        if theirs != vocabulary:
            raise ModelError(
                f"{first} and {name} have different vocabularies ({len(vocabulary):,} and {len(theirs):,} tokens); "
                "combine models of one vocabulary"
            )
