"""The suites that a recipe measures; without suites, its own data."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.registry import get_suite
from forgetting.benchmarks.suite import Split, Suite, joined, labelled
from forgetting.core import declaration
from forgetting.core.declaration import Declaration
from forgetting.core.digest import examples_digest
from forgetting.core.errors import DataError, RecipeError, nearest, said_of
from forgetting.core.example import Example, Role
from forgetting.core.measure import Measure
from forgetting.data.examples import overlap
from forgetting.data.tokens import sequence_ids
from forgetting.evaluation.extraction import passages
from forgetting.metrics.balance import NAME as BALANCE
from forgetting.metrics.extraction import extraction_declaration, extraction_metrics
from forgetting.metrics.limit import Limit
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.registry import on_splits
from forgetting.metrics.score import score
from forgetting.metrics.standard import KNOWING, keys_of, standard_declaration, standard_metrics
from forgetting.pipeline.run.prepare import StageData
from forgetting.recipe import Recipe, Stage
from forgetting.recipe.stage import EXTRACTION

VERBATIM = "extraction"
"""The value of a recipe's `evaluate` that measures its own data as verbatim passages."""
UNSEEN_LEAST = 32
"""Unseen passages that are measured beside fewer passages to forget."""
OWN_LIMIT, OWN_LIMIT_FAST = 500, 150
"""Examples of the user's own data that are measured per split, before and after, and during training."""


def suite_of(recipe: Recipe, data: Mapping[str, StageData]) -> Suite:
    """The suite that is measured before, between and after the stages.

    Raises:
        RecipeError: a metric is requested on an unknown split.
    """
    suite = _whole(recipe, _parts(recipe, data, fast=False))
    there = [split.name for split in suite.splits]
    for asked in recipe.metrics:
        for split in asked.splits or ():
            if split not in there:
                raise RecipeError(f"metrics: '{asked.name}': no split is called '{split}'; {nearest(split, there)}")
    return suite


def fast_suite_of(recipe: Recipe, data: Mapping[str, StageData], stage: Stage) -> Suite:
    """The suite that is measured during a stage: fewer examples, without the other stages' splits and probes.

    A stage that stops by comparison with unseen text measures all of it, on every model that it judges.
    """
    others = {other.name for other in recipe.stages if other is not stage}
    parts = [(label, suite) for label, suite in _parts(recipe, data, fast=True) if label not in others]
    suite = replace(_whole(recipe, parts), probes=())
    if stage.until != EXTRACTION:
        return suite
    whole = suite_of(recipe, data)
    _, unseen, _ = stop_splits(stage, whole)
    chosen = {split.name: split for split in suite.splits}
    chosen |= {split.name: split for split in whole.splits if split.name == unseen}
    return replace(suite, splits=tuple(chosen[split.name] for split in whole.splits if split.name in chosen))


def _whole(recipe: Recipe, parts: Sequence[tuple[str, Suite]]) -> Suite:
    """Merges the parts into one suite; for a stage, the declaration of the suite with its name comes first."""
    whole = _with_asked(recipe, joined([suite for _, suite in parts]))
    by_stage = {stage.name: [s.declares for label, s in parts if label == stage.name] for stage in recipe.stages}
    own = {name: found[0] for name, found in by_stage.items() if found}
    if not own:
        return whole
    others = [suite.declares for label, suite in parts if label not in own]
    stages = {name: declared.over(declaration.joined(others)) for name, declared in own.items()}
    rest = {stage.name: declaration.joined(others) for stage in recipe.stages if stage.name not in own and others}
    declared = replace(declaration.of_stages(list(own.values()), others), asked=whole.declares.asked)
    return replace(whole, declares=declared, stages={**rest, **stages})


def _with_asked(recipe: Recipe, suite: Suite) -> Suite:
    """The suite with the metrics that the recipe itself requests; duplicate measures are computed once."""
    if not recipe.metrics:
        return suite
    there = [split.name for split in suite.splits]
    known = {m.key: m.direction for m in score(suite.metrics, [])}
    front = {key.split("/")[0] for column in suite.declares.headline.columns for key in column}
    found: list[Metric] = []
    keys: list[str] = []
    for asked in recipe.metrics:
        splits = [s for s in there if s in (asked.splits or there)]
        metric = on_splits(asked.build(), splits, direction=asked.direction, without=frozenset(known))
        own = on_splits(asked.build(), splits)({}, None)
        asked.check_direction({m.key: known[m.key] for m in own if m.key in known})
        shown = [m.key for m in own if asked.splits or m.split in front or m.split not in there]
        keys += shown or [m.key for m in own]
        found.append(metric)
    return replace(
        suite,
        metrics=(*suite.metrics, *found),
        declares=replace(suite.declares, asked=tuple(dict.fromkeys([*suite.declares.asked, *keys]))),
    )


