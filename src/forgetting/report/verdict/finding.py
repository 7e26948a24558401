"""One sentence of a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "mixed", "bad", "open", "note"]
"""In favour, partly, against, undecided; or a remark that is none of these."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence or two about one matter."""

    topic: str
    tone: Tone
    text: str
