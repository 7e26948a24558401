"""An attack and an analysis of a package that is installed beside this one: found, run, watched and written."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forgetting.core.record import read_records
from tests.pipeline.finished_run.test_ask import made

PACKAGE = Path(__file__).parent / "auditing"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 40


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the package into."""
    folder = tmp_path_factory.mktemp("outside")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"), str(copied(folder))]
    subprocess.run(command, check=True)
    return folder / "site"


def copied(folder: Path) -> Path:
    """The package without what a build leaves, and where a build leaves nothing in the repository."""
    for source in [PACKAGE / "pyproject.toml", *SOURCES]:
        copy = folder / "source" / source.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    return folder / "source"


def forget(installed: Path, *arguments: object) -> str:
    path = os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "forgetting", *map(str, arguments)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_it_is_short_and_uses_public_names_only(source: Path) -> None:
    text = source.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    names = [
        name
        for node in ast.walk(ast.parse(text))
        for name in (
            [node.attr]
            if isinstance(node, ast.Attribute)
            else [*(node.module or "").split("."), *(a.name for a in node.names)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]
    assert not [name for name in names if name.startswith("_")]


def test_both_are_found_run_and_written(installed: Path, world: Path, tmp_path: Path) -> None:
    run = made(world, tmp_path, "run", [{"method": "graddiff", "adapter": {"rank": 2}}])
    listed = {a["name"]: a for a in json.loads(forget(installed, "attacks", "--json"))}
    assert listed["suffix"]["source"] == "outside-auditing 0.3" and listed["suffix"]["parameters"]["times"] == 1

    found = json.loads(forget(installed, "audit", run, "suffix.words=Really", "--attacks", "suffix", "--json"))
    assert found["audits"][0]["parameters"] == {"words": "Really", "times": 1}
    assert list(found["audits"][0]["points"]) == ["before", "after"]
    records = read_records(run / "audits" / "suffix" / "after.jsonl")
    assert len(records) == 28 and all(r.prompt.endswith("? Really") and r.score is not None for r in records)

    found = json.loads(forget(installed, "analyse", run, "--of", "first_choices", "--json"))["analyses"][0]
    measures = {m["split"]: m for m in found["measures"]}
    start, after = next(s["y"] for s in found["series"] if s["name"] == "forget")
    assert measures["forget"]["value"] == pytest.approx(start - after) and 0 <= after <= 1
    assert (run / "analyses" / "first_choices.json").is_file()
