"""The suites of a run's own data: as questions with answers or documents, and as verbatim passages."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.declaration import Declaration
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example, Role
from forgetting.data.examples import each_once, overlap
from forgetting.metrics.extraction import extraction_declaration, extraction_metrics
from forgetting.metrics.standard import KNOWING, keys_of, standard_declaration, standard_metrics
from forgetting.pipeline.run.own_parts import with_sources, with_stages
from forgetting.pipeline.run.prepare import StageData
from forgetting.recipe import Recipe

VERBATIM = "extraction"
"""The value of a recipe's `evaluate` that measures its own data as verbatim passages."""
UNSEEN = "unseen"
"""The split of unseen text, where it is not the whole role `holdout`."""
UNSEEN_LEAST = 32
"""Unseen passages that are measured beside fewer passages to forget."""
OWN_LIMIT, OWN_LIMIT_FAST = 500, 150
"""Examples of the user's own data that are measured per split, before and after, and during training."""


def own_questions(recipe: Recipe, data: Mapping[str, StageData], *, fast: bool) -> Suite:
    """The run's own data, as questions with answers or as documents.

    Raises:
        DataError: two stages have different examples of a role under one id.
    """
    learnt, unseen = _held_out(recipe, data)
    never = UNSEEN if learnt else str(Role.HOLDOUT)
    named: dict[str, list[Example]] = {
        Role.FORGET: _of_role(data, Role.FORGET),
        Role.RETAIN: _of_role(data, Role.RETAIN),
        Role.HOLDOUT: learnt,
    }
    named |= {never: unseen} if unseen else {}
    roles = {str(role): members for role, members in named.items() if members}
    roles = roles or {str(Role.TRAIN): _of_role(data, Role.TRAIN)}
    splits = [_split(role, _sample(members, OWN_LIMIT), recipe.max_new_tokens) for role, members in roles.items()]
    if fast:
        splits = [replace(s, examples=tuple(_sample(s.examples, OWN_LIMIT_FAST))) for s in splits]
    outside = [never] if unseen else []
    forget = [role for role in roles if role == Role.FORGET]
    kept = [role for role in roles if role not in (*forget, *outside)]
    suite = Suite(
        name="own data",
        splits=tuple(splits),
        metrics=standard_metrics(forget, kept, (), outside),
        declares=_declared(recipe, forget, kept, outside),
    )
    return with_sources(with_stages(suite, data), data)


def own_passages(data: Mapping[str, StageData], *, fast: bool) -> Suite:
    """The run's own data as passages: EL_10 and MA of the forget set and of as many of `holdout` as unseen text.

    Beside a small forget set there are more, since a threshold of one or two passages is chance.

    Raises:
        RecipeError: there is nothing to forget.
        DataError: the unseen text is in the other data, or two stages have different examples of a role under one id.
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
        Split(name=UNSEEN, examples=tuple(never), generate=False, extraction=(10,)),
        Split(name="retain", examples=tuple(_sample(retain, OWN_LIMIT_FAST if fast else OWN_LIMIT)), generate=False),
    ]
    present = [split for split in splits if split.examples]
    metrics = extraction_metrics(["forget"], [UNSEEN] if unseen else [], ["retain"] if retain else [])
    declared = extraction_declaration(unseen=UNSEEN if unseen else None, retain="retain" if retain else None)
    suite = Suite(name="own passages", splits=tuple(present), metrics=metrics, declares=declared)
    return with_sources(with_stages(suite, data), data)


def _held_out(recipe: Recipe, data: Mapping[str, StageData]) -> tuple[list[Example], list[Example]]:
    """The examples of role `holdout`: those held out of what a stage learns, and text that no model should know.

    Those of a stage that trains on role `train` are of the first kind. So are all where nothing is to be forgotten.
    """
    every = _of_role(data, Role.HOLDOUT)
    if not _of_role(data, Role.FORGET):
        return every, []
    learners = [stage.name for stage in recipe.stages if stage.trains and Role.TRAIN in stage.objective().roles]
    learnt = {e.id for name in learners if name in data for e in data[name].examples.get(Role.HOLDOUT, ())}
    return [e for e in every if e.id in learnt], [e for e in every if e.id not in learnt]


def _declared(recipe: Recipe, forget: Sequence[str], kept: Sequence[str], unseen: Sequence[str]) -> Declaration:
    """The declaration for the run's own data.

    Data that are held out of what a stage learns are compared with it and count in what should stay; unseen text does
    not.
    """
    declared = standard_declaration(forget, [role for role in kept if role == Role.RETAIN], (), unseen)
    more = [role for role in kept if role != Role.RETAIN]
    if not more:
        return declared
    overall = ("all/model_utility",)
    learns = Role.HOLDOUT in more and any(s.trains and Role.TRAIN in s.objective().roles for s in recipe.stages)
    learned = keys_of(Role.HOLDOUT, KNOWING) if learns else ()
    balance = declared.balance and replace(declared.balance, utility=overall[0])
    shown = [role for role in more if not (learned and role == Role.HOLDOUT)]
    columns = [(f"{role}/{name}",) for role in shown for name in ("probability", "exact_match")]
    headline = replace(declared.headline, overall=overall, learned=learned, others=tuple(columns))
    return replace(declared, headline=headline, balance=balance)


def _of_role(data: Mapping[str, StageData], role: str) -> list[Example]:
    """The examples of a role in all stages, once each."""
    return each_once(e for d in data.values() for e in d.examples.get(role, ()))


def _split(role: str, examples: Sequence[Example], max_new_tokens: int | None) -> Split:
    asked = any(e.prompt for e in examples)  # a document has no prompt
    return Split(name=role, examples=tuple(examples), generate=asked, max_new_tokens=max_new_tokens)


def _sample(examples: Sequence[Example], limit: int) -> list[Example]:
    """The first `limit` of a fixed shuffle, in their original order; a smaller sample is part of a larger one."""
    chosen = random.Random(0).sample(range(len(examples)), len(examples))[:limit]
    return [examples[i] for i in sorted(chosen)]
