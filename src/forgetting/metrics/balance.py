"""Balance: one number to choose a checkpoint or a learning rate by. It falls if too little or too much is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import hmean

from forgetting.core.declaration import Balance
from forgetting.core.measure import Measure
from forgetting.metrics.share import nothing_to_lose
from forgetting.metrics.utility import ALL

NAME = "balance"


@dataclass(frozen=True, slots=True)
class _Share:
    """One part of the balance, 0 to 1, and the words for it."""

    value: float
    count: int
    words: str


def balance(
    now: Sequence[Measure],
    before: Sequence[Measure],
    oracle: Sequence[Measure] | None = None,
    *,
    of: Balance | None,
) -> Measure:
    """`all/balance`: the harmonic mean of what was forgotten and what was kept, each from 0 to 1.

        forgotten = 1 - |now - oracle| / |before - oracle|   of `forget`, clipped to [0, 1]
        kept      = min(1, now / before)                     of `retain`, and of `utility`

    So the oracle itself has 1, the untouched model 0, and going as far below the oracle as the model was above it is 0
    again. Without an oracle (or without its measure) the goal is 0, and forgetting too much goes unseen. A `retain` or
    `utility` that is not declared, absent on either side, or was nearly nothing before (`nothing_to_lose`), is left
    out: what is kept of it says nothing. The meaning says which parts were used and what the goal was. There is no
    value if `forget` is absent, if the model before was at the goal already, or if nothing is declared.

    Args:
        now: measures of the checkpoint.
        before: measures of the model before the stage.
        oracle: measures of a model that never saw the forget set.
        of: what the suite declares: the keys (`split/name`) of a value `forget` that is high where the forget set is
            known, of a value `retain`, at least 0, that is high where retained knowledge is kept, and of the same for
            general ability, `utility`.
    """
    after, start, goal = (_by_key(measures) for measures in (now, before, oracle or ()))
    if of is None:
        forgotten: _Share | str = "no suite declares measures to compare checkpoints by"
    else:
        forgotten = _forgotten(after.get(of.forget), start.get(of.forget), goal.get(of.forget), of.forget)
    if of is None or isinstance(forgotten, str):
        meaning = "Balance of forgetting and keeping, from 0 to 1."
        reason = str(forgotten)
        return Measure(name=NAME, split=ALL, value=None, count=0, direction="up", meaning=meaning, reason=reason)
    keys = [key for key in (of.retain, of.utility) if key]
    kept = [_kept(after.get(key), start.get(key), key) for key in keys]
    shares = [forgotten, *(share for share in kept if share)]
    missing = [key for key, share in zip(keys, kept, strict=True) if not share]
    meaning = f"Balance, from 0 to 1: harmonic mean of {'; '.join(share.words for share in shares)}."
    if missing:
        meaning += f" Not used, since absent or nearly nothing before: {', '.join(missing)}."
    return Measure(
        name=NAME,
        split=ALL,
        value=float(hmean([share.value for share in shares])),
        count=min(share.count for share in shares),
        direction="up",
        meaning=meaning,
    )


def _by_key(measures: Sequence[Measure]) -> dict[str, Measure]:
    return {measure.key: measure for measure in measures if measure.value is not None}


def _forgotten(now: Measure | None, before: Measure | None, oracle: Measure | None, key: str) -> _Share | str:
    """The share, or why there is none."""
    if now is None or now.value is None:
        return f"{key} was not measured now"
    if before is None or before.value is None:
        return f"{key} was not measured before"
    goal = 0.0 if oracle is None or oracle.value is None else oracle.value
    of = (
        "no oracle: the goal is 0, so forgetting too much goes unseen" if oracle is None else f"the oracle's {goal:.3g}"
    )
    way = abs(before.value - goal)
    if way == 0:
        return f"{key} was at its goal ({of}) before: there was nothing to forget"
    value = min(1.0, max(0.0, 1.0 - abs(now.value - goal) / way))
    return _Share(value, now.count, f"forgotten {value:.3g} ({key} on the way from {before.value:.3g} to {of})")


def _kept(now: Measure | None, before: Measure | None, key: str) -> _Share | None:
    if now is None or now.value is None or before is None or before.value is None:
        return None
    if before.value <= 0 or nothing_to_lose(before):
        return None
    value = min(1.0, max(0.0, now.value / before.value))
    return _Share(value, now.count, f"kept {value:.3g} ({key}, now against before)")
