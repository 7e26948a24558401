"""The harness measures the model in memory as its own command measures the saved files, and leaves nothing changed."""

import json
import random
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from forgetting.core.errors import RecipeError
from forgetting.evaluation.harness import evaluate_tasks
from forgetting.evaluation.harness_tasks import HarnessSettings, load_task
from forgetting.models.adapters import active_adapters
from forgetting.models.composed import ComposedModel, Part
from tests.evaluation.tasks import adapted, greedy, metric, question, write_task
from tests.models.tiny import tiny_model, tiny_tokenizer

lm_eval = pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")

CHOICES = [["sat on", "flew"], ["ran", "swam in red"], ["big", "small"], ["over", "under the dog"]]
NAMES = ("choose", "complete", "read")


def write_tasks(folder: Path) -> Path:
    """A multiple-choice task, a generation task whose every other answer the model gives, and texts to read."""
    tokenizer, model = tiny_tokenizer(), adapted().eval()
    choose = [{"question": question(i), "choices": CHOICES[i % 4], "label": i // 5} for i in range(10)]
    complete = [
        {"question": question(i), "answer": greedy(model, tokenizer, question(i), 3) if i % 2 else "w90"}
        for i in range(7)
    ]
    accuracy = [metric("acc", True), metric("acc_norm", True)]
    write_task(
        folder,
        "choose",
        choose,
        output_type="multiple_choice",
        doc_to_choice="{{choices}}",
        doc_to_target="label",
        metric_list=accuracy,
    )
    write_task(
        folder,
        "complete",
        complete,
        output_type="generate_until",
        doc_to_target="{{answer}}",
        generation_kwargs={"until": ["\n\n"], "do_sample": False, "max_gen_toks": 3},
        metric_list=[metric("exact_match", True)],
    )
    write_task(
        folder,
        "read",
        [{"question": question(i)} for i in range(5)],
        output_type="loglikelihood_rolling",
        doc_to_text="",
        doc_to_target="{{question}}",
        metric_list=[metric("word_perplexity", False, "weighted_perplexity")],
    )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("harness") / "tasks")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as files: `base` and `adapter`."""
    files = tmp_path_factory.mktemp("saved")
    tiny_model("llama", tied=True).save_pretrained(files / "base")
    tiny_tokenizer().save_pretrained(files / "base")
    adapted().save_pretrained(files / "adapter")  # type: ignore[operator]
    return files


def numbers(results: dict[str, Any]) -> dict[str, float]:
    """Every value and standard error by `task/metric`."""
    return {
        f"{task}/{key}": value
        for task, entries in results["results"].items()
        for key, value in entries.items()
        if "," in key and not isinstance(value, str)
    }


def measured(model: nn.Module, settings: HarnessSettings, **keys: Any) -> dict[str, Any]:
    tasks = [load_task(name, settings) for name in NAMES]
    return evaluate_tasks(model, tiny_tokenizer(), tasks, settings, **keys)


def test_the_numbers_are_those_of_the_harness_on_the_saved_model_and_adapter(folder: Path, saved: Path) -> None:
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    ours = measured(adapted(), HarnessSettings(folder=folder, shots=2, batch_size=4))
    lm = HFLM(pretrained=str(saved / "base"), peft=str(saved / "adapter"), device="cpu", batch_size=4)
    tasks = TaskManager(include_path=str(folder), include_defaults=False).load(list(NAMES))
    for task in tasks["tasks"].values():
        task.set_config(key="num_fewshot", value=2)
        task.set_fewshot_seed(seed=1234)
    theirs = lm_eval.evaluate(lm=lm, task_dict=tasks, bootstrap_iters=1000)
    assert numbers(ours) == pytest.approx(numbers(theirs), abs=1e-6, rel=1e-6)
    assert {"choose/acc,none", "complete/exact_match,none", "read/word_perplexity,none"} <= numbers(ours).keys()


def test_a_combination_of_models_is_measured_like_a_model(folder: Path) -> None:
    model, settings = adapted(), HarnessSettings(folder=folder, batch_size=4)
    own = Part(1.0, model, active_adapters(model))
    twice = ComposedModel([own, Part(0.5, model), Part(-0.5, model)])
    assert numbers(measured(twice, settings)) == pytest.approx(numbers(measured(model, settings)), abs=1e-4, rel=1e-4)


@pytest.mark.slow
def test_the_numbers_are_those_of_the_harnesss_own_command(folder: Path, saved: Path, tmp_path: Path) -> None:
    ours = measured(adapted(), HarnessSettings(folder=folder, shots=1, limit=6, batch_size=4))
    model = f"pretrained={saved / 'base'},peft={saved / 'adapter'}"
    command = [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", model, "--tasks", ",".join(NAMES)]
    command += ["--include_path", str(folder), "--num_fewshot", "1", "--limit", "6", "--batch_size", "4"]
    done = subprocess.run(
        [*command, "--device", "cpu", "--output_path", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (file,) = tmp_path.rglob("results_*.json")
    theirs = json.loads(file.read_text())
    assert numbers(ours) == pytest.approx(numbers(theirs), abs=1e-6, rel=1e-6)
    assert ours["n-shot"] == theirs["n-shot"]
    assert ours["n-samples"] == theirs["n-samples"]


def test_accuracy_is_the_share_of_right_answers_that_are_likeliest(folder: Path) -> None:
    model, tokenizer = adapted().double().eval(), tiny_tokenizer()

    def logp(text: str, choice: str) -> float:
        ids, start = tokenizer.encode(f"{text} {choice}"), len(tokenizer.encode(text))
        logps = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        return sum(logps[i - 1, ids[i]].item() for i in range(start, len(ids)))

    likeliest = [int(np.argmax([logp(question(i), choice) for choice in CHOICES[i % 4]])) for i in range(10)]
    right = [choice == i // 5 for i, choice in enumerate(likeliest)]
    settings = HarnessSettings(folder=folder)
    found = evaluate_tasks(model, tokenizer, [load_task("choose", settings)], settings)
    assert 0 < sum(right) < 10, "the test must be able to fail"
    assert found["results"]["choose"]["acc,none"] == sum(right) / 10


def test_a_generated_answer_is_compared_with_the_right_one(folder: Path) -> None:
    settings = HarnessSettings(folder=folder)
    found = evaluate_tasks(adapted(), tiny_tokenizer(), [load_task("complete", settings)], settings)
    assert found["results"]["complete"]["exact_match,none"] == pytest.approx(3 / 7)


def test_the_last_number_of_an_answer_is_compared_with_the_right_one(tmp_path: Path) -> None:
    """As GSM8K has it: whatever else the model writes."""
    model, tokenizer = adapted().eval(), tiny_tokenizer()
    written = [greedy(model, tokenizer, question(i), 3) for i in range(8)]
    numbers = [re.findall(r"\d+", text)[-1:] for text in written]
    answers = [found[0] if found and i % 2 else "1000" for i, found in enumerate(numbers)]
    right = sum(answer != "1000" for answer in answers)
    assert 0 < right < 8, "the test must be able to fail"
    last = {"function": "regex", "group_select": -1, "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)"}
    strict = {"function": "regex", "regex_pattern": r"#### (\-?[0-9\.\,]+)"}
    write_task(
        tmp_path / "tasks",
        "sums",
        [{"question": question(i), "answer": f"so w1 {a}\n#### {a}"} for i, a in enumerate(answers)],
        output_type="generate_until",
        doc_to_target="{{answer}}",
        generation_kwargs={"until": ["Question:"], "do_sample": False, "max_gen_toks": 3},
        metric_list=[{**metric("exact_match", True), "regexes_to_ignore": [",", r"\$", "(?s).*#### ", r"\.$"]}],
        filter_list=[
            {"name": name, "filter": [pattern, {"function": "take_first"}]}
            for name, pattern in (("strict-match", strict), ("flexible-extract", last))
        ],
    )
    settings = HarnessSettings(folder=tmp_path / "tasks")
    found = evaluate_tasks(model, tokenizer, [load_task("sums", settings)], settings)["results"]["sums"]
    assert (found["exact_match,flexible-extract"], found["exact_match,strict-match"]) == (right / 8, 0.0)


def test_the_adapter_counts_as_it_stands(folder: Path) -> None:
    model, settings = adapted(), HarnessSettings(folder=folder)
    with model.disable_adapter():  # type: ignore[operator]
        without = numbers(measured(model, settings))
    assert without == pytest.approx(numbers(measured(tiny_model("llama", tied=True), settings)), abs=1e-6)
    assert without["read/word_perplexity,none"] != pytest.approx(
        numbers(measured(model, settings))["read/word_perplexity,none"]
    )


def test_model_tokenizer_and_random_state_are_left_as_they_were(folder: Path) -> None:
    model, tokenizer = adapted(dropout=0.5).train(), tiny_tokenizer(pad=False)
    model.get_submodule("base_model.model.model.norm").eval()  # modes may differ from module to module
    modes = [module.training for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    needs = [parameter.requires_grad for parameter in model.parameters()]
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)
    expected = random.random(), np.random.rand(), torch.rand(1)
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)
    settings = HarnessSettings(folder=folder, shots=1)
    first = evaluate_tasks(model, tokenizer, [load_task(name, settings) for name in NAMES], settings)
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == needs
    assert tokenizer.pad_token is None
    assert model.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    second = evaluate_tasks(model, tokenizer, [load_task(name, settings) for name in NAMES], settings)
    assert numbers(first) == numbers(second), "no dropout, and the same examples before each question"


@pytest.mark.parametrize("keys", [{"modules_to_save": ["embed_tokens"]}, {"modules_to_save": ["lm_head"]}])
def test_an_adapter_of_a_tied_head_or_embedding_stays_as_it_is(folder: Path, keys: dict[str, list[str]]) -> None:
    """`tie_weights`, which the harness calls on every model, would undo the one and fail on the other."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of adapters of tied weights
        model = get_peft_model(tiny_model("llama", tied=True), LoraConfig(r=2, target_modules=["q_proj"], **keys))
        for name, parameter in model.named_parameters():
            if "modules_to_save" in name:
                nn.init.normal_(parameter)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    measured(model, HarnessSettings(folder=folder, limit=1))
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert "tie_weights" not in vars(model)


def test_a_failure_leaves_the_mode_too(folder: Path) -> None:
    model, settings = adapted().train(), HarnessSettings(folder=folder)

    def fail(done: int, total: int, note: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_tasks(model, tiny_tokenizer(), [load_task("choose", settings)], settings, progress=fail)
    assert model.training


def test_shots_and_limit_are_those_asked_for(folder: Path) -> None:
    settings = HarnessSettings(folder=folder, shots=2, limit=3)
    found = measured(adapted(), settings)
    assert set(found["n-shot"].values()) == {2}
    assert {entry["effective"] for entry in found["n-samples"].values()} == {3}
    assert set(measured(adapted(), HarnessSettings(folder=folder, limit=3))["n-shot"].values()) == {0}


def test_a_task_that_fixes_its_shots_keeps_them(tmp_path: Path) -> None:
    rows = [{"question": question(i), "answer": "ran"} for i in range(3)]
    keys = {"output_type": "loglikelihood", "doc_to_target": " {{answer}}", "metric_list": [metric("acc", True)]}
    write_task(tmp_path / "tasks", "fixed", rows, num_fewshot=0, **keys)
    settings = HarnessSettings(folder=tmp_path / "tasks", shots=2)
    found = evaluate_tasks(adapted(), tiny_tokenizer(), [load_task("fixed", settings)], settings)
    assert found["n-shot"] == {"fixed": 0}


def test_every_answer_is_told_and_nothing_is_printed(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[int, int]] = []
    measured(adapted(), HarnessSettings(folder=folder), progress=lambda done, total, note: told.append((done, total)))
    assert told[-1] == (20 + 7 + 5, 20 + 7 + 5), "two answers to each of ten questions, seven completions, five texts"
    assert capfd.readouterr() == ("", "")


def test_without_the_harness_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(RecipeError, match=r"not installed .*; pip install 'forgetting\[harness\]'$"):
        evaluate_tasks(adapted(), tiny_tokenizer(), [])
