"""What a launcher of several processes (`torchrun`, `accelerate launch`) left in the environment; costs no import."""

from __future__ import annotations

import os

_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
_joined = False


def launched() -> bool:
    """Whether this process was started as one of several."""
    return _number(_SIZES, 1) > 1


def launched_first() -> bool:
    """Whether this process prints: it is the first of several, or the only one."""
    return not launched() or _number(_RANKS, 0) == 0


def left_alone() -> bool:
    """Whether several processes were requested and one was started: `accelerate launch --cpu`, without mpirun."""
    by_accelerate = os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    return by_accelerate and "MASTER_PORT" in os.environ and not launched()


def sharded_by() -> str:
    """Who else than this package `accelerate launch` was told to shard by; empty if nobody."""
    named = {"DeepSpeed": "ACCELERATE_USE_DEEPSPEED", "FSDP": "ACCELERATE_USE_FSDP"}
    return next((who for who, name in named.items() if os.environ.get(name, "").lower() == "true"), "")


def note_joined() -> None:
    """Marks the processes as joined; from here on they agree which of them reports an error."""
    global _joined
    _joined = True


def tells_errors() -> bool:
    """Whether this process reports its error; before they are joined, all have the same error and one reports it."""
    return _joined or launched_first()


def _number(names: tuple[str, ...], default: int) -> int:
    found = next((os.environ[name] for name in names if os.environ.get(name, "").isdigit()), None)
    return default if found is None else int(found)
