"""Shifts of log p and rank are those of full logits in float64, one example at a time."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from forgetting.analysis import ANALYSES, Compared
from forgetting.analysis.resampled import estimate_statistic
from forgetting.core.example import Example
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.metrics.changes import mean_change
from forgetting.models.adapters import AdapterSpec, attach
from forgetting.models.view import View
from tests.models.adapters.stages import stir
from tests.models.tiny import WORDS, tiny_model, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
EXAMPLES = {
    "forget": [
        Example(id=f"f{i}", prompt=f"the {w} cat", response=f"{WORDS[i + 1]} dog ran", group=f"g{i // 2}")
        for i, w in enumerate(WORDS[:9])
    ],
    "retain": [Example(id=f"r{i}", prompt=f"a {w}", response=f"{w} bird") for i, w in enumerate(WORDS[:5])],
    "holdout": [],
}


@torch.no_grad()
def by_hand(model: nn.Module, example: Example) -> tuple[list[float], list[float]]:
    row = encode(example, TOKENIZER, Formatting())
    logits_TV = model(torch.tensor([row.ids])).logits[0].double()
    places = [i for i, w in enumerate(row.weights) if w]
    logs = [float(logits_TV[i - 1].log_softmax(-1)[row.ids[i]]) for i in places]
    return logs, [1.0 + int((logits_TV[i - 1] > logits_TV[i - 1, row.ids[i]]).sum()) for i in places]


def models() -> tuple[View, View, nn.Module, nn.Module]:
    before = tiny_model("llama", head_scale=0.4)
    plain = copy.deepcopy(before)
    model = attach(before, AdapterSpec(rank=4, targets="all"), name="one", seed=0)
    stir(model, steps=5)
    model.eval()
    return View(model), View(model, ("one",)), plain, model


def test_measures_are_changes_from_before_to_after_with_clustered_intervals() -> None:
    before, after, plain, changed = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    found = {m.key: m for m in ANALYSES.build("shifts")(compared).measures}
    assert {key.split("/")[0] for key in found} == {"forget", "retain"}
    for role in ("forget", "retain"):
        examples = EXAMPLES[role]
        clusters = [e.cluster for e in examples]
        pairs = [(by_hand(plain, e), by_hand(changed, e)) for e in examples]
        for place, at in (("first", lambda v: v[0]), ("answer", np.mean)):
            logs = [float(at(a[0]) - at(b[0])) for b, a in pairs]
            ranks = [float(at(a[1]) - at(b[1])) for b, a in pairs]
            ratios = [float(at(a[1]) / at(b[1])) for b, a in pairs]
            starts, afters = ([float(at(both[side][1])) for both in pairs] for side in (0, 1))
            expected = {
                "rank_start": mean_change(starts, clusters, key=f"{role}/rank_start_{place}"),
                "rank_after": mean_change(afters, clusters, key=f"{role}/rank_after_{place}"),
                "delta_logp": mean_change(logs, clusters, key=f"{role}/delta_logp_{place}"),
                "delta_rank": mean_change(ranks, clusters, key=f"{role}/delta_rank_{place}"),
                "median_delta_rank": estimate_statistic(
                    ranks,
                    clusters,
                    np.median,
                    key=f"{role}/median_delta_rank_{place}",  # type: ignore[arg-type]
                ),
            }
            for name, estimate in expected.items():
                measure = found[f"{role}/{name}_{place}"]
                assert measure.value == pytest.approx(estimate.value, rel=1e-4, abs=1e-5)
                assert measure.count == len(examples)
                assert (measure.low is None) == (estimate.low is None)
                if measure.low is not None:
                    assert (measure.low, measure.high) == pytest.approx(
                        (estimate.low, estimate.high), rel=1e-3, abs=1e-4
                    )
            ratio = found[f"{role}/rank_ratio_{place}"].value
            assert ratio == pytest.approx(np.prod(ratios) ** (1 / len(ratios)), rel=1e-6)


def test_every_example_is_a_point_of_the_figure() -> None:
    before, after, plain, changed = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    line = next(s for s in ANALYSES.build("shifts")(compared).series if (s.figure, s.name) == ("logp_first", "forget"))
    expected = sorted((by_hand(plain, e)[0][0], by_hand(changed, e)[0][0]) for e in EXAMPLES["forget"])
    assert list(zip(line.x, line.y, strict=True)) == [pytest.approx(pair, rel=1e-4, abs=1e-5) for pair in expected]


def test_a_model_against_itself_has_not_moved_at_all() -> None:
    before, _, _, _ = models()
    compared = Compared(before=before, after=before, tokenizer=TOKENIZER, examples=EXAMPLES)
    moves = [m for m in ANALYSES.build("shifts")(compared).measures if not m.name.startswith("rank_start")]
    found = [m for m in moves if not m.name.startswith("rank_after")]
    assert {m.value for m in found if "ratio" not in m.name} == {0.0}
    assert {m.value for m in found if "ratio" in m.name} == {1.0}
    assert all(m.low is None for m in found)  # nothing varies, and no role has the six clusters that show a median


def test_changes_can_be_counted_from_the_oracle() -> None:
    before, after, _, _ = models()
    oracle = View(tiny_model("llama", seed=9))
    of = {"tokenizer": TOKENIZER, "examples": EXAMPLES}
    against = Compared(before=before, after=after, oracle=oracle, against="oracle", **of)  # type: ignore[arg-type]
    plain = Compared(before=oracle, after=after, **of)  # type: ignore[arg-type]
    assert ANALYSES.build("shifts")(against) == ANALYSES.build("shifts")(plain)
