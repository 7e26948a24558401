"""Attacks: what a model still reveals under other prompting than one plain question. One file each."""

from forgetting.audits import context, membership, posterior, sample
from forgetting.audits.attack import Attack, Run, Target, as_attack
from forgetting.audits.leaks import clusters, leaks
from forgetting.audits.measures import attack_measures, leak_measures
from forgetting.audits.registry import ATTACKS, register_attack

__all__ = [
    "ATTACKS",
    "Attack",
    "Run",
    "Target",
    "as_attack",
    "attack_measures",
    "clusters",
    "context",
    "leak_measures",
    "leaks",
    "membership",
    "posterior",
    "register_attack",
    "sample",
]
