"""One stage of a recipe: a method, the trained weights and the data; or a transform of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from forgetting.core.errors import RecipeError
from forgetting.core.example import Role
from forgetting.data.formatting import Formatting
from forgetting.data.source import Source
from forgetting.metrics.goal import UNTIL, Until
from forgetting.metrics.to_reference import splits_of
from forgetting.models.transforms import Transform, build_transform
from forgetting.objectives.gradient_rules import build_gradient_rule
from forgetting.objectives.losses import nll
from forgetting.objectives.methods import METHODS, build_method
from forgetting.objectives.objective import Objective
from forgetting.recipe.adapter import Adapter
from forgetting.recipe.named import NAME, Named, parameters_of
from forgetting.token_selection.selection import Selection
from forgetting.training.settings import Optimisation


def _goal(value: str) -> str:
    """Checks a stop rule as written."""
    Until.parse(value)
    return value


TRANSFORM_KEYS = ("name", "transform", "data", "skip", "place", "reference")
"""The keys of a stage that transforms."""
BEFORE = "before"
"""The default reference of a stage: the model before the stage."""
START = "start"
"""The reference that is the model the run began with, the default of a transform that compares."""
Sources = Annotated[list[Source], BeforeValidator(lambda v: v if isinstance(v, list) else [v]), Field(min_length=1)]


class Stage(Optimisation):
    """One optimisation of a method on an adapter; or, with `transform`, a change of the weights without training."""

    name: str = Field("unlearn", pattern=NAME)
    method: Named = Field(default_factory=dict, description="A method's name, or {name: npo, beta: 0.1, …}.")
    transform: Named | None = Field(
        None,
        description="Instead of a method: a transform's name, or {name: noise, alpha: 0.3, …}; its seed is the stage's "
        "unless it names one.",
    )
    gradients: Named | None = Field(
        None,
        description="How the gradients of forget and other terms are combined: sum, rectified, balanced, or {name: "
        "rectified, gamma: 0.9, …}. Default: the method's own; the sum if it has none.",
    )
    adapter: Adapter | None = Field(None, description="Default: the method's own; full tuning if it has none.")
    skip: bool = Field(
        False, description="Leave the stage out (stages.NAME=null says the same); others keep their seeds."
    )
    place: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="Added to the recipe's seed; default: its position among the stages as written.",
    )
    data: dict[str, Sources] = Field(default_factory=dict, description="By role; overrides the recipe's data.")
    prefix: str | None = Field(
        None,
        description="What every answer begins with while this stage trains, not supervised; default: format.prefix.",
    )
    part: Literal["train", "reference", "all"] = Field(
        "train", description="The part of the corpus it trains on, if `corpus` separates a reference part."
    )
    select: Selection | None = Field(
        None, description="Score the tokens of the training data and divide them into those to learn and to forget."
    )
    between: Literal["merge", "stack", "keep", "aside"] = Field(
        "merge",
        description="What happens to this stage's adapter before the next stage: merge it, stack the next one on it, "
        "keep training it, or set it aside (the next stage starts from the same model as this one; a stage set aside "
        "that no other stage reads is left out).",
    )
    reference: str = Field(
        BEFORE,
        min_length=1,
        description="The model that losses or the transform compare with: before (the model before the stage), start "
        "(the model the run began with), stage:NAME (an earlier stage that left a whole model), or a model's folder "
        "or hub id. Default: before; start for a transform.",
    )
    until: Annotated[str, AfterValidator(_goal), WithJsonSchema({"type": "string", "pattern": UNTIL})] | None = Field(
        None,
        description="End at the first evaluation where this holds; the duration is then the maximum. "
        "extraction: EL_n and MA of the forget set are at or below those of unseen text, before and now. Or a limit of "
        "a measure: forget/exact_match <= 0.1, forget/probability <= unseen/probability. Or several: A and B. "
        "SPLIT/kl_from_reference and SPLIT/excess_loss say how far the model is from the stage's reference on a split, "
        "in nats per token. "
        "A damaged model, without a tenth of what should stay, reaches no goal. Where only that is in the way, "
        "only what should stay is trained on until the next evaluation, unless gradients are combined part by part.",
    )
    despite_damage: bool = Field(
        False,
        description="End where `until` holds although the model is damaged, so that what methods cost can be compared "
        "at equal forgetting. The goal still counts as not reached.",
    )

    @property
    def ends(self) -> Until | None:
        """What ends the stage before its duration; None if nothing does."""
        return None if self.until is None else Until.parse(self.until)

    @property
    def ends_beside_reference(self) -> bool:
        """Whether it ends by how far its model is from its reference."""
        return self.ends is not None and bool(splits_of(self.ends.limits))

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
            if key not in TRANSFORM_KEYS and key in cls.model_fields and value[key] is not None:
                raise ValueError(f"{key} is for a stage that trains, and '{name}' transforms; remove the key")
        unset = [key for key in value if key not in TRANSFORM_KEYS and key in cls.model_fields]
        return {key: given for key, given in value.items() if key not in unset}

    @model_validator(mode="before")
    @classmethod
    def _adapter_of_the_method(cls, value: Any) -> Any:
        """The recipe's adapter overrides the method's default."""
        if isinstance(value, Mapping) and isinstance(value.get("method"), str | Mapping):
            method = value["method"]
            name = method if isinstance(method, str) else method.get("name")
            own = value.get("adapter")
            if isinstance(own, Mapping) and own.get("kind") == "full":
                return value  # the method's own adapter has no part in full tuning
            if isinstance(name, str) and (own is None or isinstance(own, Mapping)):
                return {**value, "adapter": {**METHODS.get(name).settings.get("adapter", {}), **(own or {})}}
        return value

    @model_validator(mode="after")
    def _builds(self) -> Self:
        if self.transform is not None:
            if "name" not in self.transform:
                raise ValueError("transform: give its name: {name: noise, …}")
            compares = self.transformation().needs_reference
            if compares and self.reference == BEFORE:
                self.reference = START
            if not compares and self.reference != BEFORE:
                raise ValueError(f"reference: '{self.what}' compares with no other model; remove the key")
            return self
        if "name" not in self.method:
            raise ValueError("method: give its name: {name: npo, …}")
        if self.gradients is not None and "name" not in self.gradients:
            raise ValueError("gradients: give the rule's name: {name: rectified, …}")
        if self.keep == "best" and self.evaluate_every is None:
            raise ValueError("keep: 'best' needs evaluations to choose by; set evaluate_every, or keep: last")
        if self.until is not None and (self.evaluate_every is None or self.keep == "best"):
            raise ValueError("until: ends at an evaluation and keeps its weights; set evaluate_every, and keep: last")
        if self.despite_damage and self.until is None:
            raise ValueError("despite_damage: says how `until` ends the stage; set until, or leave it out")
        if self.adapter_or_full.kind == "rows" and self.between != "merge":
            raise ValueError("between: trained rows are written into the model; write between: merge")
        if self.is_aside and (self.adapter_or_full.kind == "full" or self.keep == "best" or self.until is not None):
            raise ValueError("between: aside is for an adapter trained to its end; give a LoRA, without keep and until")
        if self.is_aside and self.reference != BEFORE:
            raise ValueError("reference: a stage set aside compares with the model before it; remove the key")
        if self.select is not None and Role.TRAIN not in self.roles:
            raise ValueError(f"select: needs train data, and '{self.method['name']}' reads none; remove the key")
        if self.reference != BEFORE and not (self.objective().needs_reference or self.ends_beside_reference):
            raise ValueError(f"reference: '{self.what}' compares with no other model; remove the key")
        self.objective()
        return self

    @model_serializer(mode="wrap")
    def _only_its_own_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        unset = {"reference"} if self.reference == BEFORE else set()
        if self.transform is not None:
            return {key: value for key, value in values.items() if key in TRANSFORM_KEYS and key not in unset}
        return {key: value for key, value in values.items() if key not in unset | {"transform"}}

    @property
    def trains(self) -> bool:
        """Whether it trains; otherwise it transforms the weights."""
        return self.transform is None

    @property
    def forgets(self) -> bool | None:
        """Whether a term on the forget set weighs anything but to learn it; None for a transform that does not say."""
        if not self.trains:
            return self.transformation().forgets
        objective = self.objective()
        weighed = zip(objective.terms, objective.weights(1, 2), strict=True)
        return any(
            t.role == Role.FORGET and weight != 0 and not (t.loss is nll and weight > 0) for t, weight in weighed
        )

    @property
    def what(self) -> str:
        """The name of its method or its transform."""
        return str((self.method if self.transform is None else self.transform)["name"])

    @property
    def leaves_a_whole_model(self) -> bool:
        """Whether the next stage starts from a model without this stage's adapter."""
        return not self.trains or self.between == "merge" or self.adapter_or_full.is_inside

    @property
    def is_aside(self) -> bool:
        """Whether its adapter is set aside for other stages to read."""
        return self.between == "aside"

    @property
    def reads(self) -> str | None:
        """The stage whose adapter is the reference for its token scores; None: there is none."""
        asked = self.select.reference if self.select is not None and self.select.scores is None else None
        return asked.removeprefix("stage:") if asked is not None and asked.startswith("stage:") else None

    def formatting(self, trained: Formatting) -> Formatting:
        """How its examples become text.

        Args:
            trained: how the recipe says it for training.
        """
        return trained if self.prefix is None else trained.model_copy(update={"prefix": self.prefix})

    @property
    def adapter_or_full(self) -> Adapter:
        """The adapter; full tuning if none is given."""
        return self.adapter or Adapter()

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the data it reads: those of its terms and of the adapter's initialisation."""
        if not self.trains:
            return self.transformation().roles
        return tuple(dict.fromkeys((*self.objective().roles, *self.adapter_or_full.initialisation.roles)))

    @property
    def partners(self) -> dict[str, str]:
        """The partner of each role that is read in pairs; a transform pairs forget examples with alternates."""
        if self.trains:
            return self.objective().partners
        return {Role.FORGET: Role.ALTERNATE} if {Role.FORGET, Role.ALTERNATE} <= set(self.roles) else {}

    def objective(self) -> Objective:
        """The objective of a stage that trains, a new one at every call: terms and gradient rule may have state."""
        objective = build_method(*parameters_of(self.method))
        if self.gradients is None:
            return objective
        return objective.with_gradients(build_gradient_rule(*parameters_of(self.gradients)))

    def transformation(self) -> Transform:
        """The transform of a stage that does not train.

        Raises:
            RecipeError: unknown transform, or a parameter that it does not take.
        """
        name, given = parameters_of(self.transform or {})
        seed = given.pop("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise RecipeError(f"transform '{name}': seed is {seed!r}; write a whole number of at least 0")
        return build_transform(name, given)
