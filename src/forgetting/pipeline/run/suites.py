"""The suites that a recipe measures; without suites, its own data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.division import Division
from forgetting.benchmarks.registry import get_suite
from forgetting.benchmarks.suite import Suite, joined, labelled
from forgetting.benchmarks.writing import Writing
from forgetting.core import declaration
from forgetting.core.errors import DataError, RecipeError, nearest, said_of
from forgetting.core.example import Role
from forgetting.core.progress import Voice
from forgetting.data.tokens import sequence_ids
from forgetting.evaluation.extraction import passages
from forgetting.metrics.balance import NAME as BALANCE
from forgetting.metrics.limit import Limit
from forgetting.metrics.metric import Metric
from forgetting.metrics.registry import on_splits
from forgetting.metrics.score import score
from forgetting.metrics.to_reference import is_distance, splits_of
from forgetting.pipeline.run.own_data import VERBATIM, own_passages, own_questions
from forgetting.pipeline.run.prepare import StageData
from forgetting.recipe import Recipe, Stage


def suite_of(recipe: Recipe, data: Mapping[str, StageData]) -> Suite:
    """The suite that is measured before, between and after the stages; divided if the recipe says so.

    Raises:
        RecipeError: a metric is requested on an unknown split, or there is too little to divide.
    """
    suite = _divided_suite_of(recipe, data)
    writing = _writing(recipe, suite)
    return suite if writing is None else writing.on(suite)


def _divided_suite_of(recipe: Recipe, data: Mapping[str, StageData]) -> Suite:
    suite = undivided_suite_of(recipe, data)
    if recipe.divide is None:
        return suite
    division = division_of(recipe, suite)
    return division.both(suite) if recipe.divide.report else division.selection_of(suite)


def _writing(recipe: Recipe, suite: Suite) -> Writing | None:
    return None if recipe.sample is None else Writing.of(suite, recipe.sample.examples, recipe.sample.seed)


def division_of(recipe: Recipe, suite: Suite) -> Division:
    """The halves of what is measured: of the whole suite, so that those of a smaller one are parts of them.

    Raises:
        RecipeError: there is too little to divide.
    """
    assert recipe.divide is not None
    return Division.of(suite, recipe.divide.selection, recipe.divide.seed)


def undivided_suite_of(recipe: Recipe, data: Mapping[str, StageData]) -> Suite:
    """Everything that the recipe measures before, between and after the stages.

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

    Of a divided suite, it is the selection half, so that nothing reported decides when a stage ends or what it keeps.
    A stage that stops by comparison with unseen text measures all of it, on every model that it judges.
    """
    others = {other.name for other in recipe.stages if other is not stage}
    fast = _plain_parts(recipe, data, fast=True)
    if stage.ends is not None and stage.ends.extraction:
        _, unseen, _ = stop_splits(stage, undivided_suite_of(recipe, data))
        pairs = zip(fast, _plain_parts(recipe, data, fast=False), strict=True)
        fast = [(label, _with_split(one, full, unseen, label)) for (label, one), (_, full) in pairs]
    parts = [_labelled(label, suite) for label, suite in fast if label not in others]
    suite = replace(_whole(recipe, parts), probes=())
    if recipe.divide is not None:
        suite = division_of(recipe, undivided_suite_of(recipe, data)).selection_of(suite)
    writing = _writing(recipe, _divided_suite_of(recipe, data))
    return suite if writing is None else writing.within(suite)


def _with_split(fast: Suite, whole: Suite, name: str, label: str) -> Suite:
    """The smaller suite with the whole one's split of that name, if it has it, before a label is put before names."""
    chosen = {split.name: split for split in fast.splits}
    chosen |= {split.name: split for split in whole.splits if (f"{label}-" if label else "") + split.name == name}
    return replace(fast, splits=tuple(chosen[split.name] for split in whole.splits if split.name in chosen))


def _whole(recipe: Recipe, parts: Sequence[tuple[str, Suite]]) -> Suite:
    """Merges the parts into one suite; for a stage, the declaration of the suite with its name comes first."""
    whole = _with_asked(recipe, joined([suite for _, suite in parts]))
    by_stage = {
        stage.name: [s.declared(stage.name) for label, s in parts if label == stage.name] for stage in recipe.stages
    }
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
    return [_labelled(label, suite) for label, suite in _plain_parts(recipe, data, fast=fast)]


def _labelled(label: str, suite: Suite) -> tuple[str, Suite]:
    return label, labelled(_named_measures(suite), label) if label else _named_measures(suite)


def _plain_parts(recipe: Recipe, data: Mapping[str, StageData], *, fast: bool) -> list[tuple[str, Suite]]:
    """Label and suite, with the suite's own names."""
    if not recipe.evaluate:
        return [("", own_questions(recipe, data, fast=fast))]
    named = recipe.evaluate.items() if isinstance(recipe.evaluate, dict) else [("", name) for name in recipe.evaluate]
    return [(label, _named_suite(name, data, fast)) for label, name in named]


