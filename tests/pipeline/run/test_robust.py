"""What a careless or unlucky user does: nothing is lost, mixed up or silently wrong."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import forgetting
from forgetting.benchmarks.untrained_model import blank_model
from forgetting.core.errors import ForgettingError
from forgetting.core.record import read_records
from forgetting.pipeline.run import evaluator as measuring
from forgetting.pipeline.run.plan import check
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from tests.conftest import write_rows


def test_a_folder_with_other_files_is_never_replaced(world: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(ForgettingError, match="holds other files"):
        blank_model(tmp_path / "mine", [world / "forget.jsonl"], hidden=32, layers=1, vocabulary=300)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_after_a_collapse_the_kept_weights_are_sound(recipe_file: Path) -> None:
    overrides = [
        "method=graddiff", "adapter={kind: full}", "optimizer=sgd", "learning_rate=1e30", "max_grad_norm=null",
        "duration=5 steps", "checkpoint_every=1 steps", "evaluate_every=null",
    ]  # fmt: skip
    recipe = yaml.safe_load(recipe_file.read_text())
    recipe["stages"] = [{"method": "graddiff"}]
    recipe_file.write_text(yaml.safe_dump(recipe))
    folder = run(load_recipe(str(recipe_file), overrides))
    results = json.loads((folder / "results.json").read_text())
    assert results["status"] == "collapsed"
    weights = load_file(folder / "model" / "model.safetensors").values()
    assert max(float(w.abs().max()) for w in weights) < 100


def two_stages(recipe_file: Path, between: str) -> Path:
    recipe = yaml.safe_load(recipe_file.read_text())
    last = {**recipe["stages"][0], "duration": "2 steps"}
    adapter = {"kind": "lora", "rank": 2}
    first = {**last, "name": "first", "method": "graddiff", "adapter": adapter, "between": between}
    recipe["stages"] = [first, last]
    recipe_file.write_text(yaml.safe_dump(recipe))
    return recipe_file


@pytest.mark.parametrize("between", ["merge", "stack"])
def test_an_interruption_while_measuring_between_stages_costs_nothing(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    recipe = load_recipe(str(two_stages(recipe_file, between)))
    whole = run(recipe.with_values({"output": str(tmp_path / "whole")}))

    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(measuring.Measurer, "after", interrupted)
        run(recipe)
    folder = run(recipe)
    points = [(e["point"], e["stage"]) for e in json.loads((folder / "results.json").read_text())["evaluations"]]
    assert ("after", "first") in points and ("after", "unlearn") in points
    [name] = [Path("model") / file.name for file in (whole / "model").glob("*.safetensors")]
    assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_changed_data_are_refused_in_the_middle_of_a_run(
    recipe_file: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_text((world / "forget.jsonl").read_text())
    recipe = load_recipe(str(recipe_file), [f"data.forget={mine}"])

    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(measuring.Measurer, "during", interrupted)
        run(recipe)
    mine.write_text("".join(line + "\n" for line in mine.read_text().splitlines()[:5]))
    with pytest.raises(ForgettingError, match="its forget data have changed"):
        run(recipe)


def test_every_stages_own_forget_set_is_measured_and_named(recipe_file: Path, world: Path, tmp_path: Path) -> None:
    other = write_rows(tmp_path / "other.jsonl", [{"question": "Who is new?", "answer": "Nobody at all."}])
    recipe = yaml.safe_load(two_stages(recipe_file, "merge").read_text())
    recipe["stages"][1]["data"] = {"forget": str(other)}
    recipe_file.write_text(yaml.safe_dump(recipe))
    results = json.loads((run(load_recipe(str(recipe_file))) / "results.json").read_text())
    assert results["data"]["forget (first)"]["examples"] == 12
    assert results["data"]["forget (unlearn)"]["examples"] == 1
    after = [e for e in results["evaluations"] if e["point"] == "after"][-1]
    assert next(m["count"] for m in after["measures"] if m["name"] == "probability" and m["split"] == "forget") == 13


def test_a_corrected_command_is_not_blocked_by_the_wrong_one(recipe_file: Path) -> None:
    with pytest.raises(ForgettingError):
        run(load_recipe(str(recipe_file), ["oracle=./no-such-oracle"]))
    with pytest.raises(ForgettingError, match="nope"):
        check(load_recipe(str(recipe_file), ["adapter.targets=[nope]"]))
    assert (run(load_recipe(str(recipe_file), ["duration=1 steps"])) / "results.json").is_file()


def test_a_long_answer_is_generated_to_its_end(world: Path, tmp_path: Path) -> None:
    answer = " ".join(f"word {i}" for i in range(40))
    rows = write_rows(tmp_path / "long.jsonl", [{"question": "Say it.", "answer": answer}])
    recipe = {
        "name": "memo", "model": str(world / "model"), "dtype": "float32", "output": str(tmp_path),
        "data": {"train": str(rows)},
        "stages": [{"method": "sft", "learning_rate": 1e-2, "duration": "120 steps", "evaluate_every": None}],
    }  # fmt: skip
    path = tmp_path / "memo.yaml"
    path.write_text(yaml.safe_dump(recipe))
    folder = run(load_recipe(str(path)))
    record = read_records(folder / "records" / "unlearn-after.jsonl")[0]
    assert record.generation is not None and record.generation.endswith("word 38 word 39")


def test_rows_are_cut_at_the_models_positions(world: Path, tmp_path: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(world / "model")
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=48, n_embd=32, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    rows = [{"text": "In house 3 of lane 3. " * 30}, {"text": "Dish 2 with sauce 1. " * 30}]
    files = [write_rows(tmp_path / f"{i}.jsonl", [row]) for i, row in enumerate(rows)]
    done = run(
        load_recipe(
            "unlearn",
            [f"model={tmp_path / 'gpt2'}", f"data.forget={files[0]}", f"data.retain={files[1]}", f"output={tmp_path}",
             "duration=1 steps", "adapter.rank=2"],
        )
    )  # fmt: skip
    assert json.loads((done / "results.json").read_text())["status"] == "complete"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed=-1", "'seed'"),
        ("betas=[1.0, 1.0]", "betas"),
        ("device=foo", "is not a device"),
        pytest.param("device=cuda", "no CUDA", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")),
    ],
)
def test_values_that_would_fail_later_fail_at_once(recipe_file: Path, override: str, said: str) -> None:
    with pytest.raises(ForgettingError, match=said):
        check(load_recipe(str(recipe_file), [override]))


def test_half_a_character_names_the_row(recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"question": "W\\ud800", "answer": "b"}\n')
    with pytest.raises(ForgettingError, match=r"bad.jsonl:1: the prompt holds half of a character"):
        check(load_recipe(str(recipe_file), [f"data.forget={tmp_path / 'bad.jsonl'}"]))


def test_a_lost_report_is_written_again(recipe_file: Path) -> None:
    recipe = load_recipe(str(recipe_file), ["duration=1 steps"])
    report = run(recipe) / "report.html"
    report.unlink()
    run(recipe)
    assert report.is_file()


def test_unlearn_in_memory_refuses_what_it_would_ignore(world: Path) -> None:
    with pytest.raises(ForgettingError, match="write a recipe"):
        forgetting.unlearn(None, None, forget=["x"], method="ga", keep="best")  # type: ignore[arg-type]


def test_a_changed_text_to_measure_is_refused_in_the_middle_of_a_run(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = write_rows(tmp_path / "text.jsonl", [{"text": "a plain text to be read"}])
    recipe = load_recipe(str(recipe_file), [f"evaluate=['text:{text}']"])

    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(measuring.Measurer, "during", interrupted)
        run(recipe)
    write_rows(text, [{"text": "another text"}])
    with pytest.raises(ForgettingError, match="its text split that it measures has changed"):
        run(recipe)


def test_a_finished_run_is_not_passed_off_as_one_of_changed_data(
    recipe_file: Path, world: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_text((world / "forget.jsonl").read_text())
    recipe = load_recipe(str(recipe_file), [f"data.forget={mine}", "duration=1 step", "evaluate_every=null"])
    run(recipe)
    mine.write_text("".join(line + "\n" for line in mine.read_text().splitlines()[:5]))
    with pytest.raises(ForgettingError, match="its forget data have changed"):
        run(recipe)
    mine.unlink()
    assert run(recipe).is_dir()  # without the data, what is finished can still be looked at
