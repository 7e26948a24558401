"""An objective inside transformers' Trainer and TRL's SFTTrainer: the losses and the weights of a run of our own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

import forgetting
from forgetting.core.errors import RecipeError

STEPS, RATE = 10, 1e-3


def loaded(world: Path) -> tuple[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(world / "model", dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(world / "model")


def steps_of(world: Path, tokenizer: Any, method: str, **settings: Any) -> Any:
    files = {"forget": world / "forget.jsonl", "retain": world / "retain.jsonl"}
    return forgetting.unlearning_steps(tokenizer, **files, method=method, steps=STEPS, batch_size=4, **settings)


def arguments(kind: type, folder: Path, steps: Any, **more: Any) -> Any:
    return kind(
        output_dir=str(folder),
        learning_rate=RATE,
        lr_scheduler_type="constant",
        optim="adamw_torch",
        max_grad_norm=1.0,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        **{**steps.arguments, **more},
    )


def ours(world: Path, method: str, **stage: Any) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Weights and losses after ten steps of our own loop."""
    model, tokenizer = loaded(world)
    done = forgetting.unlearn(
        model,
        tokenizer,
        forget=world / "forget.jsonl",
        retain=world / "retain.jsonl",
        method=method,
        adapter={"kind": "full"},
        learning_rate=RATE,
        batch_size=4,
        duration=f"{STEPS} steps",
        schedule="constant",
        warmup=0,
        collapse_at=None,
        measure=False,
        **stage,
    )
    return {n: p.detach() for n, p in done.model.named_parameters()}, [step["loss"] for step in done.history]


def check(trainer: Any, world: Path, method: str, **stage: Any) -> None:
    trainer.train()
    weights, losses = ours(world, method, **stage)
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert logged == pytest.approx(losses, abs=2e-4)  # logs are rounded
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), weights[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("method", "micro_batch_size"), [("graddiff", 2), ("npo", None)])
def test_ten_steps_of_transformers_trainer_give_our_losses_and_weights(
    method: str, micro_batch_size: int | None, world: Path, tmp_path: Path
) -> None:
    class Unlearner(forgetting.Unlearning, Trainer):
        pass

    model, tokenizer = loaded(world)
    steps = steps_of(world, tokenizer, method, micro_batch_size=micro_batch_size)
    trainer = Unlearner(model=model, args=arguments(TrainingArguments, tmp_path, steps), train_dataset=steps)
    check(trainer, world, method, micro_batch_size=micro_batch_size)


def test_ten_steps_of_trls_trainer_give_our_losses_and_weights(world: Path, tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="pip install 'forgetting[trl]'")

    class Unlearner(forgetting.Unlearning, trl.SFTTrainer):
        pass

    model, tokenizer = loaded(world)
    steps = steps_of(world, tokenizer, "npo")
    more = {"dataset_kwargs": {"skip_prepare_dataset": True}, "bf16": False, "gradient_checkpointing": False}
    args = arguments(trl.SFTConfig, tmp_path, steps, **more)
    check(Unlearner(model=model, args=args, train_dataset=steps, processing_class=tokenizer), world, "npo")


def test_the_gradient_of_a_step_is_that_of_its_loss_whatever_the_micro_batches(world: Path, tmp_path: Path) -> None:
    class Unlearner(forgetting.Unlearning, Trainer):
        pass

    gradients = []
    for size in (None, 1):
        model, tokenizer = loaded(world)
        steps = steps_of(world, tokenizer, "graddiff", micro_batch_size=size)
        trainer = Unlearner(model=model, args=arguments(TrainingArguments, tmp_path, steps), train_dataset=steps)
        trainer.compute_loss(model, {"step": 3}).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6)


def test_the_shares_of_two_processes_are_the_step_and_none_but_the_last_pass_ends_it(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As DeepSpeed's engine has it: it averages over processes, and takes a step where a pass ends one."""

    class Unlearner(forgetting.Unlearning, Trainer):
        pass

    def trainer() -> Any:
        model, tokenizer = loaded(world)
        steps = steps_of(world, tokenizer, "graddiff", micro_batch_size=1)
        return Unlearner(model=model, args=arguments(TrainingArguments, tmp_path, steps), train_dataset=steps)

    whole = trainer()
    loss = whole.compute_loss(whole.model, {"step": 3})
    loss.backward()
    shares, losses = [], []
    for process in range(3):  # of four micro-batches, so that two processes have none in the last round
        one, ends = trainer(), []
        one._processes = 3
        monkeypatch.setattr(TrainingArguments, "process_index", process)
        backward = one.accelerator.backward

        def noted(share: Any, ends: list[bool] = ends, one: Any = one, backward: Any = backward) -> None:
            ends.append(one.accelerator.sync_gradients)
            backward(share)

        monkeypatch.setattr(one.accelerator, "backward", noted)
        own = one.compute_loss(one.model, {"step": 3})
        assert ends == [False] and one.accelerator.sync_gradients, "DeepSpeed would take a step after each pass"
        own.backward()
        shares.append({n: p.grad for n, p in one.model.named_parameters()})
        losses.append(float(own.detach()))
    assert sum(losses) / 3 == pytest.approx(float(loss.detach()), rel=1e-5)
    for name, parameter in whole.model.named_parameters():
        mean = sum(share[name] for share in shares) / 3
        torch.testing.assert_close(mean, parameter.grad, rtol=1e-4, atol=1e-6)


def test_the_rows_of_several_processes_are_one_step_after_the_other(world: Path) -> None:
    steps = steps_of(world, AutoTokenizer.from_pretrained(world / "model"), "graddiff")
    assert steps.numbers(2)["step"][:6] == [0, 0, 1, 1, 2, 2] and len(steps.numbers(2)) == 2 * STEPS


def test_arguments_that_would_change_the_steps_are_refused(world: Path, tmp_path: Path) -> None:
    class Unlearner(forgetting.Unlearning, Trainer):
        pass

    model, tokenizer = loaded(world)
    steps = steps_of(world, tokenizer, "graddiff")
    args = arguments(TrainingArguments, tmp_path, steps, gradient_accumulation_steps=4)
    with pytest.raises(RecipeError, match="write gradient_accumulation_steps=1"):
        Unlearner(model=model, args=args, train_dataset=steps)
    args = arguments(TrainingArguments, tmp_path, steps)
    with pytest.raises(RecipeError, match="unlearning_steps"):
        Unlearner(model=model, args=args, train_dataset=[{"input_ids": [1]}])


@pytest.mark.parametrize("method", ["gru", "pdu"])
def test_a_method_that_is_more_than_a_loss_is_refused(method: str, world: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(world / "model")
    with pytest.raises(RecipeError, match="gradients apart or a state"):
        steps_of(world, tokenizer, method)
