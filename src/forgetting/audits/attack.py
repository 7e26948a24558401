"""What an attack is: a model and questions in, records of its answers out, by other means than asking once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record
from forgetting.data.encode import Formatting


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What an attack is given: a model, and the questions of one split."""

    model: nn.Module
    """In evaluation mode. It must be left as it was: weights, modes, adapters, hooks, and the random state."""
    tokenizer: PreTrainedTokenizerBase
    split: str
    """What the questions are for: `forget`, `retain`, `holdout`."""
    examples: Sequence[Example]
    retain: Sequence[Example] = ()
    """Examples that are kept, none of the forget set: what an attack may show the model."""
    formatting: Formatting = field(default_factory=Formatting)
    max_new_tokens: int | None = None
    """Of an answer; None: as long as the longest answer of the split."""
    seed: int = 0
    """Of all that is drawn. The same for every model, so that they are asked the same."""
    voice: Voice = SILENT

    def questions(self) -> list[Example]:
        """The examples that have a prompt to be asked by.

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
"""Gives one record for every try at a question, under the target's split and the example's id. Several tries have
several records of one id: the best of them counts. A question that is not tried has none."""