def _parts(recipe: Recipe, data: Mapping[str, StageData], *, fast: bool) -> list[tuple[str, Suite]]:
    """Label and suite; a label prefixes the names of the splits, and a stage's name assigns the suite to the stage."""
    if not recipe.evaluate:
        return _own_parts(recipe, data, fast)
    named = recipe.evaluate.items() if isinstance(recipe.evaluate, dict) else [("", name) for name in recipe.evaluate]
    found = [(label, _named_suite(name, data, fast)) for label, name in named]
    return [
        (label, labelled(_named_measures(suite), label) if label else _named_measures(suite)) for label, suite in found
    ]


def _named_measures(suite: Suite) -> Suite:
    """The suite; of one that declares no columns, every measure that its metrics name is one: it was asked for."""
    if suite.declares.headline.columns or suite.declares.asked or not suite.metrics:
        return suite
    keys = tuple(dict.fromkeys(m.key for m in score(suite.metrics, [])))
    return replace(suite, declares=replace(suite.declares, asked=keys))


def _named_suite(name: str, data: Mapping[str, StageData], fast: bool) -> Suite:
    if name == VERBATIM:
        return _verbatim_suite(data, fast)
    with said_of("evaluate"):
        return get_suite(name, fast=fast)


def _own_parts(recipe: Recipe, data: Mapping[str, StageData], fast: bool) -> list[tuple[str, Suite]]:
    """The run's own data, as questions with answers or as documents."""
    roles = {str(role): _of_role(data, role) for role in (Role.FORGET, Role.RETAIN, Role.HOLDOUT)}
    roles = {role: members for role, members in roles.items() if members}
    own = _own_suite(recipe, roles or {Role.TRAIN: _of_role(data, Role.TRAIN)}, fast)
    return [("", _with_stages(own, data))]


def _verbatim_suite(data: Mapping[str, StageData], fast: bool) -> Suite:
    """The run's own data as passages: EL_10 and MA of the forget set and of as many of `holdout` as unseen text.

    Beside a small forget set there are more, since a threshold of one or two passages is chance.
    """
    forget, unseen, retain = (_of_role(data, role) for role in (Role.FORGET, Role.HOLDOUT, Role.RETAIN))
    if not forget:
        raise RecipeError(f"evaluate: '{VERBATIM}' measures passages to forget; write data.forget=…")
    for role, known in ((Role.FORGET, forget), (Role.RETAIN, retain)):
        shared = overlap(unseen, known)
        if shared:
            raise DataError(
                f"{shared[0].where or shared[0].id}: is also in the {role} data ({len(shared)} such); data.holdout "
                "gives the thresholds and must be text that the model has never seen"
            )
    never = _sample(unseen, 0 if fast else min(max(len(forget), UNSEEN_LEAST), OWN_LIMIT))
    splits = [
        Split(name="forget", examples=tuple(_sample(forget, OWN_LIMIT)), generate=False, extraction=(10,)),
        Split(name="unseen", examples=tuple(never), generate=False, extraction=(10,)),
        Split(name="retain", examples=tuple(_sample(retain, OWN_LIMIT_FAST if fast else OWN_LIMIT)), generate=False),
    ]
    present = [split for split in splits if split.examples]
    metrics = extraction_metrics(["forget"], ["unseen"] if unseen else [], ["retain"] if retain else [])
    declared = extraction_declaration(unseen="unseen" if unseen else None, retain="retain" if retain else None)
    suite = Suite(name="own passages", splits=tuple(present), metrics=metrics, declares=declared)
    return _with_stages(suite, data)


