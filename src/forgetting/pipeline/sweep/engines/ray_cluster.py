"""Runs a list of tasks on a Ray cluster: https://docs.ray.io/en/latest/ray-core/tasks.html."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from forgetting.core.errors import RunError
from forgetting.core.interruption import Interrupted, listening
from forgetting.core.text import one_line, said
from forgetting.pipeline.sweep.engines.engine import PATIENCE, Capacity, Outcome, attempt, threads_of_each
from forgetting.pipeline.sweep.engines.ray_connection import check_address, check_installed, connect, disconnect
from forgetting.pipeline.sweep.engines.shared_folder import Probe, probed

RETRIES = 3
"""How often a task is begun again, on any node, after its worker or node has died."""


Places = Mapping[str, Mapping[str, float]]
"""The resources of nodes by their ids."""


@dataclass
class Ray:
    """Tasks of a Ray cluster; each is done by one worker at a time and has its threads and GPUs for itself.

    Args:
        folder: where the tasks write; every node must have it, with its locks.
        at_once: the most tasks at the same time; None: as many as fit, or one if the cluster is a new one.
        address: `HOST:PORT` or `auto`; None: a new cluster on this machine, which counts tasks instead of threads.
        gpus_per_run: GPUs of a task, or a share of one; None: 1 if the cluster has any, else 0.

    Raises:
        RunError: Ray is missing, or a number or the address cannot be.
    """

    folder: Path
    at_once: int | None = None
    address: str | None = None
    gpus_per_run: float | None = None
    _ray: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_installed()
        if self.address is not None:
            check_address(self.address)
        gpus = self.gpus_per_run or 0.0
        if not (0 <= gpus <= 1 or (gpus > 1 and gpus % 1 == 0)):
            raise RunError(f"--gpus-per-run {gpus:g}: write a share of one GPU, such as 0.5, or a whole number")

    def capacity(self) -> Capacity:
        """See `Engine.capacity`."""
        if self.address is None:
            at_once = self.at_once or 1
            return Capacity(at_once, threads=threads_of_each(at_once))
        places, gpus = self._places()
        cpus = [int(place["CPU"]) for place in places.values()]
        fits = sum(int(place["GPU"] // gpus) for place in places.values()) if gpus else sum(cpus)
        at_once = self.at_once or fits
        return Capacity(at_once, threads=max(1, min(sum(cpus) // at_once, *cpus)))

    def map(self, work: Callable[[Any], None], tasks: Sequence[Any]) -> Generator[Outcome, None, None]:
        """See `Engine.map`. A task whose worker or node died is begun again elsewhere, `RETRIES` times at most."""
        if not tasks:
            return
        try:
            places, gpus = self._places()
            needs = [1 if self.address is None else int(getattr(task, "threads", 1)) for task in tasks]
            check_fits(max(needs), places)
            remote = self._ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)
            with probed(self.folder) as probe:
                self._check_nodes(probe, places)
                waiting = deque(enumerate(zip(tasks, needs, strict=True)))
                yield from self._outcomes(remote(_serve), work, waiting, probe)
        finally:
            self._leave()

    def _outcomes(
        self, serve: Any, work: Callable[[Any], None], waiting: deque[tuple[int, tuple[Any, int]]], probe: Probe
    ) -> Generator[Outcome, None, None]:
        most = len(waiting) if self.at_once is None and self.address is not None else self.at_once or 1
        begun: dict[Future[str | None], tuple[int, Any]] = {}
        try:
            while waiting or begun:
                while waiting and len(begun) < most:
                    index, (task, cpus) = waiting.popleft()
                    reference = serve.options(num_cpus=cpus).remote(work, task, probe, str(Path.cwd()))
                    begun[reference.future()] = index, reference
                # Not ray.wait: it makes a SystemError of what a handler of signals raises.
                for future in wait(begun, return_when=FIRST_COMPLETED).done:
                    index, _ = begun.pop(future)
                    yield Outcome(index, self._error(future))
        finally:
            self._stop(begun)

    def _error(self, future: Future[str | None]) -> str | None:
        """The error of a task that has ended.

        Raises:
            RunError: its worker cannot do any task.
        """
        try:
            return future.result()
        except self._ray.exceptions.RayTaskError as error:  # raised outside of the task itself
            raise RunError(one_line(said(error.cause))) from error
        except self._ray.exceptions.RayError as error:
            why = one_line(str(error).strip().split("\n")[0])
            return f"its worker died, and was replaced {RETRIES} times (often: out of memory): {why}"

    def _stop(self, begun: Mapping[Future[str | None], tuple[int, Any]]) -> None:
        """Asks tasks to save and to end, and ends those that do not in time."""
        for _, reference in begun.values():
            self._ray.cancel(reference)
        for future in wait(begun, timeout=PATIENCE).not_done if begun else ():
            self._ray.cancel(begun[future][1], force=True)

    def _check_nodes(self, probe: Probe, nodes: Iterable[str]) -> None:
        """Checks that every node can do a task.

        Raises:
            RunError: one has another version, or does not see the folder or its locks.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        look = self._ray.remote(num_cpus=0, max_retries=RETRIES)(_look)
        asked: dict[Future[tuple[str, str]], str] = {}
        for node in nodes:
            there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
            asked[look.options(scheduling_strategy=there).remote(probe, node).future()] = node
        wait(asked)
        own = _version()
        for future, node in asked.items():
            try:
                host, theirs = future.result()
            except self._ray.exceptions.RayError as error:
                cause = getattr(error, "cause", None)
                if isinstance(cause, RunError):
                    raise RunError(str(cause)) from error
                why = one_line(str(error).strip().split("\n")[-1])
                raise RunError(f"node {node[:8]}: {why}; install the same forgetting on every node") from error
            if theirs != own:
                raise RunError(f"{host}: has forgetting {theirs}, not {own}; install the same version on every node")
            probe.check_answer(node, host)

    def _places(self) -> tuple[Places, float]:
        """The resources of every node that can do a task, by its id, and the GPUs of a task.

        Raises:
            RunError: the cluster cannot be joined, or has no such node.
        """
        if self._ray is None:
            self._ray = connect(self.address, self.at_once or 1)
        nodes = {node["NodeID"]: node["Resources"] for node in self._ray.nodes() if node["Alive"]}
        with_gpu = any(place.get("GPU", 0) >= 1 for place in nodes.values())
        gpus = float(with_gpu) if self.gpus_per_run is None else self.gpus_per_run
        places = {n: p for n, p in nodes.items() if p.get("CPU", 0) >= 1 and p.get("GPU", 0) >= gpus}
        if not places:
            raise RunError(f"no node of the Ray cluster has a CPU and {gpus:g} GPUs; write another --gpus-per-run")
        return places, gpus

    def _leave(self) -> None:
        if self._ray is not None:
            ray, self._ray = self._ray, None
            disconnect(ray)


