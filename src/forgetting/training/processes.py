"""Tensors of several processes that train one model: sums, and broadcasts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from forgetting.core.processes import count

BUCKET_BYTES = 2**26
"""Gradients that are summed over the processes in one message: 64 MiB."""


def sums(values: Sequence[float]) -> list[float]:
    """Each value summed over the processes, in float64; bitwise equal on all of them."""
    if count() == 1:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(total)
    dist.broadcast(total, src=0)
    return total.tolist()


@torch.no_grad()
def sum_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Sums every gradient over the processes, in a fixed order of buckets; a gradient that no process has stays None.

    This is data-parallel training. torch's `DistributedDataParallel` sums during the backward pass, but requires the
    same number of backward passes, through the same parameters, in every process; here a process may have fewer
    micro-batches than another, or none, so the sums are taken once, at the end of the step. Losses are already divided
    by the step's divisors, so gradients are summed, not averaged.
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
    """Buckets in order: neighbouring gradients of one type, up to `BUCKET_BYTES`."""
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
    """Copies the first process's values into the tensors of all, so that they are bitwise equal."""
    if count() == 1:
        return
    for tensor in tensors:
        whole = tensor.contiguous()
        dist.broadcast(whole, src=0)
        tensor.copy_(whole)
