"""Attacks the models of a finished run and writes the results; resumable by attack and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from forgetting.audits import ATTACKS, Attack, as_attack, attacks_of
from forgetting.audits.leaks import VALUES
from forgetting.core.errors import DataError, RecipeError, RunError, nearest
from forgetting.core.example import Example, Role
from forgetting.core.progress import SILENT, Voice
from forgetting.models.expression import check_places
from forgetting.pipeline.audit.asked import note_asked
from forgetting.pipeline.audit.auditor import SPLITS, About, Auditor, weights_of
from forgetting.pipeline.finished_run.examples import FACTS, data_of, examples_of
from forgetting.pipeline.finished_run.models import RunModel, models_of, oracle_of, recipe_of
from forgetting.pipeline.finished_run.plugged import Chosen, chosen
from forgetting.pipeline.run.prepare import StageData, of_role
from forgetting.pipeline.run.source import model_source
from forgetting.pipeline.run.suites import division_of, undivided_suite_of
from forgetting.recipe import Recipe
from forgetting.runs.audits import Audit
from forgetting.runs.folder import RunFolder


def audit(
    folder: Path,
    *,
    attacks: Sequence[str] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    oracle: str | None = None,
    seed: int = 0,
    facts: int = FACTS,
    voice: Voice = SILENT,
) -> list[Audit]:
    """Runs each attack on the model before the run, after it, and on the oracle, and returns the results.

    Every model gets the same questions, from forget, retain and holdout examples; of a divided run, only the forget
    examples by which nothing was chosen. `audits/NAME.json` and its records
    are written after each model; finished results for the same model, questions and parameters are not run again. Those
    of the model before and of the oracle are shared by the runs of an output folder. The records of a redacted or
    purged run hold no texts, and are not shared. What an attack found that is asked otherwise now is kept beside.

    Args:
        folder: a finished run's.
        attacks: their names, or `fast`, `standard`, `all`; empty: `standard`. An attack that the run's data or model do
            not allow is left out, and it is said, unless it is named itself.
        settings: parameters by the attack's name.
        oracle: a model that never saw the forget set; None: the run's own, if it has one.
        seed: of all random choices of the attacks.
        facts: maximum number of forget examples.
        voice: receives progress and notes.

    Raises:
        RecipeError: an unknown attack, or a parameter that it does not take.
        RunError: no finished run, changed data, an oracle with another tokenizer or the weights of the model after, or
            an attack that fails or changes a model.
        ModelError: there is no such oracle.
        DataError: the run has no forget data, or data that cannot be read.
    """
    recipe = recipe_of(folder)
    with RunFolder(folder).quiet():
        asked = chosen_attacks(attacks, settings or {})
        data = data_of(folder, recipe)
        by = _chosen_by(recipe, data)
        known = examples_of(recipe, data, facts=facts, without=by)
        apart = sum(e.cluster in by for e in of_role(data, Role.FORGET))
        if apart:
            voice.say(f"divide: {apart} forget examples by which something was chosen are not attacked")
        examples = {str(split): known[split] for split in SPLITS if split in known}
        if Role.FORGET not in examples:
            raise DataError(f"{folder}: has no forget data, so there is nothing to audit; audit a run that forgets")
        oracle = oracle or oracle_of(recipe, data, voice)
        if oracle is not None:
            check_places(oracle, model_source)
        with RunFolder(folder).held():
            about = About.of(recipe, data, examples, attacks)
            auditor = Auditor(RunFolder(folder).hiding(), recipe, examples, about, oracle, seed, voice)
            note_asked(RunFolder(folder), [one.name for one in asked], oracle=oracle is not None, chosen_by=apart)
            auditor.keep_earlier(asked)
            models: dict[str, str] = {}
            own: PreTrainedTokenizerBase | None = None
            for model in models_of(folder, recipe, oracle=oracle, voice=voice):
                own = own or model.tokenizer
                models[model.point] = weights_of(model)
                _check_comparable(model, own, models, examples[Role.FORGET])
                auditor.attack(model, models[model.point], asked)
                del model  # otherwise it stays in memory while the next one is loaded
            return [found for attack in asked if (found := auditor.finished(attack, models)).points]


def _check_comparable(
    model: RunModel, before: PreTrainedTokenizerBase, weights: Mapping[str, str], facts: Sequence[Example]
) -> None:
    """Checks that a model reads answers as the tokens that the model before reads, and is not that after by two names.

    Args:
        model: the next one to be attacked.
        before: the tokenizer of the model before.
        weights: digests of its weights and of those of the models that were attacked already.
        facts: to be asked for.
    """
    if model.point == "oracle" and weights["oracle"] == weights["after"]:
        raise RunError(
            "the oracle has the very weights of the model after the run, so nothing would be compared; name a model "
            "that was trained without the forget set"
        )
    said = [fact.response for fact in facts if fact.form != "tokens"]
    if said and _ids_of(said, model.tokenizer) != _ids_of(said, before):
        raise RunError(
            f"the model {model.point} has another tokenizer than the model before, and a probability by the token "
            "compares only where tokens are the same; name an oracle with the same tokenizer"
        )


def _ids_of(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def _chosen_by(recipe: Recipe, data: Mapping[str, StageData]) -> frozenset[str]:
    """The clusters that settings or checkpoints of the run were chosen by."""
    if recipe.divide is None:
        return frozenset()
    return division_of(recipe, undivided_suite_of(recipe, data)).selected


def chosen_attacks(names: Sequence[str], settings: Mapping[str, Mapping[str, Any]]) -> list[Chosen[Attack]]:
    """The attacks that names of attacks and sets stand for, with their parameters; no names: `standard`.

    Raises:
        RecipeError: an unknown name or parameter, an invalid value, or an attack compared by a value that is unknown.
    """
    named = chosen(ATTACKS, attacks_of(names or ("standard",)), settings)
    asked = [replace(one, call=as_attack(one.call)) for one in named]
    for one in asked:
        for value in one.call.leaks:
            if value not in VALUES:
                raise RecipeError(f"the {one} is to be compared by '{value}'; {nearest(value, VALUES)}")
    return asked
