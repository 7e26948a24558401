"""Several processes that run one recipe together.

They are started by `torchrun` or `accelerate launch`, and all run the same program. Only the first writes, reports
progress and makes decisions that depend on the disk. In a single process all of these functions do nothing.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

from forgetting.core.errors import ElsewhereError, RunError
from forgetting.core.launch import launched, note_joined, sharded_by

T = TypeVar("T")
K = TypeVar("K")

PATIENCE = timedelta(hours=24)
"""How long a process waits for the others: the first may score or measure for hours while they do nothing."""
_FAILED = "forgetting/failed"
_by_itself: ContextVar[bool] = ContextVar("by_itself", default=False)
_inside: ContextVar[bool] = ContextVar("inside", default=False)


def _group() -> Any:
    """`torch.distributed` if processes are joined, else None. If torch is not imported yet, none are joined."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_initialized() else None


def in_all() -> int:
    """How many processes run the recipe."""
    dist = _group()
    return dist.get_world_size() if dist else 1


def count() -> int:
    """How many of them share the current work."""
    return 1 if _by_itself.get() else in_all()


def rank() -> int:
    """Which of them this is, from 0."""
    return _group().get_rank() if count() > 1 else 0


def is_first() -> bool:
    """Whether this is the process that writes."""
    dist = _group()
    return dist is None or dist.get_rank() == 0


@contextmanager
def together() -> Iterator[None]:
    """Joins the processes of a launcher; a failure of one ends all, and one of them reports why.

    Raises:
        ElsewhereError: another process failed first; it replaces this process's own error.
        RunError: a process ended without an error message, or the launcher was told to shard by other means.
    """
    if launched() and not _group():
        _check_launcher()
        _join()
    if count() == 1 or _inside.get():
        yield
        return
    token = _inside.set(True)
    try:
        yield
    except ElsewhereError:
        raise
    except BaseException as error:
        if not _is_the_first_failure():
            raise ElsewhereError("another process of this run failed") from error
        if isinstance(error, RuntimeError) and _is_of_a_connection(error):
            raise RunError(
                "another process of this run ended without an error message (was it killed?); "
                "start the same command again to resume from the last checkpoint"
            ) from error
        raise
    finally:
        _inside.reset(token)


def _check_launcher() -> None:
    if who := sharded_by():
        raise RunError(
            f"accelerate was told to use {who}, which this loop would not; launch with distributed_type: MULTI_GPU, "
            "and write sharding=full in the recipe"
        )


def _join() -> None:
    # accelerate knows the variables of every launcher, and which device is this process's own.
    import torch
    from accelerate import PartialState

    on_processors = not torch.cuda.is_available()
    PartialState(cpu=on_processors, backend="gloo" if on_processors else "cpu:gloo,cuda:nccl", timeout=PATIENCE)
    atexit.register(_part)
    note_joined()


def _part() -> None:
    dist = _group()
    if dist:
        dist.destroy_process_group()


def _is_the_first_failure() -> bool:
    try:
        return _group().distributed_c10d._get_default_store().add(_FAILED, 1) == 1
    except (AttributeError, RuntimeError, ValueError):  # the process that kept the count has exited
        return False


def _is_of_a_connection(error: RuntimeError) -> bool:
    return isinstance(error, sys.modules["torch.distributed"].DistError) or "gloo" in str(error).lower()


def on_first(work: Callable[[], T]) -> T:
    """Runs `work` on the first process and returns its result on all of them; the others wait.

    Raises:
        ElsewhereError: on the others, if `work` fails.
    """
    if count() == 1:
        return work()
    told: list[tuple[bool, T | None]] = [(False, None)]
    failure: Exception | None = None
    if rank() == 0:
        try:
            with _alone():
                told = [(True, work())]
        except Exception as error:
            failure = error
    _group().broadcast_object_list(told, src=0)
    if failure is not None:
        raise failure
    done, value = told[0]
    if not done:
        raise ElsewhereError("the first process of this run failed")
    return value  # type: ignore[return-value]


def by_first(work: Callable[[], object]) -> None:
    """Runs `work` once, on the process that writes; the others wait if they share the current work.

    Raises:
        ElsewhereError: on the others, if `work` fails.
    """
    if count() > 1 or is_first():
        on_first(lambda: (work(), None)[1])


def first_then_others(work: Callable[[], T]) -> T:
    """Runs `work` on the first process, then on the others, which find its results on disk."""
    if count() == 1:
        return work()
    made: list[T] = []
    on_first(lambda: made.append(work()))
    if rank() > 0:
        with _alone():
            made.append(work())
    _group().barrier()
    return made[0]


@contextmanager
def first_holds(make: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """A context that the first process enters for all, once all have reached it; all receive its value.

    Raises:
        ElsewhereError: on the others, if it cannot be entered.
    """
    if count() > 1:
        _group().barrier()
    with ExitStack() as held:
        yield on_first(lambda: held.enter_context(make()))


@contextmanager
def _alone() -> Iterator[None]:
    """Inside, the other processes do not take part."""
    token = _by_itself.set(True)
    try:
        yield
    finally:
        _by_itself.reset(token)


def own_share(items: Iterable[T]) -> Iterator[T]:
    """This process's share: every `count`-th item, so each item is in one share."""
    return islice(items, rank(), None, count())


def united(part: dict[K, T]) -> dict[K, T]:
    """Gathers the parts of all processes, on all of them."""
    if count() == 1:
        return part
    parts: list[dict[K, T] | None] = [None] * count()
    _group().all_gather_object(parts, part)
    return {key: value for found in parts if found is not None for key, value in found.items()}
