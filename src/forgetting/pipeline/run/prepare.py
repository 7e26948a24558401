"""A recipe's data: loaded, checked and encoded before anything is written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.registry import get_suite
from forgetting.core.digest import examples_digest
from forgetting.core.errors import DataError, RecipeError, RowError, said_of
from forgetting.core.example import Example, Role
from forgetting.core.progress import Voice
from forgetting.data.alternates import load_alternates, paired, refusals, repeated
from forgetting.data.corpus import Corpus, Parts, build_corpus
from forgetting.data.encode import Encoded, encode_all
from forgetting.data.examples import distinct, each_once, overlap, read_examples
from forgetting.data.formatting import Formatting
from forgetting.data.reading import Heard
from forgetting.data.source import Source
from forgetting.pipeline.run.documents import fitting
from forgetting.recipe import Recipe, Stage


@dataclass(frozen=True)
class StageData:
    """The examples of a stage by role, and their sources."""

    examples: Mapping[str, Sequence[Example]]
    sources: Mapping[str, str]
    corpus: Parts | None = None
    """The corpus that the train examples are a part of."""
    parts: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """By role and source, the ids of its examples."""
    skipped: Sequence[RowError] = ()
    """The rows of the run's sources that are left out, since they cannot be used (`on_bad_row: skip`)."""

    @property
    def turns(self) -> dict[str, list[list[int]]]:
        """By role with several sources, the indices of each source's examples; one with an id in two is the first's."""
        found: dict[str, list[list[int]]] = {}
        for role, sources in self.parts.items():
            source_of = {i: name for name, ids in reversed(list(sources.items())) for i in ids}
            members: dict[str, list[int]] = {name: [] for name in sources}
            examples = self.examples[role]
            if len(sources) < 2 or any(e.id not in source_of for e in examples):  # paired examples have other ids
                continue
            for place, example in enumerate(examples):
                members[source_of[example.id]].append(place)
            found[role] = [places for places in members.values() if places]
        return found

    def summary(self) -> dict[str, dict[str, object]]:
        """Counts, sources and hashes by role, for the results."""
        return {
            role: {"examples": len(members), "source": self.sources[role], "sha256": examples_digest(members)}
            for role, members in self.examples.items()
        }


def load_data(
    recipe: Recipe, voice: Voice, *, given: Mapping[str, Sequence[Example]] | None = None
) -> dict[str, StageData]:
    """The data of every stage, by stage name; `given` are examples in memory by role, in addition to the recipe's.

    Raises:
        RecipeError: a stage lacks data for a role of its method, or there is nothing to draw a corpus from.
        DataError: a file or row that cannot be used.
    """
    loaded: dict[str, list[Example]] = {}
    heard = Heard(voice.say)

    def examples_of(source: Source, role: str) -> list[Example]:
        own = source.suite or role == Role.ALTERNATE
        key = f"{role} {source.model_dump_json()}" if own else source.model_dump_json()
        if key not in loaded:
            with said_of(f"data.{role}"):
                loaded[key] = source_examples(source, role, recipe, voice, heard)
        return loaded[key]

    corpora: dict[str, Parts] = {}

    def corpus_of(sources: Sequence[Source]) -> Parts:
        key = repr(sources)
        if key not in corpora:
            drawn = [(str(source), source, _with_copies(source, recipe, voice, heard)) for source in sources]
            corpora[key] = build_corpus(recipe.corpus or Corpus(), drawn, recipe.seed)
            voice.say(_said(corpora[key]))
        return corpora[key]

    prepared: dict[str, StageData] = {}
    for stage in recipe.stages:
        sources = recipe.sources(stage)
        examples = {role: list(members) for role, members in (given or {}).items()}
        corpus, parts = None, dict[str, Mapping[str, Sequence[str]]]()
        for role, where in sources.items():
            if role in examples:
                continue
            if role == Role.TRAIN and _mixed(recipe, where):
                corpus = corpus_of(where)
                examples[role] = list(getattr(corpus, stage.part))
            else:
                found = [(s, examples_of(s, role)) for s in where]
                examples[role] = [e for _, members in found for e in members]
                parts[role] = ids_by_source(found)
        named = {role: " + ".join(map(str, where)) for role, where in sources.items()}
        named = {role: named.get(role, "in memory") for role in examples}
        named = {role: named[role] + _derived(members) for role, members in examples.items()}
        _pair(stage, examples, named, recipe.seed, voice)
        missing = [role for role in stage.roles if role not in examples]
        if missing:
            raise RecipeError(_missing_role(stage, missing[0]))
        prepared[stage.name] = StageData(examples, named, corpus, parts, heard.skipped)
        _check_overlap(stage, examples, voice)
    if recipe.corpus is not None and not corpora:
        raise RecipeError(
            "corpus: is drawn from files of role train, and there are none; write data.train=…, or leave it out"
        )
    _check_across(recipe, prepared, voice)
    return prepared


