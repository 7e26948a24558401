"""The site is built, and its search leads to the answers of what users ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import forgetting
from tests.docs.pages import DOCS

ASKED = {
    "oracle need": "questions.html#where-does-the-oracle-come-from-and-do-i-need-one",
    "forget quality p-value direction": "questions.html#is-forget-quality-a-p-value-and-which-direction-is-good",
    "where answer": "questions.html#where-is-the-models-answer",
    "own data model": "questions.html#how-do-i-use-my-own-data-and-model",
    "out of memory": "questions.html#it-runs-out-of-memory",
}
"""What is typed into the search, and the section that answers it."""


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What the built site's search knows."""
    pytest.importorskip("mkdocs", reason="the site's packages are not installed: make docs")
    site = tmp_path_factory.mktemp("site")
    path = os.pathsep.join((str(Path(forgetting.__file__).parents[1]), *sys.path))
    here = {**os.environ, "PYTHONPATH": path, "NO_MKDOCS_2_WARNING": "1", "HF_HUB_OFFLINE": "1"}
    built = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    done = subprocess.run(built, cwd=DOCS.parent, env=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, str]] = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("words", ASKED)
def test_a_question_is_found_by_its_words(words: str, entries: list[dict[str, str]]) -> None:
    asked = words.split()
    known = {e["location"]: (e["title"].lower(), f"{e['title']} {e['text']}".lower()) for e in entries}
    assert ASKED[words] in known, "the section is gone or is called otherwise"
    holding = [place for place, (_, text) in known.items() if all(word in text for word in asked)]
    first = sorted(holding, key=lambda place: -sum(word in known[place][0] for word in asked))
    assert ASKED[words] in first[:5]
