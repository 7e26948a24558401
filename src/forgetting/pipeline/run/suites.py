"""What a recipe measures: its suites, or its own data where it names none."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.registry import get_suite
from forgetting.benchmarks.suite import Split, Suite, joined, labelled
from forgetting.core.digest import examples_digest
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example, Role
from forgetting.core.measure import Measure
from forgetting.data.examples import overlap
from forgetting.data.tokens import sequence_ids
from forgetting.evaluation.extraction import passages
from forgetting.metrics.extraction import extraction_likelihood, extraction_metrics
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.score import score
from forgetting.metrics.standard import standard_metrics
from forgetting.pipeline.run.prepare import StageData
from forgetting.recipe import Recipe, Stage

VERBATIM = "extraction"
"""What a recipe's `evaluate` says to have its own data measured as verbatim passages."""
OWN_LIMIT, OWN_LIMIT_FAST = 500, 150
"""Examples of the user's own data that are measured per split, before and after, and during training."""


def suite_of(recipe: Recipe, data: Mapping[str, StageData]) -> Suite:
    """What is measured before, between and after the stages, as one suite."""
    return joined([suite for _, suite in _parts(recipe, data, fast=False)])


def fast_suite_of(recipe: Recipe, data: Mapping[str, StageData], stage: Stage) -> Suite:
    """What is measured in the middle of a stage: less of each split, nothing of the other stages, no probes."""
    others = {other.name for other in recipe.stages if other is not stage}
    parts = [suite for label, suite in _parts(recipe, data, fast=True) if label not in others]
    return replace(joined(parts), probes=())


def _parts(recipe: Recipe, data: Mapping[str, StageData], *, fast: bool) -> list[tuple[str, Suite]]:
    """Label and suite; a label stands before the names of the splits, and one that is a stage's name belongs to it."""
    if not recipe.evaluate:
        return _own_parts(recipe, data, fast)
    named = recipe.evaluate.items() if isinstance(recipe.evaluate, dict) else [("", name) for name in recipe.evaluate]
    found = [
        (label, _verbatim_suite(data, fast) if name == VERBATIM else get_suite(name, fast=fast))
        for label, name in named
    ]
    return [(label, labelled(suite, label) if label else suite) for label, suite in found]


def _own_parts(recipe: Recipe, data: Mapping[str, StageData], fast: bool) -> list[tuple[str, Suite]]:
    """The run's own data, as questions with answers or as documents."""
    roles = {str(role): _of_role(data, role) for role in (Role.FORGET, Role.RETAIN, Role.HOLDOUT)}
    roles = {role: members for role, members in roles.items() if members}
    own = _own_suite(recipe, roles or {Role.TRAIN: _of_role(data, Role.TRAIN)}, fast)
    return [("", _with_stages(own, data))]


def _verbatim_suite(data: Mapping[str, StageData], fast: bool) -> Suite:
    """The run's own data as passages: what it forgets and as much of `holdout` as unseen text, EL_10 and MA of both."""
    forget, unseen, retain = (_of_role(data, role) for role in (Role.FORGET, Role.HOLDOUT, Role.RETAIN))
    if not forget:
        raise RecipeError(f"evaluate: '{VERBATIM}' measures passages that are to be forgotten; write data.forget=…")
    for role, known in ((Role.FORGET, forget), (Role.RETAIN, retain)):
        shared = overlap(unseen, known)
        if shared:
            raise DataError(
                f"{shared[0].where or shared[0].id}: is in the {role} data too ({len(shared)} such); data.holdout "
                "gives the thresholds and must be text that the model has never seen"
            )
    never = _sample(unseen, 0 if fast else min(len(forget), OWN_LIMIT))
    splits = [
        Split(name="forget", examples=tuple(_sample(forget, OWN_LIMIT)), generate=False, extraction=(10,)),
        Split(name="unseen", examples=tuple(never), generate=False, extraction=(10,)),
        Split(name="retain", examples=tuple(_sample(retain, OWN_LIMIT_FAST if fast else OWN_LIMIT)), generate=False),
    ]
    present = [split for split in splits if split.examples]
    metrics = extraction_metrics(["forget"], ["unseen"] if unseen else [], ["retain"] if retain else [])
    suite = Suite(name="own passages", splits=tuple(present), metrics=metrics)
    return _with_stages(suite, data)


def _with_stages(suite: Suite, data: Mapping[str, StageData]) -> Suite:
    """The suite, and where stages forget different sets, its measures of each of the sets under its stage's name."""
    forgotten = {name: d.examples[Role.FORGET] for name, d in data.items() if Role.FORGET in d.examples}
    if len({examples_digest(members) for members in forgotten.values()}) < 2:
        return suite
    sets = [_only(suite.metrics, members, stage) for stage, members in forgotten.items()]
    return replace(suite, metrics=(*suite.metrics, *sets))


