"""Asks a run's models a question, before, between and after its stages: what each writes, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.example import Example, Form
from forgetting.core.progress import SILENT, Voice
from forgetting.data.encode import Formatting, encode
from forgetting.evaluation.answers import padding_id
from forgetting.evaluation.rows import ends_of, room_after
from forgetting.pipeline.finished_run.models import models_of, recipe_of
from forgetting.token_selection.samples import pieces

_LETTERS = "ATISBCDHMWaits1"
"""What answers often begin with."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One token that the model may go on with."""

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model writes to one question."""

    question: str
    text: str
    first: tuple[Choice, ...]
    """The first tokens that it writes, with the probability of each given those before."""
    alternatives: tuple[tuple[Choice, ...], ...]
    """At each of those places the most likely tokens, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """All answers of one model."""

    point: str
    """`before`, `after STAGE`, or `after`."""
    answers: tuple[Answer, ...]


def ask(
    folder: Path,
    questions: Sequence[str],
    *,
    max_new_tokens: int = 48,
    tokens: int = 4,
    top: int = 4,
    text: bool = False,
    voice: Voice = SILENT,
) -> list[Asked]:
    """Asks the model before the run, after each stage that is kept, and after it, in the run's own format.

    Args:
        folder: a finished run's.
        questions: asked each by itself.
        max_new_tokens: of an answer; less where the model has no positions left.
        tokens: how many of an answer's first tokens are given with their probabilities.
        top: how many of the likeliest tokens are given at each.
        text: the questions are the beginnings of texts and are continued as they are, without a template.

    Raises:
        RunError: no such run, or a part of it that is no longer there.
        DataError: no question, or one that leaves no room for an answer.
    """
    if not questions or not all(q.strip() for q in questions):
        raise DataError("an empty question; write one, or a file with one per line")
    recipe = recipe_of(folder)
    found = []
    for one in models_of(folder, recipe, stages=True, voice=voice):
        voice.say(f"asking {one.point}")
        prompts = [_prompt(q, one.tokenizer, recipe.format, text) for q in questions]
        with one.view.active() as model:
            answers = [
                _answer(model, one.tokenizer, q, p, max_new_tokens, tokens, top)
                for q, p in zip(questions, prompts, strict=True)
            ]
        found.append(Asked(one.point, tuple(answers)))
        del one, model  # or they would stay while the next one is loaded
    return found


def read_questions(file: Path) -> list[str]:
    """One question a line; blank lines are left out.

    Raises:
        DataError: no such file, not UTF-8, or no question in it.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise DataError(f"{file}: no such file of questions; give a text file with one per line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as UTF-8 text ({error}); save it as such") from error
    questions = [line.strip() for line in lines if line.strip()]
    if not questions:
        raise DataError(f"{file}: holds no question; write one per line")
    return questions


def _prompt(question: str, tokenizer: PreTrainedTokenizerBase, formatting: Formatting, text: bool) -> tuple[int, ...]:
    """The tokens before an answer, as they are before most answers in training.

    A tokenizer may put the blank before an answer into the answer's first token, depending on its first letter. So
    several are tried, and the shortest prompt leaves the blank to the model.
    """
    form: Form = "text" if text else "qa"
    tried = [
        Example(id="", prompt=question, response=letter, form=form, where=f"'{question[:40]}'") for letter in _LETTERS
    ]
    return min((encode(example, tokenizer, formatting).prompt_ids for example in tried), key=len)


@torch.no_grad()
def _answer(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    question: str,
    prompt: tuple[int, ...],
    limit: int,
    tokens: int,
    top: int,
) -> Answer:
    room = room_after(model, prompt, limit)
    if room < 1:
        raise DataError(f"'{question[:40]}…': fills all of the model's positions; ask something shorter")
    ids_T = torch.tensor([prompt], device=next(model.parameters()).device)
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=room,
        pad_token_id=padding_id(tokenizer),
        eos_token_id=ends_of(model, tokenizer) or None,
        output_logits=True,
        return_dict_in_generate=True,
    )
    out = model.generate(  # type: ignore[operator]
        input_ids=ids_T, attention_mask=torch.ones_like(ids_T), generation_config=config
    )
    written = [int(i) for i in out.sequences[0, len(prompt) :]]
    first, alternatives = [], []
    for place, logits_1V in enumerate(out.logits[:tokens]):
        before = [*prompt, *written[:place]]
        p_V = torch.softmax(logits_1V[0].float(), -1)
        likely = p_V.topk(min(top, len(p_V)))
        first.append(Choice(_piece(tokenizer, before, written[place]), float(p_V[written[place]])))
        pairs = zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
        alternatives.append(tuple(Choice(_piece(tokenizer, before, i), p) for i, p in pairs))
    said = str(tokenizer.decode(written, skip_special_tokens=True)).strip()
    return Answer(question, said, tuple(first), tuple(alternatives))


def _piece(tokenizer: PreTrainedTokenizerBase, before: Sequence[int], token: int) -> str:
    return pieces(tokenizer, [*before, token], [len(before)])[0]
