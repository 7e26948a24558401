"""One stage of a recipe: what is optimised, on which weights, with which data; or how the weights are transformed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from forgetting.core.errors import RecipeError
from forgetting.core.example import Role
from forgetting.data.source import Source
from forgetting.metrics.limit import Limit
from forgetting.models.adapters import AdapterSpec, Initialisation
from forgetting.models.adapters.spec import Drawing, Kind
from forgetting.models.transforms import Transform, build_transform
from forgetting.objectives.gradient_rules import build_gradient_rule
from forgetting.objectives.methods import METHODS, build_method
from forgetting.objectives.objective import Objective
from forgetting.token_selection.selection import Selection
from forgetting.training.initialisations import INITIALISATIONS, build_initialisation
from forgetting.training.settings import Optimisation


def _named(value: Any) -> Any:
    """A bare name as a mapping that holds it."""
    return {"name": value} if isinstance(value, str) else value


def _goal(value: str) -> str:
    """A stop rule as it is written, if it is one."""
    if value != EXTRACTION:
        Limit.parse(value)
    return value


NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""What stages, runs and labels may be called: they become names of files."""
TRANSFORM_KEYS = ("name", "transform", "data", "skip", "place")
"""What a stage that transforms may say."""
BEFORE = "before"
"""The reference that a stage has unless it names another: the model as the stage found it."""
EXTRACTION = "extraction"
"""The stop rule of LoKU: no easier to extract than unseen text."""
Named = Annotated[dict[str, Any], BeforeValidator(_named)]
"""A name, or a mapping of the name and its parameters."""
Sources = Annotated[list[Source], BeforeValidator(lambda v: v if isinstance(v, list) else [v])]


