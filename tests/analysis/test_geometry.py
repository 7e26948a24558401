"""Geometry of two models: measures by role, their intervals, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from forgetting.analysis import ANALYSES, Compared, geometry
from forgetting.analysis.activations import mean, pooled_states
from forgetting.analysis.geometry import _half_sampled, _halves, _part
from forgetting.analysis.similarity import debiased_cka, gram
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.data.formatting import Formatting
from tests.analysis.test_shifts import TOKENIZER, models
from tests.models.tiny import WORDS

EXAMPLES = {
    "forget": [
        Example(id=f"f{i}", prompt=f"the {w} cat", response=f"{WORDS[i % 7]} dog ran") for i, w in enumerate(WORDS[:24])
    ],
    "retain": [Example(id=f"r{i}", prompt=f"a {w}", response=f"{w} bird") for i, w in enumerate(WORDS[:3])],
}


def found() -> tuple[dict[str, Measure], dict[tuple[str, str], object], Compared]:
    before, after, _, _ = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    findings = ANALYSES.build("geometry")(compared)
    return {m.key: m for m in findings.measures}, {(s.figure, s.name): s for s in findings.series}, compared


def test_cka_is_that_of_the_pooled_states_of_both_models() -> None:
    measures, series, compared = found()
    states = []
    for view in (compared.before, compared.after):
        with view.active() as model:
            states.append(pooled_states(model, TOKENIZER, EXAMPLES["forget"], (mean,), formatting=Formatting())[0])
    expected = [debiased_cka(gram(s), gram(a)) for s, a in zip(*states, strict=True)]
    line = series["cka", "forget"]
    assert line.y == pytest.approx(expected, abs=1e-9)
    measure = measures["forget/cka"]
    assert measure.value == pytest.approx(np.mean(expected))
    assert measure.low is not None and measure.low < measure.value
    assert measure.high is not None and measure.high <= 1
    assert measures["forget/cka_floor"].value < 0.5 < measures["forget/cka_biased"].value


def test_svcca_is_of_every_layer_with_every_layer_beside_its_floor_and_ceiling() -> None:
    before, _, _, _ = models()
    compared = Compared(before=before, after=before, tokenizer=TOKENIZER, examples={"forget": EXAMPLES["forget"]})
    findings = ANALYSES.build("geometry", {"share": 0.7})(compared)
    measures = {m.name: m.value for m in findings.measures}
    (grid,) = findings.grids
    values = np.array(grid.values, dtype=float)
    layers = len(grid.values)
    assert values.shape == (layers, layers)
    assert np.diag(values) == pytest.approx(1.0, abs=1e-9)  # a model beside itself
    assert values == pytest.approx(values.T, abs=1e-9) and values[0, -1] < 1
    assert dict(grid.marks) == pytest.approx(
        {"rows in random order": measures["svcca_floor"], "even against odd tokens": measures["svcca_ceiling"]}
    )
    assert measures["svcca_floor"] < measures["svcca_ceiling"]  # type: ignore[operator]
    assert {s.name for s in findings.series if s.figure == "svcca"} == {
        "forget",
        "forget, rows in random order",
        "forget, even against odd tokens",
    }


def test_what_counting_alone_makes_1_is_in_no_square() -> None:
    before, _, _, _ = models()
    few = {"forget": EXAMPLES["forget"][:5]}
    (grid,) = ANALYSES.build("geometry")(Compared(before=before, after=before, tokenizer=TOKENIZER, examples=few)).grids
    assert {value for row in grid.values for value in row} == {None} and not grid.marks


def test_what_too_few_examples_cannot_say_is_missing() -> None:
    measures, _, _ = found()
    assert measures["retain/cka"].value is None
    assert measures["retain/cka"].reason == "3 examples; CKA needs 4"
    assert measures["retain/svcca"].value is None
    assert "1 by counting; give" in measures["retain/svcca"].reason


def test_a_model_against_itself_did_not_move() -> None:
    before, _, _, _ = models()
    compared = Compared(before=before, after=before, tokenizer=TOKENIZER, examples={"forget": EXAMPLES["forget"]})
    measures = {m.name: m for m in ANALYSES.build("geometry")(compared).measures}
    assert measures["cka"].value == pytest.approx(1.0, abs=1e-9)
    assert measures["pc1_shift"].value == pytest.approx(0.0, abs=1e-12)
    assert measures["principal_angle"].value == pytest.approx(0.0, abs=1e-4)


def test_a_shift_along_pc1_is_in_standard_deviations_of_the_start() -> None:
    rng = np.random.default_rng(0)
    start = rng.standard_normal((30, 5)).astype(np.float32) * np.array([9, 1, 1, 1, 1], dtype=np.float32)
    after = start + np.array([3, 0, 0, 0, 0], dtype=np.float32)
    layers = geometry._Layers("forget", [str(i) for i in range(30)], start[None], after[None], start[None], start[None])
    axis, _ = geometry.directions(start, 1)
    spread = float((start.astype(float) @ axis[0]).std(ddof=1))
    line = geometry._shift(layers).series[0]
    assert line.y[0] == pytest.approx(3 * axis[0][0] / spread, rel=1e-5)


def test_half_sampling_holds_the_true_value_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    mixing = rng.standard_normal((6, 6))
    held, count, truth = 0, 100, []
    for _ in range(20):
        first = rng.standard_normal((400, 6))
        truth.append(debiased_cka(gram(first), gram(first @ mixing + rng.standard_normal((400, 6)))))
    true = float(np.mean(truth))
    clusters = [str(i) for i in range(60)]
    halves = _halves(clusters, 0)[:100]
    for _ in range(count):
        first = rng.standard_normal((60, 6))
        pair = gram(first), gram(first @ mixing + rng.standard_normal((60, 6)))
        estimate = _half_sampled(debiased_cka(*pair), [debiased_cka(*_part(pair, half)) for half in halves])
        held += estimate.low <= true <= estimate.high
    assert held / count > 0.88, "95% in the long run; the normal interval is a little narrow at 60 examples"


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="at most 1"):
        geometry.geometry(share)
