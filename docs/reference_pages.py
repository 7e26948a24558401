"""The reference's pages, made from the code when the site is built: commands, keys of a recipe, public Python names."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import forgetting
from forgetting.recipe.schema import recipe_schema

HEADED = {
    "": "A recipe",
    "Stage": "A stage",
    "Source": "A source of data",
    "Formatting": "How a model is asked",
    "Adapter": "An adapter",
}
"""The parts of a recipe that come first, by their name in its schema, and what their section is called."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages to those of the folder (a hook of mkdocs)."""
    for name, text in {"commands": commands(), "recipe": recipe(), "python": python()}.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def commands() -> str:
    """Every command with its arguments and options, as typer documents them."""
    called = [sys.executable, "-m", "typer", "forgetting.cli", "utils", "docs", "--name", "forget"]
    return subprocess.run(called, check=True, capture_output=True, text=True).stdout


def recipe() -> str:
    """Every key of a recipe: what it takes, its default, what it means."""
    schema = recipe_schema()
    parts = {"": schema, **schema["$defs"]}
    names = [*HEADED, *(name for name in parts if name not in HEADED)]
    sections = [
        "# A recipe's keys\n\nMade from the schema that `forget schema recipe` prints. A value stands at its key in "
        "the file, or on the command line as `key=value`; a stage's keys there are `stages.NAME.key`, or `key` alone "
        "if one stage trains.\n"
    ]
    for name in names:
        properties = parts[name].get("properties")
        if properties:
            sections.append(
                "\n".join(
                    [
                        f"## {HEADED.get(name, name)}\n",
                        "| key | takes | default | meaning |",
                        "|---|---|---|---|",
                        *_rows(properties),
                    ]
                )
                + "\n"
            )
    return "\n".join(sections)


def _rows(properties: Mapping[str, Any]) -> Iterator[str]:
    for key, value in properties.items():
        inner = next(
            (option for option in value.get("anyOf", ()) if "description" in option or "default" in option), {}
        )
        meaning = value.get("description") or inner.get("description", "")
        default = value.get("default", inner.get("default", ""))
        said = "" if isinstance(default, dict) or default == "" else f"`{json.dumps(default, ensure_ascii=False)}`"
        cells = (f"`{key}`", ", ".join(dict.fromkeys(_taken(value))), said, meaning)
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _taken(value: Mapping[str, Any]) -> Iterator[str]:
    """What a key takes, in words."""
    if "enum" in value:
        yield from (f"`{choice}`" for choice in value["enum"])
    elif "const" in value:
        yield f"`{value['const']}`"
    elif "$ref" in value:
        yield value["$ref"].rsplit("/", 1)[1]
    elif "anyOf" in value or "oneOf" in value:
        for option in value.get("anyOf", value.get("oneOf", ())):
            yield from _taken(option)
    elif value.get("type") == "array":
        yield "list"
    elif value.get("type") == "string" and "[eE]" in value.get("pattern", ""):
        return  # a number as text, such as 1e-4, which the number beside it says
    elif "type" in value:
        yield {"object": "mapping", "string": "text", "integer": "whole number", "boolean": "true or false"}.get(
            str(value["type"]), str(value["type"])
        )


def python() -> str:
    """Every public name of the package, with its docstring."""
    lines = ["# Python\n", "What `import forgetting` gives. Everything else in the package may move.\n"]
    lines += [f"::: forgetting.{name}\n" for name in sorted(forgetting.__all__, key=str.lower) if name[0] != "_"]
    return "\n".join(lines)
