"""Every module can be imported where Python lacks the modules of Unix, as on Windows."""

import subprocess
import sys
from functools import cache

import pytest

LACKING = ("fcntl", "grp", "pwd", "resource", "termios")
CODE = f"""
import builtins, importlib, pkgutil
import forgetting

find = builtins.__import__

def find_or_note(name, globals=None, *rest, **more):
    by = (globals or {{}}).get("__name__", "")
    if name in {LACKING} and by.startswith("forgetting"):
        print(name, by)
    return find(name, globals, *rest, **more)

builtins.__import__ = find_or_note
for module in pkgutil.walk_packages(forgetting.__path__, "forgetting."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
"""Only the package's own imports are looked at: libraries have other code where these modules are missing."""


@cache
def imported() -> set[tuple[str, str]]:
    """(module of Unix, module of the package that imports it) of every such import on the way of importing all."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = (line.split() for line in done.stdout.splitlines())
    return {(name, by) for name, by in lines}


@pytest.mark.parametrize("name", LACKING)
def test_no_module_needs_what_only_unix_has(name: str) -> None:
    assert {by for found, by in imported() if found == name} == set()
