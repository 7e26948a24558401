"""What a launcher leaves in the environment."""

import pytest

from forgetting.core import launch
from forgetting.core.errors import RunError
from forgetting.core.processes import together


@pytest.mark.parametrize(
    ("environment", "launched", "first"),
    [
        ({}, False, True),
        ({"WORLD_SIZE": "1", "RANK": "0"}, False, True),
        ({"WORLD_SIZE": "2", "RANK": "0"}, True, True),
        ({"WORLD_SIZE": "2", "RANK": "1"}, True, False),
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3"}, True, False),
        ({"WORLD_SIZE": "", "RANK": "x"}, False, True),
    ],
)
def test_a_process_knows_whether_it_is_one_of_several_and_which(
    environment: dict[str, str], launched: bool, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*launch._SIZES, *launch._RANKS):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (launch.launched(), launch.launched_first(), launch.tells_errors()) == (launched, first, first)


def test_accelerate_on_processors_starts_one_and_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in launch._SIZES:
        monkeypatch.delenv(name, raising=False)
    assert not launch.left_alone()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_PORT", "29500")
    assert launch.left_alone()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not launch.left_alone()


def test_sharding_that_would_not_be_done_is_refused_before_processes_join(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", *launch._SIZES):
        monkeypatch.delenv(name, raising=False)
    with together():
        pass
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with together():
        pass  # one process: there is nothing to shard
    monkeypatch.setenv("WORLD_SIZE", "2")
    for who in ("FSDP", "DeepSpeed"):
        monkeypatch.setenv(f"ACCELERATE_USE_{who.upper()}", "true")
        monkeypatch.setenv("ACCELERATE_USE_FSDP", str(who == "FSDP").lower())
        with (
            pytest.raises(RunError, match=f"told to use {who}, which this loop would not; .*sharding=full"),
            together(),
        ):
            pass
