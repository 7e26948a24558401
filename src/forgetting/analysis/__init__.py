"""What changed inside a model: analyses of two models of a run. One file each."""

from forgetting.analysis import (
    calibration,
    depth,
    forgottenness,
    geometry,
    lens,
    probe,
    sae,
    sensitivity,
    shifts,
    spectra,
    states,
    sureness,
    weights,
)
from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.registry import ANALYSES, register_analysis

__all__ = [
    "ANALYSES",
    "Analysis",
    "Compared",
    "Findings",
    "calibration",
    "depth",
    "forgottenness",
    "geometry",
    "lens",
    "probe",
    "register_analysis",
    "sae",
    "sensitivity",
    "shifts",
    "spectra",
    "states",
    "sureness",
    "weights",
]
