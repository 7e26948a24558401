"""The type of an attack: it maps a model and questions to records of answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record
from forgetting.data.formatting import Formatting


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The input of an attack: a model, and the questions of one split."""

    model: nn.Module
    """In evaluation mode. The attack must leave weights, modes, adapters, hooks and the random state unchanged."""
    tokenizer: PreTrainedTokenizerBase
    split: str
    """The role of the questions: `forget`, `retain`, `holdout`."""
    examples: Sequence[Example]
    retain: Sequence[Example] = ()
    """Examples to keep, none from the forget set; an attack may show them to the model."""
    formatting: Formatting = field(default_factory=Formatting)
    max_new_tokens: int | None = None
    """Maximum tokens of an answer; None: the length of the longest answer of the split."""
    seed: int = 0
    """The seed of all random choices. It is the same for every model, so that all get the same questions."""
    voice: Voice = SILENT

    def questions(self) -> list[Example]:
        """The examples that have a prompt.

        Raises:
            DataError: there is none.
        """
        asked = [e for e in self.examples if e.prompt and e.form != "tokens"]
        if not asked:
            raise DataError(
                f"none of the {len(self.examples)} {self.split} examples has a prompt, and this attack asks questions; "
                "audit a run of questions and answers"
            )
        return asked


Attack = Callable[[Target], Sequence[Record]]
"""Returns one record per attempt at a question, with the target's split and the example's id. Several attempts give
several records with one id: the best one is used. A question without attempts has none."""
