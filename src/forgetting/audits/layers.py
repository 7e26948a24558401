"""The attack from inside: whether the right answer can be read from the states of any layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from forgetting.analysis.lens import layer_logp
from forgetting.analysis.probe import FEWEST_CLUSTERS, answer_states, told_by_layer
from forgetting.audits.asking import plain, questions
from forgetting.audits.attack import Attack, Target
from forgetting.audits.measures import DIRECTIONS
from forgetting.audits.registry import register_attack
from forgetting.audits.subjects import subjects_of
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.record import Record, Score
from forgetting.data.encode import encode
from forgetting.metrics.likelihood import probability
from forgetting.metrics.per_example import PerExample, mean

LAYER = "layer "
"""Before a layer's number, the name of what it makes of the right answer in `Record.values`."""
PROBE, CONTROL = "probe", "probe control"


@register_attack("layers")
def layers(folds: int = 5, strength: float = 100.0) -> Attack:
    """Reads the right answer from every decoder block, by the model's own head (logit lens) and by a linear probe.

    Of each fact the layer counts in which the right answer is likeliest, whichever that is: a fact that is only hidden
    from the last layer stands in a middle one. It is chosen with the right answer known, and some layer makes a little
    of any answer, so the number means something beside the oracle's alone, for which the choice is the same. The probe
    tells the right answer from a wrong one of the row; it is trained on other subjects, and once more with right and
    wrong exchanged (`probe_control`). Its chance is one half whatever a model knows, so the certificate does not
    compare it. See the analyses `lens` and `probe`, which show every layer.

    Args:
        folds: parts of the subjects, each read once by a probe of the others.
        strength: of the probe's ridge penalty.

    Raises:
        ValueError: a parameter out of range.
    """
    if folds < 2 or not 0 < strength < math.inf:
        raise ValueError(f"folds is {folds} and strength is {strength}; write a number from 2 up and one above 0")

    def attack(target: Target) -> Sequence[Record]:
        asked = questions(target)
        bare = [plain(example) for example in asked]
        found_LN = layer_logp(
            target.model,
            target.tokenizer,
            bare,
            formatting=target.formatting,
            progress=target.voice.progress,
        )
        told = _told(target, asked, folds, strength)
        return [
            _record(target, example, logp_L, told.get(example.id, {}))
            for example, logp_L in zip(bare, found_LN.T, strict=True)
        ]

    return Attack(run=attack, measures=layers_measures, leaks=("probability",))


def layers_measures(records: Mapping[str, Sequence[Record]]) -> list[Measure]:
    """What the layers make of the right answers of each split, and the probes.

    `best_probability` takes every fact's own best layer; `layer_probability` the layer that is best on average, which
    `best_layer` names (from 0); `last_probability` is the model's own.

    Args:
        records: of one model, by split.
    """
    found: list[Measure] = []
    for split, some in records.items():
        by_layer = _means(some)
        best = max(by_layer, key=lambda name: by_layer[name], default=LAYER)
        last = list(by_layer)[-1] if by_layer else LAYER
        for what in (
            replace(probability, name="best_probability", meaning=f"At each fact's best layer. {probability.meaning}"),
            _value("layer_probability", best, f"At the layer that is best on average. {probability.meaning}"),
            _value("last_probability", last, f"At the last layer. {probability.meaning}"),
        ):
            found += mean(what, [split], DIRECTIONS.get(split, "none"))({split: some}, None)
        if by_layer:
            found.append(
                Measure(
                    name="best_layer",
                    split=split,
                    value=float(best.removeprefix(LAYER)),
                    count=len(some),
                    meaning="The layer, from 0, at which the right answers are likeliest on average.",
                )
            )
        for name, meaning in ((PROBE, _PROBE), (CONTROL, f"{_PROBE} {_CONTROL}")):
            what = _value(name.replace(" ", "_"), name, meaning, needs=_NEEDS)
            found += mean(what, [split], "none")({split: some}, None)
    return found


def _record(target: Target, example: Example, logp_L: np.ndarray, told: Mapping[str, float]) -> Record:
    tokens = encode(example, target.tokenizer, target.formatting).supervised
    by_layer = {f"{LAYER}{number}": math.exp(logp) for number, logp in enumerate(map(float, logp_L))}
    return Record(
        id=example.id,
        split=target.split,
        prompt=example.prompt,
        answer=example.response,
        score=Score(logp=float(logp_L.max()) * tokens, tokens=tokens),
        group=example.group,
        kind=example.kind,
        values={**by_layer, **told},
    )


def _told(target: Target, asked: Sequence[Example], folds: int, strength: float) -> dict[str, dict[str, float]]:
    """For each question with wrong answers, the share of layers whose probe prefers the right one, and the control."""
    offered = [example for example in asked if example.perturbed and example.form == "qa"]
    subjects = subjects_of(target.examples)
    clusters = [subjects[example.id] for example in offered]
    if len(set(clusters)) < FEWEST_CLUSTERS:
        return {}
    states = answer_states(target.model, target.tokenizer, offered, formatting=target.formatting)
    read = partial(told_by_layer, states, clusters, folds=folds, strength=strength, seed=target.seed)
    right_N, control_N = read().mean(0), read(control=True).mean(0)
    return {
        example.id: {PROBE: float(right), CONTROL: float(control)}
        for example, right, control in zip(offered, right_N, control_N, strict=True)
    }


def _means(records: Sequence[Record]) -> dict[str, float]:
    """By layer, in order: the mean probability of the right answers."""
    names = [name for name in (records[0].values if records else ()) if name.startswith(LAYER)]
    return {name: sum(record.values[name] for record in records) / len(records) for name in names}


def _value(name: str, of: str, meaning: str, needs: str = "layers") -> PerExample:
    return PerExample(name, lambda record: record.values.get(of), meaning, needs, unit=True)


_PROBE = (
    "Share of layers in which a linear probe, trained on other subjects, prefers a question's right answer to a wrong "
    "one. Chance is 0.5."
)
_CONTROL = "Right and wrong are exchanged at random in training: what is left is no knowledge."
_NEEDS = f"a probe: questions about {FEWEST_CLUSTERS} subjects with wrong answers"