def _with_stages(suite: Suite, data: Mapping[str, StageData]) -> Suite:
    """The suite; if stages forget different sets, with measures of each set under its stage's name."""
    forgotten = {name: d.examples[Role.FORGET] for name, d in data.items() if Role.FORGET in d.examples}
    if len({examples_digest(members) for members in forgotten.values()}) < 2:
        return suite
    sets = [_only(suite.metrics, members, stage) for stage, members in forgotten.items()]
    stages = {stage: _of_stage(suite.declares, stage) for stage in forgotten}
    column = (*suite.declares.headline.one, *suite.declares.headline.forgotten)
    columns = tuple(tuple(f"{stage}-{key}" for key in column) for stage in forgotten)
    declared = replace(suite.declares, headline=replace(suite.declares.headline, sets=columns))
    return replace(suite, metrics=(*suite.metrics, *sets), declares=declared, stages=stages)


def _of_stage(whole: Declaration, stage: str) -> Declaration:
    """The declaration for a stage: its own forget set, and the whole suite's declaration of the rest."""
    assert whole.balance is not None, "data with a forget role have a balance"
    balance = replace(whole.balance, forget=f"{stage}-{whole.balance.forget}")
    pair = whole.extraction and replace(whole.extraction, forget=f"{stage}-{whole.extraction.forget}")
    return replace(whole, balance=balance, extraction=pair)


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
    forget = [r for r in (Role.FORGET,) if r in roles]
    metrics = standard_metrics(forget, kept, ())
    return Suite(name="own data", splits=tuple(splits), metrics=metrics, declares=_own_declared(recipe, roles))


def _own_declared(recipe: Recipe, roles: Mapping[str, Sequence[Example]]) -> Declaration:
    """The declaration for the run's own data; held-out data are compared with what a stage learns."""
    forget, retain = ([r] if r in roles else [] for r in (Role.FORGET, Role.RETAIN))
    declared = standard_declaration(forget, retain, ())
    if set(roles) <= {Role.FORGET, Role.RETAIN}:
        return declared
    overall = ("all/model_utility",)
    learns = Role.HOLDOUT in roles and any(Role.TRAIN in stage.objective().roles for stage in recipe.stages)
    learned = keys_of(Role.HOLDOUT, KNOWING) if learns else ()
    balance = declared.balance and replace(declared.balance, utility=overall[0])
    shown = [role for role in (Role.HOLDOUT, Role.TRAIN) if role in roles and not (learned and role == Role.HOLDOUT)]
    columns = [(f"{role}/{name}",) for role in shown for name in ("probability", "exact_match")]
    headline = replace(declared.headline, overall=overall, learned=learned, others=tuple(columns))
    return replace(declared, headline=headline, balance=balance)


def _own_split(role: str, examples: Sequence[Example], max_new_tokens: int | None) -> Split:
    asked = any(e.prompt for e in examples)  # a document has no prompt
    return Split(name=role, examples=tuple(examples), generate=asked, max_new_tokens=max_new_tokens)


def _sample(examples: Sequence[Example], limit: int) -> list[Example]:
    """The first `limit` of a fixed shuffle, in their original order; a smaller sample is part of a larger one."""
    chosen = random.Random(0).sample(range(len(examples)), len(examples))[:limit]
    return [examples[i] for i in sorted(chosen)]


def check_passages(suite: Suite, tokenizer: PreTrainedTokenizerBase) -> None:
    """Checks that data can be measured verbatim: passages long enough, with ids that the tokenizer has.

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
    """The suite with its passages scored, but without decoding."""
    return replace(suite, splits=tuple(replace(s, extraction=() if s.extraction else None) for s in suite.splits))


def stop_splits(stage: Stage, suite: Suite) -> tuple[str, str, int]:
    """The forget and the unseen split that the stage's stop rule compares, and the n of its EL_n.

    Raises:
        RecipeError: the recipe measures no such splits.
    """
    pair = suite.declared(stage.name).extraction
    if pair is None:
        raise RecipeError(
            f"stage '{stage.name}': until: extraction compares the forget set with unseen text, and the recipe does "
            "not measure both under its name or none; write evaluate: extraction with data.holdout=FILE (unseen text)"
        )
    return pair.forget, pair.unseen, pair.n


def check_measured(limit: Limit, suite: Suite) -> None:
    """Checks that a suite measures what ends a stage.

    The measures of probes and the breakdowns of a measure are known only once the suite has run.

    Raises:
        RecipeError: no measure has the name; the message has the nearest one.
    """
    if suite.probes or "[" in limit.key:
        return
    known = {f"all/{BALANCE}", *(m.key for m in score(suite.metrics, [], None))}
    if limit.key not in known:
        raise RecipeError(f"until: no measure is called '{limit.key}'; {nearest(limit.key, known)}")
