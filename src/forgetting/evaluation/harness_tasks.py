"""Tasks of lm-evaluation-harness by name: whether they can be asked, and ready to be asked.

Source: Gao et al., The language model evaluation harness (EleutherAI/lm-evaluation-harness).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from forgetting.core.errors import DataError, RecipeError
from forgetting.evaluation.harness_process import SEEDS, code_allowed, hushed, seeded


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessSettings:
    """How tasks are asked; the defaults are those of the harness's command, but for the batch size."""

    folder: Path | None = None
    """Task files of one's own (.yaml), which take precedence over built-in tasks of the same name. They are programs: a
    `!function` in them is imported and called."""
    shots: int | None = None
    """Examples before each question; None: the task's own number. A task with 0 keeps 0."""
    limit: int | None = None
    """The first so many questions of every task; None: all."""
    batch_size: int = 8
    seed: int | None = None
    """One seed for everything; None: `SEEDS`, which published numbers use."""
    run_code: bool = False
    """Whether tasks may run the code that a model writes (HumanEval and the like). The harness runs each program in a
    process of its own, for a few seconds and with what could destroy things switched off: a guard against accidents,
    not against malice."""


LoadedTask = Mapping[str, Any]
"""What the harness's `TaskManager.load` gives for one name: `tasks` and `groups` by name. Good for one evaluation."""


Aggregated = Mapping[str, tuple[str, ...]]
"""What the harness reports a number for, with the metrics that it forms of several tasks; none of a task."""


def check_tasks(
    names: Iterable[str], settings: HarnessSettings | None = None, *, lists: Iterable[str] = ()
) -> dict[str, Aggregated]:
    """Refuses what `load_task` would refuse, but fetches no data and imports no task's file.

    Args:
        names: of tasks, groups and tags.
        settings: those they would be loaded with.
        lists: other names that may have been meant.

    Returns:
        What stands for each name in the harness's results: a task or a group that has a number of its own, itself; any
        other group or tag, its members.

    Raises:
        RecipeError: the harness is not installed; there is no such task; one of its tasks runs code and may not.
        DataError: the folder has no task file.
    """
    asked = settings or HarnessSettings()
    return {name: dict(_standing(name, _checked(name, asked, lists).task_index, ())) for name in names}


def load_task(name: str, settings: HarnessSettings | None = None) -> LoadedTask:
    """A task, group or tag of the harness with its data, ready to be asked.

    Random state is left as it was.

    Raises:
        RecipeError: the harness is not installed; there is no such task (the nearest name is given); it runs code and
            may not; it needs images or sound.
        DataError: the folder has no task file, or the task's data or file cannot be used.
    """
    settings = settings or HarnessSettings()
    manager = _checked(name, settings)
    with hushed(), seeded(settings.seed), code_allowed(settings.run_code):
        try:
            loaded: LoadedTask = manager.load([name])
        except Exception as error:  # a task's file can be any program, and its data any script's
            raise _unusable(manager.task_index[name], error) from error
    for task_name, task in loaded["tasks"].items():
        _prepare(task_name, task, settings)
    return loaded


