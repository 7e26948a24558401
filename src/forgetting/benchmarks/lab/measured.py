"""The small world's suite with its metrics, headline metrics included."""

from __future__ import annotations

from dataclasses import replace

from forgetting.benchmarks.lab.examples import document_examples
from forgetting.benchmarks.lab.suite import BASE, lab_suite
from forgetting.benchmarks.lab.world import build_world
from forgetting.benchmarks.registry import register_suite
from forgetting.benchmarks.suite import Suite
from forgetting.metrics.likelihood import memorization_accuracy, perplexity, probability, teacher_forced_exact_match
from forgetting.metrics.per_example import mean
from forgetting.metrics.standard import standard_declaration, standard_metrics


@register_suite("lab", models={"lab": BASE})
def lab_variant(variant: str, fast: bool) -> Suite:
    """A small invented world with a shipped model and oracles: 78 rare or popular facts to forget; 240: `lab:many`.

    `lab:text` (or `lab:popular:text`) measures the same; its `retain` data are the corpus, shuffled, without the
    documents that state what is to be forgotten.
    """
    text = variant.split(":")[-1] == "text"
    forget = (variant.removesuffix("text").removesuffix(":") if text else variant) or "rare"
    suite = lab_suite(forget, fast=fast)
    if text:
        documents = document_examples(build_world().corpus(forget))
        suite = replace(suite, data={**suite.data, "retain": documents})
    narrative = ("retain-narrative",)
    metrics = (
        *standard_metrics(("forget", "forget-narrative"), ("retain",), ("utility",)),
        mean(probability, narrative, "up"),
        mean(teacher_forced_exact_match, ("forget-narrative",), "down"),
        mean(teacher_forced_exact_match, narrative, "up"),
        perplexity(("story",), "down"),
    )
    if not fast:
        metrics = (*metrics, mean(memorization_accuracy, ("secrets", "secrets-unseen"), "none"))
    declared = replace(
        standard_declaration(("forget", "forget-narrative")),
        forget_splits=("forget", "forget-narrative", "forget-other-phrasing"),
        retain_splits=("retain", "retain-narrative"),
    )
    return replace(suite, metrics=metrics, declares=declared)
