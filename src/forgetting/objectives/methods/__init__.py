"""Methods by name: each is a function from typed parameters to an Objective, in one small file."""

from forgetting.objectives.methods.adapop import adapop
from forgetting.objectives.methods.altpo import altpo
from forgetting.objectives.methods.ceu import ceu
from forgetting.objectives.methods.distil import distil
from forgetting.objectives.methods.dpo import dpo
from forgetting.objectives.methods.forgetting import forgetting, ignoring
from forgetting.objectives.methods.ga import ga, ga_kl, graddiff
from forgetting.objectives.methods.gru import gru
from forgetting.objectives.methods.idk import idk
from forgetting.objectives.methods.ihl import ihl, loku
from forgetting.objectives.methods.jensun import jensun
from forgetting.objectives.methods.maxent import maxent
from forgetting.objectives.methods.npo import npo, simnpo
from forgetting.objectives.methods.pdu import pdu
from forgetting.objectives.methods.registry import METHODS, build_method, register_method
from forgetting.objectives.methods.rmu import rmu
from forgetting.objectives.methods.satimp import satimp
from forgetting.objectives.methods.sft import sft
from forgetting.objectives.methods.undial import undial
from forgetting.objectives.methods.wga import wga
from forgetting.objectives.methods.wtnpo import wtnpo

__all__ = [
    "METHODS",
    "adapop",
    "altpo",
    "build_method",
    "ceu",
    "distil",
    "dpo",
    "forgetting",
    "ga",
    "ga_kl",
    "graddiff",
    "gru",
    "idk",
    "ignoring",
    "ihl",
    "jensun",
    "loku",
    "maxent",
    "npo",
    "pdu",
    "register_method",
    "rmu",
    "satimp",
    "sft",
    "simnpo",
    "undial",
    "wga",
    "wtnpo",
]
