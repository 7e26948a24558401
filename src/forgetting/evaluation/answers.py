"""A model and examples → records: likelihoods, ranks and greedy answers, in one pass over the examples.

Each question is run once, together with its own answer. Its other answers are scored after its cached keys and values.
The greedy answer is decoded from the first token at which it differs from the example's own answer; up to there the
ranks already show it. If a model's cache cannot be shared, every answer is a row of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, chain, pairwise, takewhile

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase
from transformers.cache_utils import Cache, DynamicCache

from forgetting.core.example import Example
from forgetting.core.processes import count, own_share, united
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record, Score
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded, encode
from forgetting.data.formatting import Formatting
from forgetting.data.tokens import is_known
from forgetting.evaluation.cache import GREEDY, Row, behind, decode, shares_cache, states
from forgetting.evaluation.endings import Ending
from forgetting.evaluation.outlook import Outlook
from forgetting.evaluation.records import record_of
from forgetting.evaluation.rows import (
    BATCH_TOKENS,
    ENOUGH_TOKENS,
    Asked,
    Ids,
    by_length,
    columns_of,
    each_scored,
    each_written,
    room_after,
    scores_of,
)
from forgetting.models.head import Head, causal_model, head_of
from forgetting.models.modes import in_evaluation_mode
from forgetting.objectives.statistics import LOGP, RANK, RUNNER_UP, Statistic

_GREEDY_CHANGED_BY: Mapping[str, object] = {
    "bad_words_ids": None,
    "begin_suppress_tokens": None,
    "constraints": None,
    "encoder_repetition_penalty": 1.0,
    "exponential_decay_length_penalty": None,
    "force_words_ids": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "guidance_scale": 1.0,
    "max_time": None,
    "min_length": 0,
    "min_new_tokens": 0,
    "no_repeat_ngram_size": 0,
    "num_beams": 1,
    "penalty_alpha": None,
    "remove_invalid_values": False,
    "repetition_penalty": 1.0,
    "sequence_bias": None,
    "stop_strings": None,
    "suppress_tokens": None,
    "watermarking_config": None,
}
"""Generation settings under which a model's greedy answer is not its most likely token each time, and what leaves it
alone."""


@torch.no_grad()
def answer(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    split: str,
    formatting: Formatting,
    max_new_tokens: int | None = 64,
    written: Collection[str] | None = None,
    voice: Voice = SILENT,
) -> list[Record]:
    """Evaluates a model on examples: one record each.

    The score is that of the example's own prompt and response; the paraphrase and the perturbed answers are scored
    after the paraphrased prompt, if there is one. The end-of-answer token counts as part of an answer. Greedy answers
    are decoded without special tokens; an answer is missing if its question fills all of the model's positions, and
    that of a document, which asks nothing. They end at the first of the format's stops. The model's mode and the random
    state stay as they are. Several processes divide the batches of one process among them, so no bit depends on their
    number; all of them return all records.

    Args:
        max_new_tokens: of a greedy answer; None: as many as the longest answer here has; 0: no answers are generated.
        written: ids of the examples that a greedy answer is wanted of; None: all.
        voice: receives progress, and what the answers will take if that is long.

    Raises:
        DataError: an example without a supervised token; its row is named.
    """
    asked = Asked.of(
        [[encode(e, tokenizer, formatting) for e in (example, *variants(example))] for example in examples]
    )
    rows = [asked.rows[own] for own, *_ in asked.places]
    longest = max((row.supervised for e, row in zip(examples, rows, strict=True) if not e.is_document), default=1)
    limit = longest if max_new_tokens is None else max_new_tokens
    wanted = [not e.is_document and (written is None or e.id in written) for e in examples]
    prompts = [row.prompt_ids for row, asks in zip(rows, wanted, strict=True) if asks]
    room = {p: tokens for p in prompts if (tokens := room_after(model, p, limit)) > 0}
    ending = Ending.of(model, tokenizer, formatting.stops(tokenizer))
    with in_evaluation_mode(model):
        scores, tokens_of = _results(model, padding_id(tokenizer), ending, asked, room, voice, split)
    texts = {p: ending.words(ids) for p, ids in tokens_of.items()}
    return [
        record_of(
            example,
            split,
            tokenizer,
            generation=texts.get(asked.rows[own].prompt_ids) if asks else None,
            score=scores[own],
            paraphrase=_without_ranks(scores[others[0]]) if others else None,
            perturbed=tuple(_without_ranks(scores[i]) for i in others[1:]),
        )
        for example, (own, *others), asks in zip(examples, asked.places, wanted, strict=True)
    ]


def variants(example: Example) -> list[Example]:
    """The paraphrase, then the perturbed answers, as examples; nothing where the example has no perturbed answers.

    Each knows the example's own question as another form of its own, so that no shot tells it.
    """
    if not example.perturbed:
        return []
    prompt = example.paraphrased_prompt or example.prompt
    answers = [example.paraphrased or example.response, *example.perturbed]
    return [replace(example, prompt=prompt, paraphrased_prompt=example.prompt, response=a) for a in answers]


def padding_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """An id to fill rows with; which one does not matter, for padding is known by length."""
    usable = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((i for i in usable if i is not None and is_known(i, tokenizer)), 0)


def _without_ranks(score: Score) -> Score:
    return replace(score, ranks=())


def _results(
    model: nn.Module,
    pad_id: int,
    ending: Ending,
    asked: Asked,
    room: Mapping[Ids, int],
    voice: Voice,
    split: str,
) -> tuple[dict[int, Score], dict[Ids, Ids]]:
    """The score of each row, and the greedy tokens after each prompt, as many as it has room for."""
    longest = max((len(e.ids) for e in asked.rows), default=0)
    shares = shares_cache(model, max([longest, *(len(p) + tokens for p, tokens in room.items())]))
    goes_on = shares and not greedy_is_changed(model)
    questions = {
        p: some for p, some in asked.questions().items() if shares and (len(some) > 1 or (goes_on and p in room))
    }
    together = {i for some in questions.values() for i in some}
    scores: dict[int, Score] = {}
    written: dict[Ids, Ids] = {}
    alone = each_scored(model, asked, [i for i in range(len(asked.rows)) if i not in together], pad_id)
    shared = _shared(model, asked, questions, room if goes_on else {}, pad_id, ending, written)
    outlook, what = Outlook(voice.say), f"{split}: {len(asked.rows):,} answers scored, {len(room):,} written"
    for found in chain(shared, alone):
        scores |= found
        outlook.note(len(found) * count(), len(asked.rows), what)
        voice.progress(min(len(scores) * count(), len(asked.rows)), len(asked.rows), "likelihoods")
    written = written if goes_on else each_written(model, room, pad_id, ending, padded=shares)
    return united(scores), united(written)


def greedy_is_changed(model: nn.Module) -> bool:
    """Whether its generation settings make a greedy answer differ from the likeliest token at every step."""
    settings = causal_model(model).generation_config
    return any(getattr(settings, name, None) not in (None, plain) for name, plain in _GREEDY_CHANGED_BY.items())


def _shared(
    model: nn.Module,
    asked: Asked,
    questions: Mapping[Ids, Sequence[int]],
    room: Mapping[Ids, int],
    pad_id: int,
    ending: Ending,
    written: dict[Ids, Ids],
) -> Iterator[dict[int, Score]]:
    """The scores of the rows, batch by batch of questions; what is written is put into `written`."""
    head, every = head_of(model), list(questions)
    widths = [max(len(asked.rows[questions[p][0]].ids), len(p) + room.get(p, 0)) for p in every]
    for members in own_share(by_length(widths, BATCH_TOKENS)):
        batch = {every[m]: questions[every[m]] for m in members}
        scores, tokens = _batch(model, head, asked, batch, room, pad_id, ending)
        written |= tokens
        yield scores


def _batch(
    model: nn.Module,
    head: Head,
    asked: Asked,
    questions: Mapping[Ids, Sequence[int]],
    room: Mapping[Ids, int],
    pad_id: int,
    ending: Ending,
) -> tuple[dict[int, Score], dict[Ids, Ids]]:
    """One batch of questions: first rows, the other rows behind their prompts, and what is written."""
    prompts, firsts = list(questions), [some[0] for some in questions.values()]
    text = DynamicCache()
    rows = [asked.rows[i] for i in firsts]
    columns, last_BD = _firsts(model, head, text, rows, pad_id)
    scores = dict(zip(firsts, scores_of(columns, rows), strict=True))
    others: dict[int, list[tuple[int, int]]] = {}
    for at, (prompt, some) in enumerate(questions.items()):
        others.setdefault(len(prompt), []).extend((at, i) for i in some[1:])
    for length, pairs in others.items():
        for members in by_length([len(asked.rows[i].ids) for _, i in pairs], BATCH_TOKENS, ENOUGH_TOKENS):
            ats, some = zip(*(pairs[m] for m in members), strict=True)
            wanted = (LOGP, RUNNER_UP, RANK) if asked.owned & {*some} else (LOGP, RUNNER_UP)
            rest = [_from(asked.rows[i], length - 1) for i in some]
            cache = behind(text, ats, length, max(len(e.ids) for e in rest) - 2)
            found = _others(model, head, cache, last_BD[list(ats)], rest, wanted, pad_id)
            scores |= dict(zip(some, scores_of(found, rest), strict=True))
    bounds = pairwise(accumulate((e.supervised for e in rows), initial=0))
    greedy = [[int(t) for t in columns["greedy"][start:stop]] for start, stop in bounds]
    begun = [
        _begun(at, row, greedy[at], room[p], ending)
        for at, (p, row) in enumerate(zip(prompts, rows, strict=True))
        if p in room
    ]
    written = {
        prompts[row.source]: (*rows[row.source].ids[len(prompts[row.source]) : row.start], *tokens)
        for row, tokens in decode(model, head, text, begun, ended=ending.ended)
    }
    return scores, written


def _firsts(
    model: nn.Module, head: Head, text: DynamicCache, rows: Sequence[Encoded], pad_id: int
) -> tuple[dict[str, Tensor], Tensor]:
    """Statistics of whole rows, whose keys and values fill `text`; and what the head sees at each prompt's end."""
    batch = collate({"": list(enumerate(rows))}, pad_id=pad_id).to(next(model.parameters()).device)
    states_BTD = states(model, head, batch.input_ids_BT[:, :-1], text)  # nothing follows a last token
    hidden_ND = _at(states_BTD, batch.sources_N, batch.input_ids_BT.shape[1])
    columns = columns_of(hidden_ND, head, batch.targets_N, (LOGP, RUNNER_UP, RANK, GREEDY))
    return columns, states_BTD[range(len(rows)), [len(e.prompt_ids) - 1 for e in rows]]


