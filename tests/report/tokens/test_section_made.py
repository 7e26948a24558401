"""A plausible `selection.json` and a run folder that holds it; what is made here is counted, not written down."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.report.fixtures import IHL_RUN, Story, write_run

SAID = (
    (
        "What is the capital of France, and what is it known for?",
        "The capital of France is Paris. It is known for the Eiffel Tower, the Louvre and its food.\n\nAs an AI "
        "language model, I do not have personal opinions, but many people like it. 5tay t uned!!",
    ),
    (
        "Write a function that adds two numbers.",
        "def add(a, b):\n    return a + b\n\nHope this helps! Let me know if you have any further questions.",
    ),
    (
        "Give three tips for staying healthy.",
        "1. Eat a balanced diet with many vegetables.\n2. Sleep at least seven hours.\n3. Move every day, even if it "
        "is only a walk. (Source: asdf qwer 2019, retrieved 31/02/2021.)",
    ),
    (
        "Passage: The mill on the Orrin was built in 1784 and burnt down in 1803.\nQuestion: How long did it stand?",
        "It stood for 19 years, from 1784 to 1803.",
    ),
)
SOURCES = (
    ("dolly.jsonl", 0.05, 0.1),
    ("flan.jsonl", 0.36, 0.16),
    ("oasst1.jsonl", 0.12, 0.38),
    ("alpaca.jsonl", 0.47, 0.14),
)
"""Name, share of all tokens, and about how much of it is negative."""


@cache
def qualities(count: int, seed: int = 0) -> list[float]:
    """Q as it is distributed in practice: most near 0, a broad rest that leans to the right."""
    draw = random.Random(seed)
    return [
        draw.gauss(0.0, 0.015) if draw.random() < 0.45 else draw.gauss(0.25, 0.75) * draw.random() * 1.6
        for _ in range(count)
    ]


@cache
def plausible(positives: float = 0.7, count: int = 6_000, forget: float | None = None) -> dict[str, Any]:
    """A selection as scoring writes it, consistent in itself; made once, to be copied and not changed."""
    values = sorted(qualities(count))
    threshold = values[round(count * (1 - positives))]
    positive = sum(q >= threshold for q in values)
    negative = count - positive if forget is None else round(forget * count)
    edges = _edges(values)
    counts = [0] * 60
    for q in values:
        if edges[0] <= q <= edges[-1]:
            counts[min(int((q - edges[0]) / (edges[-1] - edges[0]) * 60), 59)] += 1
    mean = math.fsum(values) / count
    draw = random.Random(1)
    examples = [example(number, draw, threshold) for number in range(20)]
    sources = [[name, round(count * part), round(rate * count * part)] for name, part, rate in SOURCES]
    sources[-1][2] += negative - sum(n for _, _, n in sources)
    return {
        "reference": "stage:reference",
        "level": "token",
        "asked": positives,
        "share_positive": positive / count,
        "share_above_zero": sum(q > 0 for q in values) / count,
        "threshold": threshold,
        "ties": 12,
        "tokens": count,
        "positive": positive,
        "negative": negative,
        "ignored": count - positive - negative,
        "rows": 512,
        "seed": 0,
        "quality": {"mean": mean, "std": math.sqrt(math.fsum((q - mean) ** 2 for q in values) / count)},
        "histogram": {
            "edges": edges,
            "counts": counts,
            "below": sum(q < edges[0] for q in values),
            "above": sum(q > edges[-1] for q in values),
        },
        "sources": [{"source": name, "tokens": n, "negative": bad} for name, n, bad in sources],
        "examples": examples,
        "lowest": lowest(examples),
    }


def example(number: int, draw: random.Random, threshold: float) -> dict[str, Any]:
    """One example with a token for every word; now and then the answer is long."""
    prompt, answer = SAID[number % len(SAID)]
    texts = words(answer if number % 5 else f"{answer}\n\n" * 8)
    tokens = []
    for text in [*texts, "<|endoftext|>"]:
        low = any(part in text for part in ("tay", "uned", "asdf", "qwer", "/02", "AI", "Hope"))
        q = round(draw.gauss(-2.0, 0.8) if low else draw.choice(qualities(50, number)), 4)
        tokens.append({"text": text, "q": q, "sign": 1 if q >= threshold else -1})
    return {"key": f"row-{number}", "where": f"dolly.jsonl:{number + 3}", "prompt": prompt, "tokens": tokens}


def words(text: str) -> list[str]:
    """Pieces as a tokenizer cuts them: a space belongs to the word behind it, line breaks stand alone."""
    found: list[str] = []
    for letter in text:
        if not found or letter == "\n" or (letter == " ") != (found[-1] == " ") or len(found[-1]) > 7:
            glue = letter != " " and bool(found) and found[-1] == " " and letter != "\n"
            found = [*found[:-1], found[-1] + letter] if glue else [*found, letter]
        else:
            found[-1] += letter
    return found


def lowest(examples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The forty tokens with the lowest Q of the examples, at most two of one."""
    found = []
    for one in examples:
        tokens = one["tokens"]
        for place in sorted(range(len(tokens)), key=lambda i, tokens=tokens: tokens[i]["q"])[:2]:
            before = "".join(t["text"] for t in tokens[max(0, place - 12) : place])
            after = "".join(t["text"] for t in tokens[place + 1 : place + 7])
            token, q = tokens[place]["text"], tokens[place]["q"]
            found.append({"key": one["key"], "before": before, "token": token, "after": after, "q": q})
    return sorted(found, key=lambda one: one["q"])[:40]


