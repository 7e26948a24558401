"""Evaluation as TOFU's: ours in one pass compared with a pass per metric, for known and unknown answers.

passes  as locuslab/tofu and open-unlearning evaluate. For each of the own answer, the paraphrase and every perturbed
        answer one pass over all questions: rows of question and answer, right-padded to the longest of the batch, the
        model's own forward with its full logits, shifted, `cross_entropy` summed over labels, and the length-normalised
        probability. For ROUGE one more pass: left-padded questions, `generate`, greedy, with its key/value cache.
        "truth ratio" scores the paraphrase and the perturbed answers once more, as where that metric is asked for by
        itself; both repositories take it from the losses they have, so the ratio is given without it first.
        Rows are sorted by length and batches as large as ours (`BATCH_TOKENS` padded tokens); neither repository
        sorts, locuslab/tofu pads every row to 200 tokens and uses batches of 30 rows, or 7 for the other answers.
ours    `forgetting.evaluation.answers.answer`, from text to records. It also gives ranks and runners-up.

The passes start from token ids, ours from text. Each question has one paraphrased and several perturbed answers. The
model is random. Known: the own answer is what it writes by itself, and its last token ends it. Unknown: the answer is
any tokens, and nothing that the model writes ends before the last token allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import median
from typing import Any

from rich.table import Table

from bench.evaluation_arms import ALL, KINDS, QUICK, SCORED, Sample, Shape, measure
from bench.process import in_fresh_process
from bench.report import Plan, Report

TARGET = 3.0
"""How many times faster than a pass per metric."""


def run(plan: Plan) -> Report:
    """Both kinds of answers, `plan.rounds` times over, interleaved, each in a process of its own."""
    shape = QUICK if plan.quick else Shape()
    shape = replace(shape, threads=plan.threads or shape.threads)
    samples = []
    for index in range(plan.rounds):
        for kind in KINDS:
            sample = in_fresh_process(["bench.evaluation_arms"], measure, kind, shape)
            total = sum(sample.passes[p][1] for p in ALL)
            plan.say(f"round {index + 1}/{plan.rounds}  {kind}  {total:.2f} s, {sample.ours[1]:.2f} s")
            samples.append(sample)
    rows = [summary(kind, samples) for kind in KINDS]
    data = {"shape": asdict(shape), "summary": rows, "samples": [asdict(s) for s in samples]}
    return Report(_table(rows, shape, plan.rounds), data)


def summary(kind: str, samples: Sequence[Sample]) -> dict[str, Any]:
    """Medians over rounds; a ratio is taken within a round first. Times and ratios: wall, processor."""
    mine = [s for s in samples if s.kind == kind]

    def over(parts: Sequence[str], scored: bool = False) -> list[dict[str, float]]:
        found = [[s.ratio(w, parts, s.scored if scored else s.ours) for s in mine] for w in (0, 1)]
        return [{"median": median(f), "low": min(f), "high": max(f)} for f in found]

    return {
        "kind": kind,
        "passes": [median(sum(s.passes[p][w] for p in ALL) for s in mine) for w in (0, 1)],
        "ours": [median(s.ours[w] for s in mine) for w in (0, 1)],
        "scored": [median(s.scored[w] for s in mine) for w in (0, 1)],
        "parts": {p: [median(s.passes[p][w] for s in mine) for w in (0, 1)] for p in mine[0].passes},
        "ratio": over(ALL),
        "ratio scored": over(SCORED, scored=True),
        "ratio with truth ratio": over([*ALL, "truth ratio"]),
        "target": TARGET,
        "error": max(s.error for s in mine),
        "equal": min(s.equal for s in mine),
        "waiting": max(s.waiting for s in mine),
    }


def _table(rows: Sequence[dict[str, Any]], shape: Shape, rounds: int) -> Table:
    title = f"Evaluation, ours and a pass per metric: {shape}; {rounds} rounds; wall / processor seconds"
    table = Table("answers", title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    columns = ("passes\ns", "ours\ns", "times\nfaster", "scores\nalone", "truth ratio\nby itself", "\naim")
    for column in (*columns, "log p\nat most off", "same\ngreedy", "waiting\nat most"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row["kind"],
            "/".join(f"{t:.1f}" for t in row["passes"]),
            "/".join(f"{t:.1f}" for t in row["ours"]),
            *(
                "/".join(f"{r['median']:.2f}" for r in row[k])
                for k in ("ratio", "ratio scored", "ratio with truth ratio")
            ),
            f"{row['target']:.1f}",
            f"{row['error']:.0e}",
            f"{row['equal']:.0%}",
            f"{row['waiting']:.0%}",
        )
    return table