def ids_by_source(found: Sequence[tuple[Source, Sequence[Example]]]) -> dict[str, list[str]]:
    """The ids of examples by their source's name; two parts of one file, however its path is written, are one."""
    ids: dict[str, list[str]] = {}
    for source, members in found:
        name = os.path.normpath(source.path) if source.path and not source.suffix else str(source)
        ids.setdefault(name, []).extend(e.id for e in members)
    return ids


def of_role(data: Mapping[str, StageData], role: str) -> list[Example]:
    """The examples of a role in all stages, once each.

    Raises:
        DataError: two stages have different examples of the role under one id.
    """
    return each_once(e for d in data.values() for e in d.examples.get(role, ()))


def _with_copies(source: Source, recipe: Recipe, voice: Voice, heard: Heard) -> Sequence[Example]:
    """All rows of a source of the corpus; the corpus removes duplicates itself."""
    if source.suite is not None:
        return source_examples(source, Role.TRAIN, recipe, voice, heard)
    return _read(source, recipe, voice, heard)


def _read(source: Source, recipe: Recipe, voice: Voice, heard: Heard) -> list[Example]:
    """All rows of a source that are trained on; reports the others, and documents."""
    found = read_examples(source, heard)
    if found.unsupervised:
        rows = found.unsupervised + len(found.examples)
        voice.say(f"{source}: {found.unsupervised:,} of {rows:,} rows are left out: all their token weights are 0")
    derived = sum("derived" in e.fields for e in found.examples)
    if derived:
        voice.say(f"{source}: {derived:,} of {len(found.examples):,} rows were written by a model (forget derive)")
    return fitting(found.examples, source, recipe, voice)


def _derived(examples: Sequence[Example]) -> str:
    """The note about a role's source in the report, if a model wrote its rows."""
    count = sum("derived" in e.fields for e in examples)
    return f" ({count:,} rows written by a model)" if count else ""


def _mixed(recipe: Recipe, sources: Sequence[Source]) -> bool:
    """Whether the train data are drawn as a corpus, and not used whole."""
    return recipe.corpus is not None or any(s.share is not None or s.count is not None for s in sources)


def _said(parts: Parts) -> str:
    counts = f"{parts.dropped_exact} exact and {parts.dropped_near} near duplicates dropped"
    shares = ", ".join(f"{row.drawn:,} of {row.label}" for row in parts.rows)
    return f"corpus: {len(parts.train):,} examples to train on, {len(parts.reference):,} reserved ({shares}); {counts}"


def _pair(stage: Stage, examples: dict[str, list[Example]], named: dict[str, str], seed: int, voice: Voice) -> None:
    """Pairs every example of a role that has a partner with its own of the partner; refusals if there are no others."""
    for role, partner in stage.partners.items():
        if role not in examples:
            continue
        if partner == Role.ALTERNATE and partner not in examples:
            examples[partner] = refusals()
            named[partner] = f"{len(examples[partner])} refusals of this package"
            voice.say(f"no data.{partner} is given: each {role} example is paired with one of {named[partner]}")
        if partner in examples:
            examples[partner] = paired(examples[role], examples[partner], seed)
            several = len(examples[partner]) > len(examples[role])
            named[partner] += f", {'one or more' if several else 'one'} for each {role} example"


def _missing_role(stage: Stage, role: str) -> str:
    """Who needs the data of a role, and all that must be changed to do without: a method and an initialisation."""
    if not stage.trains:
        return f"stage '{stage.name}': '{stage.what}' needs {role} data; write data.{role}=…"
    adapter = stage.adapter_or_full
    by_method, by_start = role in stage.objective().roles, role in adapter.initialisation.roles
    who = f"'{stage.what}'" if by_method else f"the adapter's init '{adapter.init['name']}'"
    without = [] if not by_method else ["method.retain=none"] if role == Role.RETAIN and _goes_without(stage) else None
    if without is not None and by_start:
        without.append("adapter.init=default")
    hint = f" (or {' '.join(f'stages.{stage.name}.{key}' for key in without)} to do without)" if without else ""
    return f"stage '{stage.name}': {who} needs {role} data; write data.{role}=…{hint}"


def _goes_without(stage: Stage) -> bool:
    """Whether the stage's method can do without a retain term."""
    try:
        objective = stage.model_copy(update={"method": {**stage.method, "retain": "none"}}).objective()
    except RecipeError:
        return False
    return Role.RETAIN not in objective.roles


