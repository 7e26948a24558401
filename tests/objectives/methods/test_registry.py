"""Methods are found by name, wherever they come from; a mistyped name is answered with the nearest."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetting.core.errors import RecipeError
from forgetting.objectives.methods import build_method, ga, get_method, method_names, register, registry
from forgetting.objectives.objective import Objective

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Methods of a test are gone after it."""
    before = dict(registry._METHODS)
    yield
    registry._METHODS.clear()
    registry._METHODS.update(before)
    registry._load_plugins.cache_clear()


def test_the_package_s_methods_are_there() -> None:
    assert {"dpo", "ga", "ga_kl", "graddiff", "ihl", "loku", "npo", "sft"} <= set(method_names())
    assert get_method("loku").adapter["init"] == "fila" and not get_method("npo").adapter
    assert all(get_method(name).summary for name in method_names())


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("grad_diff", {}, "unknown method 'grad_diff'; did you mean 'graddiff'"),
        ("quantum", {}, "unknown method 'quantum'; known: dpo, forgetting, ga"),
        ("npo", {"betta": 1}, "method 'npo' has no parameter 'betta'; did you mean 'beta'"),
        ("sft", {"zzz": 1}, "method 'sft' has no parameter 'zzz'; known: average"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_nearest(name: str, parameters: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_method(name, parameters)


def test_two_methods_cannot_share_a_name() -> None:
    register("ga")(ga)  # the same one again is no conflict

    def other() -> Objective:
        return ga()

    with pytest.raises(
        RecipeError, match=r"two methods are called 'ga': .*methods\.ga and .*test_registry; rename one"
    ):
        register("ga")(other)


class Entry:
    """An entry point as importlib.metadata gives it."""

    def __init__(self, name: str, loaded: object) -> None:
        self.name, self.value, self.loaded = name, "package:function", loaded

    def load(self) -> object:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


def plug_in(monkeypatch: pytest.MonkeyPatch, *entries: Entry) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: entries if group == "forgetting.methods" else ())
    registry._load_plugins.cache_clear()


def test_a_plug_in_that_cannot_be_loaded_is_named_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BROKEN", {})
    plug_in(monkeypatch, Entry("mine", ImportError("no module named x")))
    assert get_method("ga").name == "ga"  # the others are not held up by it
    with pytest.raises(RecipeError, match=r"plug-in method 'mine' \(package:function\) cannot be loaded: no module"):
        get_method("mine")


def test_a_plug_in_does_not_quietly_lose_to_a_method_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def mine() -> Objective:
        return ga()

    plug_in(monkeypatch, Entry("npo", mine))
    with pytest.raises(RecipeError, match="two methods are called 'npo'"):
        get_method("ga")


def test_a_plug_in_that_registers_itself_keeps_its_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    @register("mine", adapter={"kind": "lora"})
    def mine() -> Objective:
        return ga()

    plug_in(monkeypatch, Entry("mine", mine))
    assert get_method("mine").adapter == {"kind": "lora"} and "mine" in method_names()


METHOD = '''
"""Weighted gradient ascent with a margin."""

from forgetting.objectives.losses import Loss, nll
from forgetting.objectives.objective import Objective, Term
from forgetting.objectives.statistics import ENTROPY, LOGP

bounded = Loss("bounded", lambda s: s.logp.exp() - 0.1 * s.statistics["entropy"], needs=(LOGP, ENTROPY))


def bounded_ascent(strength: float = 1.0) -> Objective:
    """Lowers p(y) and raises the entropy."""
    return Objective(Term("forget", bounded, weight=strength), Term("retain", nll))
'''

TRAIN = """
import json, sys
from pathlib import Path
from forgetting.data.encode import Encoded
from forgetting.objectives.methods import build_method, method_names
from forgetting.training.loop import Trainer
from forgetting.training.settings import Optimisation
from tests.models.tiny import tiny_model

model = tiny_model("llama")
before = [p.detach().clone() for p in model.parameters()]
data = {role: [Encoded(role, (1, 5, 6, 7), (0.0, 0.0, 1.0, 1.0))] for role in ("forget", "retain")}
settings = Optimisation(learning_rate=0.1, batch_size=1, duration="1 step", optimizer="sgd")
objective = build_method("bounded_ascent", {"strength": 0.5})
trainer = Trainer(model, objective, data, settings, folder=Path(sys.argv[1]), pad_id=0, seed=0)
result = trainer.run()
moved = sum(float((a - b).abs().sum()) for a, b in zip(before, model.parameters()))
print(json.dumps({"names": method_names(), "steps": result.steps, "moved": moved}))
"""


def test_a_method_from_another_package_trains(tmp_path: Path) -> None:
    package, metadata = tmp_path / "site" / "outside", tmp_path / "site" / "outside-1.0.dist-info"
    package.mkdir(parents=True)
    metadata.mkdir()
    assert METHOD.count("\n") < 30
    (package / "__init__.py").write_text(METHOD)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[forgetting.methods]\nbounded_ascent = outside:bounded_ascent\n")
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path / "stage")],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert "bounded_ascent" in told["names"] and told["steps"] == 1 and told["moved"] > 0
    assert not any(e.name == "bounded_ascent" for e in importlib.metadata.entry_points(group="forgetting.methods"))
