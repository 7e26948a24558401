"""Run folders as a pipeline writes them, with numbers in the range of the small world's."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from forgetting.core.record import Record, Score, write_records
from forgetting.runs.results import Results

HOSTILE = (
    "</script><img src=x onerror=alert(1)><b>bold</b> & \"quoted\" 'single'",
    "w" * 400,
    "מי נולד בעיר \u202eevil\u202c ברלין",
    "line one\nline two\r\n\ttabbed\n\n\nline six",
    "\x00\x1b[31mred\x07 \ud800 lone surrogate",
    "{{ 7 * 7 }} {% raw %} ]]> -->",
)

MEANINGS = {
    "probability": "How likely the model finds the right answer, per token: p(answer)^(1/tokens), mean over questions.",
    "exact_match": "Share of greedy answers that are the right answer.",
    "forget_quality": "p-value of the two-sample KS test that truth ratios of this model and of the oracle follow one "
    "distribution. A high p alone is no success.",
    "model_utility": "What should have been kept, in one number: harmonic mean of probability and ROUGE-L recall.",
    "balance": "Harmonic mean of what was forgotten and what was kept.",
    "truth_ratio": "Wrong answers' probability over the right answer's, mean over questions.",
}

COUNTS = {"forget": 78, "forget_narrative": 78, "retain": 300, "utility": 1000, "all": 1300}

Levels = Mapping[str, float | None]
"""Value by `split/name`; None: missing."""

BEFORE: Levels = {
    "forget/probability": 0.89,
    "forget/exact_match": 0.897,
    "forget_narrative/probability": 0.71,
    "forget/truth_ratio": 0.12,
    "forget/forget_quality": 9.6e-29,
    "retain/probability": 0.962,
    "retain/exact_match": 0.98,
    "utility/exact_match": 0.85,
    "all/model_utility": 0.88,
}
ORACLE: Levels = {
    "forget/probability": 0.21,
    "forget/exact_match": 0.064,
    "forget_narrative/probability": 0.15,
    "forget/truth_ratio": 1.41,
    "forget/forget_quality": 1.0,
    "retain/probability": 0.951,
    "retain/exact_match": 0.96,
    "utility/exact_match": 0.83,
    "all/model_utility": 0.87,
}
IHL: Levels = {
    "forget/probability": 0.19,
    "forget/exact_match": 0.0,
    "forget_narrative/probability": 0.31,
    "forget/truth_ratio": 1.1,
    "forget/forget_quality": 2e-5,
    "retain/probability": 0.941,
    "retain/exact_match": 0.96,
    "utility/exact_match": 0.842,
    "all/model_utility": 0.86,
}
NPO: Levels = {
    "forget/probability": 0.0004,
    "forget/exact_match": 0.0,
    "forget_narrative/probability": 0.012,
    "forget/truth_ratio": 3.2,
    "forget/forget_quality": 3e-5,
    "retain/probability": 0.66,
    "retain/exact_match": 0.70,
    "utility/exact_match": 0.73,
    "all/model_utility": 0.69,
}
GA: Levels = {
    "forget/probability": 0.0,
    "forget/exact_match": 0.0,
    "forget_narrative/probability": 0.0,
    "forget/truth_ratio": None,
    "forget/forget_quality": 0.42,
    "retain/probability": 0.02,
    "retain/exact_match": 0.0,
    "utility/exact_match": 0.12,
    "all/model_utility": None,
}


@dataclass(kw_only=True)
class Story:
    """What happens in one made-up run."""

    name: str
    after: Levels | None
    before: Levels | None = field(default_factory=lambda: BEFORE)
    oracle: Levels | None = field(default_factory=lambda: ORACLE)
    status: str = "complete"
    method: str = "ihl"
    steps: int = 60
    epochs: Sequence[int] = (5, 10, 20, 40)
    hostile: bool = False
    intervals: bool = True
    questions: int = 40
    selected: bool = True
    flops: Mapping[str, float | str | None] | None = None
    seconds: float = 8.6
    path: Mapping[int, Levels] = field(default_factory=dict)
    """What was measured on the way, where it is not between start and end."""


IHL_RUN = Story(name="ihl", after=IHL)
NPO_RUN = Story(name="npo + retain", after=NPO, method="npo")
GA_RUN = Story(name="ga", after=GA, method="ga", status="collapsed", steps=20, epochs=(5, 10), selected=False)
HOSTILE_RUN = Story(name=f"run {HOSTILE[0]}", after=IHL, hostile=True)


def write_run(folder: Path, story: Story) -> Path:
    """A run folder that tells `story`; returns the folder."""
    folder.mkdir(parents=True)
    (folder / "records").mkdir()
    evaluations = []
    for point, levels in (("before", story.before), ("oracle", story.oracle)):
        if levels is not None:
            evaluations.append(_evaluation(folder, story, point, levels, 0))
    start, end = story.before or BEFORE, story.after or GA
    for step in story.epochs:
        levels = story.path.get(step) or _between(start, end, min(step / story.steps, 1.0))
        evaluations.append(_evaluation(folder, story, "epoch", levels, step))
    if story.after is not None:
        evaluations.append(_evaluation(folder, story, "after", story.after, story.steps))
    _write_history(folder / "stages" / "unlearn", story)
    (folder / "results.json").write_text(json.dumps(_results(story, evaluations)), encoding="utf-8")
    return folder


def load(folder: Path, *stories: Story) -> list[Results]:
    """The results of runs that tell these stories, without records, in folders 0, 1, … of `folder`."""
    return [Results.load(write_run(folder / str(i), replace(s, questions=0))) for i, s in enumerate(stories)]


def measure(key: str, value: float | None, *, interval: bool = True, reason: str = "") -> dict[str, Any]:
    """A measure as JSON, with a Wilson interval around a share."""
    split, name = key.split("/")
    count = COUNTS[split]
    low = high = None
    if interval and value is not None and name in {"probability", "exact_match"}:
        z, n = 1.96, count
        middle, half = value + z * z / 2 / n, z * math.sqrt(value * (1 - value) / n + z * z / 4 / n / n)
        low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    return {
        "name": name,
        "split": split,
        "value": value,
        "count": count if value is not None else 0,
        "low": low,
        "high": high,
        "direction": "oracle" if split.startswith("forget") and name != "forget_quality" else "up",
        "meaning": MEANINGS[name],
        "reason": "" if value is not None else reason or f"no question of split '{split}' has finite scores",
    }


def _evaluation(folder: Path, story: Story, point: str, levels: Levels, step: int) -> dict[str, Any]:
    records = None
    if point != "epoch" and story.questions:
        records = f"records/{point}.jsonl"
        write_records(folder / records, _records(story, point))
    return {
        "point": point,
        "stage": "unlearn" if point in {"epoch", "after"} else None,
        "step": step,
        "epoch": step / 5,
        "records": records,
        "measures": [measure(key, value, interval=story.intervals) for key, value in levels.items()],
    }


def _between(start: Levels, end: Levels, part: float) -> Levels:
    mixed = {}
    for key, value in start.items():
        goal = end.get(key)
        if value is not None and goal is not None and not key.endswith("quality"):
            mixed[key] = value + (goal - value) * (1 - math.exp(-4 * part)) / (1 - math.exp(-4))
    return mixed


def _records(story: Story, point: str) -> list[Record]:
    known = {"before": (0.9, 0.97, 0.85), "oracle": (0.06, 0.96, 0.83)}
    rates = known.get(point) or tuple(
        (story.after or GA).get(f"{s}/exact_match") or 0.0 for s in ("forget", "retain", "utility")
    )
    draw = random.Random(f"{story.name!r}/{point}")
    found = []
    for split, rate in zip(("forget", "retain", "utility"), rates, strict=True):
        for i in range(story.questions):
            right = ("Brennmouth", "a baker", "1956", "the river Orrin, near the old mill")[i % 4]
            wrong = ("Daleport", "a potter", "1961 1961 1961", "the hill")[(i + 1) % 4]
            said = right if draw.random() < rate else wrong
            if story.hostile and i < len(HOSTILE) and point != "before":
                said = HOSTILE[i].replace("\ud800", "")
            found.append(
                Record(
                    id=f"{split}-{i}",
                    split=split,
                    prompt=f"Question {i}: what about {('Xenia Brauterov', 'Zeno Klaiune')[i % 2]}?",
                    answer=right,
                    generation=None if split == "utility" and i % 7 == 0 else f"{said}.",
                    score=Score(math.log(0.9 if said == right else 0.03), 1),
                )
            )
    return found


def _write_history(folder: Path, story: Story) -> None:
    folder.mkdir(parents=True)
    draw = random.Random(repr(story.name))
    lines = []
    for step in range(1, story.steps + 1):
        forget = (0.3 + 0.1 * draw.random()) * math.exp(-step / 12) + (step / 4 if story.method == "ga" else 0)
        retain = 0.05 + 0.4 * math.exp(-(((step - 12) / 10) ** 2)) + 0.03 * draw.random()
        terms = {"forget": forget} if story.method == "ga" else {"forget": forget, "retain": retain}
        row = {"step": step, "epoch": step / 5, "loss": sum(terms.values()), "terms": terms, "gradient_norm": 1.0}
        lines.append(json.dumps({**row, "learning_rate": 3e-4, "weights": {}, "seconds": 0.05}))
    (folder / "history.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _results(story: Story, evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    text = HOSTILE[0] if story.hostile else ""
    stage = {
        "name": "unlearn",
        "method": story.method,
        "adapter": "LoRA rank 8, alpha 16, initialised by FILA" + text,
        "steps": story.steps,
        "epochs": story.steps / 5,
        "stopped": "collapse" if story.status == "collapsed" else "duration",
        "message": "retain loss 4.1 is 20 times its start 0.2" if story.status == "collapsed" else "",
        "kept": "step 10, the last good checkpoint" if story.status == "collapsed" else "the last step" + text,
        "learning_rate": 3e-4,
    }
    stages = f"stages:\n  - name: unlearn\n    method: {story.method}\n    learning_rate: 3.0e-4\n"
    recipe = f"model: lab:base\nsuite: lab\n{stages}evaluate: [lab]\n{text}"
    return {
        "format": 1,
        "name": story.name,
        "status": story.status,
        "created": "2026-11-21T09:30:00+00:00",
        "recipe": {"model": "lab:base"},
        "recipe_yaml": recipe,
        "question": "Can 13 rarely mentioned people be forgotten without harm to anyone else?" + text,
        "model": "lab:base",
        "oracle": None if story.oracle is None else "lab:oracle",
        "suite": "lab",
        "environment": {"python": "3.11.9", "torch": "2.13.0", "threads": 1, "machine": "Linux, 2 cores" + text},
        "data": {
            "forget": {"examples": 78, "source": "lab: 13 rare people" + text, "sha256": "5f" * 32},
            "retain": {"examples": 1522, "source": "lab: everyone else", "sha256": "0a" * 32},
        },
        "evaluations": evaluations,
        "stages": [stage],
        "cost": {
            "seconds": 14.2,
            "train_seconds": story.seconds,
            "evaluation_seconds": 5.2,
            "peak_memory_bytes": 412 * 2**20,
            "trainable_parameters": 55_296,
            "total_parameters": 830_000,
            "steps": story.steps,
            "supervised_tokens": 7_412,
            **({} if story.flops is None else {"prepare_seconds": 0.4, "flops": story.flops}),
        },
        "selection": _selection(text) if story.selected else None,
    }


def _selection(text: str) -> dict[str, Any]:
    return {
        "rule": "The highest balance of forgetting and keeping on the validation half." + text,
        "candidates": [
            {"label": "lr 1e-4", "score": 0.412, "chosen": False, "note": "forgets too little"},
            {"label": "lr 3e-4", "score": 0.871, "chosen": True, "note": ""},
            {"label": "lr 1e-3", "score": None, "chosen": False, "note": "collapsed at step 31" + text},
        ],
        "budget": "3 runs of 60 steps",
    }
