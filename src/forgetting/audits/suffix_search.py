"""Searches a suffix to a question behind which the right answer is likelier: greedy coordinate gradient.

Zou et al. 2023, https://arxiv.org/abs/2307.15043, algorithm 1. The gradient of the answer's loss with respect to every
suffix token says which other tokens may lower it; some of these exchanges are tried, and the best one is made.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import ModelError
from forgetting.core.example import Example
from forgetting.data.encode import Encoded, encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.rows import BATCH_TOKENS, columns_of
from forgetting.models.head import causal_model, head_of, supervised_hidden
from forgetting.models.modes import in_evaluation_mode
from forgetting.objectives.statistics import LOGP

_CHUNK = 8_192
"""Tokens of the vocabulary whose embeddings are in memory at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How a suffix is searched."""

    steps: int
    length: int
    """Tokens of the suffix at the start; what they are as text may be one more or less."""
    width: int
    """Exchanges that are tried at each step."""
    top: int
    """Tokens that may be drawn for a place: the first so many by the gradient."""


def usable_tokens(tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """The ids `[U]` of tokens that a person could type: printable ASCII, neither blank nor special.

    Raises:
        ModelError: there are fewer than two.
    """
    special = set(tokenizer.all_special_ids)
    ids = [id for id in range(len(tokenizer)) if id not in special and _typed(tokenizer.decode([id]))]
    if len(ids) < 2:
        raise ModelError("the model's tokenizer has no tokens that a suffix could be typed of; leave this attack out")
    return torch.tensor(ids)


def with_suffix(example: Example, suffix: str) -> Example:
    """The question with the suffix behind it."""
    return replace(example, prompt=f"{example.prompt} {suffix}")


def search_suffix(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    example: Example,
    search: Search,
    usable_U: Tensor,
    *,
    formatting: Formatting,
    seed: int,
    step: Callable[[], object] = lambda: None,
) -> tuple[str, float]:
    """The suffix with the lowest loss of the right answer, and that loss: mean over the answer's tokens, nats.

    Only suffixes count that are the same tokens when their text is read again. The model is in evaluation mode
    meanwhile, and no global random number is drawn.

    Args:
        model: whose weights stay as they are.
        tokenizer: its own.
        example: with a prompt.
        search: how.
        usable_U: see `usable_tokens`.
        formatting: of the question.
        seed: of the first suffix and of the exchanges that are tried.
        step: called after each step.

    Raises:
        ModelError: the first suffix leaves no trace in the tokens.
        DataError: an example without a supervised token; its row is named.
    """
    rng = random.Random(f"{seed}/{example.id}/suffix")

    def read(suffix: str) -> Encoded:
        return encode(with_suffix(example, suffix), tokenizer, formatting)

    suffix = tokenizer.decode(rng.choices(usable_U.tolist(), k=search.length)).strip()
    row = read(suffix)
    first, stop = _inserted(encode(example, tokenizer, formatting).ids, row.ids)
    if first == stop:
        raise ModelError("a suffix to the question does not reach the model; leave this attack out")
    # Of the text between, some may belong to the question's own last token.
    before, after = _around(tokenizer.decode(row.ids[first:stop]), suffix)

    def said(row: Encoded) -> str:
        text = tokenizer.decode(row.ids[first:stop])
        return text[len(before) : len(text) - len(after)].strip()

    best, least = suffix, float(_losses(model, [row])[0])
    with in_evaluation_mode(model):
        for _ in range(search.steps):
            scores_LV = _scores(model, row, first, stop)
            tried = list(_exchanges(row, first, scores_LV, usable_U.to(scores_LV.device), search, rng))
            losses = _losses(model, tried)
            for n in losses.argsort(stable=True).tolist():
                text = said(tried[n])
                if read(text).ids == tried[n].ids:
                    row = tried[n]
                    if float(losses[n]) < least:
                        best, least = text, float(losses[n])
                    break
            step()
    return best, least


def _exchanges(
    row: Encoded, first: int, scores_LV: Tensor, usable_U: Tensor, search: Search, rng: random.Random
) -> Iterator[Encoded]:
    """The row with one token of the suffix exchanged, in several ways; each once."""
    top_LK = scores_LV[:, usable_U].topk(min(search.top, len(usable_U)), dim=1).indices
    choices = [usable_U[top_K].tolist() for top_K in top_LK]
    drawn = ((rng.randrange(len(choices)), rng.random()) for _ in range(search.width))
    for place, token in dict.fromkeys((p, choices[p][int(r * len(choices[p]))]) for p, r in drawn):
        at = first + place
        yield replace(row, ids=(*row.ids[:at], token, *row.ids[at + 1 :]))


def _scores(model: nn.Module, row: Encoded, first: int, stop: int) -> Tensor:
    """How much the loss falls, to first order, with each token in each place of the suffix, `[L, V]` up to a constant.

    The embeddings of the row are made the leaf of the graph by a hook, whatever a model does with them before.
    """
    embedding, device = causal_model(model).get_input_embeddings(), next(model.parameters()).device
    ids_1T = torch.tensor([row.ids], device=device)
    leaves: list[Tensor] = []

    def leaf(module: nn.Module, args: object, output: Tensor) -> Tensor:
        leaves.append(output.detach().requires_grad_())
        return leaves[-1]

    handle = embedding.register_forward_hook(leaf)
    try:
        with torch.enable_grad():
            logits_TV = model(input_ids=ids_1T, attention_mask=torch.ones_like(ids_1T), use_cache=False).logits[0]
            places = torch.tensor([i for i, w in enumerate(row.weights) if w], device=device)
            logp_NV = logits_TV[places - 1].float().log_softmax(-1)
            loss = -logp_NV.gather(1, ids_1T[0, places][:, None]).mean()
            (gradient_1TD,) = torch.autograd.grad(loss, leaves[0])
    finally:
        handle.remove()
    gradient_LD = gradient_1TD[0, first:stop]
    with torch.no_grad():
        every_V = torch.arange(embedding.num_embeddings, device=device)
        return torch.cat([-(gradient_LD @ embedding(some).T).float() for some in every_V.split(_CHUNK)], dim=1)


@torch.no_grad()
def _losses(model: nn.Module, rows: Sequence[Encoded]) -> Tensor:
    """The mean loss of the answer's tokens of rows of one length, `[W]`, nats, on the processor."""
    head, device, length = head_of(model), next(model.parameters()).device, len(rows[0].ids)
    places = torch.tensor([i for i, w in enumerate(rows[0].weights) if w], device=device)
    found = []
    with in_evaluation_mode(model):
        for ids_WT in torch.tensor([row.ids for row in rows], device=device).split(max(1, BATCH_TOKENS // length)):
            starts_W1 = torch.arange(len(ids_WT), device=device)[:, None] * length
            sources_N = (starts_W1 + places - 1).flatten()
            hidden_ND = supervised_hidden(model, head, ids_WT, torch.ones_like(ids_WT), sources_N)
            logp_N = columns_of(hidden_ND, head, ids_WT[:, places].flatten(), (LOGP,))[LOGP.name]
            found.append(-logp_N.view(len(ids_WT), -1).mean(1))
    return torch.cat(found)


def _inserted(short: Sequence[int], long: Sequence[int]) -> tuple[int, int]:
    """Where the longer of two rows has tokens that the shorter one lacks."""
    most = min(len(short), len(long))
    first = next((i for i in range(most) if short[i] != long[i]), most)
    same = next((i for i in range(most - first) if short[-1 - i] != long[-1 - i]), most - first)
    return first, len(long) - same


def _around(text: str, suffix: str) -> tuple[str, str]:
    """What stands before the suffix in a text, and behind it."""
    before, _, after = text.partition(suffix)
    return before, after


def _typed(text: str) -> bool:
    return text.isascii() and text.isprintable() and bool(text.strip())
