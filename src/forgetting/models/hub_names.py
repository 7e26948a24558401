"""Names of the hub's repositories."""

from __future__ import annotations

import re

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def is_hub_name(name: str) -> bool:
    """Whether the name can be a repository's: `owner/name`, without spaces or signs."""
    return _REPOSITORY.fullmatch(name) is not None
