"""Restores what lm-evaluation-harness changes in the process and in the model."""

from __future__ import annotations

import io
import logging
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
import torch
from torch import nn

from forgetting.models.modes import modes_kept

SEEDS = (0, 1234)
"""The harness's own seeds: of python's generator, and of all others and the choice of few-shot examples."""


@contextmanager
def kept(model: nn.Module) -> Iterator[None]:
    """Modes as they were afterwards, and no weights tied again: HFLM would undo an adapter of a tied head."""
    object.__setattr__(model, "tie_weights", lambda: None)
    try:
        with modes_kept(model):
            yield
    finally:
        object.__delattr__(model, "tie_weights")


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
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
def hushed() -> Iterator[None]:
    """Without the harness's bars, prints and advice, for which it has no switch, and without a pool of processes."""
    from tqdm import tqdm

    start = tqdm.__init__
    levels = [(logger, logger.level) for logger in map(logging.getLogger, ("lm_eval", "huggingface_hub"))]

    def silent(self: Any, *args: Any, **keys: Any) -> None:
        start(self, *args, **{**keys, "disable": True})

    for logger, _ in levels:
        logger.setLevel(logging.ERROR)
    tqdm.__init__ = silent
    try:
        with redirect_stdout(io.StringIO()), _environment("DISABLE_MULTIPROC", "1"):
            yield
    finally:
        tqdm.__init__ = start
        for logger, level in levels:
            logger.setLevel(level)


@contextmanager
def code_allowed(allowed: bool) -> Iterator[None]:
    """The consent without which the harness's metric refuses to run a program, for as long as it is needed.

    A task's file asks for it already when it is imported, by running a program of its own.
    """
    if not allowed:
        yield
        return
    with _environment("HF_ALLOW_CODE_EVAL", "1"):
        yield


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
