"""What a shell is offered, asked as a shell asks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forgetting.recipe import recipe_names


def completed(line: str) -> list[str]:
    """The words that bash is offered for the last word of a line."""
    words = line.split(" ")
    asked = {"_FORGET_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    code = "from forgetting.cli.app import app; import forgetting.cli; app(prog_name='forget')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True, timeout=60
    )
    return done.stdout.split()


def test_a_verb_is_completed() -> None:
    assert completed("forget ana") == ["analyse", "analyses"]


@pytest.mark.parametrize("verb", ["run", "tune"])
def test_a_built_in_recipe_is_completed(verb: str) -> None:
    assert completed(f"forget {verb} lab") == [name for name in recipe_names() if name.startswith("lab")]


def test_a_built_in_sweep_is_completed() -> None:
    assert "loku-figure2" in completed("forget sweep loku")


def test_what_no_recipe_begins_with_is_left_to_the_shell(tmp_path: Path) -> None:
    assert completed("forget run ./my") == []
