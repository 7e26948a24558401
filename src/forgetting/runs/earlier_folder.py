"""The part of a run's folder that holds audits of an earlier request's facts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forgetting.runs.folder import RunFolder


@dataclass(frozen=True)
class EarlierFolder(RunFolder):
    """A run's folder whose audits are those of an earlier request; its records hold no texts."""

    request: str = ""
    """Names the folder of the request in the run's."""

    @property
    def audits_folder(self) -> Path:
        """In place of the run's own."""
        return self.earlier_folder(self.request)

    @property
    def asked_file(self) -> Path:
        """In place of the run's own, which says what its certificate must hold."""
        return self.audits_folder / super().asked_file.name
