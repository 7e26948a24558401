"""The built package is whole: installed beside its libraries, it runs outside the repository."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built from a copy, so that nothing is left in the tree."""
    copy = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(copy / "dist"), str(copy))
    [built] = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the wheel, to which the libraries of this one are added afterwards.

    A `.pth` file adds their folder alone: the `.pth` files in it, such as that of an editable install, are not read.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True)


def outside(*command: object, folder: Path) -> str:
    """What a command prints in a folder outside the repository, without its environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(c) for c in command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_its_licence_and_says_which_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        [about] = [n for n in files.namelist() if n.endswith(".dist-info/METADATA")]
        assert files.read(about.replace("METADATA", "licenses/LICENSE")) == (ROOT / "LICENSE").read_bytes()
        assert "License-Expression: Apache-2.0" in files.read(about).decode()


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    source = ROOT / "src"
    files = {str(f.relative_to(source)) for f in (source / "forgetting").rglob("*") if f.is_file()}
    files = {f for f in files if "__pycache__" not in f}
    assert {"forgetting/recipes/lab.yaml", "forgetting/report/templates/report.css"} <= files
    assert files - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_the_installed_package_is_the_one_that_is_imported(installed: Path, tmp_path: Path) -> None:
    where = outside(installed / "python", "-c", "import forgetting; print(forgetting.__file__)", folder=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_recipes_and_published_tables_are_listed(installed: Path, tmp_path: Path) -> None:
    names = {f.stem for f in (ROOT / "src/forgetting/recipes").glob("*.yaml")}
    code = "from forgetting.recipe import recipe_names; print(*recipe_names())"
    assert set(outside(installed / "python", "-c", code, folder=tmp_path).split()) == names


def test_a_recipe_runs_to_its_report_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    outside(installed / "forget", "run", "lab", "duration=2 steps", folder=tmp_path)
    [results] = tmp_path.glob("runs/*/results.json")
    assert json.loads(results.read_text())["status"] == "complete"
    assert "<html" in (results.parent / "report.html").read_text()
