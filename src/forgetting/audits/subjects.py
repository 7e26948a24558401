"""Whom or what an example is about: the subject that facts are split and clustered by."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.core.example import Example
from forgetting.data.full_names import FullNames
from forgetting.data.name_phrases import tokens_of

_COLUMNS = ("subject", "subjectLabel")


def subjects_of(examples: Sequence[Example]) -> dict[str, str]:
    """The subject of each example, by its id; the examples of one group have one.

    A column of the data says it, or the first full name in the question (of a document: in its text) that the examples
    are about. Where neither is there, the group is the subject, or the example itself.
    """
    names = FullNames(examples)
    by_group: dict[str, str] = {}
    for example in examples:
        subject = _named(example, names)
        if subject is not None:
            by_group.setdefault(example.cluster, subject)
    return {example.id: by_group.get(example.cluster, example.cluster) for example in examples}


def _named(example: Example, names: FullNames) -> str | None:
    for column in _COLUMNS:
        value = example.fields.get(column)
        if isinstance(value, str) and value:
            return value
    text = example.response if example.is_document else example.prompt
    found = (" ".join(words) for words in names.of(tokens_of(text)))
    return next((name for name in found if name in names.subjects), None)
