"""Methods by name: each is a function from typed parameters to an Objective, in one small file."""

from forgetting.objectives.methods.dpo import dpo
from forgetting.objectives.methods.forgetting import forgetting, ignoring
from forgetting.objectives.methods.ga import ga, ga_kl, graddiff
from forgetting.objectives.methods.ihl import ihl, loku
from forgetting.objectives.methods.npo import npo
from forgetting.objectives.methods.registry import Method, build_method, get_method, method_names, register
from forgetting.objectives.methods.sft import sft

__all__ = [
    "Method",
    "build_method",
    "dpo",
    "forgetting",
    "ga",
    "ga_kl",
    "get_method",
    "graddiff",
    "ignoring",
    "ihl",
    "loku",
    "method_names",
    "npo",
    "register",
    "sft",
]
