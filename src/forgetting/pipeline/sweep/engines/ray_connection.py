"""Joins a Ray cluster, or starts one on this machine, without Ray's own output, dashboard and statistics."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

from forgetting.core.errors import RunError
from forgetting.core.interruption import SIGNALS
from forgetting.core.text import said

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # of what the cluster would print here; deaths are outcomes
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_task_oom_retries": "3",  # otherwise a run that is too large is tried for ever
}
_ANSWERS_WITHIN = 10
"""Seconds for a cluster's address to answer."""
_ERRORS = 2
_STORE = 80 * 2**20
"""Bytes of shared memory: the least that Ray takes, since runs hand over nothing."""


def check_installed() -> None:
    """Checks that Ray can be imported.

    Raises:
        RunError: it is missing.
    """
    if importlib.util.find_spec("ray") is None:
        raise RunError("--engine ray needs Ray, which is missing; pip install 'forgetting[ray]'")


def check_address(address: str) -> None:
    """Checks that an address is `auto` or `HOST:PORT`.

    Raises:
        RunError: it is something else.
    """
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and "/" not in host and port.isdigit()):
        raise RunError(f"--address {address}: write HOST:PORT, as `ray start --head` prints it, or auto; not ray://…")


def connect(address: str | None, slots: int) -> Any:
    """Joins the cluster, or starts one, and returns the module `ray`.

    Args:
        address: `HOST:PORT`, or `auto` for the one that runs on this machine; None: a new one, for this process alone.
        slots: CPUs of a new one.

    Raises:
        RunError: Ray is missing, or no cluster can be joined or started.
    """
    check_installed()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if address is not None:
        os.environ.setdefault("RAY_gcs_server_request_timeout_seconds", str(_ANSWERS_WITHIN))
        _check_answers(address)
    import ray

    new = {"num_cpus": slots, "object_store_memory": _STORE, "include_dashboard": False} if address is None else {}
    try:
        with _signals_kept(), _unheard():
            ray.init(address=address or "local", logging_level=logging.CRITICAL, log_to_driver=False, **new)
    except Exception as error:  # of many types, among them bare RuntimeError
        raise RunError(_refusal(address, error)) from error
    return ray


def disconnect(ray: Any) -> None:
    """Leaves the cluster; a new one ends."""
    with _signals_kept():
        ray.shutdown()


def _check_answers(address: str) -> None:
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise RunError(_refusal(address, error)) from error


def _refusal(address: str | None, error: Exception) -> str:
    why = said(error).strip().split("\n")[0]
    if address is None:
        return f"Ray cannot be started on this machine ({why})"
    return (
        f"--address {address}: no Ray cluster can be joined there ({why}); start one with `ray start --head`, and set "
        "RAY_AUTH_MODE=token here if it was started with a token"
    )


@contextmanager
def _unheard() -> Iterator[None]:
    """Ray's compiled part writes to standard error while it tries to connect; what went wrong is also raised."""
    sys.stderr.flush()
    kept = os.dup(_ERRORS)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _ERRORS)
        yield
    finally:
        os.dup2(kept, _ERRORS)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray puts its own handler for SIGTERM in place of the caller's."""
    before = {number: signal.getsignal(number) for number in SIGNALS} if current_thread() is main_thread() else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
