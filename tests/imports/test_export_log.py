"""Records as open-unlearning's logs: read again they give the same figures, and a log comes back as it was."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from forgetting.core.errors import DataError, RecipeError, RunError
from forgetting.core.record import Record, Score
from forgetting.imports.export_log import as_log, export_log
from forgetting.imports.logs import import_log
from tests.golden import needs
from tests.imports.test_logs import LOGS, tofu_eval


def scored(loss: float, tokens: int = 4) -> Score:
    return Score(logp=-loss * tokens, tokens=tokens)


def record(i: int, split: str, **keys: Any) -> Record:
    found: dict[str, Any] = {
        "score": scored(0.3 + i / 10),
        "paraphrase": scored(0.5 + i / 7),
        "perturbed": (scored(1.0 + i / 5, 3), scored(2.0 - i / 9, 6)),
        "generation": f"the answer {i} it is",
    }
    return Record(id=f"q{i}", split=split, prompt=f"Who {i}?", answer=f"answer {i}", **{**found, **keys})


def test_every_column_is_what_open_unlearning_computes_from_the_same_losses() -> None:
    ours = [record(i, "forget") for i in range(5)]
    oracle = [record(i, "forget", paraphrase=scored(1.5 + i / 3)) for i in range(5)]
    log = as_log([*ours, *(record(i, "world_facts") for i in range(3))], oracle, "run")
    own = np.array([0.3 + i / 10 for i in range(5)])
    right, wrong = np.array([0.5 + i / 7 for i in range(5)]), np.array([[1.0 + i / 5, 2.0 - i / 9] for i in range(5)])
    ratio = np.exp(right - wrong.mean(1))
    theirs = np.exp(np.array([1.5 + i / 3 for i in range(5)]) - wrong.mean(1))
    assert log["forget_Q_A_Prob"]["agg_value"] == pytest.approx(np.exp(-own).mean(), rel=1e-12)
    assert log["forget_Q_A_PARA_Prob"]["value_by_index"]["3"]["avg_loss"] == pytest.approx(right[3], rel=1e-12)
    assert log["forget_Q_A_PERT_Prob"]["value_by_index"]["4"]["prob"] == pytest.approx(np.exp(-wrong[4]), rel=1e-12)
    assert [row["score"] for row in log["forget_truth_ratio"]["value_by_index"].values()] == pytest.approx(list(ratio))
    assert log["forget_truth_ratio"]["agg_value"] == pytest.approx(np.minimum(ratio, 1 / ratio).mean(), rel=1e-12)
    assert log["forget_quality"]["agg_value"] == pytest.approx(ks_2samp(ratio, theirs).pvalue)
    own, wrong = own[:3], wrong[:3]
    share = np.exp(-own) / (np.exp(-own) + np.exp(-wrong).sum(1))
    assert log["wf_Q_A_Prob_normalised"]["agg_value"] == pytest.approx(share.mean(), rel=1e-12)
    assert "forget_Q_A_Prob_normalised" not in log and "wf_Truth_Ratio" in log
    row = log["forget_Q_A_ROUGE"]["value_by_index"]["0"]
    assert (row["input"], row["ground_truth"], row["generation"]) == ("Who 0?", "answer 0", "the answer 0 it is")
    assert (row["rougeL_recall"], row["rougeL_f1"]) == (1.0, pytest.approx(2 * 1.0 * 0.4 / 1.4))


def test_what_was_not_scored_is_none_and_no_number_is_made_of_nothing() -> None:
    records = [record(0, "forget"), record(1, "forget", score=None, generation=None, perturbed=())]
    log = as_log(records, None, "run")
    assert log["forget_Q_A_Prob"]["value_by_index"]["1"] is None
    assert log["forget_Q_A_Prob"]["agg_value"] == pytest.approx(math.exp(-0.3))
    assert "forget_quality" not in log and "model_utility" not in log
    assert as_log([record(0, "mine", score=None, paraphrase=None, perturbed=(), generation=None)], None, "run") == {}
    json.dumps(log, allow_nan=False)


def test_a_redacted_run_has_no_texts_to_export() -> None:
    with pytest.raises(DataError, match=r"^run: its records are redacted"):
        as_log([record(0, "forget", redacted={"rouge_l_recall": 0.5})], None, "run")


def test_a_log_comes_back_as_it_was(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("TOFU_EVAL.json", "oracle.json")]
    logs = [tofu_eval(0), tofu_eval(1, (2.0, 5.0))]
    for file, log in zip(files, logs, strict=True):
        file.write_text(json.dumps(log))
    first = import_log(files[0], tmp_path / "run", oracle=files[1])
    done = export_log(tmp_path / "run", tmp_path / "out")
    again = json.loads(done.log.read_text())
    for name, entry in logs[0].items():
        if name.endswith(("_Prob", "_PARA_Prob", "_PERT_Prob", "_normalised")):
            assert again[name]["agg_value"] == pytest.approx(entry["agg_value"], rel=1e-9), name
            for index, row in entry["value_by_index"].items():
                for key, value in row.items():
                    assert again[name]["value_by_index"][index][key] == pytest.approx(value, rel=1e-9)
    oracle = export_log(tmp_path / "run", tmp_path / "oracle", at="oracle")
    second = import_log(done.log, tmp_path / "second", oracle=oracle.log)
    before, after = values(first.measures), values(second.measures)
    assert after == pytest.approx({key: before[key] for key in after}, rel=1e-9)
    rest = {"logged/privleak", "forget/extraction_strength"}
    assert before.keys() - after.keys() == rest, "only what needs more than losses and texts is not written"
    assert [c.name for c in second.checks if not c.equal] == []
    assert json.loads(done.summary.read_text()) == dict(done.values)


@needs(LOGS / "phi_full_eval_log_aggregated.json.gz")
def test_the_published_logs_of_phi_keep_their_figures(tmp_path: Path) -> None:
    full, retain = (LOGS / f"phi_{name}_eval_log_aggregated.json.gz" for name in ("full", "retain90"))
    first = import_log(full, tmp_path / "run", oracle=retain)
    done = export_log(tmp_path / "run", tmp_path / "out")
    oracle = export_log(tmp_path / "run", tmp_path / "oracle", at="oracle")
    second = import_log(done.log, tmp_path / "second", oracle=oracle.log)
    ours, theirs = values(first.measures), values(second.measures)
    assert theirs == pytest.approx(ours, rel=1e-9)
    assert {"forget/forget_quality", "all/model_utility", "retain/truth_ratio_utility"} <= ours.keys()
    assert [c.name for c in second.checks if not c.equal] == []


def values(measures: Any) -> dict[str, float]:
    return {m.key: m.value for m in measures if m.value is not None}


def test_a_file_in_the_way_is_said_and_nothing_is_written_beside_the_folder(tmp_path: Path) -> None:
    log, run, file = (tmp_path / name for name in ("TOFU_EVAL.json", "run", "file"))
    log.write_text(json.dumps(tofu_eval()))
    import_log(log, run)
    file.write_text("x")
    for folder in (file, file / "below"):
        with pytest.raises(RunError, match="cannot be written"):
            export_log(run, folder)
    assert file.read_text() == "x"
    for name in ("../up", "a/b", "", "a/"):
        with pytest.raises(RecipeError, match="--benchmark is"):
            export_log(run, tmp_path / "out", benchmark=name)
    assert not (tmp_path / "out").exists()


def test_a_model_that_was_not_measured_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(json.dumps(tofu_eval()))
    import_log(tmp_path / "log.json", tmp_path / "run")
    with pytest.raises(RunError, match="has no records of the model 'oracle'; it has after"):
        export_log(tmp_path / "run", tmp_path / "out", at="oracle")
    assert not (tmp_path / "out").exists()