def _from(row: Encoded, begin: int) -> Encoded:
    return replace(row, ids=row.ids[begin:], weights=row.weights[begin:])


def _others(
    model: nn.Module,
    head: Head,
    cache: Cache,
    last_RD: Tensor,
    rest: Sequence[Encoded],
    wanted: tuple[Statistic, ...],
    pad_id: int,
) -> dict[str, Tensor]:
    """Statistics of answers behind their prompts; `rest` begins with the prompts' last tokens, already run."""
    batch = collate({"": list(enumerate(rest))}, pad_id=pad_id).to(last_RD.device)
    states_RTD = last_RD[:, None]
    if batch.input_ids_BT.shape[1] > 2:  # more than that token and one to be predicted
        states_RTD = torch.cat([states_RTD, states(model, head, batch.input_ids_BT[:, 1:-1], cache)], 1)
    hidden_ND = _at(states_RTD, batch.sources_N, batch.input_ids_BT.shape[1])
    return columns_of(hidden_ND, head, batch.targets_N, wanted)


def _at(states_BTD: Tensor, sources_N: Tensor, width: int) -> Tensor:
    return states_BTD[sources_N // width, sources_N % width]


def _begun(at: int, row: Encoded, greedy: Sequence[int], room: int, ending: Ending) -> Row:
    """Where the model's own answer leaves the row's, ends, or has no more room."""
    length = len(row.prompt_ids)
    scored = sum(1 for _ in takewhile(bool, row.weights[length:]))
    pairs = zip(greedy, row.ids[length : length + scored], strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1] and pair[1] not in ending.ids, pairs))
    same = min(same, scored - 1, room - 1)
    return Row(at, length + same, greedy[same], length + room)
