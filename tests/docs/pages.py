"""A page of the documentation as a shell script: its commands, its Python, and the files that it shows."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
ELSEWHERE = "Not run in our checks: "
"""How the title of a block begins that needs what a plain machine has not; the title goes on with the reason."""
_BLOCK = re.compile(
    r'^(?P<indent> *)```(?P<language>sh|python|yaml)(?: title="(?P<title>[^"]*)")?\n(?P<code>.*?)^(?P=indent)```$',
    flags=re.DOTALL | re.MULTILINE,
)


def script(text: str) -> str:
    """The page's blocks in order: `sh` as it stands, `python` to the interpreter, one titled by a name as that file.

    A block whose title is no file's name is shown only if it says why: its title begins with `ELSEWHERE`, or with
    'Install', which `tests/test_install.py` and the wheel's check do.
    """
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
