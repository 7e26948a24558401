"""An engine by its name and the options of a command."""

from __future__ import annotations

from pathlib import Path

from forgetting.core.errors import RunError, nearest
from forgetting.pipeline.sweep.engines.engine import Engine
from forgetting.pipeline.sweep.engines.local import Processes
from forgetting.pipeline.sweep.engines.ray_cluster import Ray

ENGINES = ("local", "ray")


def named_engine(
    name: str,
    *,
    folder: Path,
    processes: int | None = None,
    address: str | None = None,
    gpus_per_run: float | None = None,
) -> Engine:
    """The engine of this name; it is not started yet.

    Args:
        name: `local`: processes of this machine; `ray`: a Ray cluster.
        folder: where the tasks write.
        processes: how many tasks at once; None: one, or as many as fit into the cluster of an address.
        address: of a Ray cluster, `HOST:PORT` or `auto`; None: one on this machine.
        gpus_per_run: GPUs that Ray reserves for a task, or a share of one; None: 1 if there are any.

    Raises:
        RunError: no such engine, an option that it does not have, or Ray is missing.
    """
    if name == "ray":
        return Ray(folder, at_once=processes, address=address, gpus_per_run=gpus_per_run)
    if name != "local":
        raise RunError(f"--engine {name}: {nearest(name, ENGINES)}")
    for option, value in (("--address", address), ("--gpus-per-run", gpus_per_run)):
        if value is not None:
            raise RunError(f"{option} is an option of --engine ray")
    return Processes(processes or 1)
