"""A recipe's data read from a local folder in place of the hub and of `data/`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from forgetting.recipe import Recipe

TOFU = "locuslab/TOFU"


def localised(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe on local files: `folder` replaces the leading `data/` of its paths, its `tofu/` and `duet/` the hub's.

    Another dataset of the hub is read from `folder/hub/ORG/NAME.jsonl` if that file exists. If `folder/tasks` exists,
    its task files take precedence over those of the harness.
    """
    return recipe.with_values(_local(recipe.model_dump(mode="json"), folder))


def hub_file(folder: Path, hub: str) -> Path:
    """Where the local copy of a dataset of the hub is looked for."""
    return folder / "hub" / f"{hub}.jsonl"


def _local(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_local(item, folder) for item in value]
    if isinstance(value, dict):
        if value.get("hub") == TOFU:
            return {"path": str(folder / "tofu" / f"{value['name']}.jsonl"), "limit": value.get("limit")}
        if value.get("hub") is not None and (file := hub_file(folder, value["hub"])).is_file():
            return {**value, "path": str(file), "hub": None, "name": None, "revision": None}
        return {key: _local(item, folder) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"tofu(:forget\d\d)?", value):
        return f"{value if ':' in value else 'tofu:forget10'}@{folder / 'tofu'}"
    if re.fullmatch(r"duet:[^@]*", value):
        return f"{value}@{folder / 'duet'}"
    if value.startswith("harness:") and "@" not in value and (folder / "tasks").is_dir():
        names, comma, keys = value.partition(",")
        return f"{names}@{folder / 'tasks'}{comma}{keys}"
    return re.sub(r"(^|[=@:])data/", lambda found: f"{found[1]}{folder}/", value)
