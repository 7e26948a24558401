"""The type of an attack: it maps a model and questions to records of answers, and those to measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.audits.measures import leak_measures
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record
from forgetting.data.formatting import Formatting


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The input of an attack: a model, and the questions of one split."""

    model: nn.Module
    """In evaluation mode. The attack must leave weights, modes, adapters, hooks and the random state unchanged."""
    tokenizer: PreTrainedTokenizerBase
    split: str
    """The role of the questions: `forget`, `retain`, `holdout`."""
    examples: Sequence[Example]
    retain: Sequence[Example] = ()
    """Examples to keep, none from the forget set; an attack may show them to the model."""
    others: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    """The examples of every split of the run, for an attack that answers for several splits at once."""
    before: Sequence[Record] = ()
    """The attack's own records of this split of the model before, as they were written; none of that model itself."""
    forms: Sequence[Example] = ()
    """Examples of the run's suites that may ask for the same facts in other forms, by their group."""
    formatting: Formatting = field(default_factory=Formatting)
    max_new_tokens: int | None = None
    """Maximum tokens of an answer; None: the length of the longest answer of the split."""
    seed: int = 0
    """The seed of all random choices. It is the same for every model, so that all get the same questions."""
    scratch: Path | None = None
    """A folder that the attack may make, for files that it needs meanwhile. It is removed afterwards, and where the
    process is killed by the next one that holds the run. None: the system's place for temporary files."""
    voice: Voice = SILENT


Run = Callable[[Target], Sequence[Record]]
"""Returns one record per attempt at a question, with the example's id and, as a rule, the target's split. Several
attempts give several records with one id. A question without attempts has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """How a model is attacked, and what is read from its answers."""

    run: Run
    """Attacks with one and the same function are run together once, and differ in what they measure."""
    measures: Callable[[Mapping[str, Sequence[Record]]], list[Measure]] = leak_measures
    """From the records of one model by split to measures."""
    leaks: tuple[str, ...] = ("leak", "probability")
    """The values of `audits.leaks` by which the model after is compared with the oracle, fact by fact; none: the attack
    is a gate, or tells something else."""
    splits: tuple[str, ...] = ("forget", "retain", "holdout")
    """The splits that it is run on, if the run has examples of them."""

    def __call__(self, target: Target) -> Sequence[Record]:
        """The records of one split."""
        return self.run(target)


def as_attack(made: Attack | Run) -> Attack:
    """An attack; a plain function from a target to records gets the default measures."""
    return made if isinstance(made, Attack) else Attack(run=made)
