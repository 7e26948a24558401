"""Tasks of lm-evaluation-harness for a rehearsal: the names and measures of the real ones, two invented questions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from forgetting.benchmarks.harness_lists import Listed

TASK = """task: {name}
tag: [{tag}]
custom_dataset: !function rows.rows
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: label
process_results: !function rows.{function}
num_fewshot: 0
metric_list:
  - {{metric: {metric}, aggregation: mean, higher_is_better: true}}
filter_list:
  - {{name: {filter}, filter: [{{function: take_first}}]}}
"""
ROWS = """from datasets import Dataset


def rows(**_):
    asked = [{"question": q, "choices": ["ba do", "ke lu"], "label": i % 2} for i, q in enumerate(["mi no", "pa ri"])]
    return {"test": Dataset.from_list(asked)}
"""
SCORE = """

def {function}(doc, results):
    likeliest = max(range(2), key=lambda i: results[i][0])
    return {{"{metric}": float(likeliest == doc["label"])}}
"""
LANGUAGES = ("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te")
SUMS = ("1dc", "2da", "2dm", "2ds", "3da", "3ds", "4da", "4ds", "5da", "5ds")
TAGS = {
    "tydiqa_goldp": [f"tydiqa_goldp_{language}" for language in LANGUAGES],
    "arithmetic": [f"arithmetic_{digits}" for digits in SUMS],
}
"""Names that the harness has for several tasks."""


def write_tasks(folder: Path, listed: Iterable[Listed]) -> None:
    """Tasks of the harness as files of the same names, each with two invented questions, whatever the real ones ask."""
    folder.mkdir(parents=True)
    listed = list(dict.fromkeys(listed))
    names = {name: task for task in listed for name in TAGS.get(task.task, [task.task])}
    functions = {_metric(task)["function"]: SCORE.format(**_metric(task)) for task in listed}
    (folder / "rows.py").write_text("".join([ROWS, *functions.values()]), encoding="utf-8")
    for name, task in names.items():
        text = TASK.format(name=name, tag="" if name == task.task else task.task, **_metric(task))
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def _metric(task: Listed) -> dict[str, str]:
    """The metric of a task, the filter whose answers it is of, and what the function that gives it is called."""
    metric, _, filtered = task.metric.partition(",")
    return {"metric": metric, "filter": filtered or "none", "function": re.sub(r"\W", "_", metric)}
