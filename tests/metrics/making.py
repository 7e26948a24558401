"""Records for tests, said briefly."""

from __future__ import annotations

import math
from collections.abc import Sequence

from forgetting.core.record import Record, Score


def likely(probability: float, tokens: int = 1, ranks: Sequence[int] = ()) -> Score:
    """A score whose length-normalised probability is `probability`."""
    return Score(logp=tokens * math.log(probability), tokens=tokens, ranks=tuple(ranks))


def record(
    id: str,
    split: str = "forget",
    *,
    p: float | None = None,
    right: float | None = None,
    wrong: Sequence[float] = (),
    tokens: int = 1,
    **fields: object,
) -> Record:
    """A record with p(answer), p(paraphrase) and p(wrong answers), all length-normalised."""
    given: dict[str, object] = {
        "prompt": f"Question {id}?",
        "answer": "Paris",
        "score": None if p is None else likely(p, tokens),
        "paraphrase": None if right is None else likely(right, tokens),
        "perturbed": tuple(likely(q, tokens) for q in wrong),
    }
    return Record(id=id, split=split, **{**given, **fields})  # type: ignore[arg-type]
