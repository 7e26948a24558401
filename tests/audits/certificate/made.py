"""Evidence of models whose answers are given: what each model gives away of every fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forgetting.audits.certificate import Evidence, Gate

SUBJECTS = 40
KEPT = Gate(name="retain", state="passed", before=0.9, after=0.9, text="retain was 0.9 before and is 0.9 after.")
FAILED = Gate(name="retain", state="failed", before=0.9, after=0.1, text="retain was 0.9 before and is 0.1 after.")


def given(
    attack: str = "sample",
    value: str = "leak",
    *,
    unseen: Mapping[str, Sequence[float | None]] | None = None,
    **models: Sequence[float | None],
) -> Evidence:
    """Evidence of facts f0, f1, …, each of a subject of its own."""
    count = len(next(iter(models.values())))
    facts = [f"f{n}" for n in range(count)]
    others = [f"u{n}" for n in range(len(next(iter((unseen or {"": ()}).values()))))]
    return Evidence(
        attack=attack,
        value=value,
        models={model: dict(zip(facts, values, strict=True)) for model, values in models.items()},
        subjects={fact: f"s{fact}" for fact in facts},
        unseen={model: dict(zip(others, values, strict=True)) for model, values in (unseen or {}).items()},
        unseen_subjects={fact: f"s{fact}" for fact in others},
    )


def ones(count: int, of: int = SUBJECTS) -> list[float | None]:
    """So many facts that leak, and the rest that do not."""
    return [*[1.0] * count, *[0.0] * (of - count)]
