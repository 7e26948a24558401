"""The package's own adapter initialisations, registered: some read data, which only this room can go through."""

from forgetting.models.adapters.initialisation import INITIALISATIONS, build_initialisation
from forgetting.training import importance as importance

__all__ = ["INITIALISATIONS", "build_initialisation"]
