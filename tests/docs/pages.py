"""A page of the documentation as a shell script: its commands, its Python, and the files that it shows."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ELSEWHERE = "Not run in our checks: "
"""How the title of a block begins that needs what a plain machine has not; the title goes on with the reason."""
_FENCE = re.compile(r"^ *```(?P<language>.*?)(?: title=.*)?\n.*?^ *```$", flags=re.DOTALL | re.MULTILINE)
_SHOWN = ("json",)
"""Languages of blocks that are neither run nor a file."""
_BARE = re.compile(
    r"^ {4,}(?:\$ )?(?:forget|python3?|pip|make|torchrun|accelerate|deepspeed|docker|ray|hf|lm_eval|inspect) .*$",
    flags=re.MULTILINE,
)
_BLOCK = re.compile(
    r'^(?P<indent> *)```(?P<language>sh|python|yaml)(?: title="(?P<title>[^"]*)")?\n(?P<code>.*?)^(?P=indent)```$',
    flags=re.DOTALL | re.MULTILINE,
)


def pages() -> list[Path]:
    """The pages of the site that are written by hand, in its order, and the one for contributors.

    Pages of the reference are made from the code, those of `HISTORY` say what was run once and how it went.
    """
    return [*(DOCS / page for page in _leaves(_nav()) if _is_written(page)), ROOT / "CONTRIBUTING.md"]


HISTORY = ("log.md", "decisions.md")


def _nav() -> object:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]


def _leaves(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [leaf for one in (nav.values() if isinstance(nav, dict) else nav) for leaf in _leaves(one)]


def _is_written(page: str) -> bool:
    return not page.startswith("reference/") and page not in HISTORY


def script(text: str) -> str:
    """The page's blocks in order: `sh` as it stands, `python` to the interpreter, one titled by a name as that file.

    A block whose title is no file's name is shown only if it says why: its title begins with `ELSEWHERE`, or with
    'Install', which `tests/test_install.py` and the wheel's check do.

    Raises:
        ValueError: a block says neither what it is nor why it is not run, or a command stands outside of all blocks.
    """
    if bare := _BARE.search(_FENCE.sub("", text)):
        raise ValueError(f"a command that is in no block, so that nothing runs it: {bare[0].strip()}")
    known = {"sh", "python", "yaml", *_SHOWN}
    if others := {fence["language"] for fence in _FENCE.finditer(text)} - known:
        raise ValueError(f"blocks of a language that nothing runs: {', '.join(sorted(others)) or 'none'}")
    lines = ["set -eu"]
    for block in _BLOCK.finditer(text):
        title, language, code = block["title"] or "", block["language"], textwrap.dedent(block["code"])
        if re.fullmatch(r"[\w.-]+\.\w+", title):
            lines.append(f"cat > {title} <<'END-OF-FILE'\n{code}END-OF-FILE")
        elif title.startswith((ELSEWHERE, "Install")):
            continue
        elif title:
            raise ValueError(f"a block's title is a file's name, or says why it is not run: {title}")
        elif language == "sh":
            lines.append(code)
        elif language == "python":
            lines.append(f"python - <<'END-OF-FILE'\n{code}END-OF-FILE")
        else:
            raise ValueError("a YAML block needs a title, the name of the file that it is")
    return "\n".join(lines) + "\n"
