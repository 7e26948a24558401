"""A model and examples → records: likelihoods, ranks and greedy answers, in one pass over the examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerBase

from forgetting.core.evaluator import Progress
from forgetting.core.example import Example
from forgetting.core.record import Record, Score
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded, Formatting, encode
from forgetting.models.head import causal_model, head_of, longest_row, supervised_hidden
from forgetting.models.vocabulary import statistics
from forgetting.objectives.statistics import LOGP, RANK, RUNNER_UP

BATCH_TOKENS = 8_192
"""Padded tokens of one forward."""


@torch.no_grad()
def answer(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    split: str,
    formatting: Formatting,
    generate: bool = True,
    max_new_tokens: int | None = 64,
    progress: Progress = lambda done, total, note: None,
) -> list[Record]:
    """What the model does on each example.

    The score is that of the example's own prompt and response; the paraphrase and the perturbed answers are scored
    after the paraphrased prompt where there is one. The end-of-answer token counts as part of an answer. Greedy answers
    are decoded without special tokens, at most `max_new_tokens` long (None: as long as the longest answer here); one
    that has no room left within the model's positions is missing. The model is left in the mode it was in; no random
    number is drawn.

    Raises:
        DataError: an example without a supervised token; its row is named.
    """
    pad_id = padding_id(tokenizer)
    own = [encode(e, tokenizer, formatting) for e in examples]
    others = [[encode(v, tokenizer, formatting) for v in variants(e)] for e in examples]
    bounds = list(accumulate((len(o) for o in others), initial=len(own)))
    was_training = model.training
    model.eval()
    try:
        scores = _scores(model, [*own, *(v for o in others for v in o)], pad_id, progress)
        texts: Sequence[str | None] = [None] * len(own)
        if generate:
            length = max_new_tokens or max((e.supervised for e in own), default=1)
            texts = _greedy(model, tokenizer, [e.prompt_ids for e in own], length, pad_id, progress)
    finally:
        model.train(was_training)
    return [
        Record(
            id=example.id,
            split=split,
            prompt=example.prompt,
            answer=example.response,
            generation=text,
            score=scores[index],
            paraphrase=_without_ranks(scores[start]) if stop > start else None,
            perturbed=tuple(_without_ranks(s) for s in scores[start + 1 : stop]),
            popularity=example.popularity,
            group=example.group,
            kind=example.kind,
        )
        for index, (example, text, (start, stop)) in enumerate(zip(examples, texts, pairwise(bounds), strict=True))
    ]


def variants(example: Example) -> list[Example]:
    """The paraphrase, then the perturbed answers, as examples; nothing where the example has no perturbed answers."""
    if not example.perturbed:
        return []
    prompt = example.paraphrased_prompt or example.prompt
    answers = [example.paraphrased or example.response, *example.perturbed]
    return [replace(example, prompt=prompt, response=a) for a in answers]


def padding_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """An id to fill rows with; which one does not matter, for padding is known by length."""
    return next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)


def _without_ranks(score: Score) -> Score:
    return replace(score, ranks=())


def _by_length(lengths: Sequence[int], extra: int = 0) -> Iterator[list[int]]:
    """Indices in batches of similar length, longest first, each within `BATCH_TOKENS`."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    begin = 0
    while begin < len(order):
        count = max(1, BATCH_TOKENS // (lengths[order[begin]] + extra))
        yield order[begin : begin + count]
        begin += count


def _scores(model: nn.Module, encoded: Sequence[Encoded], pad_id: int, progress: Progress) -> list[Score]:
    device = next(model.parameters()).device
    head = head_of(model)
    found: dict[int, Score] = {}
    for members in _by_length([len(e.ids) for e in encoded]):
        batch = collate({"": [(i, encoded[i]) for i in members]}, pad_id=pad_id).to(device)
        hidden_ND = supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
        stats = statistics(hidden_ND, head, batch.targets_N, (LOGP, RUNNER_UP, RANK))
        columns = {name: values.double().cpu() for name, values in stats.items()}
        bounds = accumulate((encoded[i].supervised for i in members), initial=0)
        for index, (start, stop) in zip(members, pairwise(bounds), strict=True):
            found[index] = Score(
                logp=float(columns["logp"][start:stop].sum()),
                tokens=stop - start,
                ranks=tuple(int(r) for r in columns["rank"][start:stop]),
                runner_up=float(columns["runner_up"][start:stop].sum()),
            )
        progress(len(found), len(encoded), "likelihoods")
    return [found[i] for i in range(len(encoded))]


def _greedy(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[tuple[int, ...]],
    max_new_tokens: int,
    pad_id: int,
    progress: Progress,
) -> list[str | None]:
    device = next(model.parameters()).device
    ends = _ends(model, tokenizer)
    positions = longest_row(model)
    texts: dict[int, str | None] = {}
    for members in _by_length([len(p) for p in prompts], extra=max_new_tokens):
        longest = max(len(prompts[i]) for i in members)
        room = max_new_tokens if positions is None else min(max_new_tokens, positions - longest)
        if room < 1:
            texts |= dict.fromkeys(members)
            continue
        config = GenerationConfig(do_sample=False, max_new_tokens=room, pad_token_id=pad_id, eos_token_id=ends)
        ids = torch.tensor([[pad_id] * (longest - len(prompts[i])) + list(prompts[i]) for i in members], device=device)
        mask = torch.tensor([[0] * (longest - len(prompts[i])) + [1] * len(prompts[i]) for i in members], device=device)
        output = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)  # type: ignore[operator]
        for i, text in zip(members, tokenizer.batch_decode(output[:, longest:], skip_special_tokens=True), strict=True):
            texts[i] = text.strip()
        progress(len(texts), len(prompts), "answers")
    return [texts[i] for i in range(len(prompts))]


def _ends(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> list[int] | None:
    """Every token that ends an answer: the tokenizer's and those of the model's own generation settings."""
    own = getattr(causal_model(model).generation_config, "eos_token_id", None)
    ids = {tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])} - {None}
    return sorted(ids) or None
