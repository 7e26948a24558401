"""Addresses of clusters: what is one, and what is said of one that does not answer."""

import importlib.util

import pytest

from forgetting.core.errors import RunError
from forgetting.pipeline.sweep.engines import ray_connection
from forgetting.pipeline.sweep.engines.ray_connection import check_address, check_installed, connect


@pytest.mark.parametrize("address", ["auto", "head:6379", "10.0.0.1:6379", "[::1]:6379"])
def test_an_address_is_taken(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize("address", ["", "head", ":6379", "head:", "head:port", "ray://head:10001", "http://head:80"])
def test_what_is_none_is_refused_with_what_to_write(address: str) -> None:
    with pytest.raises(RunError, match="write HOST:PORT"):
        check_address(address)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999"])
def test_an_address_that_does_not_answer_is_one_line_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_connection, "check_installed", lambda: None)  # Ray is not asked yet
    monkeypatch.setattr(ray_connection, "_QUIET", {})
    monkeypatch.setenv("RAY_gcs_server_request_timeout_seconds", "1")
    with pytest.raises(RunError, match=rf"--address {address}: no Ray cluster can be joined there \(") as refused:
        connect(address, 1)
    assert "\n" not in str(refused.value)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"pip install 'forgetting\[ray\]'"):
        check_installed()
