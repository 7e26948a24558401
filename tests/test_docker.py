"""The image is built of what the wheel is built of, installed as the wheel's check installs it, and is no root's."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = DOCKERFILE.replace("\\\n", " ").splitlines()


def commands(word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in LINES if line.startswith(f"{word} ")]


def test_what_is_copied_is_there_and_let_through() -> None:
    copied = [name for line in commands("COPY") if not line.startswith("--from") for name in line.split()[:-1]]
    assert set(copied) == {"pyproject.toml", "README.md", "LICENSE", "src", "constraints.txt"}
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE)
    assert sorted(let_through) == sorted(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_it_is_installed_as_the_check_of_the_wheel_does_it() -> None:
    [install] = [line for line in commands("RUN") if "dist/*.whl" in line]
    check = (ROOT / ".ci" / "wheel").read_text(encoding="utf-8")
    for step in ("grep ^torch==", "dist/*.whl", "pip check"):
        assert step in install and step in check.replace('"$bin/pip" check', "pip check"), step
    assert re.search(r"^torch==", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
    assert commands("ARG") == ["PYTHON=3.11", "TORCH_INDEX=https://download.pytorch.org/whl/cpu"]
    assert '--index-url "${TORCH_INDEX}"' in install
    assert (ROOT / "pyproject.toml").read_text().count('requires-python = ">=3.11"') == 1


def test_it_runs_the_command_as_no_root() -> None:
    assert commands("USER") == ["1000"] and any("useradd" in line and "--uid 1000" in line for line in commands("RUN"))
    behind = LINES[LINES.index("USER 1000") :]
    assert 'ENTRYPOINT ["forget"]' in behind and not [line for line in behind if line.startswith("RUN")]


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(["hadolint", str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
