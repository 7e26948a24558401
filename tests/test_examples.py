"""Configurations that are shown are ones that accelerate itself reads as they are meant."""

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType

FOLDER = Path(__file__).parents[1] / "examples" / "accelerate"


@pytest.mark.parametrize(("name", "machines", "processes"), [("one-machine", 1, 8), ("two-machines", 2, 16)])
def test_accelerate_reads_its_configuration(name: str, machines: int, processes: int) -> None:
    found = load_config_from_file(str(FOLDER / f"{name}.yaml"))
    assert (found.num_machines, found.num_processes) == (machines, processes)
    assert found.distributed_type == DistributedType.MULTI_GPU, "it starts the processes and shards nothing"
    assert (found.mixed_precision, found.fsdp_config, found.deepspeed_config) == ("no", {}, {})


def test_every_configuration_is_looked_at() -> None:
    assert {file.stem for file in FOLDER.glob("*.yaml")} == {"one-machine", "two-machines"}
