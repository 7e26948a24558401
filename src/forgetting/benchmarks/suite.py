"""A suite: a named set of examples in splits, the outputs needed of each, the metrics of the answers, and probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.core import declaration
from forgetting.core.declaration import Declaration
from forgetting.core.errors import RecipeError
from forgetting.core.evaluator import Progress
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.subset import Subset
from forgetting.metrics.metric import Metric, Splits


class Probe(Protocol):
    """Another program's own protocol on a model: it gives measures at once, not records that are scored later."""

    @property
    def key(self) -> str:
        """What is asked, with all settings: equal keys give equal measures of equal models."""
        ...

    def __call__(
        self, model: nn.Module, tokenizer: PreTrainedTokenizerBase, *, progress: Progress
    ) -> Sequence[Measure]:
        """The measures of the model, which is left as it was (mode, random state)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Examples that are measured alike."""

    name: str
    examples: tuple[Example, ...]
    generate: bool = True
    """Whether a greedy answer is asked for (slow); likelihoods are always taken."""
    max_new_tokens: int | None = 64
    """None: as long as the split's longest answer."""
    extraction: tuple[int, ...] | None = None
    """The n of the n-gram overlaps to take: the examples are then measured as verbatim sequences, not as answers."""
    answer_tokens: int | None = None
    """Of each right answer only the first so many tokens are measured, those that the tokenizer adds before counted
    too, as MUSE counts; None: the whole."""
    membership: tuple[float, ...] | None = None
    """The shares of Min-K% to take: the examples are then measured as texts that were seen or not, not as answers."""
    written: frozenset[str] | None = None
    """The ids of the examples for which text is written; None: all. Likelihoods are taken of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What `evaluate:` names in a recipe. Some suites bring their training data too; the others leave `data` empty."""

    name: str
    splits: tuple[Split, ...]
    metrics: tuple[Metric, ...]
    probes: tuple[Probe, ...] = ()
    data: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)
    """Examples by role, for recipes that say `data: {forget: {suite: …}}`."""
    oracle: Path | None = None
    """A model that never saw the forget set, if the suite ships one."""
    declares: Declaration = field(default_factory=Declaration)
    """Which of its measures are the headline, the balance and the alarm."""
    stages: Mapping[str, Declaration] = field(default_factory=dict)
    """By stage, what counts for it, where stages have measures of their own."""
    subsets: Mapping[str, Subset] = field(default_factory=dict)
    """Splits that are measured and have no records of their own, by name."""

    def declared(self, stage: str | None = None) -> Declaration:
        """What counts while and after a stage trains; None: in the whole run."""
        return self.declares if stage is None else self.stages.get(stage, self.declares)


def labelled(suite: Suite, label: str) -> Suite:
    """The suite with `label-` before the name of every split and in every measure: `task1-forget/probability`."""
    start = f"{label}-"
    names = [split.name for split in suite.splits]

    def own(records: Splits) -> Splits:
        return {name: records[start + name] for name in names if start + name in records}

    def wrapped(metric: Metric) -> Metric:
        def measures(records: Splits, oracle: Splits | None) -> list[Measure]:
            found = metric(own(records), None if oracle is None else own(oracle))
            return [replace(m, split=start + m.split) for m in found]

        return measures

    return replace(
        suite,
        splits=tuple(replace(split, name=start + split.name) for split in suite.splits),
        metrics=tuple(wrapped(metric) for metric in suite.metrics),
        probes=tuple(_LabelledProbe(probe, start) for probe in suite.probes),
        declares=suite.declares.labelled(start),
        stages={stage: declared.labelled(start) for stage, declared in suite.stages.items()},
        subsets={start + name: replace(s, of=start + s.of) for name, s in suite.subsets.items()},
    )


@dataclass(frozen=True)
class _LabelledProbe:
    probe: Probe
    start: str

    @property
    def key(self) -> str:
        return self.start + self.probe.key

    def __call__(
        self, model: nn.Module, tokenizer: PreTrainedTokenizerBase, *, progress: Progress
    ) -> Sequence[Measure]:
        return [replace(m, split=self.start + m.split) for m in self.probe(model, tokenizer, progress=progress)]


def joined(suites: Sequence[Suite]) -> Suite:
    """Several suites as one: all their splits, metrics and probes. It brings no data; the first oracle is its oracle.

    Raises:
        RecipeError: two of them have a split of one name.
    """
    if len(suites) == 1:
        return suites[0]
    owners: dict[str, str] = {}
    for suite in suites:
        for split in suite.splits:
            if split.name in owners:
                raise RecipeError(
                    f"evaluate: both {owners[split.name]} and {suite.name} have a split '{split.name}'; give them "
                    f"labels: evaluate: {{one: {owners[split.name]}, two: {suite.name}}}"
                )
            owners[split.name] = suite.name
    return Suite(
        name=" + ".join(suite.name for suite in suites),
        splits=tuple(split for suite in suites for split in suite.splits),
        metrics=tuple(metric for suite in suites for metric in suite.metrics),
        probes=tuple(probe for suite in suites for probe in suite.probes),
        oracle=next((suite.oracle for suite in suites if suite.oracle is not None), None),
        declares=declaration.joined([suite.declares for suite in suites]),
        stages={
            stage: declaration.joined([suite.declared(stage) for suite in suites])
            for stage in dict.fromkeys(stage for suite in suites for stage in suite.stages)
        },
        subsets={name: subset for suite in suites for name, subset in suite.subsets.items()},
    )
