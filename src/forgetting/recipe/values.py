"""The values of a recipe: stages, adapters, data, and what is measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.example import Role
from forgetting.data.encode import Formatting
from forgetting.data.source import Source
from forgetting.objectives.methods import build_method, get_method
from forgetting.objectives.objective import Objective
from forgetting.training.settings import Optimisation

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""What stages, runs and labels may be called: they become names of files."""


class Adapter(BaseModel):
    """Which weights a stage trains."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["full", "lora"] = Field("full", description="Default: lora where a key of LoRA is given, else full.")
    rank: int = Field(16, gt=0)
    alpha: float | None = Field(None, gt=0, description="The update is scaled by alpha / rank; default 2 × rank.")
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: str | list[str] = Field("all", description="all, qv, qkvo, ffn, qvffn, or names of modules.")
    init: Literal["default", "fila"] = "default"
    epsilon: Literal["relative", "released"] | float = Field("relative", description="FILA's ε: see docs/decisions.md.")
    importance_examples: int | None = Field(
        None, gt=0, description="Examples per role that FILA's importance is taken of."
    )

    @property
    def starts_by_fila(self) -> bool:
        """Whether it is initialised by FILA; full tuning has nothing to initialise."""
        return self.kind == "lora" and self.init == "fila"

    @model_validator(mode="before")
    @classmethod
    def _lora_by_its_keys(cls, value: Any) -> Any:
        return {"kind": "lora", **value} if isinstance(value, Mapping) and value else value


class Stage(Optimisation):
    """One optimisation: a method on an adapter."""

    name: str = Field("unlearn", pattern=NAME)
    method: Annotated[dict[str, Any], BeforeValidator(lambda v: {"name": v} if isinstance(v, str) else v)] = Field(
        description="A method's name, or {name: npo, beta: 0.1, …}."
    )
    adapter: Adapter | None = Field(None, description="Default: the method's own; full tuning where it names none.")
    data: dict[str, Sources] = Field(default_factory=dict, description="By role; overrides the recipe's data.")
    between: Literal["merge", "stack", "keep"] = Field(
        "merge",
        description="What becomes of this stage's adapter before the next: merged, kept frozen below the next one, or "
        "trained on by the next stage.",
    )
    until: Literal["extraction"] | None = Field(
        None,
        description="extraction: end at the first evaluation where EL_n and MA of the forget set are at or below those "
        "of unseen text; the duration is then the most that is allowed.",
    )

    @model_validator(mode="before")
    @classmethod
    def _adapter_of_the_method(cls, value: Any) -> Any:
        """What the recipe says of the adapter stands over the method's default."""
        if isinstance(value, Mapping) and isinstance(value.get("method"), str | Mapping):
            method = value["method"]
            name = method if isinstance(method, str) else method.get("name")
            own = value.get("adapter")
            if isinstance(name, str) and (own is None or isinstance(own, Mapping)):
                return {**value, "adapter": {**get_method(name).adapter, **(own or {})}}
        return value

    @model_validator(mode="after")
    def _builds(self) -> Self:
        if "name" not in self.method:
            raise ValueError("method: give its name: {name: npo, …}")
        if self.keep == "best" and self.evaluate_every is None:
            raise ValueError("keep: 'best' needs evaluations to choose by; set evaluate_every, or keep: last")
        if self.until is not None and (self.evaluate_every is None or self.keep == "best"):
            raise ValueError("until: ends at an evaluation and keeps its weights; set evaluate_every, and keep: last")
        self.objective()
        return self

    @property
    def adapter_or_full(self) -> Adapter:
        """The adapter, full tuning if nothing was said."""
        return self.adapter or Adapter()

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles whose data it reads: FILA weighs forget against retain even where no term does."""
        fila = (Role.FORGET, Role.RETAIN) if self.adapter_or_full.starts_by_fila else ()
        return tuple(dict.fromkeys((*self.objective().roles, *fila)))

    def objective(self) -> Objective:
        """The stage's objective."""
        parameters = {k: v for k, v in self.method.items() if k != "name"}
        return build_method(self.method["name"], parameters)