class Adapter(BaseModel):
    """Which weights a stage trains."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind = Field(
        "full",
        description="Default: lora where a key of LoRA is given, else full. qlora: LoRA beside weights kept in 4 bits "
        "(pip install 'forgetting[qlora]'). curlora: C·U·R of drawn columns and rows, of which U trains.",
    )
    rank: int = Field(16, gt=0)
    alpha: float | None = Field(None, gt=0, description="The update is scaled by alpha / rank; default 2 × rank.")
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: str | list[str] = Field("all", description="all, qv, qkvo, ffn, qvffn, or names of modules.")
    init: Named = Field(
        {"name": "default"},
        description="How LoRA starts: a name, or {name: …, with its parameters}.",
    )
    drawing: Drawing = Field("without_replacement", description="How CURLoRA draws columns and rows.")

    @property
    def spec(self) -> AdapterSpec:
        """What the models room takes.

        Raises:
            RecipeError: a value that has no meaning beside the others.
        """
        values = self.model_dump(exclude={"init"})
        targets = values.pop("targets")
        named = targets if isinstance(targets, str) else tuple(targets)
        return AdapterSpec(**values, init=self.initialisation, targets=named)

    @property
    def initialisation(self) -> Initialisation:
        """How it starts; full tuning has nothing to initialise.

        Raises:
            RecipeError: an unknown initialisation, or a parameter that it does not take or refuses.
        """
        found = build_initialisation(self.init["name"], {k: v for k, v in self.init.items() if k != "name"})
        return Initialisation() if self.kind == "full" else found

    @property
    def title(self) -> str:
        """How reports name the start; empty where A is random and B zero."""
        started = type(self.initialisation) is not Initialisation
        return str(INITIALISATIONS.get(self.init["name"]).settings.get("title", self.init["name"])) if started else ""

    @model_validator(mode="before")
    @classmethod
    def _lora_by_its_keys(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not value:
            return value
        return with_init({"kind": "lora", **value})

    @model_validator(mode="after")
    def _has_a_meaning(self) -> Self:
        _ = self.spec
        return self


def with_init(adapter: Mapping[str, Any]) -> dict[str, Any]:
    """The adapter's values with `init` in full: keys that stand for its parameters in it, and every default.

    A key that stands for a parameter of another initialisation has no meaning and is left out.
    """
    values = dict(adapter)
    init = values.get("init", "default")
    init = {"name": init} if isinstance(init, str) else init
    if not isinstance(init, Mapping) or not isinstance(init.get("name"), str):
        raise ValueError("init: give its name: {name: default}")
    given = dict(init)
    for entry in INITIALISATIONS.entries():
        for key, parameter in entry.settings.get("keys", {}).items():
            if key in values:
                value = values.pop(key)
                if entry.name == given["name"]:
                    given[parameter] = value
    defaults = INITIALISATIONS.get(given["name"]).defaults
    return {**values, "init": {"name": given.pop("name"), **defaults, **given}}


class Stage(Optimisation):
    """One optimisation, of a method on an adapter; or, with `transform`, one change of the weights without training."""

    name: str = Field("unlearn", pattern=NAME)
    method: Named = Field(default_factory=dict, description="A method's name, or {name: npo, beta: 0.1, …}.")
    transform: Named | None = Field(
        None,
        description="Instead of a method: a transform's name, or {name: noise, alpha: 0.3, …}; its seed is the stage's "
        "unless it names one.",
    )
    gradients: Named | None = Field(
        None,
        description="How the gradients of forget and other terms become one: sum, rectified, balanced, or {name: "
        "rectified, gamma: 0.9, …}. Default: the method's own; the sum where it names none.",
    )
    adapter: Adapter | None = Field(None, description="Default: the method's own; full tuning where it names none.")
    skip: bool = Field(
        False, description="Leave the stage out (stages.NAME=null says the same); others keep their seeds."
    )
    place: int | None = Field(
        None, ge=0, description="Added to the recipe's seed; default: its place among the stages as they were written."
    )
    data: dict[str, Sources] = Field(default_factory=dict, description="By role; overrides the recipe's data.")
    part: Literal["train", "reference", "all"] = Field(
        "train", description="Which part of the corpus it trains on, where `corpus` sets a reference part off."
    )
    select: Selection | None = Field(
        None, description="Tokens of the training data are scored, and told apart into those to learn and to forget."
    )
    between: Literal["merge", "stack", "keep", "aside"] = Field(
        "merge",
        description="What becomes of this stage's adapter before the next: merged, kept frozen below the next one, "
        "trained on by the next stage, or set aside (the next stage starts from where this one did; a stage set aside "
        "that no other reads is left out).",
    )
    reference: str = Field(
        BEFORE,
        description="The model that losses compare with: before (the model as the stage finds it), stage:NAME (an "
        "earlier stage that left a whole model), or a model's folder or hub id.",
    )
    until: Annotated[str, AfterValidator(_goal)] | None = Field(
        None,
        description="End at the first evaluation where this holds; the duration is then the most that is allowed. "
        "extraction: EL_n and MA of the forget set are at or below those of unseen text. Or a limit of a measure: "
        "forget/exact_match <= 0.1.",
    )

    @property
    def limit(self) -> Limit | None:
        """The limit that ends the stage; None where it has none."""
        return None if self.until in (None, EXTRACTION) else Limit.parse(self.until)

    @model_validator(mode="before")
    @classmethod
    def _either_trains_or_transforms(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        if value.get("transform") is None:
            if value.get("method") is None:
                raise ValueError("the method is missing; write method: NAME, or transform: NAME")
            return value
        name = value.get("name", "unlearn")
        for key in value:
            if key not in TRANSFORM_KEYS and key in cls.model_fields:
                raise ValueError(f"{key} is for a stage that trains, and '{name}' transforms; remove the key")
        return value

    @model_validator(mode="before")
    @classmethod
    def _adapter_of_the_method(cls, value: Any) -> Any:
        """What the recipe says of the adapter stands over the method's default."""
        if isinstance(value, Mapping) and isinstance(value.get("method"), str | Mapping):
            method = value["method"]
            name = method if isinstance(method, str) else method.get("name")
            own = value.get("adapter")
            if isinstance(name, str) and (own is None or isinstance(own, Mapping)):
                return {**value, "adapter": {**METHODS.get(name).settings.get("adapter", {}), **(own or {})}}
        return value

    @model_validator(mode="after")
    def _builds(self) -> Self:
        if self.transform is not None:
            if "name" not in self.transform:
                raise ValueError("transform: give its name: {name: noise, …}")
            self.transformation()
            return self
        if "name" not in self.method:
            raise ValueError("method: give its name: {name: npo, …}")
        if self.gradients is not None and "name" not in self.gradients:
            raise ValueError("gradients: give the rule's name: {name: rectified, …}")
        if self.keep == "best" and self.evaluate_every is None:
            raise ValueError("keep: 'best' needs evaluations to choose by; set evaluate_every, or keep: last")
        if self.until is not None and (self.evaluate_every is None or self.keep == "best"):
            raise ValueError("until: ends at an evaluation and keeps its weights; set evaluate_every, and keep: last")
        if self.is_aside and (self.adapter_or_full.kind == "full" or self.keep == "best" or self.until is not None):
            raise ValueError("between: aside is for an adapter trained to its end; give a LoRA, without keep and until")
        if self.is_aside and self.reference != BEFORE:
            raise ValueError("reference: a stage set aside compares with the model before it; remove the key")
        if self.select is not None and Role.TRAIN not in self.roles:
            raise ValueError(f"select: tells tokens of the train data apart, and '{self.method['name']}' reads none")
        if self.reference != BEFORE and not self.objective().needs_reference:
            raise ValueError(f"reference: '{self.what}' compares with no other model; remove the key")
        self.objective()
        return self

    @model_serializer(mode="wrap")
    def _only_its_own_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if self.transform is not None:
            return {key: value for key, value in values.items() if key in TRANSFORM_KEYS}
        unset = {"transform", *(("reference",) if self.reference == BEFORE else ())}
        return {key: value for key, value in values.items() if key not in unset}

    @property
    def trains(self) -> bool:
        """Whether it optimises something; a stage that does not transforms the weights."""
        return self.transform is None

    @property
    def what(self) -> str:
        """The name of its method or its transform."""
        return str((self.method if self.transform is None else self.transform)["name"])

    @property
    def leaves_a_whole_model(self) -> bool:
        """Whether the next stage finds a model without adapters of this one."""
        return not self.trains or self.between == "merge" or self.adapter_or_full.kind == "full"

    @property
    def is_aside(self) -> bool:
        """Whether its adapter is set aside, for other stages to read."""
        return self.between == "aside"

    @property
    def reads(self) -> str | None:
        """The stage whose adapter is the reference that it scores tokens by; None: none."""
        asked = self.select.reference if self.select is not None and self.select.scores is None else None
        return asked.removeprefix("stage:") if asked is not None and asked.startswith("stage:") else None

    @property
    def adapter_or_full(self) -> Adapter:
        """The adapter, full tuning if nothing was said."""
        return self.adapter or Adapter()

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles whose data it reads: those of its terms and of the adapter's initialisation."""
        if not self.trains:
            return self.transformation().roles
        return tuple(dict.fromkeys((*self.objective().roles, *self.adapter_or_full.initialisation.roles)))

    def objective(self) -> Objective:
        """The objective of a stage that trains, built anew at every call: terms and gradient rule may carry state."""
        objective = build_method(*_parameters(self.method))
        if self.gradients is None:
            return objective
        return objective.with_gradients(build_gradient_rule(*_parameters(self.gradients)))

    def transformation(self) -> Transform:
        """The transform of a stage that does not train.

        Raises:
            RecipeError: unknown transform, or a parameter that it does not take.
        """
        name, given = _parameters(self.transform or {})
        seed = given.pop("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise RecipeError(f"transform '{name}': seed is {seed!r}; write a whole number of at least 0")
        return build_transform(name, given)


def _parameters(named: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return named["name"], {k: v for k, v in named.items() if k != "name"}
