"""What a run took, as numbers of its own and as measures that stand beside those of its evaluations."""

from __future__ import annotations

from forgetting.core.measure import Measure
from forgetting.runs.results import Results

UNSCORED = "no tokens were scored"
_MEANINGS = {
    "minutes": "minutes that it took on the machine of the run",
    "flops": "floating-point operations of preparing and training, without evaluations",
    "epochs": "epochs that the last stage trained",
    "steps": "optimiser steps of the last stage",
    "trainable_share": "part of the model's weights that the last stage trained",
}


def flops_parts(run: Results) -> list[tuple[str, float]]:
    """The FLOPs of each part that took any, by its name."""
    named = [(name, value) for name, value in run.cost.flops.items() if name not in {"total", "reason"}]
    return [(name, float(value)) for name, value in named if isinstance(value, int | float) and value]


def method_flops(run: Results) -> float | None:
    """FLOPs of preparing and training, without evaluations, which are no part of a method; None if not counted."""
    parts = {name: value for name, value in flops_parts(run) if name != "evaluation"}
    return sum(parts.values()) if parts and not _uncounted(run) else None


def flops_reason(run: Results) -> str:
    """Why FLOPs are missing, or some of them."""
    return str(run.cost.flops.get("reason") or ("" if flops_parts(run) else "not counted"))


def own_measures(run: Results) -> list[Measure]:
    """What a run says of itself, as measures: what its stages and the whole of it took.

    `stage/epochs`, `stage/steps`, `stage/minutes` and `stage/trainable_share` are of the last stage, `NAME/minutes` of
    an earlier one, `run/minutes` and `run/flops` of preparing and training in all stages. `scoring/minutes` is the time
    of the token scores by which the last stage selects its tokens.
    """
    *earlier, last = run.stages
    took = (run.cost.prepare_seconds or 0.0) + (run.cost.train_seconds or 0.0)
    flops = method_flops(run)
    own: list[tuple[str, str, float | None, str]] = [
        ("stage", "epochs", last.epochs, ""),
        ("stage", "steps", last.steps, ""),
        ("stage", "trainable_share", last.trainable / last.of if last.of else None, "the stage trains no weights"),
        ("stage", "minutes", last.train_seconds / 60, ""),
        ("scoring", "minutes", None if last.scoring_seconds is None else last.scoring_seconds / 60, UNSCORED),
        *((stage.name, "minutes", stage.train_seconds / 60, "") for stage in earlier),
        ("run", "minutes", took / 60, ""),
        ("run", "flops", flops, flops_reason(run) or "not counted"),
    ]
    return [
        Measure(
            name=name,
            split=split,
            value=value,
            count=1,
            meaning=_MEANINGS[name],
            reason=reason if value is None else "",
        )
        for split, name, value, reason in own
    ]


def _uncounted(run: Results) -> bool:
    """Where training was not counted, no part is known; of counted training the forget part is a number, if only 0."""
    return run.cost.flops.get("forget") is None
