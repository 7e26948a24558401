import gzip
import json

import pytest

from forgetting.core.errors import DataError
from forgetting.metrics.forget_quality import forget_quality
from forgetting.metrics.likelihood import option_probability, probability
from forgetting.metrics.per_example import mean
from forgetting.metrics.score import score
from forgetting.metrics.text import rouge_l_recall
from forgetting.metrics.tofu_log import read_tofu_log
from forgetting.metrics.truth_ratio import truth_ratio_forget, truth_ratio_utility
from forgetting.metrics.utility import tofu_model_utility
from tests.golden import REAL_DATA, golden, needs

LOGS = REAL_DATA / "tofu"
NAMES = {"real_authors": "Real Authors", "world_facts": "Real World", "retain": "Retain", "forget": "Forget"}
READINGS = {"mean_loss": "tofu/aggregate_eval_stat.py", "mean_probability": "tofu/utils.py"}

published = needs(LOGS)


@pytest.fixture(scope="module")
def theirs():
    return golden("tofu_phi")


@pytest.fixture(scope="module")
def models():
    return {name: read_tofu_log(LOGS / f"phi_{name}_eval_log_aggregated.json.gz") for name in ("full", "retain90")}


def value(metric, records, oracle=None):
    return score([metric], records, oracle)[0].value


@published
@pytest.mark.parametrize("model", ["full", "retain90"])
def test_the_parts_are_tofus(model, models, theirs):
    parts = theirs["model_utility"][model]["parts_utils"]
    other = theirs["model_utility"][model]["parts_aggregate_eval_stat_truth_ratio"]
    for split, name in NAMES.items():
        likely = option_probability if split in ("real_authors", "world_facts") else probability
        column = truth_ratio_forget if split == "forget" else truth_ratio_utility
        for what, expected in [
            (rouge_l_recall, parts[f"{name} ROUGE"]),
            (likely, parts[f"{name} Probability"]),
            (column("mean_probability"), parts[f"{name} Truth Ratio"]),
            (column("mean_loss"), other[f"Truth Ratio {name}"]),
        ]:
            assert value(mean(what, [split], "up"), models[model]) == pytest.approx(expected, abs=1e-9), what.name


@published
@pytest.mark.parametrize("model", ["full", "retain90"])
@pytest.mark.parametrize("reading", READINGS)
def test_model_utility_is_tofus_in_both_readings(model, reading, models, theirs):
    [found] = score([tofu_model_utility(reading)], models[model])
    assert found.value == pytest.approx(theirs["model_utility"][model][READINGS[reading]], abs=1e-9)
    assert found.count == 300 + 100 + 117
    assert found.low < found.value < found.high


@published
def test_forget_quality_is_tofus(models, theirs):
    expected = theirs["forget_quality_full_vs_retain90"]
    p_value, distance = score([forget_quality(["forget"])], models["full"], models["retain90"])
    assert p_value.value == pytest.approx(expected["p"], rel=1e-9)
    assert distance.value == pytest.approx(expected["ks"], abs=1e-9)
    assert p_value.count == expected["n_full"]


@published
def test_the_records_are_whole(models):
    records = models["full"]
    assert len(records) == 300 + 100 + 117 + 300
    assert {r.split for r in records} == set(NAMES)
    first = records[0]
    assert first.prompt.startswith("Question: ")
    assert first.generation.startswith("Answer: ")
    assert first.answer.startswith("The author in question is Jaime Vasquez")
    assert (first.score.tokens, len(first.perturbed)) == (32, 5)


def small_log():
    return {
        "avg_gt_loss": {"7": 0.5},
        "num_token_gt": {"7": 4},
        "avg_paraphrased_loss": {"7": 1.0},
        "num_token_paraphrased": {"7": 3},
        "average_perturb_loss": {"7": [2.0, 3.0]},
        "num_token_perturb": {"7": [2, 5]},
        "generated_text": {"7": ["Question: Where?\n", "Answer: Rome", "Paris"]},
    }


def test_a_row_becomes_a_record(tmp_path):
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"eval_log_forget.json": small_log()}))
    [found] = read_tofu_log(path)
    assert (found.id, found.split, found.answer) == ("7", "forget", "Paris")
    assert (found.score.logp, found.score.tokens) == (-2.0, 4)  # -0.5 * 4
    assert (found.paraphrase.logp, found.paraphrase.tokens) == (-3.0, 3)
    assert [(s.logp, s.tokens) for s in found.perturbed] == [(-4.0, 2), (-15.0, 5)]
    assert found.score.ranks == ()


def test_a_gzipped_log_is_the_same_log(tmp_path):
    text = json.dumps({"eval_log.json": small_log()})
    (tmp_path / "log.json").write_text(text)
    (tmp_path / "log.json.gz").write_bytes(gzip.compress(text.encode()))
    assert read_tofu_log(tmp_path / "log.json.gz") == read_tofu_log(tmp_path / "log.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{not json", "not a JSON evaluation log"),
        ("[]", "holds none of TOFU's logs"),
        ('{"other.json": {}}', "holds none of TOFU's logs"),
        ('{"eval_log.json": {}}', "eval_log.json: column or row 'avg_gt_loss' is missing"),
        ('{"eval_log.json": []}', "eval_log.json: not as TOFU's evaluate_util.py writes it"),
    ],
)
def test_a_file_that_is_no_log_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "log.json"
    path.write_text(text)
    with pytest.raises(DataError, match=f"{path.name}.*{message}"):
        read_tofu_log(path)


def test_a_missing_row_and_a_missing_file_are_named(tmp_path):
    log = small_log()
    log["generated_text"] = {}
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"eval_log.json": log}))
    with pytest.raises(DataError, match=r"log\.json, eval_log\.json: column or row '7' is missing"):
        read_tofu_log(path)
    with pytest.raises(DataError, match="no such evaluation log"):
        read_tofu_log(tmp_path / "none.json")
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(b"{}")[:10])
    with pytest.raises(DataError, match="not a JSON evaluation log"):
        read_tofu_log(tmp_path / "cut.json.gz")
