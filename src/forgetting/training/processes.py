"""Several processes that carry out one run together: which one this is, and what they agree on.

They are started by `torchrun` or `accelerate launch`, and all go through the same program. Only the first writes and
speaks, and decides what depends on the state of the disk. In a single process everything here does nothing.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from datetime import timedelta
from itertools import islice
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from forgetting.core.errors import ElsewhereError, RunError
from forgetting.core.launch import launched, note_joined

T = TypeVar("T")
K = TypeVar("K")

PATIENCE = timedelta(hours=24)
"""How long a process waits for the others: the first may score or measure for hours while they do nothing."""
BUCKET_BYTES = 2**26
"""Gradients that are summed over the processes in one message: 64 MiB."""
_FAILED = "forgetting/failed"
_by_itself: ContextVar[bool] = ContextVar("by_itself", default=False)
_inside: ContextVar[bool] = ContextVar("inside", default=False)


def in_all() -> int:
    """How many processes carry out the run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def count() -> int:
    """How many of them share the work at hand."""
    return 1 if _by_itself.get() else in_all()


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if count() > 1 else 0


def is_first() -> bool:
    """Whether this is the process that writes."""
    return not dist.is_initialized() or dist.get_rank() == 0


@contextmanager
def together() -> Iterator[None]:
    """The processes of a launcher, joined; a failure of one ends all, and one of them says why.

    Raises:
        ElsewhereError: in place of whatever went wrong here because, or after, another process failed.
        RunError: a process ended without a word.
    """
    if launched() and not dist.is_initialized():
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
                "another process of this run ended without a word (was it killed?); "
                "start the same command again to go on from the last checkpoint"
            ) from error
        raise
    finally:
        _inside.reset(token)


def _join() -> None:
    # accelerate knows the variables of every launcher, and which device is this process's own.
    from accelerate import PartialState

    on_processors = not torch.cuda.is_available()
    PartialState(cpu=on_processors, backend="gloo" if on_processors else "cpu:gloo,cuda:nccl", timeout=PATIENCE)
    atexit.register(_part)
    note_joined()


def _part() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _is_the_first_failure() -> bool:
    try:
        return dist.distributed_c10d._get_default_store().add(_FAILED, 1) == 1
    except (RuntimeError, ValueError):  # whoever kept the count has gone
        return False


def _is_of_a_connection(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()


def on_first(work: Callable[[], T]) -> T:
    """What `work` gives on the first process, on all of them; the others wait.

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
    dist.broadcast_object_list(told, src=0)
    if failure is not None:
        raise failure
    done, value = told[0]
    if not done:
        raise ElsewhereError("the first process of this run failed")
    return value  # type: ignore[return-value]


def first_then_others(work: Callable[[], T]) -> T:
    """`work` on the first process, and when that has left its results on disk, on the others, which find them there."""
    if count() == 1:
        return work()
    made: list[T] = []
    on_first(lambda: made.append(work()))
    if rank() > 0:
        with _alone():
            made.append(work())
    dist.barrier()
    return made[0]


@contextmanager
def first_holds(make: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """A context that the first process enters for all, when all have come so far; what it gives goes to all.

    Raises:
        ElsewhereError: on the others, if it cannot be entered.
    """
    if count() > 1:
        dist.barrier()
    with ExitStack() as held:
        yield on_first(lambda: held.enter_context(make()))


@contextmanager
def _alone() -> Iterator[None]:
    """Inside, the others take no part."""
    token = _by_itself.set(True)
    try:
        yield
    finally:
        _by_itself.reset(token)


def own_share(items: Iterable[T]) -> Iterator[T]:
    """Every so-many-th item: each stands in one process's share."""
    return islice(items, rank(), None, count())


def united(part: dict[K, T]) -> dict[K, T]:
    """The parts of all processes as one, in all of them."""
    if count() == 1:
        return part
    parts: list[dict[K, T] | None] = [None] * count()
    dist.all_gather_object(parts, part)
    return {key: value for found in parts if found is not None for key, value in found.items()}


def sums(values: Sequence[float]) -> list[float]:
    """Each value summed over the processes, in float64: the same bits in all of them."""
    if count() == 1:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(total)
    dist.broadcast(total, src=0)
    return total.tolist()


@torch.no_grad()
def sum_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Sums every gradient over the processes, in a fixed order of buckets; one that is nowhere stays absent.

    This is what data-parallel training is. torch's `DistributedDataParallel` does the same while the backward pass is
    under way, but expects every process to run as many backward passes, through the same parameters; here a process may
    have fewer micro-batches than another, or none, so the sums are taken once, at the end of the step. Losses are sums
    over the step's own divisors, so gradients are summed, not averaged.
    """
    if count() == 1:
        return
    some = sums([float(p.grad is not None) for p in parameters])
    grads = [_gradient(p) for p, found in zip(parameters, some, strict=True) if found]
    for bucket in _buckets(grads):
        together = torch.cat([grad.reshape(-1) for grad in bucket])
        dist.all_reduce(together)
        for grad, total in zip(bucket, together.split([grad.numel() for grad in bucket]), strict=True):
            grad.copy_(total.view_as(grad))


def _gradient(parameter: torch.nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """In order, those of one kind beside each other, up to `BUCKET_BYTES`."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        alike = bucket and (bucket[0].dtype, bucket[0].device) == (tensor.dtype, tensor.device)
        if bucket and not (alike and sum(t.nbytes for t in bucket) + tensor.nbytes <= BUCKET_BYTES):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


@torch.no_grad()
def as_on_first(tensors: Iterable[Tensor]) -> None:
    """Puts the first process's values into the tensors of all: what should be equal is, to the bit."""
    if count() == 1:
        return
    for tensor in tensors:
        whole = tensor.contiguous()
        dist.broadcast(whole, src=0)
        tensor.copy_(whole)