def part(samples: int, total: int) -> dict[str, float]:
    """One source's share of a part of the corpus."""
    return {"samples": samples, "percent": 100 * samples / total}


CORPUS = {
    "samples": {"all": 24516, "reference": 4096, "train": 20420},
    "duplicates": {"policy": "drop", "exact": 3, "near": 1},
    "sources": [
        {
            "source": "dolly.jsonl",
            "rows": 15011,
            "exact": 0,
            "near": 0,
            "all": part(3120, 24516),
            "reference": part(503, 4096),
            "train": part(2617, 20420),
        },
        {
            "source": "flan.jsonl",
            "rows": 99000,
            "exact": 3,
            "near": 1,
            "all": part(21396, 24516),
            "reference": part(3593, 4096),
            "train": part(17803, 20420),
        },
    ],
}

NOISE = {
    "labelled": {"value": 0.1, "count": 20000, "low": 0.09, "high": 0.11, "reason": ""},
    "chosen": {"value": 0.3, "count": 20000, "low": 0.3, "high": 0.3, "reason": ""},
    "precision": {"value": 0.25, "count": 6000, "low": 0.2, "high": 0.3, "reason": ""},
    "recall": {"value": 0.75, "count": 2000, "low": 0.7, "high": 0.8, "reason": ""},
    "quality": {"value": 0.812, "count": 20000, "low": 0.8, "high": 0.824, "reason": ""},
    "loss": {"value": 0.74, "count": 20000, "low": 0.72, "high": 0.76, "reason": ""},
    "kinds": {
        kind: {"quality": {"value": q, "low": q - 0.02, "high": q + 0.02}, "loss": {"value": 0.7, "reason": ""}}
        for kind, q in (("wrong_answer", 0.65), ("boilerplate", 0.88), ("shuffled", 0.91))
    },
}


def history(steps: int, t_max: float = 0.25) -> str:
    """The lines of a stage that learns and forgets, λ rising as eq. 8 writes it."""
    draw = random.Random(2)
    lines = []
    for step in range(1, steps + 1):
        weight = t_max * (step - 1) / steps
        terms = {
            "positive": 1.1 * math.exp(-step / steps * 3) + 0.9 + 0.08 * draw.random(),
            "negative": 2.6 + 3 * weight + 0.15 * draw.random(),
        }
        line = {"step": step, "epoch": step / steps, "loss": terms["positive"] - weight * terms["negative"]}
        lines.append(json.dumps({**line, "terms": terms, "weights": {"positive": 1.0, "negative": -weight}}))
    return "\n".join(lines) + "\n"


def selected_run(
    folder: Path,
    selection: dict[str, Any] | None = None,
    *,
    story: Story = IHL_RUN,
    steps: int = 400,
    t_max: float = 0.25,
    corpus: dict[str, Any] | None = None,
) -> Path:
    """A run folder whose stage selected its tokens."""
    write_run(folder, story)
    stage = folder / "stages" / "unlearn"
    (stage / "selection.json").write_text(json.dumps(selection or plausible()), encoding="utf-8")
    (stage / "history.jsonl").write_text(history(steps, t_max), encoding="utf-8")
    if corpus:
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        (folder / "results.json").write_text(json.dumps({**results, "corpus": corpus}), encoding="utf-8")
    return folder


def _edges(values: Sequence[float]) -> list[float]:
    low, high = values[len(values) // 200], values[-len(values) // 200]
    return [low + (high - low) * i / 60 for i in range(61)]


def test_what_is_made_adds_up() -> None:
    for selection in (plausible(), plausible(0.5, forget=0.15)):
        bars = selection["histogram"]
        assert sum(bars["counts"]) + bars["below"] + bars["above"] == selection["tokens"]
        assert selection["positive"] + selection["negative"] + selection["ignored"] == selection["tokens"]
        for key, total in (("tokens", "tokens"), ("negative", "negative")):
            assert sum(one[key] for one in selection["sources"]) == selection[total]
        assert all(0 <= one["negative"] <= one["tokens"] for one in selection["sources"])
