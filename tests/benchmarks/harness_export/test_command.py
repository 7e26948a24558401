"""`lm_eval` itself, started on exported tasks, prints the numbers of the suites: TOFU, DUET, TDEC and MUSE."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from forgetting.benchmarks.harness_export.files import export_tasks
from forgetting.benchmarks.lab.suite import BASE, lab_suite
from forgetting.benchmarks.registry import get_suite
from forgetting.core.errors import RecipeError, RunError
from forgetting.core.example import Example
from forgetting.core.progress import SILENT
from forgetting.metrics.score import score
from forgetting.models.loading import load_model
from forgetting.pipeline.run.records import take
from forgetting.recipe import recipe_from
from tests.conftest import write_rows

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")

RECIPE = recipe_from({"model": "x", "data": {"train": "x.jsonl"}, "stages": [{"method": "sft"}]})
COUNT = 5


def lab(name: str) -> list[Example]:
    """Some of a split of the small world, some of which its model knows."""
    examples = next(split for split in lab_suite().splits if split.name == name).examples
    return list(examples[:: max(1, len(examples) // COUNT)][:COUNT])


def tofu(example: Example) -> dict[str, object]:
    return {
        "question": example.prompt,
        "answer": example.response,
        "paraphrased_answer": f"It is {example.response}",
        "perturbed_answer": list(example.perturbed),
    }


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Rows of the small world in the forms of four benchmarks."""
    folder = tmp_path_factory.mktemp("benchmarks")
    files = {"forget10_perturbed": "forget", "retain_perturbed": "retain"}
    files |= {"real_authors_perturbed": "holdout", "world_facts_perturbed": "utility"}
    for file, split in files.items():
        write_rows(folder / f"{file}.jsonl", [tofu(e) for e in lab(split)])
    for file, split in {"city_forget_rare_5": "forget", "city_fast_retain_500": "retain"}.items():
        write_rows(folder / f"{file}.jsonl", [{"question": e.prompt, "answer": e.response} for e in lab(split)])
    for file, split in {"known": "secrets", "unseen": "secrets-unseen"}.items():
        with (folder / f"{file}.csv").open("w", newline="") as opened:
            rows = csv.writer(opened)
            rows.writerow(["doc_id", "corpus", "text"])
            rows.writerows(
                [i, "x", " ".join((e.prompt + e.response).split()[:14])] for i, e in enumerate(lab(split)[:2])
            )
    muse(folder / "muse")
    return [
        f"tofu:forget10@{folder}",
        f"duet:city_forget_rare_5@{folder}",
        f"tdec:forget={folder}/known.csv,unseen={folder}/unseen.csv,count=2",
        f"muse:news@{folder / 'muse'}",
    ]


def muse(folder: Path) -> None:
    for name in ("knowmem", "verbmem", "privleak"):
        (folder / name).mkdir(parents=True)
    for name in ("forget", "retain"):
        rows = [{"question": e.prompt, "answer": e.response} for e in lab(name)]
        (folder / "knowmem" / f"{name}_qa.json").write_text(json.dumps(rows[:4]))
        (folder / "knowmem" / f"{name}_qa_icl.json").write_text(json.dumps(rows[4:]))
    passages = [{"prompt": e.response[:30], "gt": e.response[30:90]} for e in lab("story")]
    (folder / "verbmem" / "forget.json").write_text(json.dumps(passages))
    for name in ("forget", "retain", "holdout"):
        (folder / "privleak" / f"{name}.json").write_text(json.dumps([{"text": e.response} for e in lab("story")]))


