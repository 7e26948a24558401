"""The attack on the difference of two models: which texts were forgotten, told by how their scores changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from forgetting.audits.attack import Attack, Target
from forgetting.audits.registry import register_attack
from forgetting.core.errors import RunError
from forgetting.core.record import Record, read_records
from forgetting.evaluation.membership import membership_records
from forgetting.metrics.membership.measures import TOKENS
from forgetting.metrics.membership.posterior import BEFORE, posterior_measures
from forgetting.runs.audits import Audit
from forgetting.runs.folder import RunFolder

K = 0.2
_NAME = "posterior"


@register_attack(_NAME)
def posterior(shadow: str = "") -> Attack:
    """Tells forgotten texts from kept and from never seen ones by a classifier of how their scores changed.

    The attacker has the model before too, and some texts of each kind to train on: a part of the run's own, or those of
    another run that this attack was made on (`shadow`), whose forgotten texts are then the only ones known to the
    attacker. Scores are LOSS, zlib, Min-20% and Min-20%++; nothing is measured of the model before itself.

    Args:
        shadow: the folder of another finished run of the same kind, audited by this attack; empty: cross-validation.

    Raises:
        ValueError: that run was not audited.
    """
    other = _records_of(Path(shadow)) if shadow else None

    def attack(target: Target) -> Sequence[Record]:
        found = membership_records(
            target.model,
            target.tokenizer,
            target.examples,
            split=target.split,
            formatting=target.formatting,
            ks=(K,),
            voice=target.voice,
        )
        plain = [replace(r, values={n: v for n, v in r.values.items() if n != TOKENS}) for r in found]
        if not target.before:
            return plain
        return [_with_before(now, then) for now, then in zip(plain, target.before, strict=True)]

    return Attack(run=attack, measures=partial(posterior_measures, shadow=other), leaks=())


def _with_before(now: Record, then: Record) -> Record:
    earlier = {f"{BEFORE}{name}": value for name, value in then.values.items() if name in now.values}
    return replace(now, values={**now.values, **earlier})


def _records_of(folder: Path) -> Mapping[str, Sequence[Record]]:
    """What this attack found of another run's model after, by role."""
    try:
        there = Audit.load(RunFolder(folder).audit_file(_NAME))
        after = None if there is None else there.points.get("after")
        records = [] if after is None else read_records(folder / after.records)
    except RunError as error:
        raise ValueError(f"shadow: {error}") from error
    if not records:
        raise ValueError(f"shadow is {folder}, which this attack was not made on; run it there first")
    return {split: [r for r in records if r.split == split] for split in dict.fromkeys(r.split for r in records)}
