"""Attacks: what a model still reveals under other prompting than one plain question. One file each."""

from forgetting.audits import (
    context,
    form,
    greedy,
    health,
    layers,
    membership,
    near,
    posterior,
    prompt,
    quantise,
    relearn,
    sample,
    suffix,
)
from forgetting.audits.asking import questions
from forgetting.audits.attack import Attack, Run, Target, as_attack
from forgetting.audits.leaks import clusters, leaks
from forgetting.audits.measures import attack_measures, leak_measures
from forgetting.audits.registry import ATTACKS, SETS, attacks_of, register_attack
from forgetting.audits.subjects import subjects_of

__all__ = [
    "ATTACKS",
    "SETS",
    "Attack",
    "Run",
    "Target",
    "as_attack",
    "attack_measures",
    "attacks_of",
    "clusters",
    "context",
    "form",
    "greedy",
    "health",
    "layers",
    "leak_measures",
    "leaks",
    "membership",
    "near",
    "posterior",
    "prompt",
    "quantise",
    "questions",
    "register_attack",
    "relearn",
    "sample",
    "subjects_of",
    "suffix",
]
