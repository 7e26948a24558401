"""The harness's numbers become measures with intervals, and named lists get their mean."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from forgetting.benchmarks import harness as suites
from forgetting.benchmarks.harness import HarnessProbe, harness_variant, mean_of, measures_of
from forgetting.benchmarks.harness_lists import LISTS, Listed
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.measure import Measure
from forgetting.evaluation import harness_tasks
from forgetting.evaluation.harness_tasks import HarnessSettings
from tests.models.tiny import WORDS, tiny_model, tiny_tokenizer


def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder's tasks are all there are: reading the built-in ones takes seconds."""
    nothing = SimpleNamespace(all_tasks=[], task_index={})

    def index(folder: str | None = None) -> Any:
        return nothing if folder is None else harness_tasks._local(Path(folder))

    monkeypatch.setattr(harness_tasks, "_built_in", index)


def probe_of(variant: str, *, fast: bool = False) -> HarnessProbe:
    suite = harness_variant(variant, fast)
    assert (suite.name, suite.splits, suite.metrics) == (f"harness:{variant}", (), ())
    (probe,) = suite.probes
    assert isinstance(probe, HarnessProbe)
    return probe


def write_task(folder: Path, name: str, count: int = 8, **keys: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"question": f"the {WORDS[i]} w{i + 40}", "choices": ["ran", "flew"], "label": i % 2} for i in range(count)]
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    scores = [{"metric": m, "aggregation": "mean", "higher_is_better": True} for m in ("acc", "acc_norm")]
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(folder.parent / "cache")},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "label",
        "metric_list": scores,
        **keys,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(task))
    return data


def ask(variant: str) -> dict[str, Measure]:
    found = probe_of(variant)(tiny_model("llama"), tiny_tokenizer(), progress=lambda done, total, note: None)
    assert len({m.key for m in found}) == len(found), "keys are unique"
    return {m.key: m for m in found}


