"""The two ways to evaluate, and the process that measures both on the same questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from torch import Tensor
from torch.nn import functional as F
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from bench.process import Clock, Elapsed
from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.data.encode import Encoded, encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer, variants
from forgetting.evaluation.rows import BATCH_TOKENS, by_length

KINDS = ("unknown", "known")
FORMATTING = Formatting(plain="{prompt} ")


@dataclass(frozen=True)
class Shape:
    """Questions and model: Llama's, untied, in fp32, about 23 M parameters."""

    questions: int = 100
    prompt: tuple[int, int] = (14, 26)
    """Tokens, from and to."""
    answer: tuple[int, int] = (30, 50)
    perturbed: int = 5
    new_tokens: int = 64
    hidden: int = 256
    layers: int = 8
    vocabulary: int = 32_000
    threads: int = 1
    device: str = "cpu"
    dtype: str = "float32"

    def __str__(self) -> str:
        return (
            f"{self.questions} questions, each with 1 + 1 + {self.perturbed} answers and up to {self.new_tokens} new "
            f"tokens; hidden {self.hidden}, {self.layers} layers, vocabulary {self.vocabulary:,}; "
            f"{self.threads} threads, {self.device}, {self.dtype}"
        )


QUICK = Shape(questions=6, prompt=(3, 6), answer=(4, 8), perturbed=2, new_tokens=6, hidden=32, layers=2, vocabulary=97)


@dataclass(frozen=True)
class Sample:
    """Both procedures once, one after the other; times in seconds, as wall and processor time."""

    kind: str
    scored: tuple[float, float]
    """Ours without generation."""
    ours: tuple[float, float]
    passes: dict[str, tuple[float, float]]
    """By part: probability, paraphrase, perturbed, generation, truth ratio."""
    error: float
    """Largest relative difference of a sum of log p."""
    equal: float
    """Share of greedy answers that are the same: rounding in fp32 may turn a near tie."""
    waiting: float

    def ratio(self, which: int, parts: Sequence[str], ours: tuple[float, float]) -> float:
        """These parts' time over ours; `which`: 0 wall, 1 processor."""
        return sum(self.passes[p][which] for p in parts) / ours[which]


SCORED = ("probability", "paraphrase", "perturbed")
ALL = (*SCORED, "generation")


def measure(kind: str, shape: Shape) -> Sample:
    """One run of both."""
    torch.set_num_threads(shape.threads)
    model, tokenizer = _model(shape), _tokenizer(shape)
    examples = _examples(model, kind, shape)
    own, *others = zip(*([encode(e, tokenizer, FORMATTING) for e in (x, *variants(x))] for x in examples), strict=True)
    prompts = [e.prompt_ids for e in own]
    _ours(model, tokenizer, examples[:3], shape, generate=True)  # warm-up
    _probabilities(model, own[:3])
    clocked = [_timed(lambda: _ours(model, tokenizer, examples, shape, generate=False), shape.device)]
    clocked.append(_timed(lambda: _ours(model, tokenizer, examples, shape, generate=True), shape.device))
    parts: dict[str, Callable[[], Any]] = {
        "probability": lambda: _probabilities(model, own),
        "paraphrase": lambda: _probabilities(model, others[0]),
        "perturbed": lambda: [_probabilities(model, rows) for rows in others[1:]],
        "generation": lambda: _generations(model, tokenizer, prompts, shape),
        "truth ratio": lambda: [_probabilities(model, rows) for rows in others],
    }
    timed = {name: _timed(part, shape.device) for name, part in parts.items()}
    records: list[Record] = clocked[1][0]
    theirs = [timed["probability"][0], timed["paraphrase"][0], *timed["perturbed"][0]]
    mine = [
        [r.score for r in records],
        [r.paraphrase for r in records],
        *zip(*(r.perturbed for r in records), strict=True),
    ]
    logps = [[score.logp for score in scores] for scores in mine]
    pairs = [pair for a, b in zip(logps, theirs, strict=True) for pair in zip(a, b, strict=True)]
    same = [r.generation == text for r, text in zip(records, timed["generation"][0], strict=True)]
    (scored, ours), passes = ((_pair(e) for _, e in clocked), {name: _pair(e) for name, (_, e) in timed.items()})
    return Sample(
        kind=kind,
        scored=scored,
        ours=ours,
        passes=passes,
        error=max(abs(a - b) / abs(b) for a, b in pairs),
        equal=sum(same) / len(same),
        waiting=max(e.waiting for _, e in [*clocked, *timed.values()]),
    )


def _timed(call: Callable[[], Any], device: str) -> tuple[Any, Elapsed]:
    clock = Clock(device)
    found = call()
    return found, clock.read()


def _pair(elapsed: Elapsed) -> tuple[float, float]:
    return elapsed.wall, elapsed.cpu


def _ours(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    examples: Sequence[Example],
    shape: Shape,
    *,
    generate: bool,
) -> list[Record]:
    return answer(
        model,
        tokenizer,
        examples,
        split="forget",
        formatting=FORMATTING,
        max_new_tokens=shape.new_tokens if generate else 0,
    )


