"""What a model of the small world can do, for its provenance file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.lab.examples import skill_examples
from forgetting.benchmarks.lab.skills import SKILLS
from forgetting.benchmarks.lab.suite import lab_suite
from forgetting.benchmarks.lab.world import build_world
from forgetting.core.example import Example
from forgetting.core.record import Score
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer

COMMON_SPLITS = ("retain", "retain-narrative", "holdout", "holdout-narrative", "secrets", "secrets-unseen")
EXERCISES = 60


def assess(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> dict[str, dict[str, float]]:
    """Shares of right answers, each with its count, on the splits of the suites and on all six skills.

    Every word of a passage must be right; stories are measured by perplexity instead.
    """
    world = build_world()
    suites = {name: {s.name: s.examples for s in lab_suite(name).splits} for name in world.forget_people}
    asked = {f"{split}, {name}": suites[name][split] for name in suites for split in ("forget", "forget-narrative")}
    asked |= {split: suites["rare"][split] for split in COMMON_SPLITS}
    asked |= {skill: skill_examples(world, skill, EXERCISES) for skill in SKILLS if skill != "story"}
    result = {
        name: {"right": round(share_right(model, tokenizer, examples), 4), "count": len(examples)}
        for name, examples in asked.items()
    }
    story = scores(model, tokenizer, skill_examples(world, "story", EXERCISES))
    surprise = -sum(score.logp for score in story) / sum(score.tokens for score in story)
    return result | {"story": {"perplexity": round(math.exp(surprise), 3), "count": len(story)}}


def share_right(model: nn.Module, tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]) -> float:
    """The share of examples whose answer greedy decoding would give: every token is the model's first choice."""
    found = scores(model, tokenizer, examples)
    return sum(not any(score.ranks) for score in found) / len(found)


def scores(model: nn.Module, tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]) -> list[Score]:
    """The likelihood and ranks of each example's own answer, without paraphrases and wrong answers."""
    bare = [replace(example, perturbed=()) for example in examples]
    records = answer(model, tokenizer, bare, split="", formatting=Formatting(), max_new_tokens=0)
    return [record.score for record in records if record.score is not None]
