"""A judge that is a model on this machine, loaded as every other; nothing is sent anywhere."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.progress import SILENT, Voice
from forgetting.data.formatting import Formatting
from forgetting.evaluation.judging.judge import FailedError
from forgetting.evaluation.judging.kept import Reply
from forgetting.pipeline.one_model.ask import Asking, answers_of
from forgetting.pipeline.one_model.settings import settled
from forgetting.pipeline.run.load import load_measured
from forgetting.training.stored_reference import fingerprint

MAX_TOKENS = 200
"""Of a reply."""


@dataclass(frozen=True)
class LocalJudge:
    """A model in memory, which answers greedily in its own chat template."""

    identity: str
    model: nn.Module = field(repr=False)
    tokenizer: PreTrainedTokenizerBase = field(repr=False)
    formatting: Formatting = field(repr=False)
    at_once: int = 1

    def ask(self, prompt: str, stop: threading.Event) -> Reply:
        """The greedy reply, and the tokens that it took.

        Raises:
            FailedError: the prompt is longer than the model can read, or the work has ended.
        """
        if stop.is_set():
            raise FailedError("the work ended before it was asked")
        try:
            (answer,) = answers_of(
                self.model,
                self.tokenizer,
                [prompt],
                self.formatting,
                Asking(max_new_tokens=MAX_TOKENS, tokens=1, top=1),
            )
        except DataError as error:
            raise FailedError("the prompt fills all of the model's positions") from error
        return Reply(answer.text, self._count(prompt), self._count(answer.text))

    def _count(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def local_judge(model: str, voice: Voice = SILENT) -> LocalJudge:
    """Loads a model to judge with.

    Raises:
        ModelError: there is no such model, or it cannot be loaded.
    """
    loaded, recipe = load_measured(settled(model, {}, {}, ()), voice)
    identity = f"{model} of weights {fingerprint(loaded.model)[:16]}, greedy, {MAX_TOKENS} tokens"
    return LocalJudge(identity, loaded.model, loaded.tokenizer, recipe.format)
