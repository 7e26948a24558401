"""Task files for lm-evaluation-harness's own command, of any suites: `lm_eval --include_path FOLDER --tasks …`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetting.benchmarks.registry import get_suite
from forgetting.benchmarks.suite import Suite
from forgetting.core.errors import RecipeError
from forgetting.core.folder import written_whole

_CLASS = "forgetting.benchmarks.harness_export.task.SuiteTask"


@dataclass(frozen=True, slots=True)
class ExportedSuite:
    """What was written of a suite."""

    suite: str
    group: str
    """The name that asks for all of its tasks."""
    tasks: Mapping[str, str]
    """By the name of a task, its split."""
    left_out: tuple[str, ...]
    """Splits that the harness's requests cannot measure."""


def export_tasks(folder: Path, suites: Sequence[str]) -> list[ExportedSuite]:
    """Writes the task files of suites; each is read once, so that what cannot be read is noticed here.

    A suite gives a group `forgetting_NAME_VARIANT` with a task for each split. Left out are texts that were seen or not
    (`Split.membership`), which need the likelihood of every token, and probes.

    Args:
        folder: to write, or one that was written so.
        suites: by the names that `evaluate:` takes. Relative paths in them are seen from where `lm_eval` runs.

    Raises:
        RecipeError: no suite, two of one name, one without a split that can be asked, or see `get_suite`.
        DataError: a suite's data cannot be read.
        RunError: the folder holds other files, or cannot be written.
    """
    if not suites:
        raise RecipeError("name at least one suite, such as tofu:forget10; `forget suites` lists them")
    found = [_exported(name, get_suite(name)) for name in suites]
    groups = [one.group for one in found]
    twice = next((group for group in groups if groups.count(group) > 1), None)
    if twice is not None:
        raise RecipeError(f"two suites would be called {twice}; write them into folders of their own")
    with written_whole(folder) as partial:
        for one in found:
            for name, text in _files(one).items():
                (partial / f"{name}.yaml").write_text(text, encoding="utf-8")
    return found


def _exported(name: str, suite: Suite) -> ExportedSuite:
    group = f"forgetting_{_plain(_short(name))}"
    tasks = {f"{group}_{_plain(split.name)}": split.name for split in suite.splits if split.membership is None}
    if not tasks:
        raise RecipeError(f"suite '{name}' has no split that lm-evaluation-harness can be asked; name another suite")
    return ExportedSuite(name, group, tasks, tuple(s.name for s in suite.splits if s.membership is not None))


def _files(one: ExportedSuite) -> Mapping[str, str]:
    """The text of each file by its name: one for each task, and one for the group of all."""
    files = {
        task: f"task: {task}\nclass: !function {_CLASS}\n"
        f"metadata: {json.dumps({'version': 1, 'suite': one.suite, 'split': split}, ensure_ascii=False)}\n"
        for task, split in one.tasks.items()
    }
    return {**files, one.group: f"group: {one.group}\ntask: {json.dumps(list(one.tasks))}\n"}


def _short(name: str) -> str:
    """The suite, and its variant as far as that is no path: tofu:forget10 of `tofu:forget10@FOLDER`."""
    base, _, variant = name.partition(":")
    first = re.split("[,@]", variant)[0]
    return base if "=" in first or not first else f"{base}_{first}"


def _plain(name: str) -> str:
    return re.sub(r"\W+", "_", name)
