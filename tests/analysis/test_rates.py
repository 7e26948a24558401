"""Rates are seconds of each kind of operation, measured on the model, which stays as it was."""

from __future__ import annotations

from dataclasses import asdict

from forgetting.analysis.rates import measured_rates
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