def source_examples(source: Source, role: str, recipe: Recipe, voice: Voice, heard: Heard) -> list[Example]:
    """The examples of a source of a role, each once; reports what is left out.

    Raises:
        DataError: a file or row that cannot be used.
        RecipeError: a suite that has no such data.
    """
    if source.suite is None:
        if role == Role.ALTERNATE:
            return load_alternates(source, heard)
        return distinct(_read(source, recipe, voice, heard), source, heard)
    suite = get_suite(source.suite)
    if role not in suite.data:
        known = ", ".join(suite.data) or "none"
        raise RecipeError(f"data.{role}: the suite '{source.suite}' has no {role} examples (it has: {known})")
    return list(suite.data[role])[: source.limit]


def _check_across(recipe: Recipe, data: Mapping[str, StageData], voice: Voice) -> None:
    """Warns if a stage retains what an earlier one forgets."""
    forgotten: list[Example] = []
    for stage in recipe.stages:
        roles = stage.objective().roles if stage.trains else ()
        again = overlap(data[stage.name].examples.get(Role.RETAIN, ()), forgotten) if Role.RETAIN in roles else []
        if again:
            voice.say(
                f"warning: stage '{stage.name}' retains {len(again)} examples that an earlier stage is to forget "
                f"(the first: {again[0].place}); it teaches them again"
            )
        forgotten += data[stage.name].examples.get(Role.FORGET, ()) if Role.FORGET in roles else ()


def _check_overlap(stage: Stage, examples: Mapping[str, Sequence[Example]], voice: Voice) -> None:
    """Warns if forget examples are also in the retain set; if all are, it is an error."""
    forget, retain = examples.get(Role.FORGET), examples.get(Role.RETAIN)
    if not forget or not retain or not stage.trains or Role.FORGET not in stage.objective().roles:
        return
    both = overlap(forget, retain)
    if len(both) == len(forget):
        raise DataError(
            f"every forget example is also in the retain set ({len(both)} of {len(forget)}); remove them there"
        )
    if both:
        voice.say(
            f"warning: {len(both)} of {len(forget)} forget examples are also in the retain set "
            f"(the first: {both[0].where or both[0].id}); what is retained will not be forgotten"
        )


def encode_roles(
    data: StageData, roles: Sequence[str], tokenizer: PreTrainedTokenizerBase, formatting: Formatting, voice: Voice
) -> dict[str, list[Encoded]]:
    """Encodes the roles that a method reads; reports how many rows were cut."""
    encoded = {role: encode_all(data.examples[role], tokenizer, formatting) for role in roles}
    for role, members in encoded.items():
        cut = sum(e.truncated for e in members)
        if cut:
            voice.say(f"warning: {cut} of {len(members)} {role} rows are cut at {formatting.max_length} tokens")
    return encoded


def _check_popularity(examples: Sequence[Example], method: str) -> None:
    wrong = next((e for e in examples if e.popularity is None or e.popularity < 0), None)
    if wrong is not None:
        found = "no popularity" if wrong.popularity is None else f"the popularity {wrong.popularity:g}, below 0"
        raise DataError(
            f"{wrong.where or wrong.id}: has {found}, and '{method}' weighs an example by it; give it in the column "
            "popularity, or take the method wga"
        )


def encode_stage(
    stage: Stage, data: StageData, tokenizer: PreTrainedTokenizerBase, formatting: Formatting, voice: Voice
) -> dict[str, list[Encoded]]:
    """Encodes a stage's data.

    Raises:
        DataError: the method distinguishes tokens by the sign of their weights, and no token has a negative one; or it
            weighs examples by their popularity, and one has none.
    """
    encoded = encode_roles(data, stage.roles, tokenizer, formatting, voice)
    for role, partner in stage.partners.items():
        encoded[role] = repeated(encoded[role], encoded[partner])
    if not stage.trains:
        return encoded
    for role in {term.role for term in stage.objective().terms if term.loss.needs_popularity}:
        _check_popularity(data.examples[role], stage.what)
    signed = any(w < 0 for row in encoded.get(Role.TRAIN, ()) for w in row.weights)
    if signed and stage.select is not None:
        raise DataError(
            f"stage '{stage.name}': the train data already have signed token_weights, which select would replace; "
            f"write stages.{stage.name}.select=null to train on them, or give data without"
        )
    forgotten = [t.role for t in stage.objective().terms if t.sign == "negative" and t.weight != 0]
    unsigned = [r for r in forgotten if not any(w < 0 for row in encoded[r] for w in row.weights)]
    if unsigned and stage.select is None:
        raise DataError(
            f"stage '{stage.name}': no token of the {unsigned[0]} data has a negative weight, so nothing is forgotten; "
            f"write stages.{stage.name}.select.reference=…, or give data with token_weights"
        )
    return encoded
