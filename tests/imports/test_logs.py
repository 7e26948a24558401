"""Other programs' evaluation logs as runs: their own numbers come out, and where not, it is said why."""

import gzip
import json
import math
import random

import numpy as np
import pytest
from scipy.stats import hmean, ks_2samp

from forgetting.core.errors import DataError, RunError
from forgetting.core.record import read_records
from forgetting.imports.logs import import_log
from forgetting.report.comparison.differences import compare
from forgetting.report.run.page import build_report
from forgetting.runs.results import Results
from tests.golden import REAL_DATA, golden, needs

LOGS = REAL_DATA / "tofu"


def scores(rng, loss):
    return {"prob": math.exp(-loss), "avg_loss": loss}


def several(rng, low, high, count=3):
    losses = [rng.uniform(low, high) for _ in range(count)]
    return {"prob": [math.exp(-x) for x in losses], "avg_loss": losses}


def entry(rows, value):
    return {"agg_value": value, "value_by_index": rows}


def tofu_eval(seed=0, forget_loss=(0.5, 3.0), count=20):
    """A log as open-unlearning writes it, its aggregates computed here from its definitions, in float64."""
    rng = random.Random(seed)
    words = ["ash", "bay", "cot", "dew", "elm", "fog", "gum", "hay"]
    log = {}
    for start in ("forget", "retain", "ra", "wf"):
        ids = [str(i) for i in range(count)]
        own = {i: scores(rng, rng.uniform(*(forget_loss if start == "forget" else (0.2, 2.0)))) for i in ids}
        wrong = {i: several(rng, 1.0, 4.0) for i in ids}
        right = own
        log[f"{start}_Q_A_Prob"] = entry(own, float(np.mean([r["prob"] for r in own.values()])))
        log[f"{start}_Q_A_PERT_Prob"] = entry(wrong, float(np.mean([np.mean(r["prob"]) for r in wrong.values()])))
        if start in ("forget", "retain"):
            right = {i: scores(rng, r["avg_loss"] + rng.uniform(0, 0.5)) for i, r in own.items()}
            log[f"{start}_Q_A_PARA_Prob"] = entry(right, float(np.mean([r["prob"] for r in right.values()])))
        else:
            share = {i: {"prob": own[i]["prob"] / (own[i]["prob"] + sum(wrong[i]["prob"]) + 1e-10)} for i in ids}
            log[f"{start}_Q_A_Prob_normalised"] = entry(share, float(np.mean([r["prob"] for r in share.values()])))
        ratio = np.array(
            [math.exp(-np.mean(wrong[i]["avg_loss"])) / (math.exp(-right[i]["avg_loss"]) + 1e-10) for i in ids]
        )
        if start == "forget":
            value = np.minimum(ratio, 1 / (ratio + 1e-10)).mean()
        else:
            value = np.maximum(0, 1 - ratio).mean()
        name = f"{start}_truth_ratio" if start in ("forget", "retain") else f"{start}_Truth_Ratio"
        log[name] = entry({i: {"score": r} for i, r in zip(ids, ratio.tolist(), strict=True)}, float(value))
        said = {}
        for i in ids:
            truth = rng.sample(words, 4)
            written = [*truth[: rng.randint(0, 4)], "zinc"]
            hit = len(written) - 1
            recall, precision = hit / 4, hit / len(written)
            f1 = 2 * recall * precision / (recall + precision) if hit else 0.0
            said[i] = {
                "rouge1_recall": recall,
                "rougeL_f1": f1,
                "rougeL_recall": recall,
                "input": f"{start} question {i}?",
                "ground_truth": " ".join(truth),
                "generation": " ".join(written),
            }
        log[f"{start}_Q_A_ROUGE"] = entry(said, float(np.mean([r["rougeL_recall"] for r in said.values()])))
    log["model_utility"] = {"agg_value": float(hmean([log[p]["agg_value"] for p in nine_parts()]))}
    log["privleak"] = {"agg_value": -12.5}
    log["extraction_strength"] = entry({str(i): {"score": i / 20} for i in range(20)}, float(np.mean(range(20))) / 20)
    return log


