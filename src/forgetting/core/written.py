"""YAML and JSON that others wrote, as plain values: what is too large or too deep to be meant is refused at once."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

LONGEST = 2**20
"""Characters of a YAML text."""
DEEPEST = 64
"""Lists and mappings inside one another."""
MOST = 200_000
"""Values, each alias counted as all that it stands for: a few lines of aliases can stand for billions."""


def read_yaml(text: str) -> Any:
    """The plain value that a YAML text stands for.

    Raises:
        yaml.YAMLError: it is not YAML, holds objects of a program, gives a key twice, or is too large or too deep.
    """
    if len(text) > LONGEST:
        raise yaml.YAMLError(f"it has {len(text):,} characters; at most {LONGEST:,} are read")
    try:
        return yaml.load(text, _Loader)
    except (ValueError, OverflowError) as error:  # a number or date that has none
        raise yaml.YAMLError(str(error)) from error
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        json.JSONDecodeError: it is not JSON, is nested too deeply, or has a number of too many digits.
        UnicodeDecodeError: it is bytes that are no text.
    """
    try:
        return json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "", 0) from error
    except ValueError as error:
        raise json.JSONDecodeError("a number has too many digits", "", 0) from error


def reason(error: Exception) -> str:
    """Why a text cannot be read, and where if that is known: `the key 'a' is given twice, line 3`."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())[:200]
    mark = error.problem_mark or error.context_mark
    return f"{error.problem or error.context}" + ("" if mark is None else f", line {mark.line + 1}")


class _Loader(yaml.SafeLoader):
    """Counts while it reads, before anything is built."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._sizes: dict[int, int] = {}
        """Values that a finished node stands for, by its identity; the nodes live as long as the loader's anchors."""

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """The next node; an alias must stand for a node that is finished."""
        is_alias = self.check_event(yaml.AliasEvent)
        mark = self.peek_event().start_mark
        self._depth += 1
        if self._depth > DEEPEST:
            raise ConstructorError(None, None, f"it is nested deeper than {DEEPEST} levels", mark)
        node: Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if node is None:
            return node
        if is_alias and id(node) not in self._sizes:
            raise ConstructorError(None, None, "an alias stands for what it is a part of", mark)
        size = self._sizes.get(id(node))
        if size is None:
            size = self._sizes[id(node)] = 1 + sum(self._sizes[id(inner)] for inner in _inner(node))
        if size > MOST:
            raise ConstructorError(None, None, f"its aliases stand for more than {MOST:,} values", mark)
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping, each of whose keys is given once; merged ones may be given again."""
        seen: set[object] = set()
        for key, _ in node.value if isinstance(node, MappingNode) else ():
            if isinstance(key, ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    raise ConstructorError(None, None, f"the key '{key.value}' is given twice", key.start_mark)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep=deep)


def _inner(node: Node) -> list[Node]:
    if isinstance(node, SequenceNode):
        return list(node.value)
    return [inner for pair in node.value for inner in pair] if isinstance(node, MappingNode) else []
