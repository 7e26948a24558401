"""Asks one model questions: its answers and token probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.example import Example, Form
from forgetting.core.progress import SILENT, Voice
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.data.reading import Heard
from forgetting.evaluation.answers import padding_id
from forgetting.evaluation.endings import Ending
from forgetting.evaluation.rows import room_after
from forgetting.models.modes import in_evaluation_mode
from forgetting.pipeline.one_model.evaluate import given_data
from forgetting.pipeline.one_model.settings import check_asked, check_data_read, settled
from forgetting.pipeline.run.load import load_measured
from forgetting.pipeline.run.shots import with_shots
from forgetting.token_selection.samples import pieces

_LETTERS = "ATISBCDHMWaits1"
"""Frequent beginnings of answers."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One token that the model may write next."""

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One model's answer to one question."""

    question: str
    text: str
    first: tuple[Choice, ...]
    """The first tokens of the answer, each with its probability given those before."""
    alternatives: tuple[tuple[Choice, ...], ...]
    """The most likely tokens at each of these positions, the likeliest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How questions are asked."""

    max_new_tokens: int = 48
    """Maximum tokens of an answer; fewer if the model has no positions left."""
    tokens: int = 4
    """The number of first tokens of an answer that are reported with their probabilities."""
    top: int = 4
    """The number of likeliest tokens that are reported at each."""
    text: bool = False
    """Whether the questions are beginnings of texts, which are continued without a template."""


def ask_model(
    model: str,
    questions: Sequence[str],
    how: Asking | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    voice: Voice = SILENT,
) -> list[Answer]:
    """Asks one model, or a combination of models, in the chat template of its tokenizer or the plain format.

    If a run is named, its format and precision are used.

    Args:
        model: folder, hub id, a suite's model, a run's folder, or a combination such as `lab + 0.5*runs/gd - 0.5*lab`.
        questions: each is asked separately.
        how: lengths and the reported tokens; None: the defaults.
        settings: further keys of a recipe that matter here: `format`, `dtype`, `device`, and `data` for shots.
        voice: receives the precision, and which shots are shown.

    Raises:
        DataError: no question, or one that leaves no room for an answer.
        RecipeError: a key that has no meaning here.
        ModelError: a model that cannot be loaded.
    """
    check_questions(questions)
    check_asked(settings or {})
    recipe = settled(model, {}, settings or {}, ("format",))
    check_data_read(settings or {}, recipe)
    data = given_data(recipe, Heard(voice.say), voice)
    loaded, recipe = load_measured(recipe, voice)
    recipe = with_shots(recipe, {"": data}, voice=voice)
    return answers_of(loaded.model, loaded.tokenizer, questions, recipe.format, how or Asking())


def check_questions(questions: Sequence[str]) -> None:
    """Checks that there are questions, and that none is empty.

    Raises:
        DataError: there is none, or an empty one.
    """
    if not questions or not all(q.strip() for q in questions):
        raise DataError("an empty question; write one, or a file with one per line")
    if any("\ud800" <= c <= "\udfff" for q in questions for c in q):
        raise DataError("a question holds bytes that are not UTF-8; write it again")


def answers_of(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[str],
    formatting: Formatting,
    how: Asking,
) -> list[Answer]:
    """The greedy answers of a model in memory to each question.

    Raises:
        DataError: a question that leaves no room for an answer.
    """
    prompts = [_prompt(q, tokenizer, formatting, how.text) for q in questions]
    ending = Ending.of(model, tokenizer, () if how.text else formatting.stops(tokenizer))
    with in_evaluation_mode(model):
        return [_answer(model, ending, q, p, how) for q, p in zip(questions, prompts, strict=True)]


def _prompt(question: str, tokenizer: PreTrainedTokenizerBase, formatting: Formatting, text: bool) -> tuple[int, ...]:
    """The tokens before an answer, as they are before most answers in training.

    A tokenizer may put the space before an answer into the answer's first token, depending on its first letter. So
    several beginnings are tried, and the shortest prompt leaves the space to the model.
    """
    form: Form = "text" if text else "qa"
    tried = [
        Example(id="", prompt=question, response=letter, form=form, where=f"'{question[:40]}'") for letter in _LETTERS
    ]
    return min((encode(example, tokenizer, formatting).prompt_ids for example in tried), key=len)


@torch.no_grad()
def _answer(
    model: nn.Module,
    ending: Ending,
    question: str,
    prompt: tuple[int, ...],
    how: Asking,
) -> Answer:
    tokenizer = ending.tokenizer
    room = room_after(model, prompt, how.max_new_tokens)
    if room < 1:
        raise DataError(f"'{question[:40]}…': fills all of the model's positions; ask something shorter")
    ids_T = torch.tensor([prompt], device=next(model.parameters()).device)
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=room,
        pad_token_id=padding_id(tokenizer),
        eos_token_id=list(ending.ids) or None,
        output_logits=True,
        return_dict_in_generate=True,
    )
    out = model.generate(  # type: ignore[operator]
        input_ids=ids_T,
        attention_mask=torch.ones_like(ids_T),
        generation_config=config,
        stopping_criteria=ending.criteria(len(prompt)),
    )
    written = [int(i) for i in out.sequences[0, len(prompt) :]]
    first, alternatives = [], []
    for place, logits_1V in enumerate(out.logits[: how.tokens]):
        before = [*prompt, *written[:place]]
        p_V = torch.softmax(logits_1V[0].float(), -1)
        likely = p_V.topk(min(how.top, len(p_V)))
        first.append(Choice(_piece(tokenizer, before, written[place]), float(p_V[written[place]])))
        pairs = zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
        alternatives.append(tuple(Choice(_piece(tokenizer, before, i), p) for i, p in pairs))
    return Answer(question, ending.words(written), tuple(first), tuple(alternatives))


def _piece(tokenizer: PreTrainedTokenizerBase, before: Sequence[int], token: int) -> str:
    return pieces(tokenizer, [*before, token], [len(before)])[0]