def check_fits(threads: int, places: Places) -> None:
    """Checks that a node has the threads that one task asks for; Ray would wait for such a node for ever.

    Raises:
        RunError: none has.
    """
    most = max(place["CPU"] for place in places.values())
    if threads > most:
        raise RunError(f"a run asks for {threads} threads, and no node has more than {most:g} CPUs; write threads=…")


def _look(probe: Probe, name: str) -> tuple[str, str]:
    """What a node is: its host and its version; it has seen the probe and answered."""
    probe.check()
    probe.answer(name)
    return socket.gethostname(), _version()


def _version() -> str:
    try:
        return version("forgetting")
    except PackageNotFoundError:  # a checkout on the path
        return "no version"


def _serve(work: Callable[[Any], None], task: Any, probe: Probe, folder: str) -> str | None:
    """Does one task in a worker, in the folder in which the command was started, and returns its error.

    Asked to end by `ray.cancel`, it saves and ends. Asked by its machine, it saves and its process ends, so that Ray
    begins the task again elsewhere.
    """
    try:
        with listening():
            probe.check()  # here, too: its node may have joined later
            try:
                os.chdir(folder)
            except OSError as error:
                raise RunError(
                    f"{socket.gethostname()}: has no folder {folder}; start the command in one that every node has"
                ) from error
            return attempt(work, task)
    except Interrupted as asked:
        if asked.number == signal.SIGINT:
            raise
        sys.exit(asked.exit_code)
    finally:
        gc.collect()  # A model has reference cycles, and the next task's model needs the memory.
