"""Unlearning in transformers' Trainer under DeepSpeed's ZeRO-2: optimiser and gradients are spread over the processes.

torchrun --nproc-per-node 2 examples/deepspeed/unlearn.py MODEL FORGET RETAIN OUT

The steps are those of one process: each is divided between the processes, and averages are over the whole of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

import forgetting

CONFIG = Path(__file__).with_name("zero2.json")


class Unlearner(forgetting.Unlearning, Trainer):
    """A trainer whose loss is an objective of this library."""


def main() -> None:
    """Unlearns and writes the model, which plain transformers loads."""
    given = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "forget", "retain", "out"):
        given.add_argument(name)
    given.add_argument("--method", default="npo")
    given.add_argument("--steps", type=int, default=60)
    given.add_argument("--batch-size", type=int, default=16, help="of the whole step, however many processes")
    given.add_argument("--micro-batch-size", type=int, help="examples of a role per forward; changes memory alone")
    given.add_argument("--learning-rate", type=float, default=1e-5)
    given.add_argument("--deepspeed", default=str(CONFIG), help="a DeepSpeed configuration; '' for one process without")
    asked = given.parse_args()
    on_gpu = torch.cuda.is_available()
    tokenizer = AutoTokenizer.from_pretrained(asked.model)
    steps = forgetting.unlearning_steps(
        tokenizer,
        forget=asked.forget,
        retain=asked.retain,
        method=asked.method,
        steps=asked.steps,
        batch_size=asked.batch_size,
        micro_batch_size=asked.micro_batch_size,
    )
    arguments = TrainingArguments(
        output_dir=asked.out,
        learning_rate=asked.learning_rate,
        lr_scheduler_type="constant",
        bf16=on_gpu,
        use_cpu=not on_gpu,
        deepspeed=asked.deepspeed or None,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        **steps.arguments,
    )
    model = AutoModelForCausalLM.from_pretrained(asked.model, dtype=torch.bfloat16 if on_gpu else torch.float32)
    trainer = Unlearner(model=model, args=arguments, train_dataset=steps, processing_class=tokenizer)
    trainer.train()
    trainer.save_model(asked.out)
    trainer.save_state()


if __name__ == "__main__":
    main()
