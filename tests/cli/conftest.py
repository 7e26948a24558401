"""A finished run that commands read and none changes."""

import shutil
from pathlib import Path

import pytest

from tests.pipeline.finished_run.test_ask import made


@pytest.fixture(scope="session")
def finished(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    return made(world, folder, "one", [{"method": "graddiff", "adapter": {"rank": 2}}])


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of it in a folder of its own."""
    return shutil.copytree(finished, tmp_path / "runs" / "one")