def nine_parts():
    """The names of model utility's parts."""
    own = ["retain_Q_A_Prob", "retain_Q_A_ROUGE", "retain_truth_ratio"]
    return own + [f"{s}_{w}" for s in ("ra", "wf") for w in ("Q_A_Prob_normalised", "Q_A_ROUGE", "Truth_Ratio")]


def with_quality(log, oracle):
    ours, theirs = ([v["score"] for v in x["forget_truth_ratio"]["value_by_index"].values()] for x in (log, oracle))
    test = ks_2samp(1 / (np.array(ours) + 1e-10), 1 / (np.array(theirs) + 1e-10))
    log["forget_quality"] = {"agg_value": float(test.pvalue)}
    return log


@pytest.fixture
def paths(tmp_path):
    oracle = tofu_eval(1, forget_loss=(2.0, 4.0))
    log = with_quality(tofu_eval(0), oracle)
    files = {}
    for name, content in (("TOFU_EVAL", log), ("retain_EVAL", oracle)):
        files[name] = tmp_path / f"{name}.json"
        files[name].write_text(json.dumps(content))
    return files


def by_name(found):
    return {check.name: check for check in found.checks}


def test_every_aggregate_of_an_open_unlearning_log_comes_out_the_same(paths, tmp_path):
    found = import_log(paths["TOFU_EVAL"], tmp_path / "run", oracle=paths["retain_EVAL"])
    checks = by_name(found)
    kept = {"privleak", "extraction_strength"}
    assert {name for name, c in checks.items() if not c.equal} == kept
    assert all("kept as logged" in checks[name].note for name in kept)
    measures = {m.key: m for m in found.measures}
    assert measures["logged/privleak"].value == -12.5
    assert measures["forget/extraction_strength"].count == 20
    assert measures["forget/forget_quality"].value == pytest.approx(checks["forget_quality"].logged)
    assert measures["all/model_utility"].value == pytest.approx(checks["model_utility"].logged)


