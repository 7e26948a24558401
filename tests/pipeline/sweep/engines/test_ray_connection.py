"""Addresses of clusters: what is one, and what is said of one that does not answer."""

import importlib.util

import pytest

from forgetting.core.errors import RunError
from forgetting.pipeline.sweep.engines import ray_connection
from forgetting.pipeline.sweep.engines.ray_connection import check_address, check_installed, connect


def taken(address: str) -> bool:
    try:
        check_address(address)
    except RunError as refused:
        assert "write HOST:PORT" in str(refused)
        return False
    return True


def test_an_address_is_auto_or_a_host_and_a_port_and_all_else_is_refused_with_what_to_write() -> None:
    addresses = ["auto", "head:6379", "10.0.0.1:6379", "[::1]:6379"]
    others = ["", "head", ":6379", "head:", "head:port", "ray://head:10001", "http://head:80"]
    assert [address for address in (*addresses, *others) if taken(address)] == addresses


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
