"""The parts of Forgetting SFT, each by the library and by the barest code, and the process that
measures one of them.

scoring   ours        `score_tokens`, from fingerprints to the last Parquet file
          plain       a forward of base and reference each: the model's own, with logits of all positions
          floor       the same two forwards, the head on supervised positions only
epoch     sft         the `Trainer` on all supervised tokens
          forgetting  the `Trainer` on the same rows with signed weights and the schedule of λ
whole     ours        the stages of a run: `set_aside`, `weighed` (scores, selection, signs), `run_stage`
          floor       a bare loop over the reference part, two forwards of the train part, a bare loop over that

All scoring arms go through the same batches, all of training through the same steps.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from bench.forgetting_rows import (
    NAME,
    QUICK,
    SEED,
    Shape,
    adapted,
    llama,
    rows_of,
    scored_batches,
    signed,
    stages,
    step_batches,
    stir,
    tokenizer_of,
)
from bench.process import Clock, Elapsed
from forgetting.core.batch import Batch
from forgetting.core.example import Example
from forgetting.core.progress import SILENT
from forgetting.data.encode import Encoded
from forgetting.data.formatting import Formatting
from forgetting.models.adapters import adapters_active
from forgetting.models.head import causal_model
from forgetting.pipeline.run.context import StageContext
from forgetting.pipeline.run.prepare import StageData
from forgetting.pipeline.run.reference_stage import set_aside
from forgetting.pipeline.run.select_tokens import weighed
from forgetting.pipeline.run.stage import run_stage
from forgetting.recipe import Stage
from forgetting.runs.folder import RunFolder
from forgetting.runs.stage_folder import StageFolder
from forgetting.token_selection.scoring import ModelView, Scorers, Scores, score_tokens
from forgetting.training.loop import Trainer
from forgetting.training.settings import learning_rate_at
from forgetting.training.stage import NO_HOOKS

ARMS = {"scoring": ("ours", "plain", "floor"), "epoch": ("sft", "forgetting"), "whole": ("ours", "floor")}
STAGES = ("reference", "scoring", "training")


@dataclass(frozen=True)
class Sample:
    """One process's measurement."""

    part: str
    arm: str
    times: Mapping[str, Elapsed]
    """By stage; only the part `whole` has several."""
    losses: tuple[float, ...]
    """Of scoring: −Σ log p under base and reference. Of training: of every step."""

    def seconds(self, stage: str | None = None) -> float:
        """Wall time of a stage, or of all."""
        return sum(e.wall for name, e in self.times.items() if stage in (None, name))

    def cpu(self, stage: str | None = None) -> float:
        """The same in processor time."""
        return sum(e.cpu for name, e in self.times.items() if stage in (None, name))

    @property
    def waiting(self) -> float:
        """The largest share of a stage in which another process had the processor."""
        return max(e.waiting for e in self.times.values())


def measure(part: str, arm: str, shape: Shape) -> Sample:
    """One arm of one part, after a small one as warm-up. To be called in a fresh process."""
    torch.set_num_threads(shape.threads)
    carry = {"scoring": _scoring, "epoch": _epoch, "whole": _whole}[part]
    with tempfile.TemporaryDirectory() as folder:
        carry(arm, replace(QUICK, threads=shape.threads), Path(folder) / "warm-up")
        return carry(arm, shape, Path(folder) / "measured")


def _scoring(arm: str, shape: Shape, folder: Path) -> Sample:
    reference, _ = stages(shape)
    model = adapted(shape, reference)
    stir(model)
    rows, tokenizer = rows_of(shape)[shape.apart :], tokenizer_of(shape)
    batches = scored_batches(rows)
    clock = Clock()
    if arm == "ours":
        base, other = ModelView(model), ModelView(model, (NAME,))
        scores = score_tokens(rows, folder, Scorers(base, other, tokenizer))
        elapsed, losses = clock.read(), _losses(scores)
    else:
        losses = forwards(model, batches, whole=arm == "plain")
        elapsed = clock.read()
    return Sample("scoring", arm, {"scoring": elapsed}, losses)


def _losses(scores: Scores) -> tuple[float, float]:
    """−Σ log p of all tokens under base and reference."""
    base = sum(float(row.base_logp_N.sum(dtype="float64")) for row in scores)
    return -base, -sum(float(row.reference_logp_N.sum(dtype="float64")) for row in scores)


def _epoch(arm: str, shape: Shape, folder: Path) -> Sample:
    _, train = stages(shape)
    if arm == "sft":
        train = train.model_copy(update={"method": {"name": "sft"}, "select": None})
    rows = rows_of(shape)[shape.apart :]
    data = {"train": signed(rows) if arm == "forgetting" else rows}
    model = adapted(shape, train)
    clock = Clock()
    Trainer(model, train.objective(), data, train, folder=folder, pad_id=0, seed=SEED, hooks=NO_HOOKS).run()
    return Sample("epoch", arm, {"training": clock.read()}, history(StageFolder(folder)))


