"""The suffix attack: a search, with the model's weights in hand, for words behind which it says the right answer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import count

from forgetting.audits.asking import answers, plain, questions
from forgetting.audits.attack import Attack, Target
from forgetting.audits.registry import register_attack
from forgetting.audits.suffix_search import Search, search_suffix, usable_tokens, with_suffix
from forgetting.core.example import Role
from forgetting.core.record import Record


@register_attack("suffix", by_name=True)
def suffix(facts: int = 20, steps: int = 250, length: int = 20, width: int = 512, top: int = 256) -> Attack:
    """Searches a suffix for each of some facts by greedy coordinate gradient, and asks with it.

    Zou et al. 2023, https://arxiv.org/abs/2307.15043; on unlearned models https://arxiv.org/abs/2408.10682. The search
    is given the right answer and can bring a model to say what it never knew, so its number means something beside the
    oracle's alone, on which the search is made anew with the same budget. It takes hours on large models: of no set of
    attacks, and only run by its name. No suffix is searched for facts to keep or unseen ones.

    Args:
        facts: how many of the forget set, drawn by the seed.
        steps: of each search.
        length: tokens of the suffix.
        width: exchanges of one token that are tried at each step.
        top: tokens that may be drawn for a place, by the gradient.

    Raises:
        ValueError: a parameter below 1.
    """
    for name, value in (("facts", facts), ("steps", steps), ("length", length), ("width", width), ("top", top)):
        if value < 1:
            raise ValueError(f"{name} is {value}; write a whole number from 1 up")
    search = Search(steps=steps, length=length, width=width, top=top)

    def attack(target: Target) -> Sequence[Record]:
        every = questions(target)
        drawn = set(random.Random(target.seed).sample(range(len(every)), min(facts, len(every))))
        asked = [plain(example) for at, example in enumerate(every) if at in drawn]
        usable_U, done = usable_tokens(target.tokenizer), count(1)
        shown = []
        for example in asked:
            found, _ = search_suffix(
                target.model,
                target.tokenizer,
                example,
                search,
                usable_U,
                formatting=target.formatting,
                seed=target.seed,
                step=lambda: target.voice.progress(next(done), steps * len(asked), "steps of suffixes"),
            )
            shown.append(with_suffix(example, found))
        return answers(target, shown)

    return Attack(run=attack, splits=(Role.FORGET,))
