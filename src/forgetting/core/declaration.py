"""What a suite declares about its measures: the headline, the inputs of the balance, the alarm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

Keys = tuple[str, ...]
"""Alternative keys (`split/name`) of measures for one quantity: the first that has a value is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The measures of a report's summary, its figures and its main table, in the order of the table's columns."""

    forgotten: Keys = ()
    """How much of the forget set is left."""
    forgotten_too: tuple[Keys, ...] = ()
    """More columns about the forget set."""
    unseen: tuple[Keys, ...] = ()
    """Columns about text that the model has never seen, which the forget set is compared with."""
    quality: Keys = ()
    """Forget quality: the p-value of a test against the oracle."""
    sets: tuple[Keys, ...] = ()
    """One column for each set, if several stages forget a set of their own."""
    forms: tuple[Keys, ...] = ()
    """The forget facts asked in other forms, one measure for each form; the first is a column."""
    kept: Keys = ()
    """How much of the retain set is left."""
    kept_too: tuple[Keys, ...] = ()
    """More columns about the retain set."""
    learned: Keys = ()
    """How well the model knows held-out data from the training distribution."""
    utility: Keys = ()
    """What else the model can do."""
    overall: Keys = ()
    """Everything that should be kept, in one number."""
    others: tuple[Keys, ...] = ()
    """Further columns; for suites that have neither forget nor retain data."""
    one: Keys = ()
    """The measure that represents the suite next to those of other stages; empty: `forgotten`."""

    @property
    def columns(self) -> tuple[Keys, ...]:
        """One entry per column of the main table."""
        named = (
            self.forgotten,
            *self.forgotten_too,
            *self.unseen,
            self.quality,
            *self.sets,
            *self.forms[:1],
            self.kept,
        )
        named = (*named, *self.kept_too, self.learned, self.utility or self.overall, self.overall, *self.others)
        return tuple(dict.fromkeys(column for column in named if column))


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """The keys by which checkpoints are compared; see `forgetting.metrics.balance`. An empty one is left out."""

    forget: str
    retain: str = ""
    utility: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What a stop rule compares: two splits of passages, and the n of EL_n."""

    forget: str
    unseen: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Which measures of a suite are used, and for what. Every key must be a measure of the suite."""

    headline: Headline = field(default_factory=Headline)
    balance: Balance | None = None
    """None: its checkpoints cannot be compared."""
    alarm: Keys = ()
    """Measures of retained knowledge, all of which are monitored while a stage trains."""
    extraction: Extraction | None = None
    """None: it provides no thresholds for a stop rule."""
    asked: Keys = ()
    """Measures of the metrics that the recipe itself requests; they are columns of the main table, too."""
    forget_splits: tuple[str, ...] = ()
    """Splits of examples to forget, in any form."""
    retain_splits: tuple[str, ...] = ()
    """Splits of examples to keep."""
    unseen_splits: tuple[str, ...] = ()
    """Splits of text that no model of the run is meant to know: none of it is to stay, so nothing of it is lost."""

    def labelled(self, start: str) -> Declaration:
        """A copy with the prefix `start` before every split."""
        return _renamed(self, lambda name: start + name if name else name)

    def with_names(self, splits: Mapping[str, str]) -> Declaration:
        """A copy in which the splits bear other names; `splits` maps old to new ones."""

        def rename(name: str) -> str:
            split, slash, rest = name.partition("/")
            return splits.get(split, split) + slash + rest

        return _renamed(self, rename)

    def over(self, other: Declaration) -> Declaration:
        """What this one declares, completed by `other`."""
        return _merged([self, other])


def joined(declarations: Sequence[Declaration]) -> Declaration:
    """Merges several suites' declarations: the first that declares an item decides it; further columns are appended."""
    return _merged(declarations) if declarations else Declaration()


def of_stages(own: Sequence[Declaration], others: Sequence[Declaration]) -> Declaration:
    """Merges suites of stages, in the stages' order, with the others: the last stage's suite comes first.

    If several stages have suites of their own, each set has one column.
    """
    if len(own) < 2:
        return joined([*own, *others])
    sets = tuple(column for d in own if (column := (*d.headline.one, *d.headline.forgotten)))
    last = replace(own[-1], headline=replace(own[-1].headline, forgotten_too=(), kept_too=()))
    headline = joined([last, *others]).headline
    return replace(joined([*reversed(own), *others]), headline=replace(headline, sets=sets))


def _merged(declarations: Sequence[Declaration]) -> Declaration:
    first = next((d.headline for d in declarations if d.headline.columns), Headline())
    chosen: dict[str, Any] = {
        f.name: next((value for d in declarations if (value := getattr(d.headline, f.name))), ())
        for f in fields(Headline)
    }
    headline = Headline(**{**chosen, "others": first.others})
    shown = set(headline.columns)
    more = dict.fromkeys(c for d in declarations for c in d.headline.columns if c not in shown)
    balances = [d.balance for d in declarations if d.balance is not None]
    return Declaration(
        headline=replace(headline, others=(*headline.others, *more)),
        balance=_parts(balances) if balances else None,
        alarm=tuple(dict.fromkeys(key for d in declarations for key in d.alarm)),
        extraction=next((d.extraction for d in declarations if d.extraction is not None), None),
        asked=tuple(dict.fromkeys(key for d in declarations for key in d.asked)),
        forget_splits=tuple(dict.fromkeys(s for d in declarations for s in d.forget_splits)),
        retain_splits=tuple(dict.fromkeys(s for d in declarations for s in d.retain_splits)),
        unseen_splits=tuple(dict.fromkeys(s for d in declarations for s in d.unseen_splits)),
    )


def _parts(balances: Sequence[Balance]) -> Balance:
    """Takes each part from the first that has it."""
    return Balance(**{f.name: next((v for b in balances if (v := getattr(b, f.name))), "") for f in fields(Balance)})


def _renamed(value: Any, rename: Callable[[str], str]) -> Any:
    """A copy with every key and split renamed, at any depth."""
    if isinstance(value, str):
        return rename(value)
    if isinstance(value, tuple):
        return tuple(_renamed(item, rename) for item in value)
    if isinstance(value, (Declaration, Headline, Balance, Extraction)):
        return replace(value, **{f.name: _renamed(getattr(value, f.name), rename) for f in fields(value)})
    return value
