"""The output folder of several runs, and the files that they share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.cache import Cache
from forgetting.core.locks import is_held
from forgetting.runs.paths import RunPaths
from forgetting.runs.redact import SHARED, key_file


@dataclass(frozen=True)
class OutputFolder:
    """An output folder: its runs and their shared caches."""

    path: Path

    @property
    def shared(self) -> Path:
        """The folder of the caches and of the key of redacted runs."""
        return self.path / SHARED

    @property
    def references(self) -> Cache:
        """Outputs of references, for stages that overwrite their reference's weights."""
        return Cache(self.shared / "references")

    @property
    def records(self) -> Cache:
        """Records and probes of models that are not trained."""
        return Cache(self.shared / "records")

    @property
    def stages(self) -> Cache:
        """Reference adapters."""
        return Cache(self.shared / "stages")

    @property
    def scores(self) -> Cache:
        """Token scores."""
        return Cache(self.shared / "scores")

    @property
    def initialisations(self) -> Cache:
        """What adapters' initialisations computed from data."""
        return Cache(self.shared / "initialisations")

    @property
    def judgements(self) -> Path:
        """Replies of judges, in a folder for each."""
        return self.shared / "judgements"

    def replies_file(self, judge: str) -> Path:
        """The replies of the judge of this identity."""
        return self.judgements / hashlib.sha256(judge.encode()).hexdigest()[:16] / "replies.jsonl"

    @property
    def key_file(self) -> Path:
        """The key of redacted runs."""
        return key_file(self.path)

    def runs(self) -> list[RunPaths]:
        """The runs that were started here, by name."""
        found = (RunPaths(path) for path in sorted(self.path.iterdir()))
        return [run for run in found if run.is_run]

    def held_entries(self) -> list[Path]:
        """Folders of the caches that a process has locked."""
        folders = [self.shared, *(path for path in self.shared.glob("**/") if path.is_dir())]
        return [folder for folder in folders if is_held(folder)]
