"""Sampled answers: several from each question, at a temperature, from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.evaluator import Progress
from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.data.encode import Encoded, encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import padding_id
from forgetting.evaluation.endings import Ending
from forgetting.evaluation.records import record_of
from forgetting.evaluation.rows import room_after
from forgetting.metrics.statistics import seed_of
from forgetting.models.modes import in_evaluation_mode
from forgetting.models.randomness import seeded


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn: from softmax(logits / temperature)."""

    count: int
    """Answers to each question."""
    temperature: float = 1.0
    top_p: float = 1.0
    """Only the likeliest tokens whose probabilities sum up to it are drawn; 1: all."""
    seed: int = 0
    max_new_tokens: int | None = None
    """Of an answer; None: as long as the longest answer. Fewer where positions run out."""


@torch.no_grad()
def sample_answers(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    sampling: Sampling,
    *,
    split: str,
    formatting: Formatting,
    progress: Progress = lambda done, total, note: None,
) -> list[Record]:
    """Several answers to each example, drawn at random: as many records of the same id.

    The answers of one question are drawn together, from a seed of its own (sampling, split and id), so they do not
    depend on what else is asked. Penalties of the model's own generation settings count; its other ways of cutting the
    distribution do not. Records have no score. Mode and random state are left as they were.

    Raises:
        DataError: a question that leaves no room for an answer.
    """
    rows = [encode(example, tokenizer, formatting) for example in examples]
    limit = sampling.max_new_tokens or max((row.supervised for row in rows), default=1)
    device, ending = next(model.parameters()).device, Ending.of(model, tokenizer, formatting.stops(tokenizer))
    found: list[Record] = []
    with in_evaluation_mode(model):
        for number, (example, row) in enumerate(zip(examples, rows, strict=True), 1):
            config = _drawn(ending, padding_id(tokenizer), sampling, _room(model, example, row, limit))
            ids_1T = torch.tensor([row.prompt_ids], device=device)
            with seeded(seed_of(f"{sampling.seed}/{split}/{example.id}"), device):
                out_KT = model.generate(  # type: ignore[operator]
                    input_ids=ids_1T.repeat(sampling.count, 1),
                    attention_mask=torch.ones_like(ids_1T).repeat(sampling.count, 1),
                    generation_config=config,
                    stopping_criteria=ending.criteria(ids_1T.shape[1]),
                )
            answers = [ending.words(ids) for ids in out_KT[:, ids_1T.shape[1] :].tolist()]
            found += [record_of(example, split, tokenizer, generation=text) for text in answers]
            progress(number, len(examples), "sampled answers")
    return found


def _room(model: nn.Module, example: Example, row: Encoded, limit: int) -> int:
    room = room_after(model, row.prompt_ids, limit)
    if room < 1:
        raise DataError(
            f"{example.where or example.id}: its question fills all of the model's positions; shorten it or drop it"
        )
    return room


def _drawn(ending: Ending, pad_id: int, sampling: Sampling, room: int) -> GenerationConfig:
    """What is not written here, transformers takes from the model's own settings."""
    return GenerationConfig(
        do_sample=True,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=0,
        min_p=0.0,
        typical_p=1.0,
        epsilon_cutoff=0.0,
        eta_cutoff=0.0,
        num_beams=1,
        num_return_sequences=1,
        max_new_tokens=room,
        pad_token_id=pad_id,
        eos_token_id=list(ending.ids) or None,
    )
