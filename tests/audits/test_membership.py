"""The membership attack: its scores of each text, the model before as reference, and what it says of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from forgetting.audits import ATTACKS, Target
from forgetting.benchmarks.lab.suite import BASE, lab_suite, oracle_folder
from forgetting.core.errors import RecipeError
from forgetting.core.example import Example
from forgetting.core.record import read_records
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.metrics.membership.scores import TokenStatistics, scores
from forgetting.models.loading import load_model
from forgetting.pipeline.audit.audit import audit
from tests.conftest import write_rows
from tests.models.tiny import tiny_model, tiny_tokenizer
from tests.pipeline.finished_run.test_ask import made

STAGE = [{"method": "graddiff", "adapter": {"rank": 2}}]
EXAMPLES = (
    Example(id="a", prompt="the cat", response="sat on the big bird", group="g"),
    Example(id="b", prompt="a small dog ran", response="under"),
    Example(id="c", response="blue fish swam over the cat in the green bird", form="text"),
)


def target(**keys: object) -> Target:
    return Target(model=tiny_model("llama"), tokenizer=tiny_tokenizer(), split="forget", examples=EXAMPLES, **keys)  # type: ignore[arg-type]


def test_each_text_is_scored_by_its_tokens_on_the_full_logits() -> None:
    asked = target()
    found = ATTACKS.build("membership", {"k": 0.4})(asked)
    assert [(r.id, r.cluster, r.split) for r in found] == [
        ("a", "g", "forget"),
        ("b", "b", "forget"),
        ("c", "c", "forget"),
    ]
    for example, record in zip(EXAMPLES, found, strict=True):
        row = encode(example, tiny_tokenizer(), Formatting())
        places = [i for i, weight in enumerate(row.weights) if weight]
        with torch.no_grad():
            logits_TV = asked.model(torch.tensor([row.ids])).logits[0].double()
        log_p_NV = logits_TV[[i - 1 for i in places]].log_softmax(-1)
        mean_N = (log_p_NV.exp() * log_p_NV).sum(-1)
        tokens = TokenStatistics(
            logp=[float(log_p[row.ids[i]]) for log_p, i in zip(log_p_NV, places, strict=True)],
            entropy=(-mean_N).tolist(),
            varentropy=(log_p_NV.exp() * (log_p_NV - mean_N[:, None]).square()).sum(-1).tolist(),
        )
        expected = scores(tokens, example.response, ks=(0.4,))
        assert {name: record.values[name] for name in expected} == pytest.approx(expected, rel=1e-4)
        assert record.values["tokens"] == len(places) and record.values["gradient_norm"] > 0
        assert record.score is not None and record.score.loss == pytest.approx(expected["loss"], rel=1e-4)


def test_the_reference_is_the_model_before_and_gradients_are_left_out_where_they_are_not_wanted() -> None:
    attack = ATTACKS.build("membership", {"gradients": False})
    alone = attack(target())
    assert "reference" not in alone[0].values and "gradient_norm" not in alone[0].values
    before = [replace(r, id="hidden", values={"loss": 1.0}) for r in alone]
    for record in attack(target(before=before)):
        assert record.values["reference"] == record.values["loss"] - 1.0


@pytest.mark.parametrize(("parameter", "value"), [("k", 0.0), ("k", 1.5), ("reading", "none")])
def test_a_parameter_out_of_range_is_one_line(parameter: str, value: object) -> None:
    with pytest.raises(RecipeError, match=rf"membership.*{parameter}"):
        ATTACKS.build("membership", {parameter: value})


@pytest.mark.parametrize("redact", [False, True])
def test_a_run_with_holdout_data_is_told_of_every_model(world: Path, tmp_path: Path, redact: bool) -> None:
    unseen = [{"question": f"Where does clerk {i} live?", "answer": f"In house {i % 5} of lane {i}."} for i in range(8)]
    data = {
        "forget": str(world / "forget.jsonl"),
        "retain": str(world / "retain.jsonl"),
        "holdout": str(write_rows(tmp_path / "holdout.jsonl", unseen)),
    }
    folder = made(world, tmp_path / "runs", "run", STAGE, data=data, redact=redact)
    (found,) = audit(folder, attacks=["membership"], oracle=str(world / "model"))
    assert list(found.points) == ["before", "after", "oracle"] and found.leaks == ()
    by_key = {point: {m.key: m for m in of.measures} for point, of in found.points.items()}
    assert "forget/reference_auc" not in by_key["before"]
    same = by_key["oracle"]["forget/reference_auc"]  # the oracle is the model before here: nothing to tell apart
    assert same.value == 0.5 and by_key["after"]["forget/reference_auc"].value is not None
    records = {p: read_records(folder / found.points[p].records) for p in found.points}
    for then, now in zip(records["before"], records["after"], strict=True):
        assert now.values["reference"] == now.values["loss"] - then.values["loss"]
    assert by_key["after"]["forget/loss_auc"].count == 20
    assert "8 unseen texts cannot tell" in by_key["after"]["forget/loss_tpr"].reason


def test_a_run_without_holdout_data_says_why_nothing_is_measured(world: Path, tmp_path: Path) -> None:
    folder = made(world, tmp_path / "runs", "run", STAGE)
    (found,) = audit(folder, attacks=["membership"], settings={"membership": {"gradients": False}})
    reasons = {m.reason for m in found.points["after"].measures}
    assert {m.value for m in found.points["after"].measures} == {None}
    assert reasons == {"there are no unseen texts to compare with; give the run holdout data of the same kind"}


@pytest.mark.slow
def test_on_the_lab_the_base_has_seen_the_facts_and_the_oracle_has_not() -> None:
    examples = lab_suite("rare").data
    attack = ATTACKS.build("membership", {"gradients": False})
    found = {}
    for name, folder in (("base", BASE), ("oracle", oracle_folder("rare"))):
        loaded = load_model(folder, dtype="float32")
        records = {
            split: attack(
                Target(model=loaded.model, tokenizer=loaded.tokenizer, split=split, examples=examples[split][:78])
            )
            for split in ("forget", "retain", "holdout")
        }
        found[name] = {m.key: m for m in attack.measures(records)}
    assert found["base"]["forget/loss_auc"].value > 0.95 and found["base"]["retain/loss_auc"].value > 0.95
    low, high = found["oracle"]["forget/loss_auc"].low, found["oracle"]["forget/loss_auc"].high
    assert low < 0.5 < high