def _only(metrics: Sequence[Metric], examples: Sequence[Example], stage: str) -> Metric:
    """The metrics of the forget split, of some of its examples: `stage-forget/probability`."""
    ids = {example.id for example in examples}

    def narrowed(splits: Splits | None) -> Splits | None:
        return None if splits is None else {Role.FORGET: [r for r in splits.get(Role.FORGET, ()) if r.id in ids]}

    def measures(records: Splits, oracle: Splits | None) -> list[Measure]:
        found = [m for metric in metrics for m in metric(narrowed(records) or {}, narrowed(oracle))]
        return [replace(m, split=f"{stage}-{m.split}") for m in found if m.split == Role.FORGET]

    return measures


def _of_role(data: Mapping[str, StageData], role: str) -> list[Example]:
    """The examples of a role in all stages, once each."""
    return list({e.id: e for d in data.values() for e in d.examples.get(role, ())}.values())


def _own_suite(recipe: Recipe, roles: Mapping[str, Sequence[Example]], fast: bool) -> Suite:
    splits = [_own_split(role, _sample(members, OWN_LIMIT), recipe.max_new_tokens) for role, members in roles.items()]
    if fast:
        splits = [replace(s, examples=tuple(_sample(s.examples, OWN_LIMIT_FAST))) for s in splits]
    kept = [role for role in (Role.RETAIN, Role.HOLDOUT, Role.TRAIN) if role in roles]
    metrics = standard_metrics([r for r in (Role.FORGET,) if r in roles], kept, ())
    return Suite(name="own data", splits=tuple(splits), metrics=metrics)


def _own_split(role: str, examples: Sequence[Example], max_new_tokens: int | None) -> Split:
    asked = any(e.prompt for e in examples)  # a document has nothing to be asked by
    return Split(name=role, examples=tuple(examples), generate=asked, max_new_tokens=max_new_tokens)


def _sample(examples: Sequence[Example], limit: int) -> list[Example]:
    """The first `limit` of a fixed shuffle, in their own order; a smaller sample is part of a larger one."""
    chosen = random.Random(0).sample(range(len(examples)), len(examples))[:limit]
    return [examples[i] for i in sorted(chosen)]


def check_passages(suite: Suite, tokenizer: PreTrainedTokenizerBase) -> None:
    """What is measured verbatim can be: passages long enough, of ids that the tokenizer has.

    Raises:
        DataError: a question, a passage of one token, an id out of range (the row is named), or only short passages.
    """
    for split in suite.splits:
        if split.extraction is not None:
            passages(split.examples, tokenizer, split.name, split.extraction, vocabulary=len(tokenizer))
        for example in split.examples:
            if example.form == "tokens":
                sequence_ids(example, tokenizer)


def without_overlaps(suite: Suite) -> Suite:
    """The suite with its passages scored, but nothing decoded from them."""
    return replace(suite, splits=tuple(replace(s, extraction=() if s.extraction else None) for s in suite.splits))


def stop_splits(stage: Stage, suite: Suite) -> tuple[str, str, int]:
    """The forget and the unseen split that the stage's stop rule compares, and the n of its EL_n.

    Unseen text gives the thresholds before the first stage; in the middle of one only the forget set is measured.

    Raises:
        RecipeError: the recipe measures no such splits.
    """
    keys = {m.key for m in score(suite.metrics, [])}
    n = next((split.extraction[0] for split in suite.splits if split.extraction), None)
    if n is not None:
        name = extraction_likelihood(n).name
        own = [f"{stage.name}-forget", "forget"]
        never = [f"{stage.name}-unseen", "unseen"]
        pairs = [(f, u) for f in own for u in never if {f"{f}/{name}", f"{u}/{name}"} <= keys]
        if pairs:
            return *pairs[0], n
    raise RecipeError(
        f"stage '{stage.name}': until: extraction compares the forget set with unseen text, and the recipe does not "
        "measure both under its name or none; write evaluate: extraction with data.holdout=FILE (unseen text)"
    )


def balance_keys(stage: str | None, keys: Sequence[str]) -> dict[str, str]:
    """The measures that the balance of a stage rests on: the stage's own splits where there are such."""
    candidates = {
        "forget": [f"{stage}-forget/probability", "forget/probability"],
        "retain": [f"{stage}-retain/probability", "retain/probability"],
        "utility": [f"{stage}-utility/exact_match", "utility/exact_match", "all/model_utility"],
    }
    return {part: next((key for key in names if key in keys), names[-1]) for part, names in candidates.items()}
