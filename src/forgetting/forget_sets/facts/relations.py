"""Relations: how each is asked, in which other words, and what it is called by the sources."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import ConfigDict, Field, ValidationError, field_validator

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.strict import Strict
from forgetting.core.written import read_yaml, reason
from forgetting.forget_sets.facts.fact import Fact

ANY = "*"
"""The name under which a relations file says how a relation is asked that it does not list."""
_SUBJECT, _RELATION = "{subject}", "{relation}"


class Relation(Strict):
    """One relation of a relations file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str = Field(description="How it is asked; {subject} stands for the subject.")
    paraphrases: tuple[str, ...] = Field((), description="The same question in other words.")
    property: str | None = Field(None, pattern=r"^P[0-9]+$", description="Its property in Wikidata: P17.")
    classes: tuple[Annotated[str, Field(pattern=r"^Q[0-9]+$")], ...] = Field(
        (), description="Subjects that are asked for, as Wikidata classes: Q515."
    )
    called: tuple[str, ...] = Field((), description="Other names that sources give it.")
    read: tuple[str, ...] = Field((), description="Forms in which sources ask it, by which their questions are read.")
    answers: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Other names of an answer that count as right: {United States: [USA]}."
    )

    @field_validator("question", "paraphrases", "read")
    @classmethod
    def _asks_of_the_subject(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for form in (value,) if isinstance(value, str) else value:
            if form.count(_SUBJECT) != 1:
                raise ValueError(f"'{form}' does not hold {_SUBJECT} once")
            if re.search(r"[{}]", form.replace(_SUBJECT, "").replace(_RELATION, "")):
                raise ValueError(f"'{form}' has braces beside {_SUBJECT}")
        return value


@dataclass(frozen=True)
class Relations:
    """The relations of a file, by name."""

    named: Mapping[str, Relation]
    source: str

    @cached_property
    def _names(self) -> dict[str, str]:
        found = {called: name for name, one in self.named.items() for called in one.called}
        return found | {name: name for name in self.named if name != ANY}

    def name_of(self, called: str, property: str = "") -> str | None:
        """The relation that a source calls so, or whose Wikidata property it names; None: it is not listed."""
        found = self._names.get(called)
        if found is None and property:
            found = next((name for name, one in self.named.items() if one.property == property), None)
        return found

    def asked(self, fact: Fact) -> Relation | None:
        """How a fact is asked; None if neither its relation is listed nor any other."""
        return self.named.get(fact.relation, self.named.get(ANY))

    def read(self, question: str) -> tuple[str, str] | None:
        """(relation, subject) of a source's question; None if it has no known form.

        Of several forms that it has, the one with most of its letters in the form is meant.
        """
        found = ((len(form), name, match) for form, name, pattern in self._forms if (match := pattern.match(question)))
        best = max(found, key=lambda one: one[0], default=None)
        return None if best is None else (best[1], best[2]["subject"])

    @cached_property
    def _forms(self) -> list[tuple[str, str, re.Pattern[str]]]:
        return [
            (form, name, re.compile(re.escape(form).replace(re.escape(_SUBJECT), "(?P<subject>.+)") + "$"))
            for name, one in self.named.items()
            if name != ANY
            for form in dict.fromkeys((*one.read, one.question, *one.paraphrases))
        ]


def in_words(form: str, fact: Fact) -> str:
    """A form as the question of a fact."""
    return form.replace(_RELATION, fact.relation).replace(_SUBJECT, fact.subject.label)


def load_relations(given: str | None) -> Relations:
    """The relations of a YAML file; of the built-in one all, or those that are named (`country,capital`).

    Raises:
        RecipeError: no such file or name, or a relation that cannot be asked.
    """
    path = Path(given) if given is not None and given.endswith((".yaml", ".yml")) else None
    if path is None:
        text = files("forgetting.forget_sets.facts").joinpath("relations.yaml").read_text(encoding="utf-8")
        found = _read(text, "relations.yaml")
        return Relations(found if given is None else dict(_picked(found, given.split(","))), "built in")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({reason(error)}); name a YAML file of relations") from error
    return Relations(_read(text, str(path)), str(path))


def _picked(known: Mapping[str, Relation], names: Sequence[str]) -> Iterator[tuple[str, Relation]]:
    for name in (n.strip() for n in names):
        if name not in known:
            raise RecipeError(
                f"relations: '{name}' is not built in ({nearest(name, known)}); write a .yaml file to ask others"
            )
        yield name, known[name]


def _read(text: str, where: str) -> dict[str, Relation]:
    try:
        values = read_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{where}: not YAML ({reason(error)}); fix it") from error
    if not isinstance(values, dict) or not values:
        raise RecipeError(f"{where}: holds no relations; write 'country: {{question: \"Where is {{subject}}?\"}}'")
    found: dict[str, Relation] = {}
    for name, entry in values.items():
        try:
            found[str(name)] = Relation.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, (name, *first["loc"])))
            missing = first["type"] == "missing" and first["loc"][-1] == "question"
            said = "has no question; write how it is asked, with {subject}" if missing else first["msg"]
            raise RecipeError(f"{where}: {key}: {said.removeprefix('Value error, ')}") from error
    bearers = Counter(called for name, one in found.items() for called in {name, *one.called})
    for called, count in bearers.items():
        if count > 1:
            raise RecipeError(f"{where}: '{called}' is what several relations are called; leave it to one of them")
    return found