def _named_measures(suite: Suite) -> Suite:
    """The suite; of one that declares no columns, every measure that its metrics name is one: it was asked for."""
    if suite.declares.headline.columns or suite.declares.asked or not suite.metrics:
        return suite
    keys = tuple(dict.fromkeys(m.key for m in score(suite.metrics, [])))
    return replace(suite, declares=replace(suite.declares, asked=keys))


def _named_suite(name: str, data: Mapping[str, StageData], fast: bool) -> Suite:
    if name == VERBATIM:
        return own_passages(data, fast=fast)
    with said_of("evaluate"):
        return get_suite(name, fast=fast)


def check_passages(suite: Suite, tokenizer: PreTrainedTokenizerBase, positions: int | None = None) -> None:
    """Checks that data can be measured verbatim: passages long enough, with ids that the tokenizer has.

    Args:
        suite: what is measured.
        tokenizer: the model's.
        positions: how many the model has; None: as many as are asked for.

    Raises:
        DataError: a question, a passage of one token or of more than the positions, an id out of range (the row is
            named), or only short passages.
    """
    for split in suite.splits:
        if split.extraction is not None:
            found = passages(split.examples, tokenizer, split.name, split.extraction, vocabulary=len(tokenizer))
            for example, sequence in zip(split.examples, found, strict=True):
                if positions is not None and len(sequence.ids) > positions:
                    raise DataError(
                        f"{example.place}: has {len(sequence.ids)} tokens, and the model has {positions} positions; "
                        f"shorten it, or use its first tokens (max_tokens: {positions} beside its path)"
                    )
        for example in split.examples:
            if example.form == "tokens":
                sequence_ids(example, tokenizer)


def say_drawn(suite: Suite, recipe: Recipe, voice: Voice) -> None:
    """Says for how many examples text is written, where the recipe asks for a sample."""
    if recipe.sample is None:
        return
    drawn = [f"{len(s.written)} of {len(s.examples)} {s.name}" for s in suite.splits if s.written is not None]
    if drawn:
        seed = recipe.sample.seed
        voice.say(f"text is written for {', '.join(drawn)} examples, drawn by seed {seed}; likelihoods are of all")
    else:
        voice.say(f"sample: no split has more than {recipe.sample.examples} examples to write for; all are written for")


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
        raise RecipeError(_not_compared(stage))
    return pair.forget, pair.unseen, pair.n


def check_goals(recipe: Recipe, data: Mapping[str, StageData], suite: Suite) -> None:
    """Checks that what ends each stage is measured while it trains.

    Raises:
        RecipeError: it is not; the message has the stage or the nearest measure.
    """
    for stage in recipe.stages:
        if stage.ends is not None:
            during = fast_suite_of(recipe, data, stage)
            if stage.ends.extraction:
                check_stop_splits(stage, suite, during)
            for limit in stage.ends.limits:
                check_measured(limit, during, stage.name)


def check_stop_splits(stage: Stage, suite: Suite, fast: Suite) -> None:
    """Checks that the stage's stop rule compares splits that are measured while it trains.

    Raises:
        RecipeError: they are not; a suite under another stage's name is not measured then.
    """
    measured = {split.name for split in fast.splits} | {name for name, s in fast.subsets.items() if s.ids}
    if not {*stop_splits(stage, suite)[:2]} <= measured:
        raise RecipeError(_not_compared(stage))


def _not_compared(stage: Stage) -> str:
    return (
        f"stage '{stage.name}': until: extraction compares the forget set with unseen text, and the recipe does "
        "not measure both under its name or none; write evaluate: extraction with data.holdout=FILE (unseen text)"
    )


def _is_set_of(stage: str, split: str) -> bool:
    return split.endswith(f"{stage}-{Role.FORGET}")


def check_measured(limit: Limit, suite: Suite, stage: str) -> None:
    """Checks that a suite measures what ends a stage, and of the stage's own set, where stages forget different ones.

    The measures of probes and the breakdowns of a measure are known only once the suite has run.

    Raises:
        RecipeError: no measure has the name; the message has the nearest one.
    """
    for key in limit.keys:
        split, _, name = key.partition("/")
        own = next((s for s, subset in suite.subsets.items() if subset.of == split and _is_set_of(stage, s)), None)
        if own is not None:
            raise RecipeError(
                f"until: {key} is of what all stages forget, and stage '{stage}' a part of it; write {own}/{name}"
            )
    measured = [split.name for split in suite.splits]
    for name in splits_of([limit]):
        if name not in measured:
            raise RecipeError(f"until: {limit} is of no split that is measured then; {nearest(name, measured)}")
    if suite.probes:
        return
    known = {f"all/{BALANCE}", *(m.key for m in score(suite.metrics, [], None))}
    for key in limit.keys:
        if key not in known and "[" not in key and not is_distance(key):
            raise RecipeError(f"until: no measure is called '{key}'; {nearest(key, known)}")
