"""What a run measured is what it delivers, and what any other command measures of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

import forgetting
from forgetting import cli
from forgetting.core.errors import ModelError, RunError
from forgetting.core.folder import MARK
from forgetting.core.progress import Voice
from forgetting.core.record import Record, read_records
from forgetting.models.loading import load_model, save_model
from forgetting.pipeline.finished_run.models import models_of, recipe_of
from forgetting.pipeline.one_model.evaluate import evaluate
from forgetting.pipeline.run.run import run
from forgetting.recipe import recipe_from

LORA = {"rank": 2, "alpha": 4}


def made(world: Path, output: Path, name: str, model: Path, stage: dict, said: list[str] | None = None, **keys) -> Path:
    """A run of one stage of 2 steps on `model`."""
    steps = {"batch_size": 4, "duration": "2 steps", "evaluate_every": None, "learning_rate": 1e-2}
    values = {
        "name": name,
        "model": str(model),
        "threads": 1,
        "max_new_tokens": 4,
        "output": str(output),
        "data": {"forget": str(world / "forget.jsonl"), "retain": str(world / "retain.jsonl")},
        "stages": [{**steps, **stage}],
        **keys,
    }
    voice = Voice(say=said.append if said is not None else lambda line: None)
    return run(recipe_from(values), report=False, voice=voice)


def logps(records: list[Record]) -> dict[tuple[str, str], float]:
    return {(r.split, r.id): r.score.logp for r in records if r.score is not None}


def after(folder: Path) -> dict[tuple[str, str], float]:
    (file,) = (f for f in (folder / "records").glob("*after*.jsonl"))
    return logps(read_records(file))


def logp(model: nn.Module, tokenizer) -> float:
    ids = tokenizer("Where does guest 3 live? In house 3 of lane 3.", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return float(model(input_ids=ids).logits[0, :-1].double().log_softmax(-1).gather(-1, ids[0, 1:, None]).mean())


@pytest.fixture(scope="module")
def low(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's model stored in bf16."""
    folder = tmp_path_factory.mktemp("low") / "model"
    loaded = load_model(world / "model", dtype="bfloat16")
    save_model(loaded.model, loaded.tokenizer, folder)
    return folder


def able(monkeypatch: pytest.MonkeyPatch, *units: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(units, True), raising=False)


