"""Attacks and analyses from anywhere are chosen by name, watched, and reported in one line when they misbehave."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from forgetting.audits import ATTACKS
from forgetting.core.errors import DataError, RecipeError, RunError
from forgetting.core.registry import Registry
from forgetting.models.unchanged import Snapshot
from forgetting.pipeline.finished_run.plugged import chosen, read_settings, watched
from tests.models.tiny import tiny_model


def test_those_asked_for_come_with_all_their_parameters() -> None:
    assert [c.name for c in chosen(ATTACKS, (), {})] == ATTACKS.names()
    (one,) = chosen(ATTACKS, ("sample",), {"sample": {"n": 3}})
    assert (one.name, one.source) == ("sample", "forgetting")
    assert one.parameters == {"n": 3, "temperature": 1.0, "top_p": 1.0}
    assert str(one) == "attack 'sample' of forgetting"


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (("sampel",), {}, "unknown attack 'sampel'; did you mean 'sample'"),
        (("sample",), {"sample": {"m": 1}}, "attack 'sample' has no parameter 'm'"),
        (("sample",), {"context": {"shots": 1}}, "context has parameters, but was not requested"),
        ((), {"contxt": {"shots": 1}}, "unknown attack 'contxt'; did you mean 'context'"),
    ],
)
def test_a_mistake_is_one_line(names: tuple[str, ...], settings: dict[str, dict[str, int]], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        chosen(ATTACKS, names, settings)


@pytest.mark.parametrize(("name", "gives", "message"), [("a/b", print, "cannot name a file"), ("a", 3, "returns int")])
def test_what_cannot_be_called_or_named_is_refused(name: str, gives: object, message: str) -> None:
    kind: Registry[Callable[..., Any]] = Registry("things", "thing", "a thing")
    kind.register(name)(lambda: gives)
    with pytest.raises(RecipeError, match=message):
        chosen(kind, (), {})


def test_settings_are_values_of_yaml_by_name() -> None:
    assert read_settings(["sample.n=64", "sample.top_p=0.9", "a.b.c=[1, x]"]) == {
        "sample": {"n": 64, "top_p": 0.9},
        "a.b": {"c": [1, "x"]},
    }
    for wrong in ("n=3", "sample.n", ".n=3", "sample.=3"):
        with pytest.raises(RecipeError, match=r"is not a setting; write NAME\.PARAMETER=VALUE"):
            read_settings([wrong])
    with pytest.raises(RecipeError, match="not a value that YAML can read"):
        read_settings(["sample.n=[1"])


def test_work_that_changes_a_model_or_fails_is_named_and_the_users_own_mistakes_pass() -> None:
    (one,) = chosen(ATTACKS, ("sample",), {})
    models = {"before": tiny_model("llama"), "after": tiny_model("llama")}
    taken: list[Snapshot] = []
    assert watched(one, models, lambda: 5, taken) == 5
    assert len(taken) == 2

    def changes() -> None:
        models["after"].lm_head.weight.data[3, 2] += 1

    def fails() -> None:
        raise KeyError("a key\nof theirs")

    def refuses() -> None:
        raise DataError("row 3: mend it")

    with pytest.raises(RunError, match=r"attack 'sample' of forgetting failed: KeyError: .*; fix it") as told:
        watched(one, models, fails, taken)
    assert "\n" not in str(told.value)
    with pytest.raises(DataError, match="row 3: mend it"):
        watched(one, models, refuses, taken)
    with pytest.raises(RunError, match=r"changed the random state of torch of the model before"):
        watched(one, models, lambda: torch.rand(1), [])
    with pytest.raises(
        RunError, match=r"attack 'sample' of forgetting changed the weight 'lm_head.weight' of the model after"
    ):
        watched(one, models, changes, taken[:0] + [Snapshot.of(m) for m in models.values()])
