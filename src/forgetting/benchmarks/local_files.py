"""A benchmark's table on the hub, or as a file of the same name in a folder."""

from __future__ import annotations

from pathlib import Path

from forgetting.core.errors import DataError, nearest
from forgetting.data.source import Source

ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".csv", ".parquet")


def source_of(name: str, folder: Path | None, *, hub: Source) -> Source:
    """Where a table is: `FOLDER/NAME.jsonl` (or .json, .csv, .parquet), or on the hub if there is no folder.

    Raises:
        DataError: the folder has no such file; the nearest name is given.
    """
    if folder is None:
        return hub
    file = next((found for end in ENDINGS if (found := folder / f"{name}{end}").is_file()), None)
    if file is None:
        there = [f.name.split(".")[0] for f in sorted(folder.iterdir()) if f.is_file()]
        raise DataError(f"{folder}: holds no {name}.jsonl (or .json, .csv, .parquet); {nearest(name, there)}")
    return Source(path=str(file))


def folder_of(suite: str, variant: str) -> tuple[str, Path | None]:
    """What stands before the @ of a suite's variant, and the folder behind it; None: the hub.

    Raises:
        DataError: there is no such folder.
    """
    asked, at, folder = variant.partition("@")
    if at and not (folder and Path(folder).is_dir()):
        raise DataError(f"{suite}:{variant}: no such folder '{folder}'; write {suite}:…@FOLDER, or leave @ out")
    return asked, Path(folder) if at else None