@pytest.mark.parametrize("dtype", ["float32", "auto"])
def test_every_command_gives_the_number_of_the_run(
    dtype: str, world: Path, low: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    able(monkeypatch, "avx512_bf16")
    folder = made(world, tmp_path, "r", low, {"method": "loku", "adapter": {"rank": 3}}, dtype=dtype)
    data = {"forget": str(world / "forget.jsonl"), "retain": str(world / "retain.jsonl")}
    expected = after(folder)
    for model in (str(folder), f"1*{folder} + 0*{low}"):
        found = evaluate(model, data=data)
        assert found.precision.dtype == ("float32" if dtype == "float32" else "bfloat16")
        assert logps(found.records) == expected, "to the last bit"
    assert logps(evaluate(str(low), data=data).records) != expected


def test_a_second_request_on_the_first_s_result_keeps_both(world: Path, tmp_path: Path) -> None:
    loku = {"method": "loku", "adapter": {"rank": 2}}
    one = made(world, tmp_path, "one", world / "model", loku)
    two = made(world, tmp_path, "two", one, {"method": "npo", "adapter": LORA})
    three = made(world, tmp_path, "three", two / "model", loku)
    tokenizer = AutoTokenizer.from_pretrained(three / "model")
    for folder in (two, three):
        config = json.loads((folder / "model" / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == str(world / "model")
        onto = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(world / "model"), folder / "model")
        auto = AutoPeftModelForCausalLM.from_pretrained(folder / "model")
        views = {m.point: m for m in models_of(folder, recipe_of(folder))}
        with views["before"].view.active() as model:
            before = logp(model, tokenizer)
        with views["after"].view.active() as model:
            ours = logp(model, tokenizer)
        assert [logp(onto, tokenizer), logp(auto, tokenizer)] == pytest.approx([ours] * 2, abs=1e-5)
        earlier = one if folder is two else two
        assert before == pytest.approx(logp(load_model(earlier / "model").model, tokenizer), abs=1e-5)
        assert abs(before - ours) > 1e-3
    assert after(three) == logps(
        evaluate(
            str(three), data={"forget": str(world / "forget.jsonl"), "retain": str(world / "retain.jsonl")}
        ).records
    )


def test_an_initial_adapter_that_is_merged_is_saved_as_a_whole_model_and_it_is_said(
    world: Path, tmp_path: Path
) -> None:
    one = made(world, tmp_path, "one", world / "model", {"method": "graddiff", "adapter": LORA})
    said: list[str] = []
    cur = {"method": "graddiff", "adapter": {"kind": "curlora", "rank": 2}}
    two = made(world, tmp_path, "two", one, cur, said)
    assert (two / "model" / "config.json").is_file() and not (two / "model" / "adapter_config.json").exists()
    assert any("this adapter is merged into its base, so the whole model is saved" in line for line in said)
    data = {"forget": str(world / "forget.jsonl"), "retain": str(world / "retain.jsonl")}
    assert after(two) == logps(evaluate(str(two), data=data).records)


def test_full_tuning_on_an_earlier_run_in_bf16_is_in_fp32_too(
    world: Path, low: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    able(monkeypatch, "avx512_bf16")
    one = made(world, tmp_path, "one", low, {"method": "graddiff", "adapter": LORA})
    assert json.loads((one / "environment.json").read_text())["dtype"] == "bfloat16"
    two = made(world, tmp_path, "two", one, {"method": "graddiff", "adapter": {"kind": "full"}, "learning_rate": 1e-5})
    assert json.loads((two / "environment.json").read_text())["dtype"] == "float32"
    assert AutoModelForCausalLM.from_pretrained(two / "model").dtype == torch.float32


def test_full_tuning_of_bf16_weights_moves_them_all_and_is_saved_as_it_was_measured(
    world: Path, low: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    able(monkeypatch, "avx512_bf16")
    said: list[str] = []
    full = {"method": "graddiff", "adapter": {"kind": "full"}, "learning_rate": 1e-5}
    folder = made(world, tmp_path, "r", low, full, said)
    kept = AutoModelForCausalLM.from_pretrained(folder / "model")
    assert kept.dtype == torch.float32
    start = dict(AutoModelForCausalLM.from_pretrained(low, dtype=torch.float32).named_parameters())
    moved = sum(int((p != start[name]).sum()) for name, p in kept.named_parameters())
    every = sum(p.numel() for p in start.values())
    used = start["model.layers.0.mlp.up_proj.weight"] != kept.get_parameter("model.layers.0.mlp.up_proj.weight")
    assert moved / every > 0.5 and used.float().mean() > 0.99
    assert "precision: float32 (stored in bfloat16, which would lose small steps of training all weights)" in said
    assert any(line.startswith("the model is saved in float32, as it was measured") for line in said)
    assert json.loads((folder / "environment.json").read_text())["dtype"] == "float32"
    data = {"forget": str(world / "forget.jsonl"), "retain": str(world / "retain.jsonl")}
    assert after(folder) == logps(evaluate(str(folder), data=data).records)


def test_unlearn_in_memory_trains_all_weights_in_fp32(world: Path, low: Path) -> None:
    loaded = load_model(low, dtype="bfloat16")
    start = {name: p.detach().float().clone() for name, p in loaded.model.named_parameters()}
    said: list[str] = []
    found = forgetting.unlearn(
        loaded.model,
        loaded.tokenizer,
        forget=str(world / "forget.jsonl"),
        retain=str(world / "retain.jsonl"),
        method="graddiff",
        adapter={"kind": "full"},
        learning_rate=1e-5,
        duration="2 steps",
        measure=False,
        voice=Voice(say=said.append),
    )
    name = "model.layers.0.mlp.up_proj.weight"
    assert found.model.dtype == torch.float32
    assert (found.model.get_parameter(name) != start[name]).float().mean() > 0.99
    assert said[0].startswith("precision: float32 (stored in bfloat16")


def test_a_model_exchanged_under_a_run_is_refused(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(world / "model", tmp_path / "model")
    stage = {"method": "graddiff", "adapter": LORA, "checkpoint_every": "1 step"}
    from forgetting.training.loop import Trainer

    step = Trainer._step

    def killed(self: Trainer, number: int) -> None:
        if number == 1:
            raise KeyboardInterrupt
        step(self, number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "_step", killed)
        made(world, tmp_path, "r", tmp_path / "model", stage)
    config = (tmp_path / "model" / "config.json").read_text()
    (tmp_path / "model" / MARK).unlink()
    (tmp_path / "model" / "config.json").write_text(json.dumps({**json.loads(config), "rms_norm_eps": 0.1}))
    with pytest.raises(RunError, match="the model it began with has another config now; put it back"):
        made(world, tmp_path, "r", tmp_path / "model", stage)
    (tmp_path / "model" / "config.json").write_text(config)
    words = json.loads((tmp_path / "model" / "tokenizer.json").read_text())
    ids = words["model"]["vocab"]
    one, other = [word for word in ids if len(word) > 1][-2:]
    ids[one], ids[other] = ids[other], ids[one]
    (tmp_path / "model" / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(RunError, match="the model it began with has another vocabulary now; put it back"):
        made(world, tmp_path, "r", tmp_path / "model", stage)
    whole = load_model(world / "model")
    with torch.no_grad():
        whole.model.model.norm.weight.mul_(1.5)
    shutil.rmtree(tmp_path / "model")
    save_model(whole.model, whole.tokenizer, tmp_path / "model")
    with pytest.raises(RunError, match="the model it began with has other weights now; put it back") as error:
        made(world, tmp_path, "r", tmp_path / "model", stage)
    assert "\n" not in str(error.value)
    shutil.rmtree(tmp_path / "model")
    shutil.copytree(world / "model", tmp_path / "model")
    folder = made(world, tmp_path, "r", tmp_path / "model", stage)
    save_model(whole.model, whole.tokenizer, tmp_path / "other")
    shutil.rmtree(tmp_path / "model")
    (tmp_path / "other").rename(tmp_path / "model")
    with pytest.raises(RunError, match="the model it began with has other weights now"):
        next(models_of(folder, recipe_of(folder)))


def test_damaged_weights_are_one_line_of_the_command(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_model(world / "model")
    with torch.no_grad():
        loaded.model.model.norm.weight[0] = float("nan")
    save_model(loaded.model, loaded.tokenizer, tmp_path / "m")
    with pytest.raises(ModelError, match=r"1 of \d+ weights hold NaN or infinity, the first is model\.norm\.weight"):
        evaluate(str(tmp_path / "m"), data={"forget": str(world / "forget.jsonl")})
    monkeypatch.setattr("sys.argv", ["forget", "eval", str(tmp_path / "m"), "--forget", str(world / "forget.jsonl")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr().err
    assert ended.value.code == 2 and "hold NaN or infinity" in told and "Traceback" not in told
