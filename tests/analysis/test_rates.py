"""Rates are seconds of each kind of operation, measured on the model, which stays as it was."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from forgetting.analysis.rates import _timed, measured_rates
from forgetting.data.formatting import Formatting
from forgetting.models.unchanged import Snapshot
from tests.analysis.test_shifts import EXAMPLES, TOKENIZER
from tests.models.tiny import tiny_model


def test_every_kind_takes_some_time_and_the_model_is_as_it_was() -> None:
    model = tiny_model("llama")
    snapshot = Snapshot.of(model)
    rates = asdict(measured_rates(model, TOKENIZER, EXAMPLES["forget"], Formatting()))
    assert snapshot.changed(model) is None
    missing = {kind for kind, value in rates.items() if not value > 0}
    assert missing <= {"alone", "redrawn", "resamples"}  # differences of two times, which noise may make 0


def test_on_a_busy_machine_what_others_do_meanwhile_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    clock, worked = [0.0], [0.0]

    def work() -> None:
        clock[0] += 0.2
        worked[0] += 0.01

    assert _timed(work, lambda: clock[0], lambda: worked[0]) == pytest.approx(0.01)
    assert _timed(work, lambda: clock[0], lambda: 20 * clock[0]) == pytest.approx(0.2)  # many threads at once
