"""The named lists hold the tasks of the papers, and the harness has each of them with its metric."""

import pytest

from forgetting.benchmarks.harness_lists import LISTS


def test_the_lists_are_those_of_the_papers() -> None:
    assert len(LISTS["reasoning"]) == len(LISTS["forgetting"]) == 9
    assert LISTS["forgetting"] == LISTS["forgetting-table3"] + LISTS["forgetting-table8"]
    assert {listed.metric for listed in LISTS["reasoning"]} == {"acc"}
    tasks = {name: [listed.task for listed in LISTS[name]] for name in ("coding", "medical", "maths", "broad")}
    assert tasks == {
        "coding": ["humaneval", "mbpp"],
        "medical": ["pubmedqa", "medmcqa"],
        "maths": ["hendrycks_math", "gsm8k"],
        "broad": ["arc_easy", "arc_challenge", "hellaswag", "winogrande", "piqa", "boolq"],
    }
    assert all(listed.shots is None for name in tasks for listed in LISTS[name]), "as many as the task's file says"


@pytest.mark.slow
def test_the_harness_has_every_listed_task_with_its_metric() -> None:
    index = pytest.importorskip("lm_eval.tasks").TaskManager().task_index
    assert not LISTS.keys() & index.keys(), "no list hides a task"
    for listed in {item for members in LISTS.values() for item in members}:
        entry = index[listed.task]
        group = entry.cfg.get("task") if entry.cfg else sorted(entry.tags)
        name, _, chosen = listed.metric.partition(",")
        for leaf in group if isinstance(group, list) else [listed.task]:
            task = index[leaf].cfg
            scores = [str(score["metric"]) for score in task["metric_list"]]
            wanted = "pass_at_k" if name == "pass@1" else name
            assert any(wanted in score for score in scores), f"{leaf} has {scores}"
            filters = [known["name"] for known in task.get("filter_list") or []]
            assert chosen in (filters or [""]), f"{leaf} has {filters}"
    aggregated = index["hendrycks_math"].cfg["aggregate_metric_list"]
    assert [(score["metric"], score["weight_by_size"]) for score in aggregated] == [("exact_match", True)]
    shots = {name: index[name].cfg.get("num_fewshot") for name in ("humaneval", "mbpp", "gsm8k", "pubmedqa", "medmcqa")}
    assert shots == {"humaneval": 0, "mbpp": 3, "gsm8k": 5, "pubmedqa": None, "medmcqa": None}
