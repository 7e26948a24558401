"""Rooms import downwards only, inside functions too (docs/architecture.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "forgetting"
ROOMS = (
    "cli",
    "terminal",
    "pipeline.reproduce",
    "pipeline.sweep",
    "pipeline.estimate",
    "pipeline.audit",
    "pipeline.finished_run",
    "pipeline.one_model",
    "pipeline.run",
    "forget_sets",
    "imports",
    "report.board",
    "report.sweep",
    "report.comparison",
    "report.run",
    "report.audits",
    "report.tokens",
    "report.drawing",
    "report.verdict",
    "report",
    "benchmarks",
    "audits",
    "analysis",
    "recipe",
    "evaluation",
    "token_selection",
    "training",
    "models",
    "runs",
    "metrics",
    "objectives",
    "data",
    "core",
)
"""From the top down. A folder of `report` is above the files that stand in `report` itself."""

TOP = ("__init__", "__main__")


def room_of(module: str) -> str:
    """The innermost room that a dotted name below the package lies in."""
    outer, _, inner = module.partition(".")
    nested = f"{outer}.{inner.partition('.')[0]}"
    return nested if nested in ROOMS else outer


def imported_rooms(source: str) -> Iterator[tuple[int, str]]:
    """(line, room) of every import of the package in a module, wherever it stands."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import; write the full name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("forgetting."):
                yield node.lineno, room_of(name.removeprefix("forgetting."))


def violations(room: str, source: str) -> list[str]:
    allowed = ROOMS[ROOMS.index(room) :]
    return [f"line {line}: {room} imports {other}" for line, other in imported_rooms(source) if other not in allowed]


def modules() -> list[tuple[str, Path]]:
    """Every module with its room; `__init__` files that hold nothing are in none."""
    found = [(path.relative_to(PACKAGE).with_suffix(""), path) for path in PACKAGE.rglob("*.py") if path.stat().st_size]
    return [(room_of(".".join(name.parts)), path) for name, path in found if name.parts[0] not in TOP]


@pytest.mark.parametrize(
    ("room", "path"), modules(), ids=lambda x: str(x.relative_to(PACKAGE)) if isinstance(x, Path) else ""
)
def test_a_module_imports_only_its_own_room_and_those_below(room: str, path: Path) -> None:
    assert violations(room, path.read_text()) == []


def test_an_upward_import_inside_a_function_is_found() -> None:
    source = "def f():\n    from forgetting.pipeline.run.run import run\n"
    assert violations("data", source) == ["line 2: data imports pipeline.run"]


def test_every_room_is_listed() -> None:
    assert {room for room, _ in modules()} <= set(ROOMS)
