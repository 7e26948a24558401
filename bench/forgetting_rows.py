"""What the benchmark of Forgetting SFT trains and scores: the paper's stages, a random model, rows and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from peft import PeftModel
from tokenizers import Tokenizer, models
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from bench import step_arms
from forgetting.core.batch import Batch
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded
from forgetting.data.plan import StepPlan
from forgetting.models.adapters import attach
from forgetting.recipe import Stage, load_recipe
from forgetting.token_selection.scoring import _by_length
from forgetting.training.micro_batches import MICRO_BATCH_TOKENS

NAME = "reference"
"""Of the adapter."""
SEED = 0
NEGATIVE = 0.3
"""Share of the supervised tokens that is forgotten where no scores tell which."""


@dataclass(frozen=True)
class Shape:
    """Rows and model: Llama's, untied, in fp32."""

    rows: int = 168
    """In all; a sixth is set apart for the reference, as 10,000 of the paper's 60,000."""
    shortest: int = 64
    longest: int = 192
    supervised: float = 0.6
    """Share of a row's tokens, at its end."""
    batch: int = 24
    hidden: int = 256
    layers: int = 4
    vocabulary: int = 8_192
    threads: int = 1

    @property
    def apart(self) -> int:
        """Rows of the reference part."""
        return self.rows // 6

    def __str__(self) -> str:
        return (
            f"Llama, hidden {self.hidden}, {self.layers} layers, vocabulary {self.vocabulary:,}, fp32; {self.apart} + "
            f"{self.rows - self.apart} rows of {self.shortest}-{self.longest} tokens, {self.supervised:.0%} "
            f"supervised; {self.threads} thread{'s' if self.threads > 1 else ''}"
        )


QUICK = Shape(rows=36, shortest=8, longest=16, batch=8, hidden=32, layers=1, vocabulary=97)


def stages(shape: Shape) -> tuple[Stage, Stage]:
    """The recipe `forgetting-sft`'s, with the paper's settings: reference and train."""
    reference, train = (
        stage.model_copy(update={"batch_size": shape.batch})
        for stage in load_recipe("forgetting-sft", ["model=random"]).stages
    )
    return reference, train


def llama(shape: Shape) -> PreTrainedModel:
    """A random Llama."""
    torch.manual_seed(SEED)
    sizes = step_arms.Shape(vocabulary=shape.vocabulary, hidden=shape.hidden, layers=shape.layers, length=shape.longest)
    return step_arms.llama(sizes).eval()


def adapted(shape: Shape, stage: Stage) -> PeftModel:
    """The same with the stage's adapter, as `run_stage` begins."""
    return attach(llama(shape), stage.adapter_or_full.spec, name=NAME, seed=SEED)


def stir(model: PeftModel) -> None:
    """Makes the adapter change the model: it starts as no change."""
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.05)


def rows_of(shape: Shape) -> list[Encoded]:
    """Random rows, answer last."""
    random = torch.Generator().manual_seed(1)
    rows = []
    for i in range(shape.rows):
        length = int(torch.randint(shape.shortest, shape.longest + 1, (1,), generator=random))
        answer = round(shape.supervised * length)
        ids = torch.randint(2, shape.vocabulary, (length,), generator=random).tolist()
        rows.append(Encoded(f"row-{i}", tuple(ids), (0.0,) * (length - answer) + (1.0,) * answer))
    return rows


def signed(rows: Sequence[Encoded]) -> list[Encoded]:
    """The rows with a share of `NEGATIVE` of their supervised tokens to be forgotten, drawn at random."""
    random = torch.Generator().manual_seed(2)
    drawn = [torch.rand(len(row.ids), generator=random).tolist() for row in rows]
    return [
        replace(row, weights=tuple(-w if d < NEGATIVE else w for w, d in zip(row.weights, own, strict=True)))
        for row, own in zip(rows, drawn, strict=True)
    ]


def tokenizer_of(shape: Shape) -> PreTrainedTokenizerFast:
    """A word for every id."""
    words = {"<pad>": 0, "</s>": 1} | {f"w{i}": i for i in range(2, shape.vocabulary)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<pad>")), pad_token="<pad>", eos_token="</s>"
    )


def scored_batches(rows: Sequence[Encoded]) -> list[Batch]:
    """The batches that `score_tokens` makes of one window."""
    groups = _by_length(rows, MICRO_BATCH_TOKENS)
    return [collate({"scored": [(i, rows[i]) for i in group]}, pad_id=0) for group in groups]


def step_batches(rows: Sequence[Encoded], stage: Stage) -> list[Batch]:
    """The batches of the stage's epoch, one a step."""
    plan = StepPlan({"train": len(rows)}, stage.batch_size, SEED)
    picks = [plan.at(step)["train"] for step in range(plan.steps_per_epoch)]
    return [collate({"train": [(i, rows[i]) for i in members]}, pad_id=0) for members in picks]
