"""Every command and every line of Python that the documentation shows is run, page by page, as it stands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import forgetting
from tests.docs.pages import DOCS, script

PAGES = [
    *(DOCS / f"{name}.md" for name in ("first-run", "guide", "questions")),
    *sorted((DOCS / "how-to").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    assert script(page.read_text(encoding="utf-8")).startswith("set -eu")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_runs(page: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"  # what a page installs goes here, not into the environment of the tests
    command(tmp_path / "forget", f'"{sys.executable}" -m forgetting "$@"')
    command(tmp_path / "pip", f'"{sys.executable}" -m pip "$@" --no-deps --no-index --target "{site}"')
    here = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
    here["PATH"] = os.pathsep.join((str(tmp_path), str(Path(sys.executable).parent), here["PATH"]))
    here["PYTHONPATH"] = os.pathsep.join((str(site), str(Path(forgetting.__file__).parents[1])))
    there = tmp_path / "there"
    there.mkdir()
    done = subprocess.run(
        ["bash", "-c", script(page.read_text(encoding="utf-8"))], cwd=there, env=here, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def command(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\nexec {line}\n")
    file.chmod(0o755)
