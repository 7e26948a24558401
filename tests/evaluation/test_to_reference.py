"""The distance to a reference, against whole logits in float64."""

from pathlib import Path

import pytest
import torch
from torch import nn

from forgetting.core.cache import Cache
from forgetting.data.encode import Encoded
from forgetting.evaluation.to_reference import ToReference, compared
from forgetting.metrics.to_reference import Beside, to_reference
from forgetting.training.stored_reference import store_reference
from tests.models.tiny import tiny_model
from tests.objectives.oracle import log_probabilities

ROWS = [
    Encoded(f"row {n}", tuple((7 * n + i) % 60 for i in range(length)), tuple(float(i >= first) for i in range(length)))
    for n, (length, first) in enumerate([(9, 4), (5, 1), (12, 11), (7, 2)])
]
GROUPS = {"row 0": "a", "row 1": "b", "row 2": "b", "row 3": "c"}


def by_hand(model: nn.Module, teacher: nn.Module, row: Encoded) -> Beside:
    ids = torch.tensor([row.ids])
    with torch.no_grad():
        own, theirs = (log_probabilities(m.double()(ids).logits[0]) for m in (model, teacher))
    kl = excess = 0.0
    for place in range(1, len(row.ids)):
        if row.weights[place]:
            p, q = theirs[place - 1], own[place - 1]
            kl += float((p.exp() * (p - q)).sum())
            excess += float(p[row.ids[place]] - q[row.ids[place]])
    return Beside(GROUPS[row.key], row.supervised, kl, excess)


def distance(teacher: nn.Module, tmp_path: Path) -> ToReference:
    rows = {"retain": ROWS, "text": ROWS[:1]}
    stored = store_reference(teacher, compared(["retain", "text"]), rows, Cache(tmp_path), pad_id=0)
    return ToReference(rows, dict.fromkeys(rows, GROUPS), stored, pad_id=0)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_it_is_that_of_whole_distributions(family: str, tmp_path: Path) -> None:
    model, teacher = (tiny_model(family, seed=seed, head_scale=0.5).eval() for seed in (1, 2))
    found = distance(teacher, tmp_path)(model, {"retain": frozenset(GROUPS), "text": frozenset(["row 0"])})
    expected = [by_hand(model, teacher, row) for row in ROWS]
    wanted = [*to_reference("retain", expected), *to_reference("text", expected[:1])]
    assert [m.key for m in found] == [m.key for m in wanted]
    assert [m.value for m in found] == pytest.approx([m.value for m in wanted], rel=1e-4, abs=1e-6)
    assert abs(wanted[0].value) > 1e-3  # there is something to measure


def test_only_the_examples_that_are_asked_for_count_and_a_model_is_0_from_itself(tmp_path: Path) -> None:
    teacher, model = tiny_model("llama", seed=2, head_scale=0.5).eval(), tiny_model("llama", seed=1).train()
    some = distance(teacher, tmp_path)
    kl = some(model, {"retain": frozenset(["row 1", "row 3"]), "text": frozenset()})[0]
    assert model.training and kl.count == 2
    itself = some(teacher, {"retain": frozenset(GROUPS), "text": frozenset()})
    assert [m.value for m in itself[:2]] == pytest.approx([0, 0], abs=1e-6)
    assert itself[2].value is None
    two = [by_hand(model, teacher, row) for row in (ROWS[1], ROWS[3])]
    assert kl.value == pytest.approx(to_reference("", two)[0].value, rel=1e-4)
