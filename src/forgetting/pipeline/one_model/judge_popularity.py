"""Asks a judge which of two facts is better known, about pairs of a table of facts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.progress import SILENT, Voice
from forgetting.data.examples import load_examples
from forgetting.data.source import Source
from forgetting.evaluation.judging.judge import Judge, ask_all
from forgetting.evaluation.judging.kept import kept_in
from forgetting.evaluation.judging.prompts import instructions
from forgetting.evaluation.judging.replies import choice
from forgetting.metrics.judged_popularity import Pair, popularity_judged
from forgetting.runs.output import OutputFolder


def judge_popularity(
    facts: str,
    judge: Judge,
    *,
    pairs: int = 200,
    out: Path | None = None,
    seed: int = 0,
    voice: Voice = SILENT,
) -> list[Measure]:
    """The judge's choices between facts of a file, each pair in both orders, against the facts' popularity.

    Args:
        facts: a file of questions and answers with a popularity.
        judge: who is asked.
        pairs: at most so many; each fact is in one, so that pairs are independent.
        out: the folder in whose shared cache replies are kept; None: that of the file.
        seed: of the pairs.
        voice: receives progress and the cost.

    Raises:
        DataError: the file cannot be read, or no two of its facts differ in popularity.
        RunError: the judge cannot be asked.
    """
    drawn = _pairs(load_examples(Source(path=facts)), pairs, seed)
    if not drawn:
        raise DataError(f"{facts}: no two facts differ in popularity; give each row a popularity")
    told = instructions("popularity")
    prompts = [
        told.about(first=_said(a), second=_said(b)) for one, other in drawn for a, b in ((one, other), (other, one))
    ]
    with kept_in(OutputFolder(out or Path(facts).resolve().parent).replies_file(judge.identity), voice) as kept:
        asked = ask_all(judge, prompts, kept, voice)
    chosen = [_chosen(reply) for reply in asked.replies]
    return popularity_judged(
        [
            Pair(
                key=str(n),
                more_popular=(one.popularity or 0.0) > (other.popularity or 0.0),
                shown_first=chosen[2 * n],
                shown_second=None if (second := chosen[2 * n + 1]) is None else not second,
            )
            for n, (one, other) in enumerate(drawn)
        ]
    )


def _pairs(examples: Sequence[Example], most: int, seed: int) -> list[tuple[Example, Example]]:
    known = [example for example in examples if example.popularity is not None]
    random.Random(seed).shuffle(known)
    two = zip(known[::2], known[1::2], strict=False)
    return [(one, other) for one, other in two if one.popularity != other.popularity][:most]


def _said(example: Example) -> str:
    return f"{example.prompt} {example.response}".strip()


def _chosen(reply: str | None) -> bool | None:
    found = None if reply is None else choice(reply)
    return None if isinstance(found, str) else found