def _known_roles(value: Mapping[str, Any]) -> Mapping[str, Any]:
    for role in value:
        if role not in [*Role]:
            raise RecipeError(f"data.{role}: no such role; {nearest(role, [*Role])}")
    return value


Label = Annotated[str, Field(pattern=NAME)]
Sources = Annotated[list[Source], BeforeValidator(lambda v: v if isinstance(v, list) else [v])]


def _suites(value: Any) -> Any:
    """One suite as a list; errors of labels, which a union of types would tell of the wrong one."""
    if isinstance(value, Mapping):
        for label, suite in value.items():
            if not isinstance(suite, str):
                raise ValueError(f"'{label}' names no suite; write {label}: SUITE, or quote a suite with its variant")
            if not isinstance(label, str) or not re.fullmatch(NAME, label):
                raise ValueError(f"the label '{label}' is not made of letters, digits, '-', '_' and '.'")
    return [value] if isinstance(value, str) else value


class Recipe(BaseModel):
    """A list of stages and what to measure before, between and after them."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("run", pattern=NAME, description="The run's folder below `output`.")
    question: str = Field("", description="What is asked of this run, in a sentence, for the report.")
    model: str = Field(description="A local folder, a hub model, or a suite's model such as 'lab'.")
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str | None = Field(None, description="Default: an accelerator if there is one.")
    threads: int | None = Field(None, gt=0, description="CPU threads; part of the run, for results depend on them.")
    seed: int = Field(0, ge=0, lt=2**31)
    data: Annotated[dict[str, Sources], AfterValidator(_known_roles)] = Field(default_factory=dict)
    format: Formatting = Formatting()
    stages: list[Stage] = Field(min_length=1)
    evaluate: Annotated[list[str] | dict[Label, str], BeforeValidator(_suites)] = Field(
        default_factory=list,
        description="Suites, or suites by a label that goes before their splits' names; a stage's name as label "
        "makes a suite that stage's own. Default: the run's own data.",
    )
    max_new_tokens: int | None = Field(
        None,
        gt=0,
        description="Length of greedy answers on the run's own data; default: as long as the longest answer.",
    )
    oracle: str | None = Field(None, description="A model that never saw the forget set, or its records (.jsonl).")
    export: Literal["adapter", "merged", "both"] = Field(
        "adapter", description="What is saved of an adapter at the end."
    )
    output: str = "runs"
    report_to: list[str] = Field(default_factory=list, description="Trackers of accelerate: tensorboard, wandb, …")

    @model_validator(mode="after")
    def _distinct_stages(self) -> Self:
        names = [s.name for s in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"two stages have one name ({', '.join(names)}); name them apart")
        return self

    @model_validator(mode="after")
    def _one_adapter_trained_on(self) -> Self:
        for before, after in zip(self.stages[:-1], self.stages[1:], strict=True):
            if before.between == "keep" and before.adapter_or_full != after.adapter_or_full:
                raise ValueError(
                    f"stage '{before.name}' is to keep its adapter in training (between: keep), but stage "
                    f"'{after.name}' names another one; give both the same adapter"
                )
        return self

    def adapter_of(self, stage: Stage) -> str:
        """The name of the stage whose adapter `stage` trains: its own, or an earlier one's that is kept in training."""
        index = self.stages.index(stage)
        while index and self.stages[index - 1].between == "keep" and stage.adapter_or_full.kind == "lora":
            index -= 1
        return self.stages[index].name

    @property
    def folder(self) -> Path:
        """Where the run lives."""
        return Path(self.output) / self.name

    def sources(self, stage: Stage) -> dict[str, list[Source]]:
        """The data of a stage by role."""
        return {**self.data, **stage.data}

    def to_yaml(self) -> str:
        """The recipe in full, every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
