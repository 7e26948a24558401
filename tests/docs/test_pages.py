"""Every command and every line of Python that the documentation shows is run, page by page, as it stands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import forgetting
from tests.docs.pages import pages, script

PAGES = pages()
SHOWING = [page for page in PAGES if "```" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    assert script(page.read_text(encoding="utf-8")).startswith("set -eu")


def test_every_page_of_the_site_is_looked_at() -> None:
    names = {page.name for page in PAGES}
    assert {"lab.md", "clusters.md", "facts.md", "theory.md", "papers.md", "your-own.md", "CONTRIBUTING.md"} <= names
    assert all(page.is_file() for page in PAGES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Type\n\n    forget demo\n", "in no block.*forget demo"),
        ("```bash\nforget demo\n```\n", "a language that nothing runs: bash"),
        ("```\nforget demo\n```\n", "a language that nothing runs: none"),
        ('```sh title="Hard"\nforget demo\n```\n', "says why it is not run: Hard"),
        ("```yaml\na: 1\n```\n", "needs a title"),
    ],
)
def test_a_command_that_nothing_would_run_is_found(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        script(text)


@pytest.mark.slow
@pytest.mark.parametrize("page", SHOWING, ids=lambda page: page.stem)
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
