"""A model in memory under tasks of lm-evaluation-harness: the same numbers as its own command gives on saved files.

Source: Gao et al., The language model evaluation harness (EleutherAI/lm-evaluation-harness). What is called is its
`lm_eval.evaluate` with its `HFLM` around the model as it stands, adapters and all; nothing is saved or loaded. (Its
`simple_evaluate` does the same, and takes seconds each time to describe the machine.)
"""

from __future__ import annotations

import copy
import difflib
import io
import logging
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError, RecipeError
from forgetting.core.evaluator import Progress
from forgetting.models.modes import modes_kept

SEEDS = (0, 1234)
"""The harness's own seeds: of python's generator, and of all others and the choice of few-shot examples."""
BOOTSTRAP = 1_000
"""Resamples behind a standard error that has no formula (perplexity, F1); its command takes 100,000, in minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessSettings:
    """How tasks are asked; the defaults are those of the harness's command, but for the batch size."""

    folder: Path | None = None
    """Task files of one's own (.yaml), which stand before built-in tasks of the same name. They are programs: a
    `!function` in them is imported and called."""
    shots: int | None = None
    """Examples before each question; None: what the task says. A task that says 0 keeps 0."""
    limit: int | None = None
    """The first so many questions of every task; None: all."""
    batch_size: int = 8
    seed: int | None = None
    """One seed for everything; None: `SEEDS`, which published numbers use."""
    run_code: bool = False
    """Whether tasks may run the code that a model writes (HumanEval and the like)."""


LoadedTask = Mapping[str, Any]
"""What the harness's `TaskManager.load` gives for one name: `tasks` and `groups` by name. Good for one evaluation."""


def load_task(name: str, settings: HarnessSettings | None = None) -> LoadedTask:
    """A task, group or tag of the harness with its data, ready to be asked.

    Random state is left as it was.

    Raises:
        RecipeError: the harness is not installed; there is no such task (the nearest name is given); it runs code and
            may not; it needs images or sound.
        DataError: the folder has no task file, or the task's data or file cannot be used.
    """
    settings = settings or HarnessSettings()
    manager = _manager(name, settings.folder)
    entry = manager.task_index.get(name)
    if entry is None:
        raise RecipeError(f"harness: there is no task '{name}'; {_nearest(name, settings.folder)}")
    if (entry.cfg or {}).get("unsafe_code") and not settings.run_code:  # before its file is imported
        raise _runs_code(name)
    with _hushed(), _seeded(settings.seed):
        try:
            loaded: LoadedTask = manager.load([name])
        except Exception as error:  # a task's file can be any program, and its data any script's
            raise _unusable(entry, error) from error
    for task_name, task in loaded["tasks"].items():
        _prepare(task_name, task, settings)
    return loaded


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
    lm_eval = _lm_eval()
    asked: dict[str, dict[str, Any]] = {"tasks": {}, "groups": {}}
    for loaded in tasks:
        for kind, members in asked.items():
            members.update(loaded.get(kind) or {})
    with _hushed(), _seeded(settings.seed), _kept(model), torch.no_grad():
        return lm_eval.evaluate(
            lm=_wrapped(model, tokenizer, settings.batch_size, progress),
            task_dict=asked,
            limit=settings.limit,
            bootstrap_iters=BOOTSTRAP,
            log_samples=False,  # they hold the texts of the questions
            confirm_run_unsafe_code=settings.run_code,
        )


