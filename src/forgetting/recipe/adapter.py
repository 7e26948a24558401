"""The adapter of a stage: which weights it trains, and how LoRA starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from forgetting.core.strict import Strict
from forgetting.models.adapters import AdapterSpec, Initialisation
from forgetting.models.adapters.spec import Drawing, Kind
from forgetting.recipe.named import Named, parameters_of
from forgetting.training.initialisations import INITIALISATIONS, build_initialisation


class Adapter(Strict):
    """Which weights a stage trains."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: Kind = Field(
        "full",
        description="Default: lora if a key of LoRA is given, else full. qlora: LoRA on weights kept in 4 bits (pip "
        "install 'forgetting[qlora]'). curlora: C·U·R of drawn columns and rows; only U trains. rows: the embedding "
        "rows of `tokens` alone.",
    )
    rank: int = Field(16, gt=0, lt=2**31)
    alpha: float | None = Field(None, gt=0, description="The update is scaled by alpha / rank; default 2 × rank.")
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: str | list[str] = Field("all", description="all, qv, qkvo, ffn, qvffn, or names of modules.")
    init: Named = Field(
        {"name": "default"},
        description="How LoRA starts: a name, or {name: …, with its parameters}.",
    )
    drawing: Drawing = Field("without_replacement", description="How CURLoRA draws columns and rows.")
    tokens: list[str] = Field(
        default_factory=list, description="The tokens of kind: rows; new_tokens of the recipe adds tokens to a model."
    )

    @property
    def spec(self) -> AdapterSpec:
        """The specification for `forgetting.models`.

        Raises:
            RecipeError: a value that contradicts the others.
        """
        values = self.model_dump(exclude={"init", "tokens"})
        targets = values.pop("targets")
        named = targets if isinstance(targets, str) else tuple(targets)
        return AdapterSpec(**values, init=self.initialisation, targets=named, tokens=tuple(self.tokens))

    @property
    def is_inside(self) -> bool:
        """Whether it changes the model's own weights, so that the next stage starts from a whole model."""
        return self.kind in ("full", "rows")

    @property
    def initialisation(self) -> Initialisation:
        """Its initialisation; full tuning has none.

        Raises:
            RecipeError: an unknown initialisation, or a parameter that it does not take or refuses.
        """
        return Initialisation() if self.kind == "full" else self.started

    @property
    def started(self) -> Initialisation:
        """The initialisation that `init` names, whatever the kind."""
        return build_initialisation(*parameters_of(self.init))

    @property
    def title(self) -> str:
        """The name of the initialisation in reports; empty if A is random and B zero."""
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
        if self.kind == "full" and type(self.started) is not Initialisation:
            raise ValueError(
                f"init: '{self.init['name']}' is a start of LoRA, and kind: full trains the weights themselves; write "
                "kind: lora, or remove init"
            )
        return self


def with_init(adapter: Mapping[str, Any]) -> dict[str, Any]:
    """The adapter's values with `init` in full: the short keys of its parameters, and every default.

    A short key for a parameter of another initialisation must be valid for it, and is left out.

    Raises:
        ValueError: no name, or a parameter that is given in both forms.
        RecipeError: an invalid value of a short key.
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
                INITIALISATIONS.build(entry.name, {parameter: value})
                if entry.name == given["name"]:
                    if parameter in given:
                        raise ValueError(f"{key} is init.{parameter}, which is given too; remove one of them")
                    given[parameter] = value
    defaults = INITIALISATIONS.get(given["name"]).defaults
    return {**values, "init": {"name": given.pop("name"), **defaults, **given}}
