"""Commands that the documentation names inside a sentence exist, with the options that they are named with."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from forgetting.cli import app
from tests.docs.pages import HISTORY, ROOT, pages

PAGES = [*pages(), *(ROOT / "docs" / name for name in HISTORY), ROOT / "README.md"]
COMMAND = typer.main.get_command(app)


def faults(text: str) -> list[str]:
    """Of every `forget …` in code inside a sentence or table, what is not there."""
    spans = re.findall(r"(?<!`)`(forget [a-z][^`\n]*)`(?!`)", text.replace("\\|", "|"))
    return [f"`{span}`: {said}" for span in spans if (said := fault(span))]


def fault(span: str) -> str:
    """What of a command is not there; empty if all is."""
    try:
        words = shlex.split(span.replace("…", " "))[1:]
    except ValueError:
        words = span.split()[1:]
    words = [part for word in words for part in word.strip("[](),;:").split("|")[:1]]
    commands: list[Any] = [COMMAND]
    while words and hasattr(commands[-1], "commands"):
        name, *words = words
        found = commands[-1].commands.get(name)
        if found is None:
            return f"there is no command '{name}'"
        commands.append(found)
    known = {option for command in commands for p in command.params for option in (*p.opts, *p.secondary_opts)}
    missing = [w for w in words if w.startswith("--") and w.split("=")[0] not in {*known, "--help"}]
    return f"it has no option {missing[0]}" if missing else ""


def lifeless(text: str) -> list[str]:
    """Of every `python -m …` of ours in code inside a sentence, the modules that do nothing when they are run."""
    named = re.findall(r"`python -m ((?:forgetting|experiments|bench)[\w.]*)", text)
    return [name for name in named if not _runs(name)]


def _runs(name: str) -> bool:
    try:
        found = importlib.util.find_spec(name)
        if found is not None and found.submodule_search_locations is not None:
            found = importlib.util.find_spec(f"{name}.__main__")
    except ModuleNotFoundError:
        return False
    return found is not None and "__main__" in Path(str(found.origin)).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_is_named_exists(page: Path) -> None:
    assert faults(page.read_text(encoding="utf-8")) == []


def test_a_command_or_an_option_that_is_not_there_is_found() -> None:
    assert faults("as `forget unlearn model` does") == ["`forget unlearn model`: there is no command 'unlearn'"]
    assert faults("as `forget run lab --fast` does") == ["`forget run lab --fast`: it has no option --fast"]
    assert faults("as `forget export lm-eval tasks --suite lab` and `forget runs/one` do")[0].startswith("`forget runs")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_module_that_is_named_as_a_command_is_one(page: Path) -> None:
    assert lifeless(page.read_text(encoding="utf-8")) == []


def test_a_module_that_does_nothing_is_found() -> None:
    assert lifeless("`python -m forgetting.core.text` and `python -m forgetting.recipe.described x`") == [
        "forgetting.core.text"
    ]


def test_what_is_said_of_the_audits_in_front_is_what_their_page_says() -> None:
    pages = [ROOT / "docs" / "audits.md", ROOT / "docs" / "index.md", ROOT / "README.md"]
    said = [re.findall(r"none of (\w+)", page.read_text(encoding="utf-8"))[:1] for page in pages]
    assert said[0] and said == said[:1] * 3
