"""Functions of the pipeline take few parameters, and none of them is a redactor: the run folder holds it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import forgetting

MOST = 7
OF_USERS = {"unlearn", "unlearning_steps", "analyse", "generate", "push"}
"""Calls whose keywords are settings that a user writes."""


def signatures() -> Iterator[tuple[str, list[str]]]:
    """Name and parameters of every function of the pipeline but constructors, without `self`."""
    for file in sorted((Path(forgetting.__file__).parent / "pipeline").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name != "__init__":
                given = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                yield node.name, [name for name in given if name not in ("self", "cls")]


def test_no_function_takes_more_than_seven_parameters() -> None:
    assert {name: len(given) for name, given in signatures() if len(given) > MOST and name not in OF_USERS} == {}


def test_no_function_takes_a_redactor() -> None:
    assert [name for name, given in signatures() if "redactor" in given] == []