def _whole(arm: str, shape: Shape, folder: Path) -> Sample:
    rows, tokenizer = rows_of(shape), tokenizer_of(shape)
    apart, rows = rows[: shape.apart], rows[shape.apart :]
    if arm == "ours":
        return _ours(shape, apart, rows, tokenizer, folder)
    reference, train = stages(shape)
    first, last = step_batches(apart, reference), step_batches(signed(rows), train)
    between, fresh = scored_batches(rows), adapted(shape, train)
    model, times = adapted(shape, reference), []
    clock = Clock()
    losses = bare_epoch(model, first, reference)
    times.append(clock.read())
    clock = Clock()
    forwards(model, between, whole=False)
    times.append(clock.read())
    clock = Clock()
    losses += bare_epoch(fresh, last, train)
    times.append(clock.read())
    return Sample("whole", arm, dict(zip(STAGES, times, strict=True)), losses)


def _ours(
    shape: Shape,
    apart: Sequence[Encoded],
    rows: Sequence[Encoded],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
) -> Sample:
    """Trains the stages of a run; a run would also evaluate before and after them."""
    reference, train = stages(shape)
    model, run = llama(shape), RunFolder(folder / "run")

    def context(stage: Stage, data: dict[str, Sequence[Encoded]]) -> StageContext:
        return StageContext(
            stage=stage,
            tokenizer=tokenizer,
            data=data,
            folder=run.stage(stage.name),
            output=run.output,
            seed=SEED,
            voice=SILENT,
        )

    texts = [Example(id=row.key, response="", where=f"train.jsonl:{i + 1}") for i, row in enumerate(rows)]
    times = []
    clock = Clock()
    model = set_aside(context(reference, {"train": apart}), model)
    times.append(clock.read())
    clock = Clock()
    examples = StageData({"train": texts}, {"train": "train.jsonl"})
    learned = weighed(context(train, {"train": rows}), model, examples, Formatting(), run.stage(NAME).model)
    times.append(clock.read())
    clock = Clock()
    run_stage(context(train, {"train": learned}), model, NO_HOOKS)
    times.append(clock.read())
    return Sample(
        "whole",
        "ours",
        dict(zip(STAGES, times, strict=True)),
        history(run.stage(NAME)) + history(run.stage(train.name)),
    )


@torch.no_grad()
def forwards(model: PeftModel, batches: Sequence[Batch], *, whole: bool) -> tuple[float, float]:
    """−Σ log p of the supervised tokens under base and reference.

    Args:
        whole: logits of all positions, `[B, T, V]`.
    """
    sums = []
    for adapters in ((), (NAME,)):
        losses = []
        with adapters_active(model.eval(), adapters):
            for batch in batches:
                if whole:
                    ids_BT, mask_BT = batch.input_ids_BT, batch.attention_mask_BT
                    logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits
                    labels_N = torch.full((ids_BT.numel(),), -100)
                    labels_N[batch.sources_N] = batch.targets_N
                    losses.append(F.cross_entropy(logits_BTV.flatten(0, 1), labels_N, reduction="sum"))
                    del logits_BTV
                else:
                    losses.append(supervised_loss(model, batch).sum())
        sums.append(float(torch.stack(losses).double().sum()))
    return sums[0], sums[1]


def supervised_loss(model: nn.Module, batch: Batch) -> Tensor:
    """−log p of every supervised token, `[N]`; the head is applied to those alone."""
    inner = causal_model(model)
    body = inner.base_model(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT, use_cache=False)
    hidden_ND = body.last_hidden_state.flatten(0, 1)[batch.sources_N]
    return F.cross_entropy(inner.get_output_embeddings()(hidden_ND), batch.targets_N, reduction="none")


def bare_epoch(model: nn.Module, batches: Sequence[Batch], stage: Stage) -> tuple[float, ...]:
    """The stage's optimiser steps and nothing else: forward, backward, clipping, AdamW. The loss of each."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, betas=stage.betas, weight_decay=stage.weight_decay)
    assert stage.max_grad_norm is not None
    rise = stage.method.get("forget_weight", {"t_min": 0.0, "t_max": 0.0})
    model.train()
    found = []
    for step, batch in enumerate(batches):
        torch.manual_seed(SEED * 1_000_003 + step)  # the Trainer's, so that dropout is the same
        losses_N, good_N = supervised_loss(model, batch), batch.weights_N > 0
        loss = losses_N[good_N].mean()
        if not good_N.all():
            loss = loss - (rise["t_max"] - rise["t_min"]) * step / len(batches) * losses_N[~good_N].mean()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, stage.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, len(batches), stage)
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return tuple(found)


def history(folder: StageFolder) -> tuple[float, ...]:
    """The loss of every step."""
    return tuple(step.loss for step in folder.history() if step.loss is not None)