@pytest.mark.slow
def test_the_numbers_of_its_own_command_are_ours(suites: list[str], tmp_path: Path) -> None:
    exported = export_tasks(tmp_path / "tasks", suites)
    assert [one.group for one in exported] == [
        "forgetting_tofu_forget10",
        "forgetting_duet_city_forget_rare_5",
        "forgetting_tdec",
        "forgetting_muse_news",
    ]
    theirs = lm_eval(tmp_path, [one.group for one in exported])
    loaded = load_model(BASE, dtype="float32")
    compared = 0
    for one in exported:
        suite = get_suite(one.suite)
        records = take(loaded.model, loaded.tokenizer, suite, RECIPE, SILENT).records
        ours = {m.key: m.value for m in score(suite.metrics, records)}
        for task, split in one.tasks.items():
            numbers = {k.removesuffix(",none"): v for k, v in theirs[task].items() if k.endswith(",none")}
            found = {name: v for name, v in numbers.items() if not name.endswith("_stderr")}
            assert found == pytest.approx({name: ours[f"{split}/{name}"] for name in found}, rel=1e-6, abs=1e-6)
            compared += len(found)
    assert compared >= 45
    wanted = {
        "forgetting_tofu_forget10_forget": {"probability", "rouge_l_recall", "truth_ratio_forget"},
        "forgetting_tofu_forget10_real_authors": {"option_probability", "truth_ratio_utility"},
        "forgetting_duet_city_forget_rare_5_retain": {"rouge_l_recall", "exact_match", "probability"},
        "forgetting_tdec_forget": {"el_10", "memorization_accuracy", "extraction_strength", "perplexity"},
        "forgetting_muse_news_verbmem": {"verbmem"},
        "forgetting_muse_news_knowmem": {"knowmem"},
    }
    for task, names in wanted.items():
        assert {f"{name},none" for name in names} <= theirs[task].keys(), task
    assert 0 < theirs["forgetting_tofu_forget10_retain"]["rouge_l_recall,none"] <= 1
    assert exported[-1].left_out == ("privleak-forget", "privleak-retain", "privleak-holdout")


def lm_eval(folder: Path, names: list[str]) -> dict[str, dict]:
    command = [sys.executable, "-m", "lm_eval", "run", "--include_path", str(folder / "tasks")]
    command += ["--tasks", ",".join(names), "--model", "hf", "--model_args", f"pretrained={BASE},dtype=float32"]
    command += ["--device", "cpu", "--batch_size", "8", "--output_path", str(folder / "out")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    [file] = (folder / "out").rglob("results_*.json")
    results: dict[str, dict] = json.loads(file.read_text())["results"]
    return results


def test_what_cannot_be_exported_writes_nothing(suites: list[str], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="two suites would be called forgetting_tofu_forget10"):
        export_tasks(tmp_path / "tasks", [suites[0], suites[0]])
    with pytest.raises(RecipeError, match="name at least one suite"):
        export_tasks(tmp_path / "tasks", [])
    assert not (tmp_path / "tasks").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="mine"):
        export_tasks(tmp_path / "mine", suites[:1])
    assert [f.name for f in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_task_names_what_it_misses(suites: list[str], tmp_path: Path) -> None:
    from forgetting.benchmarks.harness_export.task import SuiteTask

    export_tasks(tmp_path / "tasks", suites[1:2])
    text = (tmp_path / "tasks" / "forgetting_duet_city_forget_rare_5_forget.yaml").read_text()
    about = yaml.safe_load(text.replace("!function ", ""))["metadata"]
    with pytest.raises(RecipeError, match="pretrained=MODEL"):
        SuiteTask({"task": "x", "metadata": about})
    with pytest.raises(RecipeError, match="has no split 'forgot'; did you mean 'forget'"):
        SuiteTask({"task": "x", "metadata": {**about, "split": "forgot", "pretrained": str(BASE)}})
    shots = {"format": {"shots": {"examples": [{"prompt": "a", "response": "b"}]}}}
    with pytest.raises(RecipeError, match="shots"):
        SuiteTask({"task": "x", "metadata": {**about, **shots, "pretrained": str(BASE)}})
    task = SuiteTask({"task": "x", "metadata": {**about, "pretrained": str(BASE)}})
    with pytest.raises(RecipeError, match="writes its own prompts"):
        task.fewshot_context(task.test_docs()[0], 3)
    assert task.higher_is_better()["probability"] is False