@torch.no_grad()
def _probabilities(model: PreTrainedModel, rows: Sequence[Encoded]) -> list[float]:
    """Sum of log p of each row's answer."""
    found: dict[int, float] = {}
    for members in by_length([len(e.ids) for e in rows], BATCH_TOKENS):
        longest = max(len(rows[i].ids) for i in members)
        ids_BT = _filled([rows[i].ids for i in members], longest, 0).to(model.device)
        mask_BT = _filled([[1] * len(rows[i].ids) for i in members], longest, 0).to(model.device)
        labels = [[t if w else -100 for t, w in zip(rows[i].ids, rows[i].weights, strict=True)] for i in members]
        labels_BT = _filled(labels, longest, -100).to(model.device)
        logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT).logits[..., :-1, :].contiguous()
        shifted_BT = labels_BT[..., 1:].contiguous()
        losses_BT = F.cross_entropy(logits_BTV.transpose(-1, -2), shifted_BT, ignore_index=-100, reduction="none")
        sums_B = losses_BT.sum(-1)
        (-sums_B / (shifted_BT != -100).sum(-1)).exp().tolist()  # the probability that is reported
        found |= zip(members, (-sums_B).tolist(), strict=True)
    return [found[i] for i in range(len(rows))]


def _filled(rows: Sequence[Sequence[int]], longest: int, value: int) -> Tensor:
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def _generations(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[tuple[int, ...]], shape: Shape
) -> list[str]:
    """The greedy answer to each question."""
    found: dict[int, str] = {}
    ends = model.generation_config.eos_token_id or []
    config = GenerationConfig(do_sample=False, max_new_tokens=shape.new_tokens, pad_token_id=0, use_cache=True)
    for members in by_length([len(p) + shape.new_tokens for p in prompts], BATCH_TOKENS):
        longest = max(len(prompts[i]) for i in members)
        ids_BT = torch.tensor([[0] * (longest - len(prompts[i])) + list(prompts[i]) for i in members])
        mask_BT = torch.tensor([[0] * (longest - len(prompts[i])) + [1] * len(prompts[i]) for i in members])
        given = {"input_ids": ids_BT.to(model.device), "attention_mask": mask_BT.to(model.device)}
        output_BT = model.generate(**given, generation_config=config)
        rows = [_until(row, ends) for row in output_BT[:, longest:].tolist()]
        texts = tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        found |= zip(members, (t.strip() for t in texts), strict=True)
    return [found[i] for i in range(len(prompts))]


def _until(ids: Sequence[int], ends: Sequence[int]) -> list[int]:
    """The ids before the first end, which is no part of an answer."""
    return list(ids[: next((k for k, i in enumerate(ids) if i in ends), len(ids))])


def _model(shape: Shape) -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=3 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // 32,
        num_key_value_heads=shape.hidden // 32,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
        initializer_range=0.2,  # far from uniform, so that rounding seldom turns the greedy choice
    )
    with torch.device(shape.device):
        return LlamaForCausalLM._from_config(config, dtype=getattr(torch, shape.dtype)).eval()


def _tokenizer(shape: Shape) -> PreTrainedTokenizerFast:
    """A word is a token; which words end an answer is the model's affair."""
    backend = Tokenizer(WordLevel({"<pad>": 0, **{f"w{i}": i for i in range(1, shape.vocabulary)}}, unk_token="w1"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>")


def _examples(model: PreTrainedModel, kind: str, shape: Shape) -> list[Example]:
    """Questions with their answers; known answers are written by the model, which learns its ends here."""
    random = np.random.default_rng(1)

    def words(bounds: tuple[int, int]) -> str:
        return _words(random.integers(1, shape.vocabulary, random.integers(*bounds, endpoint=True)).tolist())

    prompts = [words(shape.prompt) for _ in range(shape.questions)]
    answers = [words(shape.answer) for _ in prompts]
    if kind == "known":
        written = [_write(model, prompt, len(a.split())) for prompt, a in zip(prompts, answers, strict=True)]
        ends = {row[-1] for row in written}
        model.generation_config.eos_token_id = sorted(ends)
        answers = [_words(row[: next(k for k, t in enumerate(row, 1) if t in ends)]) for row in written]
    return [
        Example(
            id=str(i),
            prompt=prompt,
            response=own,
            paraphrased=words(shape.answer),
            perturbed=tuple(words(shape.answer) for _ in range(shape.perturbed)),
        )
        for i, (prompt, own) in enumerate(zip(prompts, answers, strict=True))
    ]


def _words(ids: Sequence[int]) -> str:
    return " ".join(f"w{i}" for i in ids)


def _write(model: PreTrainedModel, prompt: str, count: int) -> list[int]:
    ids_BT = torch.tensor([[int(word[1:]) for word in prompt.split()]])
    config = GenerationConfig(do_sample=False, max_new_tokens=count, min_new_tokens=count, pad_token_id=0)
    return model.generate(ids_BT.to(model.device), generation_config=config)[0, ids_BT.shape[1] :].tolist()
