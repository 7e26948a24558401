"""The form attack: the same fact asked for in other forms than the one that was unlearned."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from forgetting.audits.asking import BEFORE, answers, plain, questions
from forgetting.audits.attack import Attack, Target
from forgetting.audits.registry import register_attack
from forgetting.audits.subjects import subjects_of
from forgetting.core.errors import DataError
from forgetting.core.example import Example, Role
from forgetting.core.record import Record
from forgetting.evaluation.answers import answer
from forgetting.metrics.text import normalized

WRONG = 3
"""Wrong answers that are offered beside the right one."""


@register_attack("form")
def form() -> Attack:
    """Asks for each fact in other forms: paraphrased, as a sentence to complete, reversed, as a choice of answers.

    What there is of them is used: the paraphrase that a row brings, and the run's suites' examples of the same group
    and answer (a sentence where the fact is a question, and the other way round). Reversed, the answer is given and the
    subject asked for, where the question names it. A choice offers three answers of the same kind beside the right one:
    only the share of the right one counts, for its words stand in the prompt. Documents are continued from beginnings
    of half, the whole and twice the usual length.
    """

    def attack(target: Target) -> Sequence[Record]:
        documents = [e for e in target.examples if e.is_document]
        asked = questions(target, [e for e in target.examples if not e.is_document])
        records: list[Record] = []
        for name, tokens in (("short beginning", BEFORE // 2), ("beginning", BEFORE), ("long beginning", 2 * BEFORE)):
            records += answers(target, questions(target, documents, tokens), attempt=name)
        records += answers(target, _paraphrased(asked), attempt="paraphrase")
        for name, text in (("sentence", True), ("question", False)):
            others = _others(target, asked, text=text)
            records += answers(target, others, attempt=name)
        turned = answers(target, _reversed(target, asked), attempt="reversed")
        records += [replace(record, score=None) for record in turned]  # that of a name, which compares with nothing
        records += _choices(target, asked)
        if not records and target.split == Role.FORGET:
            raise DataError(
                "these facts have no other form: no paraphrases, no subject named in the question, no other answers to "
                "choose from; give them a column 'paraphrased_prompt', or leave this attack out"
            )
        return records

    return Attack(run=attack, leaks=("leak", "probability", "choice"))


def _paraphrased(asked: Sequence[Example]) -> list[Example]:
    return [replace(e, prompt=e.paraphrased_prompt) for e in asked if e.paraphrased_prompt not in (None, "", e.prompt)]


def _others(target: Target, asked: Sequence[Example], *, text: bool) -> list[Example]:
    """The suites' examples of the same facts in another form, under the ids of those that are attacked."""
    found: list[Example] = []
    for example in asked:
        same = [
            e
            for e in target.forms
            if e.cluster == example.cluster
            and (e.form == "text") == text
            and e.prompt not in ("", example.prompt)
            and normalized(e.response) == normalized(example.response)
        ]
        found += [replace(e, id=example.id) for e in same]
    return found


def _reversed(target: Target, asked: Sequence[Example]) -> list[Example]:
    """Which subject belongs in the gap of a question whose answer is given."""
    subjects = subjects_of(target.examples)
    return [
        replace(
            plain(e),
            prompt=f"{e.prompt.replace(name, '…')} {e.response.strip()} Which name belongs in the gap?",
            response=name,
        )
        for e in asked
        if e.form == "qa" and (name := subjects[e.id]) in e.prompt
    ]


def _choices(target: Target, asked: Sequence[Example]) -> list[Record]:
    pool = [e for some in (target.examples, target.retain) for e in some if e.prompt]
    offered = [e for example in asked if (e := _choice(example, pool, target)) is not None]
    records = answer(
        target.model,
        target.tokenizer,
        offered,
        split=target.split,
        formatting=target.formatting,
        max_new_tokens=0,
        voice=target.voice,
    )
    return [replace(record, attempt="choice") for record in records]


def _choice(example: Example, pool: Sequence[Example], target: Target) -> Example | None:
    """The question with four answers in an order by the seed; None: there are too few wrong ones of its kind."""
    own = normalized(example.response)
    alike = example.perturbed or [e.response for e in pool if e.kind == example.kind and e.form == example.form]
    wrong = {key: text for text in alike if (key := normalized(text)) != own}
    if example.form != "qa" or len(wrong) < WRONG:
        return None
    rng = random.Random(f"{target.seed}/{example.id}/choice")
    drawn = rng.sample([wrong[key] for key in sorted(wrong)], WRONG)
    shown = [text.strip() for text in (example.response, *drawn)]
    rng.shuffle(shown)
    listed = " ".join(f"({number}) {text}" for number, text in enumerate(shown, 1))
    return replace(plain(example), prompt=f"{example.prompt} Choose one answer: {listed}", perturbed=tuple(drawn))
