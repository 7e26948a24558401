"""A split of a suite as a task of lm-evaluation-harness, for its own command: `lm_eval --tasks forgetting_…`.

Source: Gao et al., The language model evaluation harness (EleutherAI/lm-evaluation-harness), whose `class:` in a task
file names this class. It answers requests; data, prompts and metrics are the suite's own, so that the numbers are those
of `forget eval`, with which they share everything but the arithmetic of the model's forward.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import Task
from lm_eval.config.task import TaskConfig
from lm_eval.filters import build_filter_ensemble
from transformers import AutoConfig

from forgetting.benchmarks.harness_export.asked import Asked, asked
from forgetting.benchmarks.registry import get_suite
from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.errors import RecipeError, nearest
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.data.formatting import Formatting, dated
from forgetting.metrics.score import score
from forgetting.models.head import longest_of
from forgetting.models.loading import load_tokenizer

_LOG = logging.getLogger("lm_eval")
_NAMES = ("tokenizer", "pretrained", "model")
"""Where the harness's `--model_args` name a tokenizer, the first that is there."""


class SuiteTask(Task):
    """One split of a suite.

    `metadata` of its file names `suite` and `split`, and may hold `format`, the keys of a recipe's `format`. The
    harness adds the arguments of the model, whose tokenizer is needed to count tokens. Prompts are the suite's, in the
    tokenizer's chat template if it has one.

    Raises:
        RecipeError: no such suite or split, a key of `format` that cannot be honoured, or no name of a tokenizer.
        DataError: the suite's data cannot be read.
        ModelError: the tokenizer cannot be loaded.
    """

    VERSION = 1
    OUTPUT_TYPE = "loglikelihood"

    def __init__(self, config: Mapping[str, Any]) -> None:
        kept = {key: config[key] for key in ("task", "metadata", "tag") if key in config}
        self._config = TaskConfig(**kept, num_fewshot=0, output_type=self.OUTPUT_TYPE)
        self._training_docs = self._fewshot_docs = self._instances = None
        self._filters = [build_filter_ensemble("none", [["take_first", None]])]
        self._measured: tuple[list[Record], dict[str, Measure]] = ([], {})
        about = dict(config.get("metadata") or {})
        self.suite = get_suite(str(about.get("suite")))
        self.split = _split(self.suite, str(about.get("split")))
        self.asked = _asked(self.split, about)
        other = sum(not one.same for one in self.asked)
        if other:
            _LOG.warning(
                f"{self._config.task}: {other} of {len(self.asked)} examples are read as other tokens than "
                "`forget eval` measures, by the harness's rule that cuts prompt and answer; their numbers differ"
            )

    def has_training_docs(self) -> bool:
        """There are none: shots are part of `metadata.format`, or of the suite's prompts."""
        return False

    def has_validation_docs(self) -> bool:
        """There are none."""
        return False

    def has_test_docs(self) -> bool:
        """All examples are."""
        return True

    def test_docs(self) -> list[dict[str, Any]]:
        """One row an example: its place in the split, id, question and right answer."""
        return [
            {"place": place, "id": one.example.id, "prompt": one.example.prompt, "answer": one.example.response}
            for place, one in enumerate(self.asked)
        ]

    def doc_to_text(self, doc: Mapping[str, Any]) -> str:
        """The question."""
        return str(doc["prompt"])

    def doc_to_target(self, doc: Mapping[str, Any]) -> str:
        """The right answer."""
        return str(doc["answer"])

    def fewshot_context(self, doc: Mapping[str, Any], num_fewshot: int = 0, *args: Any, **keys: Any) -> str:
        """Nothing: every request has its own context.

        Raises:
            RecipeError: shots or a system prompt of the harness's command, which would go unheard.
        """
        if num_fewshot or keys.get("system_instruction"):
            raise RecipeError(
                f"{self._config.task}: writes its own prompts; give a system prompt as "
                '--metadata \'{"format": {"system": "…"}}\', and leave --num_fewshot out'
            )
        return ""

    def construct_requests(self, doc: Mapping[str, Any], ctx: str, **keys: Any) -> list[Instance]:
        """The example's requests, of both kinds."""
        own = {"doc": doc, "metadata": keys["metadata"]}
        requests = self.asked[doc["place"]].requests
        return [Instance(request_type=r.kind, arguments=r.arguments, idx=i, **own) for i, r in enumerate(requests)]

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, Record]:
        """The example's record, for every measure."""
        return dict.fromkeys(self.measures, self.asked[doc["place"]].read(results))

    def aggregation(self) -> dict[str, Callable[[Sequence[Record]], float]]:
        """By measure, its value of all records; NaN where they do not give it."""
        return {name: partial(self._value, name) for name in self.measures}

    def higher_is_better(self) -> dict[str, bool]:
        """By measure, whether up is good; those without a direction, or whose goal is an oracle, are left out."""
        return {name: m.direction == "up" for name, m in self.measures.items() if m.direction in ("up", "down")}

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """The suite's measures of this split that the harness's answers can give, by name."""
        found = self._score([one.read(one.expected) for one in self.asked])
        return {name: measure for name, measure in found.items() if measure.value is not None}

    def _value(self, name: str, records: Sequence[Record]) -> float:
        if self._measured[0] != list(records):
            self._measured = (list(records), self._score(records))
        measure = self._measured[1].get(name)
        return math.nan if measure is None or measure.value is None else measure.value

    def _score(self, records: Sequence[Record]) -> dict[str, Measure]:
        return {m.name: m for m in score(self.suite.metrics, records) if m.split == self.split.name}


def _split(suite: Suite, name: str) -> Split:
    found = next((split for split in suite.splits if split.name == name), None)
    if found is None:
        raise RecipeError(f"suite {suite.name} has no split '{name}'; {nearest(name, [s.name for s in suite.splits])}")
    return found


def _asked(split: Split, about: Mapping[str, Any]) -> list[Asked]:
    name = next((str(about[key]) for key in _NAMES if about.get(key)), None)
    if name is None:
        raise RecipeError(
            "the tasks need the model's tokenizer; give --model_args pretrained=MODEL, or "
            '--metadata \'{"tokenizer": "MODEL"}\''
        )
    tokenizer = load_tokenizer(name)
    formatting = Formatting.model_validate(about.get("format") or {})
    if formatting.shots is not None:
        raise RecipeError("metadata.format.shots: tasks of the harness take no shots of a recipe; leave it out")
    return asked(split, tokenizer, dated(formatting, tokenizer), _positions(about))


def _positions(about: Mapping[str, Any]) -> int | None:
    """How many tokens the model reads, as far as the harness's arguments or the model's config say."""
    if about.get("max_length"):
        return int(about["max_length"])
    return longest_of(AutoConfig.from_pretrained(about["pretrained"])) if about.get("pretrained") else None
