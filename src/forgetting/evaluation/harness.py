"""A model in memory under tasks of lm-evaluation-harness: the same numbers as its own command gives on saved files.

Source: Gao et al., The language model evaluation harness (EleutherAI/lm-evaluation-harness). What is called is its
`lm_eval.evaluate` with its `HFLM` around the model as it is, with its adapters; nothing is saved or loaded. (Its
`simple_evaluate` does the same, and takes seconds each time to describe the machine.)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.core.evaluator import Progress
from forgetting.evaluation.harness_process import code_allowed, hushed, kept, seeded
from forgetting.evaluation.harness_tasks import HarnessSettings, LoadedTask, library

BOOTSTRAP = 1_000
"""Resamples behind a standard error that has no formula (perplexity, F1); its command takes 100,000, in minutes."""


def evaluate_tasks(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Sequence[LoadedTask],
    settings: HarnessSettings | None = None,
    *,
    progress: Progress = lambda done, total, note: None,
) -> dict[str, Any]:
    """The harness's results on the model: `results`, `higher_is_better`, `n-shot`, `n-samples`, `configs` and so on.

    The model's modes, the tokenizer and all random state are left as they were.

    Args:
        model: any causal model of transformers, with or without PEFT adapters, in whatever state it is.
        tokenizer: its tokenizer.
        tasks: from `load_task`; what several of them hold in common is asked once.
        settings: those the tasks were loaded with.
        progress: told of every answered request.

    Raises:
        RecipeError: the harness is not installed.
    """
    settings = settings or HarnessSettings()
    lm_eval = library()
    asked: dict[str, dict[str, Any]] = {"tasks": {}, "groups": {}}
    for loaded in tasks:
        for kind, members in asked.items():
            members.update(loaded.get(kind) or {})
    with hushed(), seeded(settings.seed), kept(model), code_allowed(settings.run_code), torch.no_grad():
        return lm_eval.evaluate(
            lm=_wrapped(model, tokenizer, settings.batch_size, progress),
            task_dict=asked,
            limit=settings.limit,
            bootstrap_iters=BOOTSTRAP,
            log_samples=False,  # they hold the texts of the questions
            confirm_run_unsafe_code=settings.run_code,
        )


def _wrapped(model: nn.Module, tokenizer: PreTrainedTokenizerBase, batch_size: int, progress: Progress) -> Any:
    from lm_eval.api.model import CacheHook
    from lm_eval.models.huggingface import HFLM

    class Observer(CacheHook):
        """The harness tells its cache of every answer."""

        done = total = 0

        def add_partial(self, attr: str, req: object, res: object) -> None:
            self.done += 1
            progress(self.done, self.total, attr.replace("_", " "))

    def counted(ask: Any) -> Any:
        def asked(requests: Sequence[object]) -> object:
            observer.total += len(requests)
            return ask(requests)

        return asked

    observer = Observer(None)
    # A copy, because HFLM gives the tokenizer a padding token where it has none.
    lm = HFLM(pretrained=model, tokenizer=copy.deepcopy(tokenizer), backend="causal", batch_size=batch_size)
    lm.set_cache_hook(observer)
    for request in ("loglikelihood", "loglikelihood_rolling", "generate_until"):
        setattr(lm, request, counted(getattr(lm, request)))
    return lm
