"""Datasets of the Hugging Face hub, and folders that its library wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from forgetting.core.errors import DataError, nearest
from forgetting.core.text import said
from forgetting.data.source import Source

_OFFLINE = ("ConnectionError", "OfflineModeIsEnabled", "LocalEntryNotFoundError", "ConnectTimeout")


def downloaded(source: Source) -> Iterable[dict[str, object]]:
    """The rows of a dataset of the hub, of its configuration `name`, its `split` and its `revision`.

    Raises:
        DataError: it is not there, not to be had, or the hub cannot be reached; the message says what to do.
    """
    from datasets import load_dataset

    return _attempt(
        source,
        lambda: load_dataset(source.hub, source.name, split=source.split, revision=source.revision),
        "check its name, configuration, split and revision; of a gated one, log in with `hf auth login`",
    )


def saved(folder: Path, source: Source) -> Iterable[dict[str, object]]:
    """The rows of a folder that `datasets` wrote with `save_to_disk`; of several splits, those of `split`.

    Raises:
        DataError: it is damaged, or has no such split.
    """
    from datasets import DatasetDict, load_from_disk

    found = _attempt(source, lambda: load_from_disk(str(folder)), "save it again")
    if not isinstance(found, DatasetDict):
        return found
    if source.split not in found:
        raise DataError(f"{folder}: has no split '{source.split}'; {nearest(source.split, found)}; write split: …")
    return found[source.split]


def _attempt(source: Source, load: Callable[[], Any], remedy: str) -> Any:
    try:
        return load()
    except Exception as error:  # the hub's errors share no base
        reason = said(error)
        causes = {type(e).__name__ for e in _chain(error)}
        if causes & set(_OFFLINE):
            raise DataError(
                f"{source}: the hub cannot be reached ({reason}); where it can be, run `hf download --repo-type "
                f"dataset {source.hub} --local-dir FOLDER`, and give FOLDER here"
            ) from error
        where = "from the hub " if source.hub is not None else ""
        raise DataError(f"{source}: cannot be loaded {where}({type(error).__name__}: {reason}); {remedy}") from error


def _chain(error: BaseException) -> Iterable[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
