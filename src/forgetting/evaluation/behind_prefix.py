"""Greedy answers to many questions that begin alike, such as behind the same shots: what they share is run once.

For three shots before a short question that is most of the work. Nothing but the answer is computed; records with
likelihoods are made by `evaluation.answers`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase
from transformers.cache_utils import DynamicCache

from forgetting.core.example import Example
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import greedy_is_changed, padding_id
from forgetting.evaluation.cache import GREEDY, Row, behind, decode, shares_cache, states
from forgetting.evaluation.endings import Ending
from forgetting.evaluation.rows import Ids, each_written, room_after
from forgetting.models.head import Head, head_of
from forgetting.models.modes import in_evaluation_mode
from forgetting.models.vocabulary import statistics

_BATCH = 64
"""Questions that are answered together."""


@torch.no_grad()
def written_answers(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    formatting: Formatting,
    max_new_tokens: int,
) -> Iterator[dict[int, str]]:
    """The greedy answer to each example by its number, batch by batch; those of one length of question go together.

    They are those that `evaluation.answers.answer` gives. A question that fills all of the model's positions has none.

    Raises:
        DataError: an example without a supervised token.
    """
    prompts = [encode(example, tokenizer, formatting).prompt_ids for example in examples]
    numbers: defaultdict[Ids, list[int]] = defaultdict(list)
    for number, prompt in enumerate(prompts):
        numbers[prompt].append(number)
    room = {p: tokens for p in numbers if (tokens := room_after(model, p, max_new_tokens)) > 0}
    ending = Ending.of(model, tokenizer, formatting.stops(tokenizer))
    longest = max((len(p) + tokens for p, tokens in room.items()), default=0)
    with in_evaluation_mode(model):
        if not shares_cache(model, longest) or greedy_is_changed(model):
            found = _alone(model, room, padding_id(tokenizer), ending)
        else:
            found = _behind(model, room, ending)
        for written in found:
            yield {n: ending.words(ids) for prompt, ids in written.items() for n in numbers[prompt]}


def _alone(model: nn.Module, room: Mapping[Ids, int], pad_id: int, ending: Ending) -> Iterator[dict[Ids, Ids]]:
    """What is written after each prompt, each run whole."""
    prompts = sorted(room, key=len)
    for begin in range(0, len(prompts), _BATCH):
        some = {p: room[p] for p in prompts[begin : begin + _BATCH]}
        yield each_written(model, some, pad_id, ending, padded=False)


def _behind(model: nn.Module, room: Mapping[Ids, int], ending: Ending) -> Iterator[dict[Ids, Ids]]:
    """What is written after each prompt, whose common beginning is run once."""
    head, device = head_of(model), next(model.parameters()).device
    columns = zip(*(p[:-1] for p in room), strict=False)  # a prompt's last token is run with the prompt
    shared = sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, columns)) if len(room) > 1 else 0
    prefix = DynamicCache()
    if shared:
        states(model, head, torch.tensor([next(iter(room))[:shared]], device=device), prefix)
    alike: defaultdict[tuple[int, int], list[Ids]] = defaultdict(list)
    for prompt, tokens in room.items():
        alike[len(prompt), tokens].append(prompt)
    for (length, tokens), prompts in sorted(alike.items()):
        for begin in range(0, len(prompts), _BATCH):
            yield _batch(model, head, prefix, shared, prompts[begin : begin + _BATCH], length, tokens, ending)


def _batch(
    model: nn.Module,
    head: Head,
    prefix: DynamicCache,
    shared: int,
    prompts: Sequence[Ids],
    length: int,
    tokens: int,
    ending: Ending,
) -> dict[Ids, Ids]:
    rest_BT = torch.tensor([p[shared:] for p in prompts], device=next(model.parameters()).device)
    cache = behind(prefix, [0] * len(prompts), shared, length - shared) if shared else DynamicCache()
    last_BD = states(model, head, rest_BT, cache)[:, -1]
    first_B = statistics(last_BD, head, rest_BT[:, -1], (GREEDY,))["greedy"].long().tolist()
    rows = [Row(at, length, token, length + tokens) for at, token in enumerate(first_B)]
    return {prompts[row.source]: ids for row, ids in decode(model, head, cache, rows, ended=ending.ended)}
