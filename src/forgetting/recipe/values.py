"""A recipe: stages, data, and what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.example import Role
from forgetting.core.strict import Strict
from forgetting.data.corpus import Corpus, check_shares
from forgetting.data.formatting import Formatting
from forgetting.data.source import Source
from forgetting.recipe.changes import changed, unshared
from forgetting.recipe.divide import Divide
from forgetting.recipe.errors import one_line
from forgetting.recipe.judging import Judging
from forgetting.recipe.metric import AskedMetric
from forgetting.recipe.named import NAME, NamedSeveral, Suites
from forgetting.recipe.sample import Sample
from forgetting.recipe.space import check_written
from forgetting.recipe.stage import Sources, Stage
from forgetting.recipe.stages import (
    check_adapters,
    check_in_four_bits,
    check_names,
    place_of,
    without_skipped,
    without_unread,
)


def _known_roles(value: Mapping[str, Any]) -> Mapping[str, Any]:
    for role in value:
        if role not in [*Role]:
            raise RecipeError(f"data.{role}: no such role; {nearest(role, [*Role])}")
    return value


class Recipe(Strict):
    """A list of stages and what to measure before, between and after them."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("run", pattern=NAME, description="The run's folder below `output`.")
    question: str = Field("", description="The question that this run answers, in a sentence, for the report.")
    model: str = Field(min_length=1, description="A local folder, a hub model, or a suite's model such as 'lab'.")
    revision: str | None = Field(None, min_length=1, description="A commit, branch or tag of a hub model.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Precision of the weights that are not trained; auto: as they are stored."
    )
    device: str | None = Field(None, description="Default: an accelerator if there is one.")
    threads: int | None = Field(
        None, gt=0, le=4096, description="CPU threads; part of the recipe, since results depend on them."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Of everything that is drawn: adapters, orders, dropout, noise.")
    data: Annotated[dict[str, Sources], AfterValidator(_known_roles)] = Field(
        default_factory=dict,
        description="Sources by role: forget, retain, train, holdout (never seen), alternate (other answers).",
    )
    corpus: Corpus | None = Field(
        None,
        description="The train data as one corpus: its size, its duplicates, and the part reserved for a reference.",
    )
    new_tokens: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="Tokens that the model gets in addition to its own: special ones, with the mean of all rows each.",
    )
    format: Formatting = Field(Formatting(), description="How a model is asked, in training and measuring alike.")
    stages: list[Stage] = Field(min_length=1, description="What is done, one after another.")
    evaluate: Suites = Field(
        default_factory=list,
        description="Suites, or suites by a label that prefixes the names of their splits; a stage's name as label "
        "assigns the suite to that stage. Default: the run's own data.",
    )
    metrics: list[AskedMetric] = Field(
        default_factory=list,
        description="Metrics in addition to those of the suites, on all splits or on those named: a name, or "
        "{name: …, splits: […], direction: up, parameter: …}.",
    )
    max_new_tokens: int | None = Field(
        None,
        gt=0,
        lt=2**31,
        description="Length of greedy answers on the run's own data; default: as long as the longest answer.",
    )
    divide: Divide | None = Field(
        None,
        description="Divide what is measured by source fact: one half decides what is kept and when a stage ends "
        "(its splits are called selection-NAME), the other half is reported.",
    )
    sample: Sample | None = Field(
        None,
        description="Write text (greedy answers, continuations for extraction) for so many examples of each split, "
        "drawn by seed; likelihoods are taken of all. What needs text then has the wider interval of the sample.",
    )
    space: Annotated[dict[str, Any], AfterValidator(check_written)] = Field(
        default_factory=dict,
        description="For `forget tune`: where keys of the tuned stage are sought (learning_rate, method.beta, …), each "
        "{low: …, high: …, log: true}, a list of values, or null; what a method says itself stands for the others.",
    )
    oracle: str | None = Field(
        None, min_length=1, description="A model that never saw the forget set, or its records (.jsonl)."
    )
    export: Literal["adapter", "merged", "both"] = Field("adapter", description="How an adapter is saved at the end.")
    output: str = Field("runs", min_length=1)
    redact: bool = Field(
        False,
        description="Write keyed hashes instead of the texts of records and selections; numbers stay as they are, and "
        "so do kinds (column kind, relation or category), which name measures.",
    )
    analyse: NamedSeveral = Field(
        default_factory=dict,
        description="What is analysed inside the models after the last stage: names, or names with parameters.",
    )
    audit: NamedSeveral = Field(
        default_factory=dict,
        description="The attacks on the models after the last stage: fast, standard, all, names, or names with "
        "parameters.",
    )
    judge: Judging | None = Field(
        None, description="An endpoint that grades the answers before the first stage, after each, and of the oracle."
    )
    report_to: list[str] = Field(default_factory=list, description="Trackers of accelerate: tensorboard, wandb, …")

    _written: Mapping[str, Any] = PrivateAttr(default_factory=dict)
    """The values it was built from; when some are changed, defaults are derived from them again."""
    _where: str = PrivateAttr("recipe")
    """Its name in messages."""

    @classmethod
    def from_values(cls, values: Mapping[str, Any], where: str = "recipe") -> Self:
        """A recipe from plain values; `where` names their source in messages.

        Raises:
            RecipeError: one line that names the first wrong key and the nearest right one.
        """
        try:
            recipe = cls.model_validate(values)
        except ValidationError as error:
            raise RecipeError(f"{where}: {one_line(error, cls)}") from error
        except RecipeError as error:
            raise RecipeError(f"{where}: {error}") from error
        recipe._where = where
        return recipe

    def with_values(self, changes: Mapping[str, Any]) -> Self:
        """The recipe with some of its values changed; all of it is validated again.

        Defaults follow the changes: another method has its own default adapter. Keys are dotted paths, and a value
        replaces the present one; stages are given by name: `{"seed": 1, "stages.unlearn.method": "npo"}` equals
        `{"seed": 1, "stages": {"unlearn": {"method": "npo"}}}`. See `forgetting.recipe.changes`.

        Raises:
            RecipeError: one line that names the first wrong key and the nearest right one.
        """
        return self.from_values(changed(self._written, changes, type(self).model_fields), self._where)

    def __eq__(self, other: object) -> bool:
        """Whether both are equal with all defaults filled in."""
        return isinstance(other, Recipe) and self.model_dump() == other.model_dump()

    @model_validator(mode="wrap")
    @classmethod
    def _keeps_what_was_written(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        written = unshared(value) if isinstance(value, Mapping) else None
        recipe = handler(value)
        if written is not None:
            recipe._written = written
        return recipe

    @model_validator(mode="after")
    def _sends_no_hidden_texts(self) -> Self:
        if self.redact and self.judge is not None and self.judge.redacted_texts == "refuse":
            raise ValueError(
                "judge: the run is redacted, and a judge would be sent its texts; write judge.redacted_texts: send to "
                "allow that, or leave judge out"
            )
        return self

    @model_validator(mode="after")
    def _distinct_metrics(self) -> Self:
        for index, metric in enumerate(self.metrics):
            if metric in self.metrics[:index]:
                raise ValueError(f"metrics: '{metric.name}' is asked for twice; leave one out")
        return self

    @model_validator(mode="after")
    def _stages_kept(self) -> Self:
        check_names(self.stages)
        self.stages = without_unread(without_skipped(self.stages), self.corpus)
        return self

    @model_validator(mode="after")
    def _shares(self) -> Self:
        """Shares and counts need a corpus of train data, and must fit its size."""
        for data in (self.data, *(stage.data for stage in self.stages)):
            for role, sources in data.items():
                if role == Role.TRAIN:
                    check_shares(self.corpus or Corpus(), [(str(s), s) for s in sources])
                elif any(s.share is not None or s.count is not None for s in sources):
                    raise RecipeError(f"data.{role}: share and count draw a corpus of train data; write limit instead")
        return self

    @model_validator(mode="after")
    def _adapters(self) -> Self:
        check_adapters(self.stages)
        if self.quantise:
            check_in_four_bits(self.stages)
        return self

    @property
    def quantise(self) -> Literal["nf4"] | None:
        """The storage of the model's matrices: in 4 bits if a stage trains with QLoRA."""
        return "nf4" if any(s.adapter_or_full.kind == "qlora" for s in self.stages) else None

    def adapter_of(self, stage: Stage) -> str:
        """The name of the stage whose adapter `stage` trains: itself, or an earlier stage that keeps its adapter."""
        index = self.stages.index(stage)
        while index and self.stages[index - 1].between == "keep" and not stage.adapter_or_full.is_inside:
            index -= 1
        return self.stages[index].name

    def seed_of(self, stage: Stage) -> int:
        """The seed of a stage's data order, dropout and adapter: the recipe's seed plus the stage's position.

        A transform may set its own.
        """
        if stage.transform is not None and "seed" in stage.transform:
            return int(stage.transform["seed"])
        return self.seed + (place_of(stage, self.stages) if stage.place is None else stage.place)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.output) / self.name

    def sources(self, stage: Stage) -> dict[str, list[Source]]:
        """The data of a stage by role."""
        return {**self.data, **stage.data}

    @classmethod
    def rewritten(cls, text: str) -> str:
        """The YAML of a recipe as this version writes it; unchanged if it is none.

        Raises:
            yaml.YAMLError: it is not YAML.
        """
        values = yaml.safe_load(text)
        try:
            return cls.from_values(values).to_yaml() if isinstance(values, Mapping) else text
        except RecipeError:
            return text

    def to_yaml(self) -> str:
        """The recipe in full, with every default."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
