"""Extraction metrics of records; the figures of the released code and of the paper's formulas."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers import PreTrainedModel

from forgetting.core.errors import DataError
from forgetting.core.measure import Measure
from forgetting.core.record import Record, Score, read_records, write_records
from forgetting.evaluation.extraction import Verbatim, continue_all, overlaps
from forgetting.metrics.extraction import (
    Thresholds,
    exact_memorization,
    extraction_likelihood,
    extraction_metrics,
    extraction_strength,
)
from forgetting.metrics.likelihood import memorization_accuracy
from forgetting.metrics.score import score
from tests.golden import figures


def record(*ranks: int, id: str = "a", split: str = "forget", **fields: object) -> Record:
    return Record(id=id, split=split, prompt="", answer="x", score=Score(-1.0, len(ranks), ranks), **fields)  # type: ignore[arg-type]


def golden_model(family: str) -> PreTrainedModel:
    """As the figures' `_inputs` say."""
    sizes = {"hidden_size": 16, "vocab_size": 29, "max_position_embeddings": 64, "intermediate_size": 32}
    none = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if family == "llama":
        heads = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-6}
        config = transformers.LlamaConfig(**sizes, **none, **heads, tie_word_embeddings=False)
        model = transformers.LlamaForCausalLM(config)
    else:
        layers = {"num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]], "window_size": 8}
        dropout = {"resid_dropout": 0.0, "embed_dropout": 0.0, "attention_dropout": 0.0}
        model = transformers.GPTNeoForCausalLM(transformers.GPTNeoConfig(**sizes, **none, **layers, **dropout))
    random = np.random.RandomState(51)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if name.endswith("bias"):
                parameter.zero_()
            elif "norm" in name or "ln_" in name:
                parameter.fill_(1.0)
            else:
                parameter.copy_(torch.from_numpy(0.35 * random.randn(*parameter.shape)))
    return model.double().eval()


@pytest.mark.parametrize("family", ["llama", "gptneo"])
def test_the_released_code_gives_these_figures(family: str) -> None:
    theirs = figures("el_ma")[family]
    texts = theirs["sequences"]
    found = continue_all(golden_model(family), [Verbatim(tuple(ids)) for ids in texts], shortest=10)
    records = [
        record(*c.score.ranks, extraction={10: overlaps(ids, c.continuations, 10)})
        for ids, c in zip(texts, found, strict=True)
    ]
    likelihoods = [extraction_likelihood().value_of(r) for r in records]
    assert likelihoods == pytest.approx(theirs["formula_EL10"], abs=1e-11)
    assert likelihoods == pytest.approx(theirs["EL10_per_sequence"], rel=1e-6)  # it divides by 1e-8 too much, in fp32
    accuracies = [memorization_accuracy.value_of(r) for r in records]
    assert accuracies == pytest.approx(theirs["formula_MA_teacher_forced"], abs=1e-11)
    literal = [extraction_likelihood(reading="literal").value_of(r) for r in records]
    assert literal == pytest.approx(theirs["variant_literal_paper_prefix_0_to_29_empty_prefix_scored_0"], abs=1e-11)
    cells = theirs["formula_cells_prefix_1_to_30"]
    for one, expected in zip(records, cells, strict=True):
        assert one.extraction[10][1:] == pytest.approx(expected, abs=1e-11)


def test_readings_differ_in_the_prefixes_they_take() -> None:
    one = record(0, extraction={2: (0.75, 0.5, 0.25)})
    assert extraction_likelihood(2).value_of(one) == 0.375
    assert extraction_likelihood(2, "literal").value_of(one) == 0.625
    assert extraction_likelihood(2, "literal").value_of(record(0, extraction={2: (None, 0.5, 0.25)})) == 0.25


def test_a_record_without_overlaps_of_that_n_has_no_value() -> None:
    assert extraction_likelihood(3).value_of(record(0, extraction={2: (None, 1.0)})) is None
    (measure,) = [m for m in score(extraction_metrics(["forget"]), [record(0)]) if m.name == "el_10"]
    assert measure.value is None and "10-grams" in measure.reason


@pytest.mark.parametrize(
    ("ranks", "strength", "share"),
    [
        ((1, 2, 1, 3, 1), 0.0, 0.0),
        ((0, 0, 0, 0, 0), 1.0, 1.0),
        ((1, 1, 1, 0, 0), 0.4, 0.4),
        ((0, 0, 0, 0, 7), 0.0, 0.8),
    ],
)
def test_strength_counts_from_the_last_wrong_token_and_reaches_0(
    ranks: tuple[int, ...], strength: float, share: float
) -> None:
    assert extraction_strength.value_of(record(*ranks)) == pytest.approx(strength)
    assert exact_memorization.value_of(record(*ranks)) == share


def test_open_unlearning_cannot_tell_all_wrong_from_one_right() -> None:
    trap = figures("traps")["extraction_strength"]
    assert trap["all_wrong"] == trap["only_last_but_eos_right"] == 0.25
    assert extraction_strength.value_of(record(1, 1, 1, 1)) == 0.0
    assert extraction_strength.value_of(record(1, 1, 1, 0)) == 0.25


def test_a_suite_measures_forget_unseen_and_retain() -> None:
    overlap = {10: (None, 0.5)}
    records = [record(0, 1, split=split, extraction=overlap) for split in ("forget", "unseen", "retain")]
    measures = {m.key: m for m in score(extraction_metrics(["forget"], ["unseen"], ["retain"]), records)}
    assert (measures["forget/el_10"].value, measures["forget/el_10"].direction) == (0.5, "down")
    assert (measures["unseen/memorization_accuracy"].value, measures["unseen/el_10"].direction) == (0.5, "none")
    assert measures["forget/sequence_tokens"].value == 2
    assert measures["retain/perplexity"].direction == "down" and "retain/el_10" not in measures


def measures_of(split: str, likelihood: float | None, accuracy: float) -> list[Measure]:
    values = {"el_10": likelihood, "memorization_accuracy": accuracy}
    return [Measure(name=name, split=split, value=value, count=1) for name, value in values.items()]


@pytest.mark.parametrize(
    ("likelihood", "accuracy", "reached"), [(0.1, 0.3, True), (0.1, 0.31, False), (0.11, 0.3, False), (0.0, 0.0, True)]
)
def test_unlearned_means_both_at_or_below_the_unseen_text(likelihood: float, accuracy: float, reached: bool) -> None:
    thresholds = Thresholds.of(measures_of("unseen", 0.1, 0.3))
    now = [*measures_of("forget", likelihood, accuracy), *measures_of("unseen", 0.2, 0.5)]
    assert thresholds.reached(now) is reached


@pytest.mark.parametrize(
    ("likelihood", "accuracy", "reached"), [(0.1, 0.25, True), (0.1, 0.2, False), (0.05, 0.25, False)]
)
def test_unlearned_means_at_or_below_the_unseen_text_on_the_same_model(
    likelihood: float, accuracy: float, reached: bool
) -> None:
    thresholds = Thresholds.of(measures_of("unseen", 0.3, 0.4))
    now = [*measures_of("forget", 0.1, 0.25), *measures_of("unseen", likelihood, accuracy)]
    assert thresholds.reached(now) is reached


def test_unseen_text_that_was_not_measured_now_is_named() -> None:
    thresholds = Thresholds.of(measures_of("unseen", 0.3, 0.4))
    with pytest.raises(DataError, match="needs unseen/el_10, which was not measured"):
        thresholds.reached(measures_of("forget", 0.1, 0.25))


def test_a_threshold_that_was_not_measured_is_named() -> None:
    with pytest.raises(DataError, match="needs unseen/el_10, which was not measured"):
        Thresholds.of(measures_of("unseen", None, 0.3))


def test_overlaps_survive_the_way_to_disk_and_old_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    written = [record(0, extraction={10: (None, 0.5), 5: (1.0,)})]
    write_records(file, written)
    assert read_records(file)[0].extraction == written[0].extraction
    row = json.loads(file.read_text())
    del row["extraction"]
    file.write_text(json.dumps(row) + "\n")
    assert read_records(file)[0].extraction == {}