@pytest.mark.parametrize("score", ["0.1", True, 7, [0.1]])
def test_a_logged_score_that_is_none_is_named(paths, tmp_path, score):
    log = json.loads(paths["TOFU_EVAL"].read_text())
    log["extraction_strength"]["value_by_index"]["3"]["score"] = score
    paths["TOFU_EVAL"].write_text(json.dumps(log))
    with pytest.raises(DataError, match=r"TOFU_EVAL\.json: extraction_strength: row 3: its score is .*; evaluate"):
        import_log(paths["TOFU_EVAL"], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_folder_is_a_run_that_reports_compares_and_is_an_oracle(paths, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    import_log(paths["TOFU_EVAL"], one, oracle=paths["retain_EVAL"])
    import_log(paths["retain_EVAL"], two)
    run = Results.load(one)
    records = run.records(run.after)
    assert len(records) == 4 * 20
    assert len(run.records(run.oracle_evaluation)) == 4 * 20
    assert build_report([one], tmp_path / "page.html").is_file()
    found = compare([run, Results.load(two)])
    shared = {s.key: s for s in found.shared}
    [difference] = shared["forget/probability"].differences
    first, second = (
        json.loads(paths[n].read_text())["forget_Q_A_Prob"]["agg_value"] for n in ("TOFU_EVAL", "retain_EVAL")
    )
    # Answers are drawn anew in the second log, so these are other questions, and no pairs.
    assert difference.reason == "the same ids are other questions"
    assert [m.value for m in shared["forget/probability"].values] == pytest.approx([first, second])


def test_records_alone_go_into_a_jsonl_file(paths, tmp_path):
    found = import_log(paths["TOFU_EVAL"], tmp_path / "records.jsonl")
    kept = read_records(tmp_path / "records.jsonl")
    assert [(r.split, r.id, r.answer, r.score.logp) for r in kept] == [
        (r.split, r.id, r.answer, r.score.logp) for r in found.records
    ]


def test_the_constant_in_the_denominator_is_named_where_it_distorts(tmp_path):
    log = tofu_eval(0, forget_loss=(26.0, 30.0))  # p(right) about 1e-12
    path = tmp_path / "TOFU_EVAL.json"
    path.write_text(json.dumps(log))
    check = by_name(import_log(path, tmp_path / "run"))["forget_truth_ratio"]
    assert not check.equal
    assert "adds 1e-10 to p(right)" in check.note
    assert "20 of 20 questions" in check.note
    # brute force, without the constant
    ratios = [
        math.exp(-np.mean(w["avg_loss"]) + r["avg_loss"])
        for w, r in zip(
            log["forget_Q_A_PERT_Prob"]["value_by_index"].values(),
            log["forget_Q_A_PARA_Prob"]["value_by_index"].values(),
            strict=True,
        )
    ]
    assert check.ours == pytest.approx(np.mean([min(r, 1 / r) for r in ratios]), rel=1e-9)


def test_rounded_probabilities_another_average_and_rows_without_a_score_are_named(tmp_path):
    log = tofu_eval(0)
    rows = log["retain_Q_A_Prob"]["value_by_index"]
    for row in rows.values():
        row["prob"] = round(row["prob"], 2)
    log["retain_Q_A_Prob"]["agg_value"] = float(np.mean([r["prob"] for r in rows.values()]))
    pairs = [
        (math.exp(-r["avg_loss"]), math.exp(-np.mean(w["avg_loss"])))
        for r, w in zip(
            log["forget_Q_A_PARA_Prob"]["value_by_index"].values(),
            log["forget_Q_A_PERT_Prob"]["value_by_index"].values(),
            strict=True,
        )
    ]
    log["forget_truth_ratio"]["agg_value"] = float(np.mean([c / (c + w) for c, w in pairs]))
    log["wf_Q_A_Prob"]["value_by_index"]["3"] = {"prob": math.nan, "avg_loss": math.nan}
    log["wf_Q_A_Prob"]["agg_value"] = math.nan
    log["ra_Q_A_ROUGE"]["agg_value"] = 0.123
    log["model_utility"]["agg_value"] = float(hmean([log[p]["agg_value"] for p in nine_parts()]))
    path = tmp_path / "TOFU_EVAL.json"
    path.write_text(json.dumps(log))
    found = import_log(path, tmp_path / "run")
    checks = by_name(found)
    assert "rounded" in checks["retain_Q_A_Prob"].note
    assert "p(right) / (p(right) + p(wrong))" in checks["forget_truth_ratio"].note
    assert "could not be scored" in checks["wf_Q_A_Prob"].note
    assert checks["ra_Q_A_ROUGE"].note == "the log's rows do not give the log's number"
    assert checks["model_utility"].note.startswith("follows from its parts that differ: ")
    assert "ra_Q_A_ROUGE" in checks["model_utility"].note
    lost = next(r for r in found.records if r.split == "world_facts" and r.id == "3")
    assert lost.score is None


def test_muse_is_read_by_what_was_written(tmp_path):
    rows = {
        "0": {"rougeL_f1": 0.5, "rougeL_recall": 1.0, "input": "q", "ground_truth": "ash", "generation": "ash bay cot"},
        "1": {"rougeL_f1": 0.0, "rougeL_recall": 0.0, "input": "r", "ground_truth": "bay", "generation": "elm"},
    }
    log = {
        "forget_verbmem_ROUGE": entry(rows, 0.25),
        "retain_knowmem_ROUGE": entry(rows, 0.5),
        "privleak": {"agg_value": 4.0},
    }
    path = tmp_path / "MUSE_EVAL.json.gz"
    path.write_bytes(gzip.compress(json.dumps(log).encode()))
    found = import_log(path, tmp_path / "run")
    measures = {m.key: m for m in found.measures}
    assert measures["forget_verbmem/rouge_l_f1"].value == 0.25
    assert measures["retain_knowmem/rouge_l_recall"].value == 0.5
    assert [c.name for c in found.checks if not c.equal] == ["privleak"]
    assert by_name(found)["forget_verbmem_ROUGE"].key == "forget_verbmem/rouge_l_f1"
    assert measures["forget_verbmem/rouge_l_f1"].direction == "down"


def test_a_summary_gives_measures_and_no_records(tmp_path):
    path = tmp_path / "TOFU_SUMMARY.json"
    path.write_text(json.dumps({"forget_Q_A_Prob": 0.25, "privleak": math.nan}))
    found = import_log(path, tmp_path / "run")
    assert {m.key: m.value for m in found.measures} == {"logged/forget_Q_A_Prob": 0.25, "logged/privleak": None}
    assert Results.load(tmp_path / "run").records(Results.load(tmp_path / "run").after) == []
    with pytest.raises(DataError, match="has no rows"):
        import_log(path, tmp_path / "r.jsonl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{not", "not a JSON evaluation log"),
        ("[]", "no log that is known"),
        ("{}", "no log that is known"),
        ('{"a": "b"}', "no log that is known"),
        ('{"forget_Q_A_Prob": {"value_by_index": {"0": {"prob": 1}}}}', "not as open-unlearning writes it"),
        ('{"forget_Q_A_Prob": {"value_by_index": {"0": {"prob": 1, "avg_loss": "x"}}}}', "not as open-unlearning"),
    ],
)
def test_what_is_no_log_is_refused_in_a_line_and_nothing_is_written(content, message, tmp_path):
    path = tmp_path / "log.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as told:
        import_log(path, tmp_path / "run")
    assert "\n" not in str(told.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.json"]


@pytest.mark.parametrize("column", ["input", "ground_truth", "generation"])
def test_half_of_a_character_is_refused_in_a_line_for_no_file_can_hold_it(column, paths, tmp_path):
    log = json.loads(paths["TOFU_EVAL"].read_text())
    log["forget_Q_A_ROUGE"]["value_by_index"]["3"][column] = "half \ud83d"
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log))
    with pytest.raises(DataError, match=r"log.json: forget 3: the \w+ holds half of a character"):
        import_log(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_oracle_of_other_questions_and_a_folder_in_use_are_refused(paths, tmp_path):
    other = json.loads(paths["retain_EVAL"].read_text())
    other["forget_Q_A_ROUGE"]["value_by_index"]["0"]["input"] = "another question?"
    path = tmp_path / "other.json"
    path.write_text(json.dumps(other))
    with pytest.raises(DataError, match="other questions"):
        import_log(paths["TOFU_EVAL"], tmp_path / "run", oracle=path)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.tex").touch()
    with pytest.raises(RunError, match="holds other files"):
        import_log(paths["TOFU_EVAL"], tmp_path / "used")
    with pytest.raises(DataError, match="no such evaluation log"):
        import_log(tmp_path / "none.json", tmp_path / "run")


@needs(LOGS)
def test_tofus_own_log_gives_tofus_own_numbers(tmp_path):
    found = import_log(
        LOGS / "phi_full_eval_log_aggregated.json.gz",
        tmp_path / "phi",
        oracle=LOGS / "phi_retain90_eval_log_aggregated.json.gz",
    )
    assert found.checks
    assert all(check.equal for check in found.checks)
    theirs = golden("tofu_phi")
    measures = {m.key: m.value for m in found.measures}
    assert measures["forget/forget_quality"] == pytest.approx(theirs["forget_quality_full_vs_retain90"]["p"], rel=1e-9)
    expected = theirs["model_utility"]["full"]["tofu/aggregate_eval_stat.py"]
    assert measures["all/model_utility"] == pytest.approx(expected, abs=1e-9)
