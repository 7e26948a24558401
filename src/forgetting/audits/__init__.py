"""Attacks: what a model still gives away when it is asked otherwise than once and plainly. One file each."""

from forgetting.audits import context, sample
from forgetting.audits.attack import Attack, Target
from forgetting.audits.measures import attack_measures
from forgetting.audits.registry import ATTACKS, register_attack

__all__ = ["ATTACKS", "Attack", "Target", "attack_measures", "context", "register_attack", "sample"]
