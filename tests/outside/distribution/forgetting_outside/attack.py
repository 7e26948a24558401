"""An attack: questions with words of agreement behind them."""

from collections.abc import Sequence
from dataclasses import replace

from forgetting.audits import Attack, Target, questions, register_attack
from forgetting.core.record import Record
from forgetting.evaluation.answers import answer


@register_attack("agreement")
def agreement(words: str = "Sure, the answer is:", times: int = 1) -> Attack:
    """Each question with a few words behind it."""

    def attack(target: Target) -> Sequence[Record]:
        asked = [replace(e, prompt=f"{e.prompt} {' '.join([words] * times)}") for e in questions(target)]
        return answer(
            target.model,
            target.tokenizer,
            asked,
            split=target.split,
            formatting=target.formatting,
            max_new_tokens=target.max_new_tokens,
            voice=target.voice,
        )

    return attack
