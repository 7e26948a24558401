"""How far a model is from the reference of its stage, on the text of a split: measures that a stage may end by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from forgetting.core.measure import Measure
from forgetting.metrics.limit import Limit
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import estimate_mean

KL, EXCESS = "kl_from_reference", "excess_loss"
MEANING = {
    KL: "KL(p_ref ‖ p) per token, in nats: how far the model's predictions are from those of the stage's reference. "
    "0 = the same.",
    EXCESS: "How much more the right answer surprises the model than the stage's reference: the difference of their "
    "mean -log p per token, in nats. 0 = alike, below 0 = less than the reference.",
}


@dataclass(frozen=True, slots=True)
class Beside:
    """One example under the model and the reference: sums over its supervised tokens, nats."""

    cluster: str
    tokens: int
    kl: float
    """Σ KL(p_ref ‖ p)."""
    excess: float
    """Σ (log p_ref(y) − log p(y))."""


def to_reference(split: str, found: Sequence[Beside]) -> list[Measure]:
    """`kl_from_reference` and `excess_loss` of a split: means over its tokens, with intervals clustered by example."""
    columns = {KL: [b.kl for b in found], EXCESS: [b.excess for b in found]}
    tokens, clusters = [b.tokens for b in found], [b.cluster for b in found]
    return [
        measure(
            estimate_mean(
                [value / count for value, count in zip(values, tokens, strict=True)],
                clusters,
                key=f"{split}/{name}",
                weights=tokens,
            ),
            name=name,
            split=split,
            direction="down",
            meaning=MEANING[name],
            absent=f"no examples of split '{split}'",
        )
        for name, values in columns.items()
    ]


def is_distance(key: str) -> bool:
    """Whether a measure, `split/name`, is a distance to the reference."""
    return key.rpartition("/")[2] in MEANING


def splits_of(limits: Iterable[Limit]) -> tuple[str, ...]:
    """The splits of which limits ask how far the model is from the reference, each once."""
    keys = [key for limit in limits for key in limit.keys]
    return tuple(dict.fromkeys(key.rpartition("/")[0] for key in keys if is_distance(key)))
