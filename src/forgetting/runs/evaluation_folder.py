"""The folder of a model that is measured as it is: written, locked and redacted as that of a run, without a recipe."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.errors import RunError
from forgetting.core.folder import remove
from forgetting.core.locks import LOCK
from forgetting.runs.began import difference
from forgetting.runs.folder import RunFolder
from forgetting.runs.output import OutputFolder
from forgetting.runs.paths import RunPaths
from forgetting.runs.same_run import is_left_over

_OTHER = "name another folder (--out)"


@dataclass(frozen=True)
class EvaluationFolder(RunFolder):
    """Writes and reads the files of an evaluation; its settings take the place of a run's recipe."""

    @property
    def recipe_file(self) -> Path:
        """The settings in full."""
        return self.settings_file

    def check_takes(self, recipe: str, rewritten: Callable[[str], str] = lambda text: text) -> None:
        """Checks that the folder is new, or holds an evaluation with these settings or one that was not finished.

        Args:
            recipe: the settings, as YAML.
            rewritten: settings as this version writes them.

        Raises:
            RunError: it holds something else; of other settings, the first value that differs is named.
        """
        if RunPaths(self.path).is_run:
            raise RunError(f"{self.path}: holds a run; {_OTHER}")
        if self.is_run:
            other = difference(self.recipe_file, recipe, rewritten) if self.is_finished else ""
            if other:
                raise RunError(f"{self.path}: holds another evaluation: {other}; {_OTHER}, or remove it")
        elif self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path}: is a file; {_OTHER}")
        elif self.path.is_dir() and any(not is_left_over(path) for path in self.path.iterdir()):
            raise RunError(f"{self.path}: is not empty and holds no evaluation; {_OTHER}")

    @property
    def has_left_overs(self) -> bool:
        """Whether a lock or records that were kept for a second start are in it."""
        return (self.path / LOCK).exists() or OutputFolder(self.path).records.folder.exists()

    def remove_kept(self) -> None:
        """Removes the records that were kept in the folder for a second start."""
        output = OutputFolder(self.path)
        remove(output.records.folder)
        with suppress(OSError):  # what others keep there stays
            output.shared.rmdir()
