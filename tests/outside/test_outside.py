"""Another package brings one of each kind: small files, public names only, found by entry point, used in one run."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import forgetting

DISTRIBUTION = Path(__file__).with_name("distribution")
FILES = sorted((DISTRIBUTION / "forgetting_outside").glob("[a-z]*.py"))
LISTED = [
    ("methods", "bounded_ascent"),
    ("methods", "shrink"),
    ("metrics", "word_overlap"),
    ("suites", "capitals"),
    ("initialisations", "sensitive_rows"),
    ("gradient-rules", "turns"),
    ("transforms", "rounded"),
    ("attacks", "agreement"),
    ("analyses", "first_choices"),
]
"""What the package brings, by the command that lists it. A new kind is one file of the package and one line here."""
RECIPE = {
    "name": "run",
    "dtype": "float32",
    "threads": 1,
    "data": {"forget": {"suite": "capitals:4"}, "retain": {"suite": "capitals:4"}},
    "evaluate": {"own": "capitals:4"},
    "metrics": [
        {"name": "word_overlap", "shortest": 3},
        {"name": "rouge_l_f1", "splits": ["own-stays"], "direction": "up"},
    ],
    "stages": [
        {
            "name": "unlearn",
            "method": {"name": "bounded_ascent", "strength": 0.5},
            "gradients": {"name": "turns", "every": 2},
            "adapter": {"init": {"name": "sensitive_rows", "examples": 2}},
            "duration": "2 epochs",
            "evaluate_every": "1 epochs",
            "batch_size": 2,
            "keep": "best",
        },
        {"name": "steer", "method": {"name": "shrink", "layer": 1}, "adapter": {"rank": 2}, "batch_size": 2},
        {"name": "round", "transform": {"name": "rounded", "levels": 64}},
    ],
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process in which the distribution is installed."""
    folder = tmp_path_factory.mktemp("outside")
    shutil.copytree(DISTRIBUTION, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(folder / "source")], check=True)
    paths = (folder / "site", Path(forgetting.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}


def forget(environment: dict[str, str], *arguments: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "forgetting", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_kind_takes_at_most_forty_lines_of_public_names(file: Path) -> None:
    source = file.read_text()
    assert len(source.splitlines()) <= 40
    assert list(private_names(ast.parse(source))) == []


def private_names(tree: ast.AST) -> Iterator[str]:
    """Attributes and imports that begin with an underscore, but `__future__`."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        yield from (name for name in names if name.startswith("_") and name != "__future__")


def test_a_private_name_is_found() -> None:
    source = "from forgetting._x import y\nimport a._b\nfrom c import _d\ny._e\n"
    assert sorted(private_names(ast.parse(source))) == ["_b", "_d", "_e", "_x"]


@pytest.mark.parametrize(("kind", "name"), LISTED)
def test_what_the_package_brings_is_listed_with_its_version(kind: str, name: str, installed: dict[str, str]) -> None:
    found = {entry["name"]: entry for entry in json.loads(forget(installed, kind, "--json"))}
    assert found[name]["source"] == "forgetting-outside 0.1"
    assert found[name]["summary"]


@pytest.fixture(scope="module")
def results(installed: dict[str, str], world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that uses all of them."""
    folder = tmp_path_factory.mktemp("run")
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump({**RECIPE, "model": str(world / "model"), "output": str(folder)}))
    forget(installed, "run", str(file))
    return folder / "run"


def test_one_run_uses_all_of_them(results: Path) -> None:
    found = json.loads((results / "results.json").read_text())
    assert found["stages"][0]["method"] == "bounded_ascent"
    assert found["stages"][0]["adapter"] == "LoRA + sensitive rows, rank 2, all targets"
    assert found["stages"][0]["flops"]["importance"] > 0
    assert list(results.parent.glob(".cache/initialisations/*/entry.json"))
    assert [stage["method"] for stage in found["stages"]] == ["bounded_ascent", "shrink", "rounded"]
    after = {f"{m['split']}/{m['name']}": m for m in found["evaluations"][-1]["measures"]}
    assert after["own-dropped/probability"]["count"] == 4
    assert after["own-dropped/word_overlap"]["value"] is not None
    assert after["all/balance"]["value"] is not None
    assert found["declaration"]["headline"]["forgotten"] == ["own-dropped/probability"]
    assert found["declaration"]["asked"] == [
        "own-dropped/word_overlap",
        "own-stays/word_overlap",
        "own-stays/rouge_l_f1",
    ]
    assert after["own-stays/rouge_l_f1"]["direction"] == "up" and "own-dropped/rouge_l_f1" not in after


def test_its_metric_stands_in_the_report_and_its_table(results: Path, installed: dict[str, str]) -> None:
    table = json.loads(forget(installed, "report", str(results), "--json"))
    assert "own-dropped/word_overlap" in json.dumps(table)
    page = (results / "report.html").read_text()
    assert "own-dropped · word overlap" in page


def test_its_attack_and_its_analysis_run_on_the_finished_run(results: Path, installed: dict[str, str]) -> None:
    asked = ("audit", str(results), "agreement.words=Really", "--attacks", "agreement", "--json")
    found = json.loads(forget(installed, *asked, code=3))  # without an oracle, nothing is shown
    assert found["audits"][0]["parameters"] == {"words": "Really", "times": 1}
    assert list(found["audits"][0]["points"]) == ["before", "after"]
    found = json.loads(forget(installed, "analyse", str(results), "--of", "first_choices", "--json"))["analyses"][0]
    measures = {m["split"]: m for m in found["measures"]}
    start, after = next(s["y"] for s in found["series"] if s["name"] == "forget")
    assert measures["forget"]["value"] == pytest.approx(start - after) and 0 <= after <= 1