def task_files(folder: Path) -> list[Path]:
    """Every file that the tasks of a folder may rest on: those in it, and the local data files that they name."""
    files = {file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    for entry in _local(folder).task_index.values():
        files |= {Path(text) for text in _texts((entry.cfg or {}).get("dataset_kwargs")) if Path(text).is_file()}
    return sorted(files)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for member in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(member)


def library() -> Any:
    """The harness.

    Raises:
        RecipeError: it is not installed.
    """
    try:
        import lm_eval
        import lm_eval.tasks
    except ImportError as error:
        raise RecipeError(
            f"harness: lm-evaluation-harness is not installed ({_line(error)}); pip install 'forgetting[harness]'"
        ) from error
    return lm_eval


def _checked(name: str, settings: HarnessSettings, lists: Iterable[str] = ()) -> Any:
    """The manager that knows the task, after checks that it exists and that it runs no code without permission."""
    manager = _manager(name, settings.folder)
    if name not in manager.task_index:
        raise RecipeError(f"harness: there is no task '{name}'; {_nearest(name, settings.folder, lists)}")
    for member, config in _members(name, manager.task_index, set()):
        if config.get("unsafe_code") and not settings.run_code:
            raise _runs_code(member)
    return manager


def _members(spec: Any, index: Mapping[str, Any], seen: set[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and configuration of everything that a name, or an entry of a group's `task:`, refers to."""
    name, config, members = _referred(spec, index)
    yield name, config
    if name in seen:
        return
    seen.add(name)
    for member in members:
        yield from _members(member, index, seen)


def _standing(spec: Any, index: Mapping[str, Any], above: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What the harness reports numbers for, instead of a name that has none; and the metrics of a group that has some.

    A group or task that is written inside a group is reported under both names.
    """
    name, config, members = _referred(spec, index)
    reported = name if name in index or not above else f"{above[-1]}::{name}"
    metrics = tuple(_aggregated(config.get("aggregate_metric_list")))
    if metrics or not members:
        yield reported, metrics
        return
    for member in members if reported not in above else ():
        yield from _standing(member, index, (*above, reported))


def _referred(spec: Any, index: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], Sequence[Any]]:
    """Name, configuration and members of what a name, or an entry of a group's `task:`, refers to."""
    here: Mapping[str, Any] = spec if isinstance(spec, Mapping) else {}
    name = str(here.get("group") or here.get("task") or spec)
    entry = index.get(name)
    own: Mapping[str, Any] = (entry.cfg or {}) if entry is not None else {}
    tagged = sorted(entry.tags) if entry is not None and not own else ()  # a tag has no file
    return name, {**own, **here}, (*_listed(here), *_listed(own), *tagged)


def _aggregated(metrics: Any) -> Iterator[str]:
    """The metrics of a group's `aggregate_metric_list`, each named as its measure: with a filter that is not `none`."""
    for one in metrics if isinstance(metrics, list) else [metrics] if metrics else []:
        labels = one.get("filter_list") or ["none"]
        for label in [labels] if isinstance(labels, str) else labels:
            yield one["metric"] if label == "none" else f"{one['metric']},{label}"


def _listed(config: Mapping[str, Any]) -> Sequence[Any]:
    members = config.get("task")
    return members if isinstance(members, list) else ()


def _manager(name: str, folder: Path | None) -> Any:
    """The manager of the task: that of the folder alone if possible; reading all built-in tasks takes seconds."""
    if folder is None:
        return _built_in()
    local = _local(folder)
    if name in local.all_subtasks:
        return local
    if name in local.all_tasks:  # a group or tag: it may name built-in tasks
        return _built_in(str(folder))
    return _built_in()


@cache
def _built_in(beside: str | None = None) -> Any:
    """All built-in tasks, and those of a folder beside them: read once, for it takes half a minute."""
    return library().tasks.TaskManager(include_path=beside)


def _local(folder: Path) -> Any:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name the folder of your task files")
    manager = library().tasks.TaskManager(include_path=str(folder), include_defaults=False)
    if not manager.all_tasks:
        raise DataError(f"{folder}: holds no task; a task is a .yaml file that names itself with `task:`")
    return manager


def _nearest(name: str, folder: Path | None, lists: Iterable[str]) -> str:
    known = [*lists, *(_local(folder).all_tasks if folder else ()), *_built_in().all_tasks]
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else "`lm-eval ls tasks` lists them"


def _runs_code(name: str) -> RecipeError:
    return RecipeError(
        f"harness: task '{name}' runs code that the model writes; run_code=yes allows it, best in a container"
    )


def _unusable(entry: Any, error: Exception) -> DataError:
    if isinstance(error, ImportError):
        remedy = "install what is missing"
    elif entry.yaml_path and library().__path__[0] not in str(entry.yaml_path):
        remedy = f"fix {entry.yaml_path} or the data it names"
    else:
        source = (entry.cfg or {}).get("dataset_path", "see the task's file")
        remedy = f"fetch its data ({source}) once with network access, or give a task file of your own with @FOLDER"
    return DataError(f"harness: task '{entry.name}' cannot be set up: {_line(error)}; {remedy}")


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".;:")


def _prepare(name: str, task: Any, settings: HarnessSettings) -> None:
    """Refuses what cannot be asked; sets the number of examples by the rule of the harness's own command."""
    if getattr(task, "UNSAFE_CODE", False) and not settings.run_code:
        raise _runs_code(name)
    if getattr(task, "MULTIMODAL", False):
        raise RecipeError(f"harness: task '{name}' shows images or plays sound; name tasks of text alone")
    own = task.get_config("num_fewshot")
    if own is None or (settings.shots is not None and own != 0):
        task.set_config(key="num_fewshot", value=settings.shots or 0)
    task.set_fewshot_seed(seed=SEEDS[1] if settings.seed is None else settings.seed)
