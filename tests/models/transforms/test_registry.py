"""Transforms are found by name, those of other packages too."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from forgetting.core import registry as registries
from forgetting.core.errors import RecipeError
from forgetting.core.registry import Registry
from forgetting.models.transforms import TRANSFORMS, Given, Transform, build_transform, registry
from tests.models.tiny import tiny_model


def doubled(by: float = 2.0) -> Transform:
    """Every weight times a factor."""

    def apply(model, given):  # type: ignore[no-untyped-def]
        for parameter in model.parameters():
            parameter.data.mul_(by)
        return model

    return Transform(apply, roles=("retain",))


def no_transform() -> int:
    return 3


def test_those_of_the_package_are_listed_with_their_parameters() -> None:
    found = {entry.name: list(entry.parameters) for entry in TRANSFORMS.entries()}
    assert found["noise"] == ["alpha", "beta", "norms"] and found["merge"] == []
    with pytest.raises(RecipeError, match="unknown transform 'nois'; did you mean 'noise'"):
        build_transform("nois")


def test_another_package_brings_one(monkeypatch: pytest.MonkeyPatch) -> None:
    own = [
        EntryPoint(name, f"{__name__}:{value}", "forgetting.transforms")
        for name, value in (("doubled", "doubled"), ("none", "no_transform"))
    ]
    monkeypatch.setattr(registries, "entry_points", lambda group: own if group == "forgetting.transforms" else [])
    fresh: Registry = Registry("transforms", "transform", "a function that returns a Transform")
    monkeypatch.setattr(registry, "TRANSFORMS", fresh)
    model = tiny_model("llama")
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    transform = build_transform("doubled", {"by": 3.0})
    after = dict(transform.apply(model, Given(0)).named_parameters())
    assert transform.roles == ("retain",)
    assert all((after[name] == 3 * weight).all() for name, weight in before.items())
    with pytest.raises(RecipeError, match="gives int, not a Transform"):
        build_transform("none")
