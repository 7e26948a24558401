"""Attacks: what a model still reveals under other prompting than one plain question. One file each."""

from forgetting.audits import context, sample
from forgetting.audits.attack import Attack, Target
from forgetting.audits.measures import attack_measures
from forgetting.audits.registry import ATTACKS, register_attack

__all__ = ["ATTACKS", "Attack", "Target", "attack_measures", "context", "register_attack", "sample"]
