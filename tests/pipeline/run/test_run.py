"""A recipe from the command's files to a folder that plain transformers and PEFT can use."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

import forgetting
from forgetting.core.record import read_records
from forgetting.pipeline.run.plan import check
from forgetting.pipeline.run.run import run
from forgetting.recipe import Recipe, load_recipe, recipe_names

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>\n{% endfor %}"


def logits(
    model: torch.nn.Module, tokenizer, text: str = "Question: Where does guest 3 live?\nAnswer: In"
) -> torch.Tensor:
    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt")).logits


def test_the_adapter_loads_with_plain_peft_on_the_original_base(recipe_file: Path, world: Path) -> None:
    folder = run(load_recipe(str(recipe_file), ["export=both"]))
    base = AutoModelForCausalLM.from_pretrained(world / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    untouched = logits(base, tokenizer)
    adapted = logits(PeftModel.from_pretrained(base, str(folder / "model")).eval(), tokenizer)
    merged = logits(AutoModelForCausalLM.from_pretrained(folder / "merged"), tokenizer)
    torch.testing.assert_close(adapted, merged, rtol=1e-4, atol=1e-5)
    assert (adapted - untouched).abs().max() > 1e-3
    config = json.loads((folder / "model" / "adapter_config.json").read_text())
    assert config["r"] == 8  # FILA of rank 4 is saved as a LoRA of rank 8
    assert config["base_model_name_or_path"] == str(world / "model")


def test_records_score_the_saved_model(recipe_file: Path, world: Path, tmp_path: Path) -> None:
    folder = run(load_recipe(str(recipe_file)))
    again = forgetting.evaluate(
        str(folder / "model"),
        data={"forget": str(world / "forget.jsonl"), "retain": str(world / "retain.jsonl")},
        settings={"max_new_tokens": 4, "dtype": "float32"},
    )
    saved = {(r.split, r.id): r for r in read_records(folder / "records" / "unlearn-after.jsonl")}
    for record in again.records:
        assert record.score is not None
        assert record.score.logp == pytest.approx(saved[record.split, record.id].score.logp, rel=1e-4)


def test_tokenizer_and_chat_template_are_saved(recipe_file: Path, world: Path, tmp_path: Path) -> None:
    model = shutil.copytree(world / "model", tmp_path / "chat")
    (model / "chat_template.jinja").write_text(TEMPLATE)
    folder = run(load_recipe(str(recipe_file), [f"model={model}", "duration=2 steps"]))
    assert AutoTokenizer.from_pretrained(folder / "model").chat_template == TEMPLATE


def test_stages_in_sequence(recipe_file: Path, tmp_path: Path) -> None:
    recipe = yaml.safe_load(recipe_file.read_text())
    unlearn = {**recipe["stages"][0], "duration": "3 steps"}
    train = recipe["data"]["forget"]
    learn = {"name": "learn", "method": "sft", "learning_rate": 1e-2, "duration": "6 epochs", "evaluate_every": None}
    lora = {**learn, "name": "more", "adapter": {"kind": "lora", "rank": 2}, "duration": "2 epochs"}
    recipe["stages"] = [learn, lora, unlearn]
    recipe["data"]["train"] = train
    path = tmp_path / "three.yaml"
    path.write_text(yaml.safe_dump(recipe))
    folder = run(load_recipe(str(path)))
    results = json.loads((folder / "results.json").read_text())
    points = [(e["point"], e["stage"]) for e in results["evaluations"] if e["point"] != "epoch"]
    assert points == [("before", None), ("after", "learn"), ("after", "more"), ("after", "unlearn")]

    def probability(stage: str | None) -> float:
        found = [e for e in results["evaluations"] if e["stage"] == stage and e["point"] != "epoch"]
        return next(m["value"] for m in found[0]["measures"] if (m["split"], m["name"]) == ("forget", "probability"))

    assert probability("learn") > 2 * probability(None)
    assert probability("more") > probability("learn")
    assert not (folder / "model" / "adapter_config.json").exists()  # it would not fit on the model that was given
    assert AutoModelForCausalLM.from_pretrained(folder / "model").config.num_hidden_layers == 2


def test_stacked_adapters_are_saved_as_one(recipe_file: Path, world: Path, tmp_path: Path) -> None:
    recipe = yaml.safe_load(recipe_file.read_text())
    unlearn = {**recipe["stages"][0], "method": "npo", "duration": "3 steps", "adapter": {"kind": "lora", "rank": 3}}
    first = {**unlearn, "name": "first", "between": "stack", "method": "graddiff"}
    recipe["stages"] = [first, unlearn]
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(recipe))
    folder = run(load_recipe(str(path)))
    config = json.loads((folder / "model" / "adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (6, str(world / "model"))


def test_a_finished_run_is_left_as_it_is(recipe_file: Path) -> None:
    recipe = load_recipe(str(recipe_file), ["duration=1 steps"])
    first = (run(recipe) / "results.json").read_text()
    assert (run(recipe) / "results.json").read_text() == first


def test_dry_run_writes_nothing(recipe_file: Path) -> None:
    recipe = load_recipe(str(recipe_file))
    plan = check(recipe)
    assert any("12 forget rows" in line for line in plan)
    assert any("12 steps, 3 per epoch" in line for line in plan)
    assert not recipe.folder.exists()


def test_the_recipe_of_a_run_is_a_recipe(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(str(recipe_file))
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert load_recipe(str(tmp_path / "again.yaml")) == recipe


@pytest.mark.parametrize("name", recipe_names())
def test_built_in_recipes_are_valid(name: str) -> None:
    recipe = load_recipe(name, ["model=some-model"])
    assert isinstance(recipe, Recipe)


@pytest.mark.parametrize("method", ["loku", "graddiff", "npo", {"name": "ga_kl", "retain": "kl_from_reference"}])
def test_unlearn_in_memory(world: Path, method: object) -> None:
    model = AutoModelForCausalLM.from_pretrained(world / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(world / "model")
    rows = [{"question": f"Where does guest {i} live?", "answer": f"In house {i}."} for i in range(4)]
    done = forgetting.unlearn(
        model,
        tokenizer,
        forget=rows,
        retain=str(world / "retain.jsonl"),
        method=method,
        learning_rate=1e-3,
        duration="3 steps",
    )
    assert len(done.history) == 3
    key = "forget/probability"
    before, after = (next(m.value for m in measures if m.key == key) for measures in (done.before, done.after))
    assert before is not None and after is not None
    assert after != before


@pytest.mark.parametrize(("method", "rate"), [("loku", 2e-4), ("ga", 1e-5)])
def test_a_small_request_in_memory_takes_the_recipes_least_number_of_steps(method: str, rate: float) -> None:
    from forgetting.pipeline.one_model import unlearn as module

    stage = module.recipe_of({"method": method}, module.Formatting(), 0).stages[0]
    assert stage.duration.steps(steps_per_epoch=1, tokens_per_epoch=100) == 200
    assert stage.duration.steps(steps_per_epoch=125, tokens_per_epoch=10_000) == 625  # 5 epochs of 4,000 rows
    assert (stage.batch_size, stage.learning_rate, stage.schedule) == (32, rate, "linear")


def test_a_request_in_memory_that_moved_nothing_warns_and_says_what_to_raise(world: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(world / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(world / "model")
    rows = [{"question": f"Where does guest {i} live?", "answer": f"In house {i}."} for i in range(4)]
    with pytest.warns(
        UserWarning, match=r"moved nothing in 1 step at 1e-09.* Try duration='60 steps'; .* learning_rate=3e-09"
    ):
        done = forgetting.unlearn(
            model, tokenizer, forget=rows, method="ga", duration="1 step", learning_rate=1e-9, adapter={"rank": 2}
        )
    assert done.result.moved is not None and done.result.moved.share == pytest.approx(0, abs=1e-3)


def test_documents_can_be_forgotten(world: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(world / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(world / "model")
    done = forgetting.unlearn(
        model, tokenizer, forget=["In house 3 of lane 3. " * 40], method="ga", max_length=64, duration="2 epochs"
    )
    assert done.result.steps == 2
    assert done.history[-1]["terms"]["forget"] > done.history[0]["terms"]["forget"]
