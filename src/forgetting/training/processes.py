"""Tensors of several processes that train one model: sums, and values that are the same in all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from forgetting.core.processes import count

BUCKET_BYTES = 2**26
"""Gradients that are summed over the processes in one message: 64 MiB."""


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
