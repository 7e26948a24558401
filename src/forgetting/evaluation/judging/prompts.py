"""What judges are asked: our own instructions, by name and version, before the texts as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml


@dataclass(frozen=True, slots=True)
class Instructions:
    """What a judge is told; a changed text has another version."""

    name: str
    version: int
    text: str

    @property
    def named(self) -> str:
        """`forgetting-answer 1`."""
        return f"{self.name} {self.version}"

    def about(self, **texts: str) -> str:
        """The whole prompt on these texts; as JSON, none of them can pass for an instruction's end."""
        return f"{self.text.strip()}\n\n{json.dumps(texts, ensure_ascii=False)}"


@cache
def instructions(name: str) -> Instructions:
    """The instructions `answer` or `popularity`."""
    found: Mapping[str, Mapping] = yaml.safe_load(
        resources.files("forgetting.evaluation.judging").joinpath("prompts.yaml").read_text(encoding="utf-8")
    )
    return Instructions(**found[name])
