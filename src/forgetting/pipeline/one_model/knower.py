"""A model that says which facts it knows, for the builder of facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from forgetting.core.example import Example
from forgetting.core.progress import SILENT, Voice
from forgetting.data.shots import Shot, Shots
from forgetting.evaluation.behind_prefix import written_answers
from forgetting.forget_sets.facts.known import Shown
from forgetting.pipeline.one_model.settings import check_asked, check_data_read, settled
from forgetting.pipeline.run.load import load_measured
from forgetting.training.stored_reference import fingerprint

LONGEST = 12
"""Tokens of an answer; names are short."""


class ModelKnower:
    """A model by folder, hub id, run or combination, asked as a run would ask it.

    Args:
        model: see `forgetting.models.expression`.
        settings: keys of a recipe that say how it is loaded and asked (`format`, `dtype`, `max_new_tokens`).
        voice: receives the precision.

    Raises:
        ForgettingError: an invalid key, or a model that cannot be loaded.
    """

    def __init__(self, model: str, settings: Mapping[str, object] | None = None, voice: Voice = SILENT) -> None:
        check_asked(settings or {}, ("max_new_tokens",))
        given = {"max_new_tokens": LONGEST, **(settings or {})}
        recipe = settled(model, {}, given, ("format",))
        check_data_read(settings or {}, recipe)
        self._loaded, self._recipe = load_measured(recipe, voice)
        self.about: Mapping[str, object] = {
            "model": model,
            "fingerprint": fingerprint(self._loaded.model),
            "dtype": self._loaded.precision.dtype,
            "max_new_tokens": self._recipe.max_new_tokens,
            "format": self._recipe.format.model_dump(mode="json"),
        }

    def answers(self, questions: Sequence[tuple[str, str]], shown: Sequence[Shown]) -> Iterator[dict[int, str]]:
        """The greedy answers to (question, right answer) pairs by their number, batch by batch."""
        formatting = self._recipe.format
        if shown:
            shots = Shots(examples=tuple(Shot(prompt=s.prompt, response=s.response) for s in shown))
            formatting = formatting.model_copy(update={"shots": shots})
        yield from written_answers(
            self._loaded.model,
            self._loaded.tokenizer,
            [Example(id=str(n), prompt=q, response=a, form="qa") for n, (q, a) in enumerate(questions)],
            formatting=formatting,
            max_new_tokens=self._recipe.max_new_tokens or LONGEST,
        )
