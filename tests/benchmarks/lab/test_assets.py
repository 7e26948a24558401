"""The shipped models are made from this world, know what they should, and the oracles do not."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from forgetting.benchmarks.lab.assess import scores, share_right
from forgetting.benchmarks.lab.clinic import general_digest
from forgetting.benchmarks.lab.focus import GENERAL, focus_variant
from forgetting.benchmarks.lab.suite import BASE, lab_suite, oracle_folder
from forgetting.benchmarks.lab.tokenizer import train_tokenizer
from forgetting.benchmarks.lab.train import PROVENANCE, STEPS
from forgetting.benchmarks.lab.world import build_world

FOLDERS = {None: BASE, "rare": oracle_folder("rare"), "popular": oracle_folder("popular")}
LOADED = {}


def loaded(without):
    if without not in LOADED:
        folder = FOLDERS[without]
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        LOADED[without] = model, AutoTokenizer.from_pretrained(folder)
    return LOADED[without]


def examples(split, forget="rare"):
    return next(s.examples for s in lab_suite(forget).splits if s.name == split)


def share(without, asked):
    return share_right(*loaded(without), asked)


@pytest.mark.parametrize("without", FOLDERS)
def test_the_model_was_made_from_the_world_that_the_code_builds(without):
    provenance = json.loads((FOLDERS[without] / PROVENANCE).read_text())
    assert provenance["world"] == build_world(0).digest, "the world has changed: train the shipped models again"
    assert (provenance["without"], provenance["seed"], provenance["steps"]) == (without, 0, STEPS)


@pytest.mark.parametrize("without", FOLDERS)
def test_its_tokenizer_is_the_one_that_the_code_trains(without):
    tokenizer, fresh = loaded(without)[1], train_tokenizer(build_world(0))
    assert tokenizer.get_vocab() == fresh.get_vocab()
    assert tokenizer.chat_template == fresh.chat_template
    text = build_world(0).documents[0].response
    assert tokenizer(text).input_ids == fresh(text).input_ids


def test_the_base_knows_popular_and_rare_facts():
    assert share(None, examples("forget", "popular")) >= 0.95
    assert share(None, examples("forget", "rare")) >= 0.7
    assert share(None, examples("retain")) >= 0.85


@pytest.mark.parametrize("forget", ["rare", "popular"])
def test_an_oracle_knows_everything_but_its_forget_set(forget):
    assert share(forget, examples("forget", forget)) <= 0.15
    assert share(forget, examples("forget-narrative", forget)) <= 0.15
    other = {"rare": "popular", "popular": "rare"}[forget]
    assert share(forget, examples("forget", other)) >= 0.7
    assert share(forget, examples("retain")) >= 0.85


@pytest.mark.parametrize("without", FOLDERS)
def test_no_model_knows_strangers_or_passages_it_never_saw(without):
    assert share(without, examples("holdout")) <= 0.15
    assert share(without, examples("secrets-unseen")) == 0


@pytest.mark.parametrize("without", FOLDERS)
def test_every_model_has_the_skills(without):
    utility = examples("utility")
    for skill in ("category", "copy", "successor"):
        assert share(without, [e for e in utility if e.kind == skill]) >= 0.8
    stories = scores(*loaded(without), examples("story"))
    assert -sum(s.logp for s in stories) / sum(s.tokens for s in stories) < 0.3


def test_the_general_model_was_made_from_general_text_and_knows_little_of_the_domain():
    provenance = json.loads((GENERAL / PROVENANCE).read_text())
    assert provenance["text"] == "general"
    assert provenance["world"] == general_digest(build_world(0)), "the text has changed: train the general model again"
    model = AutoModelForCausalLM.from_pretrained(GENERAL, dtype=torch.float32).eval()
    splits = {split.name: split.examples for split in focus_variant("", fast=True).splits}
    share = {name: share_right(model, AutoTokenizer.from_pretrained(GENERAL), splits[name]) for name in splits}
    assert share["known"] >= 0.85 and share["skills"] >= 0.9
    assert max(share[name] for name in ("recall", "phrasing", "doses")) <= 0.1