def test_a_variant_names_tasks_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    # Reading built-in tasks takes seconds.
    monkeypatch.setattr(suites, "check_tasks", lambda names, settings, lists: {name: {name: ()} for name in names})
    assert probe_of("arc_easy+piqa") == HarnessProbe(("arc_easy", "piqa"), HarnessSettings())
    assert probe_of("mine@./tasks,limit=100,shots=0,batch=2,seed=7,run_code=yes") == HarnessProbe(
        ("mine",), HarnessSettings(folder=Path("tasks"), limit=100, shots=0, batch_size=2, seed=7, run_code=True)
    )
    assert probe_of("piqa", fast=True).settings.limit == 50
    assert probe_of("piqa,limit=9", fast=True).settings.limit == 9


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("", "names no task; write harness:reasoning, harness:arc_easy.piqa or harness:TASK@FOLDER$"),
        ("piqa+", "'piqa.' names no task"),
        ("piqa,speed=3", "'speed=3' has no meaning; keys: limit, shots, batch, seed, run_code=yes$"),
        ("piqa,run_code=maybe", "'run_code=maybe' has no meaning"),
        ("piqa,limit=", "'limit=' has no meaning"),
        ("piqa,limit=0", "limit is '0'; give a whole number of at least 1$"),
        ("piqa,shots=-1", "shots is '-1'; give a whole number of at least 0$"),
    ],
)
def test_a_variant_without_meaning_is_refused(variant: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        harness_variant(variant)


RESULTS = {
    "results": {
        "quiz": {
            "alias": "quiz",
            "sample_len": 40,
            "acc,none": 0.25,
            "acc_stderr,none": 0.05,
            "exact_match,strict": 0.5,
            "exact_match_stderr,strict": "N/A",
            "word_perplexity,none": 12.5,
            "word_perplexity_stderr,none": 0.0,
            "strange,none": float("nan"),
            "strange_stderr,none": "N/A",
        },
        "quizzes": {"sample_len": 90, "sample_count": {"acc,none": 70}, "acc,none": 0.5, "acc_stderr,none": 0.1},
    },
    "higher_is_better": {
        "quiz": {"acc": True, "exact_match": True, "word_perplexity": False},
        "quizzes": {"acc": None},
    },
    "n-shot": {"quiz": 3},
}


def test_a_variant_is_refused_before_any_data_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")
    _alone(monkeypatch)
    write_task(tmp_path / "tasks", "there").unlink()
    write_task(tmp_path / "tasks", "coded", unsafe_code=True).unlink()
    monkeypatch.setitem(LISTS, "ours", (Listed("there"), Listed("coded")))
    at = f"@{tmp_path / 'tasks'}"
    assert probe_of(f"ours{at},run_code=yes").names == ("ours",)
    for variant, message in {
        f"coded{at}": "task 'coded' runs code that the model writes; run_code=yes allows it",
        f"there+ours{at},limit=3": "task 'coded' runs code that the model writes; run_code=yes allows it",
        f"our{at}": "there is no task 'our'; did you mean 'ours'",
        f"there+their{at}": "there is no task 'their'; did you mean 'there'",
    }.items():
        with pytest.raises(RecipeError, match=f"^harness: {message}"):
            harness_variant(variant)
    with pytest.raises(DataError, match="no such folder"):
        harness_variant("there@nowhere")


def test_results_become_measures_with_direction_count_and_interval() -> None:
    found = {m.key: m for m in measures_of(RESULTS)}
    accuracy = found["quiz/acc"]
    assert (accuracy.value, accuracy.count, accuracy.direction) == (0.25, 40, "up")
    assert (accuracy.low, accuracy.high) == pytest.approx((0.1658, 0.3585), abs=1e-4)  # Wilson's for 18.75 of 75
    assert accuracy.meaning.endswith("; 3 examples before each question")
    assert found["quiz/word_perplexity"].direction == "down"
    assert (found["quizzes/acc"].direction, found["quizzes/acc"].count) == ("none", 70)


def test_a_filter_other_than_the_default_stays_in_the_name() -> None:
    found = {m.key: m for m in measures_of(RESULTS)}
    assert found["quiz/exact_match,strict"].value == 0.5


def test_there_is_no_interval_without_a_standard_error_or_with_one_of_zero() -> None:
    found = {m.key: m for m in measures_of(RESULTS)}
    for key in ("quiz/exact_match,strict", "quiz/word_perplexity"):
        assert (found[key].low, found[key].high) == (None, None)


@pytest.mark.parametrize(("value", "error"), [(0.0, 0.0), (1.0, 0.0), (0.02, 0.02), (0.98, 0.02), (0.975, 0.025)])
def test_the_interval_of_an_accuracy_stays_within_0_and_1(value: float, error: float) -> None:
    found = measures_of({"results": {"quiz": {"sample_len": 40, "acc,none": value, "acc_stderr,none": error}}})
    assert found[0].low is not None
    assert found[0].high is not None
    assert 0 <= found[0].low <= value <= found[0].high <= 1
    assert found[0].low < found[0].high
    mean = mean_of("ours", (Listed("quiz"),), found, {"quiz": ("quiz",)})
    assert (mean.low, mean.high) == pytest.approx((found[0].low, found[0].high))


@pytest.mark.slow
def test_what_is_named_of_the_built_in_tasks_is_in_front_of_the_report() -> None:
    """Reading all of them takes half a minute."""
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")
    columns = harness_variant("arc_easy+mmlu+mmlu_pro+ai2_arc+broad").declares.headline.columns
    assert [column[:2] for column in columns] == [
        ("arc_easy/acc_norm", "arc_easy/acc"),
        ("mmlu/acc_norm", "mmlu/acc"),
        ("mmlu_pro/acc_norm", "mmlu_pro/acc"),
        ("arc_challenge/acc_norm", "arc_challenge/acc"),  # a tag, which has no number of its own
        ("broad/mean_accuracy",),
    ]
    assert columns[2][-1] == "mmlu_pro/exact_match,custom-extract"


def test_a_group_or_tag_is_in_front_of_the_report_by_its_own_number_or_by_its_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")
    _alone(monkeypatch)
    tasks = tmp_path / "tasks"
    for task in ("few", "many", "plain", "other"):
        write_task(tasks, task, tag="both" if task in ("few", "many") else "rest")
    mean = [{"metric": "acc", "weight_by_size": True}]
    strict = {"metric": "acc", "filter_list": "none", "weight_by_size": False}
    groups: dict[str, dict[str, Any]] = {
        "all": {"task": ["few", "many"], "aggregate_metric_list": mean},
        "bare": {"task": ["all", "plain"]},
        "inside": {"task": [{"group": "sub", "task": ["few"], "aggregate_metric_list": strict}, {"task": "other"}]},
        "round": {"task": ["round", "plain"]},
    }
    for name, config in groups.items():
        (tasks / f"{name}.yaml").write_text(yaml.safe_dump({"group": name, **config}))
    expected = {
        "all": ["all"],
        "both": ["few", "many"],
        "bare": ["all", "plain"],
        "inside": ["inside::sub", "other"],
        "all+bare": ["all", "plain"],
        "plain+other": ["plain", "other"],
    }
    for variant, splits in expected.items():
        suite = harness_variant(f"{variant}@{tasks}")
        columns = suite.declares.headline.columns
        assert [{key.split("/")[0] for key in column} for column in columns] == [{split} for split in splits]
        measured = ask(f"{variant}@{tasks}")
        assert all(next(key for key in column if key in measured).endswith(("acc", "acc_norm")) for column in columns)
    assert harness_variant(f"round@{tasks}").declares.headline.columns[0][0] == "plain/acc_norm"


def test_a_metric_that_a_group_forms_by_a_filter_of_its_own_is_its_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")
    _alone(monkeypatch)
    write_task(tmp_path / "tasks", "few")
    own = {"metric": "score", "filter_list": ["custom", "none"]}
    group = {"group": "all", "task": ["few"], "aggregate_metric_list": [own]}
    (tmp_path / "tasks" / "all.yaml").write_text(yaml.safe_dump(group))
    (column,) = harness_variant(f"all@{tmp_path / 'tasks'}").declares.headline.columns
    assert column[0] == "all/acc_norm" and column[-2:] == ("all/score,custom", "all/score")


def test_what_is_no_number_is_missing_with_a_reason() -> None:
    strange = {m.key: m for m in measures_of(RESULTS)}["quiz/strange"]
    assert (strange.value, strange.count, strange.reason) == (None, 0, "the harness gives nan, which is not a number")


def accuracy(task: str, value: float | None, half: float | None = 0.02, name: str = "acc") -> Measure:
    if half is None or value is None:
        return Measure(name=name, split=task, value=value, count=10)
    return Measure(name=name, split=task, value=value, count=10, low=value - half, high=value + half)


def test_a_lists_mean_weighs_tasks_alike_and_a_tag_as_one() -> None:
    listed = (Listed("a"), Listed("languages", "f1"))
    measures = [accuracy("a", 0.8), accuracy("de", 0.2, name="f1"), accuracy("fi", 0.4, name="f1")]
    mean = mean_of("ours", listed, measures, {"a": ("a",), "languages": ("de", "fi")})
    assert (mean.key, mean.count, mean.direction) == ("ours/mean_accuracy", 30, "up")
    assert mean.value == pytest.approx((0.8 + (0.2 + 0.4) / 2) / 2)
    half = 0.02 * (0.5**2 + 0.25**2 + 0.25**2) ** 0.5
    assert (mean.low, mean.high) == pytest.approx((mean.value - half, mean.value + half))
    assert "a (acc), languages (f1)" in mean.meaning


def test_a_lists_mean_has_no_interval_if_a_task_has_none() -> None:
    mean = mean_of("ours", (Listed("a"), Listed("b")), [accuracy("a", 1.0, None), accuracy("b", 0.5)], PARTS)
    assert (mean.value, mean.low, mean.high) == (0.75, None, None)


PARTS = {"a": ("a",), "b": ("b",)}


@pytest.mark.parametrize("b", [[], [accuracy("b", None)], [accuracy("b", 0.5, name="acc_norm")]])
def test_a_lists_mean_is_missing_if_a_task_is(b: list[Measure]) -> None:
    mean = mean_of("ours", (Listed("a"), Listed("b")), [accuracy("a", 0.5), *b], PARTS)
    assert (mean.value, mean.reason) == (None, "not measured: b")


def test_tasks_of_a_folder_are_measured(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")
    write_task(tmp_path / "tasks", "mine")
    write_task(tmp_path / "tasks", "other")
    found = ask(f"mine+other@{tmp_path / 'tasks'},limit=5,shots=1")
    assert {(key, m.count) for key, m in found.items()} == {
        (f"{task}/{name}", 5) for task in ("mine", "other") for name in ("acc", "acc_norm")
    }
    assert all(m.value is not None and m.direction == "up" for m in found.values())


def test_a_tag_brings_its_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")
    _alone(monkeypatch)
    for task in ("de", "fi"):
        write_task(tmp_path / "tasks", task, tag="languages")
    monkeypatch.setitem(LISTS, "ours", (Listed("languages"),))
    found = ask(f"ours@{tmp_path / 'tasks'}")
    assert found.keys() == {"de/acc", "de/acc_norm", "fi/acc", "fi/acc_norm", "ours/mean_accuracy"}
    values = [found[f"{task}/acc"].value for task in ("de", "fi")]
    assert found["ours/mean_accuracy"].value == pytest.approx(sum(v for v in values if v is not None) / 2)


def test_a_group_enters_a_lists_mean_with_its_own_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Hendrycks MATH does: over all problems, not over its subjects."""
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")
    _alone(monkeypatch)
    write_task(tmp_path / "tasks", "few", count=4)
    write_task(tmp_path / "tasks", "many", count=9)
    write_task(tmp_path / "tasks", "other", count=5)
    group = {
        "group": "all",
        "task": ["few", "many"],
        "aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}],
    }
    (tmp_path / "tasks" / "all.yaml").write_text(yaml.safe_dump(group))
    monkeypatch.setitem(LISTS, "ours", (Listed("all"), Listed("other")))
    found = {key: m.value or 0.0 for key, m in ask(f"ours@{tmp_path / 'tasks'}").items()}
    whole = (4 * found["few/acc"] + 9 * found["many/acc"]) / 13
    assert found["few/acc"] != found["many/acc"], "the test must be able to fail"
    assert found["all/acc"] == pytest.approx(whole)
    assert found["ours/mean_accuracy"] == pytest.approx((whole + found["other/acc"]) / 2)


def test_a_listed_task_without_data_is_missing_but_a_named_one_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")
    write_task(tmp_path / "tasks", "there")
    write_task(tmp_path / "tasks", "gone").unlink()
    monkeypatch.setitem(LISTS, "ours", (Listed("there", shots=2), Listed("gone")))
    found = ask(f"ours@{tmp_path / 'tasks'}")
    assert found["there/acc"].value is not None
    assert found["there/acc"].meaning.endswith("; 2 examples before each question")
    assert found["gone/acc"].value is None and "task 'gone' cannot be set up" in found["gone/acc"].reason
    assert found["ours/mean_accuracy"].reason == "not measured: gone"
    with pytest.raises(DataError, match="task 'gone' cannot be set up"):
        ask(f"ours+gone@{tmp_path / 'tasks'}")
    monkeypatch.setitem(LISTS, "ours", (Listed("gone"),))
    with pytest.raises(DataError, match="task 'gone' cannot be set up"):
        ask(f"ours@{tmp_path / 'tasks'}")


def test_the_key_tells_settings_and_the_content_of_ones_own_files(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")
    data = write_task(tmp_path / "tasks", "mine")
    variant = f"mine@{tmp_path / 'tasks'}"
    before = probe_of(variant).key
    assert probe_of(variant).key == before != probe_of(f"{variant},shots=1").key
    data.write_text(data.read_text().replace("ran", "swam"))
    assert probe_of(variant).key != before
