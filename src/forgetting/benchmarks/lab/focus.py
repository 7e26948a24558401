"""Specialising a general model of the small world: what the domain gains, and what broad skills lose."""

from __future__ import annotations

import random
from collections.abc import Sequence

from forgetting.benchmarks.lab.clinic import Finding, clinic_text, doses, findings
from forgetting.benchmarks.lab.examples import question_example, skill_examples
from forgetting.benchmarks.lab.suite import ANSWER_TOKENS, ASSETS, SKILL_TOKENS, UTILITY_SKILLS
from forgetting.benchmarks.lab.world import Document, build_world
from forgetting.benchmarks.registry import register_suite
from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.declaration import Declaration, Headline
from forgetting.core.errors import RecipeError
from forgetting.core.example import Example
from forgetting.metrics.breakdown import by_kind
from forgetting.metrics.likelihood import perplexity, probability
from forgetting.metrics.metric import Metric
from forgetting.metrics.per_example import mean
from forgetting.metrics.text import exact_match
from forgetting.metrics.utility import Part, harmonic_mean

GENERAL = ASSETS / "general"
"""The shipped model that has read general text and a little of the domain."""
DOMAIN = ("recall", "phrasing", "doses")
BROAD = ("known", "skills")
FORGET, RETAIN, DOSES = 1000, 400, 480
"""Sizes of the forget data (general text) and retain data, and the number of doses in the fine-tuning data."""
MEASURED = {"recall": 180, "phrasing": 180, "doses": 80, "known": 200, "skills": 40, "general": 150}
"""Examples per split; for the skills, per skill."""
_COLUMNS = (
    ("all/domain_score",),
    ("all/broad_score",),
    *((f"{split}/exact_match",) for split in (*DOMAIN, *BROAD)),
)
NEW_PHRASING = 2
"""Index of the one of the three question phrasings that is not trained on."""


@register_suite("lab-f2f", models={"lab-general": GENERAL})
def focus_variant(variant: str, fast: bool) -> Suite:
    """Specialising a general model of the lab: what the domain gains, what broad skills lose.

    For the model `lab-general`. Ailments are divided into two halves; the domain's text covers both, the fine-tuning
    data asks about one.

    Splits of the domain:
        recall: questions about the half that fine-tuning does not ask about: known only from text, if at all.
        phrasing: questions about the other half, in words that fine-tuning does not use.
        doses: doses to lower, with keys that were not trained on.
    Broad skills:
        known: facts of the small world, asked as in its corpus.
        skills: unseen exercises of category, copy and successor.
        story: unseen stories, likelihood only.
        general: documents of the general text, some of which are in the forget set; likelihood only.

    Data: `train` (questions and 480 doses), `retain` (400 of them) and `forget` (1000 documents of general text). In
    the variant `lab-f2f:text`, `train` is the domain's text, 1200 documents, for continued pretraining. `fast` measures
    half of each split.

    Raises:
        RecipeError: there is no such variant.
    """
    if variant not in ("", "text"):
        raise RecipeError(f"lab-f2f:{variant}: there is no variant '{variant}'; write lab-f2f or lab-f2f:text")
    world = build_world()
    asked, unasked = ([f for f in findings() if f.ailment % 2 == odd] for odd in (0, 1))
    rng = random.Random(0)
    train = [_question(f, phrasing) for f in asked for phrasing in range(NEW_PHRASING)] + _doses(DOSES, unseen=False)
    rng.shuffle(train)
    general = [d for d in world.documents if d.kind in ("narrative", "story")]
    rng.shuffle(general)
    half = MEASURED["general"] // 2
    splits = {
        "recall": rng.sample([_question(f, f.ailment // 2 % NEW_PHRASING) for f in unasked], MEASURED["recall"]),
        "phrasing": rng.sample([_question(f, NEW_PHRASING) for f in asked], MEASURED["phrasing"]),
        "doses": _doses(MEASURED["doses"], unseen=True),
        "known": rng.sample([question_example(world, fact) for fact in world.facts], MEASURED["known"]),
        "skills": [e for skill in UTILITY_SKILLS for e in skill_examples(world, skill, MEASURED["skills"])],
        "story": list(skill_examples(world, "story", MEASURED["skills"])),
        "general": [_document(d) for d in (*general[:half], *general[-half:])],
    }
    return Suite(
        name="lab-f2f",
        splits=tuple(_split(name, found[::2] if fast else found) for name, found in splits.items()),
        metrics=_metrics(),
        data={
            "train": tuple(_document(d) for d in clinic_text()) if variant else tuple(train),
            "retain": tuple(train[:RETAIN]),
            "forget": tuple(_document(d) for d in general[:FORGET]),
        },
        declares=Declaration(headline=Headline(others=_COLUMNS)),
    )


def _metrics() -> tuple[Metric, ...]:
    return (
        mean(exact_match, (*DOMAIN, *BROAD), "up"),
        mean(probability, (*DOMAIN, *BROAD), "up"),
        by_kind(mean(exact_match, ("recall", "phrasing", "skills"), "up")),
        perplexity(("story",), "down"),
        perplexity(("general",), "none"),
        _score("domain_score", DOMAIN, "How well the domain was learnt"),
        _score("broad_score", BROAD, "How much of the broad skills was kept"),
    )


def _score(name: str, splits: Sequence[str], what: str) -> Metric:
    meaning = f"{what}: harmonic mean of exact match on {', '.join(splits)}."
    return harmonic_mean(name, [Part(split, exact_match) for split in splits], meaning)


def _split(name: str, examples: Sequence[Example]) -> Split:
    generated = name not in ("story", "general")
    length = ANSWER_TOKENS if name in ("recall", "phrasing", "doses", "known") else SKILL_TOKENS
    return Split(name=name, examples=tuple(examples), generate=generated, max_new_tokens=length if generated else None)


def _question(finding: Finding, phrasing: int) -> Example:
    return Example(
        id=f"{finding.id}-{phrasing}",
        prompt=finding.question(phrasing),
        response=f"{finding.answer}.",
        group=finding.id,
        kind=finding.relation,
    )


def _doses(count: int, *, unseen: bool) -> list[Example]:
    drawn = doses(count, random.Random(int(unseen)), unseen=unseen)
    return [Example(id=f"dose-{key}", prompt=asked, response=answer, kind="dose") for key, asked, answer in drawn]


def _document(document: Document) -> Example:
    return Example(id=document.id, form="text", response=document.response, kind=document.kind)
