"""Relearning attacks: a copy of the model is trained a little on related text, and asked for what it was not taught."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from forgetting.audits.asking import answers, plain, questions
from forgetting.audits.attack import Attack, Target
from forgetting.audits.leaks import UNTOUCHED
from forgetting.audits.measures import measures_by_split
from forgetting.audits.registry import register_attack
from forgetting.audits.subjects import subjects_of
from forgetting.audits.whole_copy import whole_copy
from forgetting.core.duration import Duration
from forgetting.core.errors import DataError
from forgetting.core.example import Example, Role
from forgetting.core.measure import Measure
from forgetting.core.progress import Voice
from forgetting.core.record import Record
from forgetting.data.encode import encode_all
from forgetting.evaluation.answers import answer, padding_id
from forgetting.metrics.likelihood import probability
from forgetting.models.adapters import add_lora, load_state, trainable_state
from forgetting.models.randomness import seeded
from forgetting.objectives.methods.sft import sft
from forgetting.training.loop import Trainer
from forgetting.training.settings import Optimisation
from forgetting.training.stage import Hooks

RATES = "2e-5 1e-4 5e-4"


@register_attack("relearn-kin")
def relearn_kin(
    rates: str | float = RATES, steps: int = 100, every: int = 10, batch_size: int = 8, rank: int = 16, turns: int = 2
) -> Attack:
    """Teaches the facts of half of the forgotten subjects and asks for those of the other half; then the reverse.

    What comes back of facts that were not taught was still in the weights (RTT, https://arxiv.org/abs/2410.08827). Each
    half is taught to a copy of its own, so every fact is asked once, of a copy that was not taught its subject. A LoRA
    adapter on every matrix, AdamW at a constant rate; of all rates and steps, and of no step at all, the one with the
    highest mean probability of the untaught facts counts. Facts to keep are asked there too, half of them of each copy:
    a model that relearning breaks shows nothing. The oracle is taught alike; what it gains was taught, not recovered.

    Args:
        rates: learning rates in a line, or one.
        steps: of training, for each rate.
        every: steps between two looks.
        batch_size: examples of a step.
        rank: of the adapter.
        turns: 2, or 1: only the first half is taught and only the second asked, in half of the time.

    Raises:
        ValueError: a parameter out of range.
    """
    how = _Relearning.of(rates, steps, every, batch_size, rank)
    if turns not in (1, 2):
        raise ValueError(f"turns is {turns}; write 1 or 2")

    def attack(target: Target) -> Sequence[Record]:
        halves = by_subjects(target.examples, target.seed)
        beside = {split: _halved(examples, target.seed) for split, examples in _beside(target).items()}
        records: list[Record] = []
        for turn in range(turns):
            of = replace(target, voice=target.voice.part(turn, turns))
            asked = {split: some[1 - turn] for split, some in {**beside, target.split: halves}.items()}
            records += _relearned(of, how, halves[turn], asked)
        return records

    return Attack(run=attack, measures=measures_by_split, splits=(Role.FORGET,))


@register_attack("relearn-benign")
def relearn_benign(
    rates: str | float = RATES, steps: int = 100, every: int = 10, batch_size: int = 8, rank: int = 16
) -> Attack:
    """Teaches what is to be kept, and nothing of what was forgotten, and asks for what was forgotten.

    Fine-tuning on harmless text can bring back what unlearning hid (https://arxiv.org/abs/2406.13356). As
    `relearn-kin`, taught on the facts to keep about half of their subjects; those about the other half are asked.

    Args:
        rates: learning rates in a line, or one.
        steps: of training, for each rate.
        every: steps between two looks.
        batch_size: examples of a step.
        rank: of the adapter.

    Raises:
        ValueError: a parameter out of range.
    """
    how = _Relearning.of(rates, steps, every, batch_size, rank)

    def attack(target: Target) -> Sequence[Record]:
        if not target.retain:
            raise DataError("the run has no retain data, and this attack teaches them; leave it out")
        taught, rest = by_subjects(target.retain, target.seed)
        return _relearned(target, how, taught, {**_beside(target), Role.RETAIN: rest})

    return Attack(run=attack, measures=measures_by_split, splits=(Role.FORGET,))


def by_subjects(examples: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """The examples about one half of their subjects, drawn by the seed, and those about the other.

    Raises:
        DataError: they are all about one subject.
    """
    halves = _halved(examples, seed)
    if not halves[0]:
        raise DataError(
            f"the {len(examples)} examples are all about one subject, and this attack teaches half of the subjects; "
            "give them groups, or leave it out"
        )
    return halves


def _halved(examples: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """As `by_subjects`; of examples about one subject, or of none, the first half is empty."""
    subjects = subjects_of(examples)
    names = sorted(set(subjects.values()))
    first = set(random.Random(seed).sample(names, len(names) // 2))
    return (
        [e for e in examples if subjects[e.id] in first],
        [e for e in examples if subjects[e.id] not in first],
    )


@dataclass(frozen=True)
class _Relearning:
    """How a copy is taught."""

    rates: tuple[float, ...]
    steps: int
    every: int
    batch_size: int
    rank: int

    @classmethod
    def of(cls, rates: str | float, steps: int, every: int, batch_size: int, rank: int) -> _Relearning:
        try:
            found = tuple(dict.fromkeys(float(rate) for rate in str(rates).replace(",", " ").split()))
        except ValueError:
            found = ()
        if not found or not all(0 < rate < 1 for rate in found):
            raise ValueError(f"rates is '{rates}'; write numbers between 0 and 1 in a line, such as '1e-4 5e-4'")
        for name, value in (("steps", steps), ("every", every), ("batch_size", batch_size), ("rank", rank)):
            if value < 1:
                raise ValueError(f"{name} is {value}; write a whole number from 1 up")
        return cls(found, steps, every, batch_size, rank)


@dataclass
class _Worst:
    """The state in which the model gives most away."""

    value: float
    rate: float
    step: int
    state: Mapping[str, Tensor]


def _beside(target: Target) -> dict[str, Sequence[Example]]:
    return {split: target.others.get(split, ()) for split in (Role.FORGET, Role.RETAIN, Role.HOLDOUT)}


def _relearned(
    target: Target, how: _Relearning, taught: Sequence[Example], asked: Mapping[str, Sequence[Example]]
) -> list[Record]:
    """The answers of the copy where it gives most of the target's split away; its weights are kept nowhere."""
    untouched = _probabilities(target, questions(target, asked[Role.RETAIN]))
    model: nn.Module = whole_copy(target.model)
    device = next(model.parameters()).device
    with seeded(target.seed, device):
        model = add_lora(model, name="relearned", rank=how.rank, alpha=2 * how.rank, seed=target.seed)
        worst = _worst(replace(target, model=model), how, taught, asked[target.split])
        load_state(model, worst.state)
        model.eval()
        records: list[Record] = []
        for split, examples in asked.items():
            there = replace(target, model=model, split=split, examples=examples)
            found = answers(there, questions(there, examples), attempt=f"rate {worst.rate:g}, step {worst.step}")
            records += found if split != Role.RETAIN else [_beside_untouched(r, untouched) for r in found]
    return records


def _beside_untouched(record: Record, untouched: Mapping[str, float]) -> Record:
    """The record of a fact to keep, with what the model made of it before it was taught."""
    return replace(record, values={UNTOUCHED: untouched[record.id]}) if record.id in untouched else record


def _worst(target: Target, how: _Relearning, taught: Sequence[Example], asked: Sequence[Example]) -> _Worst:
    model, tokenizer = target.model, target.tokenizer
    rows = encode_all([plain(e) for e in taught], tokenizer, target.formatting.trained)
    shown = questions(replace(target, examples=asked))
    start = _copied(model)
    worst = _Worst(_likely(target, shown), how.rates[0], 0, start)
    for number, rate in enumerate(how.rates):

        def evaluate(model: nn.Module, *, step: int, epoch: float, rate: float = rate) -> list[Measure]:
            value = _likely(target, shown)
            if value > worst.value:
                worst.value, worst.rate, worst.step, worst.state = value, rate, step, _copied(model)
            return []

        of_rate = target.voice.part(number, len(how.rates))

        def progress(done: int, total: int, note: str, voice: Voice = of_rate) -> None:
            voice.progress(done, total, f"relearning: {note}")

        load_state(model, start)
        settings = Optimisation(
            learning_rate=rate,
            batch_size=how.batch_size,
            duration=Duration(how.steps, "steps"),
            evaluate_every=Duration(how.every, "steps"),
            checkpoint_every=Duration(how.steps, "steps"),
            collapse_at=None,
        )
        with _scratch(target) as folder:
            Trainer(
                model,
                sft(),
                {Role.TRAIN: rows},
                settings,
                folder=folder,
                pad_id=padding_id(tokenizer),
                seed=target.seed,
                hooks=Hooks(evaluate=evaluate, progress=progress),
            ).run()
    return worst


@contextmanager
def _scratch(target: Target) -> Iterator[Path]:
    """An empty folder that is gone afterwards, relearned weights and all."""
    if target.scratch is None:
        with tempfile.TemporaryDirectory(prefix="forgetting-") as folder:
            yield Path(folder)
        return
    try:
        shutil.rmtree(target.scratch, ignore_errors=True)
        yield target.scratch
    finally:
        shutil.rmtree(target.scratch, ignore_errors=True)


def _likely(target: Target, shown: Sequence[Example]) -> float:
    """The mean p(answer)^(1/tokens) of the examples."""
    values = _probabilities(target, shown).values()
    return sum(values) / len(values) if values else 0.0


def _probabilities(target: Target, shown: Sequence[Example]) -> dict[str, float]:
    """p(answer)^(1/tokens) of each example that has one, by its id."""
    records = answer(
        target.model,
        target.tokenizer,
        [plain(example) for example in shown],
        split=target.split,
        formatting=target.formatting,
        max_new_tokens=0,
    )
    return {record.id: value for record in records if (value := probability.value_of(record)) is not None}


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainable_state(model).items()}
