"""What a model writes is run where that is allowed, and only then."""

import json
import os
from pathlib import Path

import pytest

from forgetting.core.errors import RecipeError
from forgetting.evaluation.harness import evaluate_tasks
from forgetting.evaluation.harness_tasks import HarnessSettings, load_task
from tests.evaluation.tasks import adapted, greedy, question
from tests.models.tiny import tiny_tokenizer

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")

PROGRAMS = """
import os, subprocess, sys

def consented():
    if os.environ.get("HF_ALLOW_CODE_EVAL") != "1":
        raise ValueError("code may not run")

consented()

def pass_at_k(references, predictions, k):
    consented()
    programs = [f"{program}\\n{references[0]}" for program in predictions[0]]
    ended = [subprocess.run([sys.executable, "-I", "-c", p], capture_output=True).returncode for p in programs]
    return {f"pass@{k[0]}": ended.count(0) / len(ended)}

def build_predictions(resps, docs):
    return [[doc["prompt"] + r for r in resp] for resp, doc in zip(resps, docs)]
"""
"""As the harness's own file for HumanEval: it asks for consent when it is imported and before anything is run."""
PROBLEMS = """
task: problems
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}, cache_dir: {cache}}}
unsafe_code: true
output_type: generate_until
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{test}}}}"
metric_list:
  - {{metric: !function programs.pass_at_k, aggregation: mean, higher_is_better: true, k: [1]}}
generation_kwargs: {{until: ["\\ndef"], max_gen_toks: 3, do_sample: false}}
num_fewshot: 0
filter_list:
  - {{name: create_test, filter: [{{function: custom, filter_fn: !function programs.build_predictions}}]}}
"""


def test_what_the_model_writes_is_run_and_consent_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ALLOW_CODE_EVAL", raising=False)
    model, tokenizer, tasks = adapted().eval(), tiny_tokenizer(), tmp_path / "tasks"
    said = [greedy(model, tokenizer, question(i), 3).split() for i in range(5)]
    rows = [
        {"question": question(i), "prompt": "said = '''", "test": f"'''\nassert said.split() == {words[i % 2 :]}"}
        for i, words in enumerate(said)
    ]
    tasks.mkdir()
    (tasks / "programs.py").write_text(PROGRAMS)
    (tasks / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tasks / "problems.yaml").write_text(PROBLEMS.format(data=tasks / "data.jsonl", cache=tmp_path / "cache"))
    with pytest.raises(RecipeError, match="task 'problems' runs code"):
        load_task("problems", HarnessSettings(folder=tasks))
    settings = HarnessSettings(folder=tasks, run_code=True)
    loaded = load_task("problems", settings)
    assert "HF_ALLOW_CODE_EVAL" not in os.environ
    found = evaluate_tasks(model, tokenizer, [loaded], settings)
    assert found["results"]["problems"]["pass@1,create_test"] == 3 / 5, "the even ones ask for all that was said"
    assert found["higher_is_better"]["problems"]["pass@1"]
    assert "HF_ALLOW_CODE_EVAL" not in os.environ
