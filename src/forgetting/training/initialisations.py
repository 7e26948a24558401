"""Registers the package's adapter initialisations; those that read data need `forgetting.training`."""

from forgetting.models.adapters.initialisation import INITIALISATIONS, build_initialisation
from forgetting.training import importance as importance

__all__ = ["INITIALISATIONS", "build_initialisation"]
