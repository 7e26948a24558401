"""Trains the small world's models: the base, and oracles that never saw a forget set. Takes minutes on two cores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Literal

import torch
import transformers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from forgetting.benchmarks.lab.assess import assess
from forgetting.benchmarks.lab.clinic import general_digest, general_text
from forgetting.benchmarks.lab.packing import IGNORED, endless_rows, lay_out
from forgetting.benchmarks.lab.tokenizer import render, train_tokenizer
from forgetting.benchmarks.lab.world import build_world
from forgetting.core.errors import ModelError, RunError
from forgetting.core.evaluator import Progress
from forgetting.core.folder import check_writable, written_whole

STEPS = 1600
ROWS = 16
LEARNING_RATE = 5e-3
WARM_UP = 0.03
FINAL_RATE = 0.02
PROVENANCE = "lab.json"


def train_lab_model(
    folder: Path,
    *,
    without: str | None = None,
    text: Literal["world", "general"] = "world",
    seed: int = 0,
    steps: int = STEPS,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, object]:
    """Pretrains a model of the small world and writes it to `folder`: bf16 weights, tokenizer and provenance.

    `without` makes the oracle of that forget set: the same run, row by row and step by step, without the documents that
    state a fact of the set. `text="general"` is what the model `lab-general` has read: see `clinic.general_text`. A
    0.83M-parameter Llama; Muon (Jordan et al. 2024) on the matrices, AdamW on the embedding and the norms, linear
    warm-up and decay, 16 rows of 128 tokens per step, fp32. Equal arguments give equal weights on one machine and torch
    version. The thread count and all random state are restored afterwards.

    Returns:
        The provenance, as written to `lab.json`: seed, world digest, steps, versions and what the model can do.

    Raises:
        DataError: there is no forget set `without`.
        ModelError: this torch has no Muon.
        RunError: `folder` exists already, or cannot be written.
    """
    if folder.exists():
        raise RunError(f"{folder}: exists already; name a new folder or remove it")
    check_writable(folder)
    if not hasattr(torch.optim, "Muon"):
        raise ModelError(f"torch {torch.__version__} has no Muon optimiser; making lab models needs torch 2.9 or newer")
    world = build_world()
    absent = {document.id for document in world.documents} - {document.id for document in world.corpus(without)}
    documents = world.documents if text == "world" else general_text(world)
    tokenizer = train_tokenizer(world)
    texts = tokenizer([render(tokenizer, d) for d in documents], add_special_tokens=False).input_ids
    used = [document.id not in absent for document in documents]
    with _reproducible(seed, threads):
        model = LlamaForCausalLM(_config(tokenizer))
        loss = _pretrain(model, texts, used, seed=seed, steps=steps, progress=progress)
        accuracies = {"fp32": assess(model, tokenizer)}
        model.bfloat16().float()  # rounds the weights as the file stores them
        accuracies["stored"] = assess(model, tokenizer)
    provenance: dict[str, object] = {
        "text": text,
        "without": without,
        "seed": seed,
        "world": world.digest if text == "world" else general_digest(world),
        "steps": steps,
        "threads": threads,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "final_loss": round(loss, 4),
        "measured": accuracies,
    }
    _save(folder, model.bfloat16(), tokenizer, provenance)
    return provenance


def _config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _pretrain(
    model: LlamaForCausalLM,
    texts: Sequence[Sequence[int]],
    used: Sequence[bool],
    *,
    seed: int,
    steps: int,
    progress: Progress | None,
) -> float:
    """Trains in place; returns the last loss."""
    optimizers, schedulers = _optimizers(model, steps)
    batches = row_stream(texts, used, seed=seed, steps=steps)
    loss = torch.zeros(())
    model.train()
    for step, rows in enumerate(batches):
        loss = _loss(model, lay_out(rows))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
        if progress is not None and (step % 20 == 0 or step + 1 == steps):
            progress(step + 1, steps, f"loss {loss.item():.2f}")
    return loss.item()


def row_stream(
    texts: Sequence[Sequence[int]], used: Sequence[bool], *, seed: int, steps: int
) -> Iterator[list[list[Sequence[int]]]]:
    """The rows of each step, `ROWS` of them: packed for all `texts`, then those not `used` are removed.

    So every used text is in the same row of the same step, whatever else is left out.
    """
    rows = endless_rows([len(tokens) for tokens in texts], seed)
    for _ in range(steps):
        yield [[texts[index] for index in row if used[index]] for row in islice(rows, ROWS)]


def _loss(model: LlamaForCausalLM, batch: dict[str, Tensor]) -> Tensor:
    labels = batch.pop("labels")[:, 1:]
    supervised = labels != IGNORED
    hidden = model.model(**batch, use_cache=False).last_hidden_state[:, :-1][supervised]
    return torch.nn.functional.cross_entropy(model.lm_head(hidden), labels[supervised])


def _optimizers(
    model: LlamaForCausalLM, steps: int
) -> tuple[list[torch.optim.Optimizer], list[torch.optim.lr_scheduler.LambdaLR]]:
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=LEARNING_RATE, weight_decay=0.0, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    warm_up = max(1, round(WARM_UP * steps))

    def rate(step: int) -> float:
        left = (steps - step) / max(1, steps - warm_up)
        return min((step + 1) / warm_up, FINAL_RATE + (1 - FINAL_RATE) * min(1.0, left))

    return optimizers, [torch.optim.lr_scheduler.LambdaLR(o, rate) for o in optimizers]


@contextmanager
def _reproducible(seed: int, threads: int) -> Iterator[None]:
    """Fixes the seed, thread count and deterministic kernels inside the block; restores everything on exit."""
    before, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict)


def _save(
    folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, provenance: dict[str, object]
) -> None:
    with written_whole(folder) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        (partial / PROVENANCE).write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")