def task_files(folder: Path) -> list[Path]:
    """Every file that the tasks of a folder may rest on: those in it, and the local data files that they name."""
    files = {file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    for entry in _local(folder).task_index.values():
        files |= {Path(text) for text in _texts((entry.cfg or {}).get("dataset_kwargs")) if Path(text).is_file()}
    return sorted(files)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for member in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(member)


def _lm_eval() -> Any:
    try:
        import lm_eval
        import lm_eval.tasks
    except ImportError as error:
        raise RecipeError(
            f"harness: lm-evaluation-harness is not installed ({_line(error)}); pip install 'forgetting[harness]'"
        ) from error
    return lm_eval


def _manager(name: str, folder: Path | None) -> Any:
    """What knows the task: the folder alone where it can, because reading all built-in tasks takes seconds."""
    if folder is None:
        return _built_in()
    local = _local(folder)
    if name in local.all_subtasks:
        return local
    if name in local.all_tasks:  # a group or tag: it may name built-in tasks
        return _built_in(str(folder))
    return _built_in()


@cache
def _built_in(beside: str | None = None) -> Any:
    """All built-in tasks, and those of a folder beside them: read once, for it takes half a minute."""
    return _lm_eval().tasks.TaskManager(include_path=beside)


def _local(folder: Path) -> Any:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name the folder of your task files")
    manager = _lm_eval().tasks.TaskManager(include_path=str(folder), include_defaults=False)
    if not manager.all_tasks:
        raise DataError(f"{folder}: holds no task; a task is a .yaml file that names itself with `task:`")
    return manager


def _nearest(name: str, folder: Path | None) -> str:
    known = [*(_local(folder).all_tasks if folder else ()), *_built_in().all_tasks]
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else "`lm-eval ls tasks` lists them"


def _runs_code(name: str) -> RecipeError:
    return RecipeError(f"harness: task '{name}' runs code that the model writes; run_code=yes allows it, in a sandbox")


def _unusable(entry: Any, error: Exception) -> DataError:
    if isinstance(error, ImportError):
        remedy = "install what is missing"
    elif entry.yaml_path and _lm_eval().__path__[0] not in str(entry.yaml_path):
        remedy = f"mend {entry.yaml_path} or the data it names"
    else:
        source = (entry.cfg or {}).get("dataset_path", "see the task's file")
        remedy = f"fetch its data ({source}) once with network access, or give a task file of your own with @FOLDER"
    return DataError(f"harness: task '{entry.name}' cannot be set up: {_line(error)}; {remedy}")


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".;:")


def _prepare(name: str, task: Any, settings: HarnessSettings) -> None:
    """Refuses what cannot be asked; sets the number of examples by the rule of the harness's own command."""
    if getattr(task, "UNSAFE_CODE", False) and not settings.run_code:
        raise _runs_code(name)
    if getattr(task, "MULTIMODAL", False):
        raise RecipeError(f"harness: task '{name}' shows images or plays sound; name tasks of text alone")
    own = task.get_config("num_fewshot")
    if own is None or (settings.shots is not None and own != 0):
        task.set_config(key="num_fewshot", value=settings.shots or 0)
    task.set_fewshot_seed(seed=SEEDS[1] if settings.seed is None else settings.seed)


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


@contextmanager
def _kept(model: nn.Module) -> Iterator[None]:
    """Modes as they were afterwards, and no weights tied again: HFLM would undo an adapter of a tied head."""
    object.__setattr__(model, "tie_weights", lambda: None)
    try:
        with modes_kept(model):
            yield
    finally:
        object.__delattr__(model, "tie_weights")


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """The harness's seeds inside, everyone's own state again after it."""
    own = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        random.seed(SEEDS[0] if seed is None else seed)
        np.random.seed(SEEDS[1] if seed is None else seed)
        torch.manual_seed(SEEDS[1] if seed is None else seed)
        try:
            yield
        finally:
            random.setstate(own[0])
            np.random.set_state(own[1])


@contextmanager
def _hushed() -> Iterator[None]:
    """Without the harness's bars, prints and advice, for which it has no switch, and without a pool of processes."""
    from tqdm import tqdm

    start, pool = tqdm.__init__, os.environ.get("DISABLE_MULTIPROC")
    levels = [(logger, logger.level) for logger in map(logging.getLogger, ("lm_eval", "huggingface_hub"))]

    def silent(self: Any, *args: Any, **keys: Any) -> None:
        start(self, *args, **{**keys, "disable": True})

    for logger, _ in levels:
        logger.setLevel(logging.ERROR)
    os.environ["DISABLE_MULTIPROC"] = "1"
    tqdm.__init__ = silent
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        tqdm.__init__ = start
        for logger, level in levels:
            logger.setLevel(level)
        if pool is None:
            del os.environ["DISABLE_MULTIPROC"]
        else:
            os.environ["DISABLE_MULTIPROC"] = pool
