"""Methods are found by name, wherever they come from; a mistyped name is answered with the nearest."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from forgetting.core import registry as module
from forgetting.core.errors import RecipeError
from forgetting.objectives.losses import nll
from forgetting.objectives.methods import METHODS, build_method, ga, register_method
from forgetting.objectives.objective import Objective

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Methods of a test are gone after it."""
    entries = dict(METHODS._entries)
    yield
    METHODS._entries, METHODS._broken, METHODS._loaded = entries, {}, False


def test_the_package_s_methods_are_there() -> None:
    assert {"dpo", "ga", "ga_kl", "graddiff", "ihl", "loku", "npo", "sft", "undial"} <= set(METHODS.names())
    assert METHODS.get("loku").settings["adapter"]["init"] == "fila" and not METHODS.get("npo").settings["adapter"]
    assert all(METHODS.get(name).summary for name in METHODS.names())


def test_every_method_can_be_built_at_both_ends_of_its_ranges_and_begins_inside_them() -> None:
    ranges = {name: METHODS.get(name).sought for name in METHODS.names()}
    assert {"npo", "simnpo", "undial", "wga", "satimp", "dpo", "rmu", "pdu", "gru", "loku"} <= {
        n for n in ranges if ranges[n]
    }
    for name, sought in ranges.items():
        assert all(METHODS.get(name).defaults[key] in where for key, where in sought.items()), name
        for end in ("low", "high"):
            build_method(name, {key: getattr(where, end) for key, where in sought.items()})


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("grad_diff", {}, "unknown method 'grad_diff'; did you mean 'graddiff'"),
        ("quantum", {}, "unknown method 'quantum'; known: adapop, altpo, ceu, distil, dpo, forgetting, ga"),
        ("npo", {"betta": 1}, "method 'npo' has no parameter 'betta'; did you mean 'beta'"),
        ("sft", {"zzz": 1}, "method 'sft' has no parameter 'zzz'; known: average"),
        ("npo", {"retain_weight": -1}, "method 'npo': retain_weight: -1 is below 0"),
        ("forgetting", {"forget_weight": "much"}, "method 'forgetting': forget_weight: 'much' is not a weight"),
        ("npo", {"level": ["token"]}, r"method 'npo': level is \['token'\]: write a single value"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_nearest(name: str, parameters: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_method(name, parameters)


def test_two_methods_cannot_share_a_name() -> None:
    register_method("ga")(ga)  # the same one again is no conflict

    def other() -> Objective:
        return ga()

    with pytest.raises(
        RecipeError, match=r"two methods are called 'ga': .*methods\.ga and .*test_registry; rename one"
    ):
        register_method("ga")(other)


class Entry:
    """An entry point as importlib.metadata gives it."""

    dist = SimpleNamespace(name="Outside-Methods", version="1.2")

    def __init__(self, name: str, loaded: object) -> None:
        self.name, self.value, self.loaded = name, "package:function", loaded

    def load(self) -> object:
        if isinstance(self.loaded, BaseException):
            raise self.loaded
        return self.loaded


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def put(*entries: Entry) -> None:
        monkeypatch.setattr(module, "entry_points", lambda group: entries if group == "forgetting.methods" else ())
        METHODS._broken, METHODS._loaded = {}, False

    return put


@pytest.mark.parametrize(
    ("loaded", "said"),
    [
        (ImportError("no module\nnamed x"), "no module named x"),
        (SystemExit(), "SystemExit"),
        (7, "int is not a function that returns an Objective"),
    ],
)
def test_a_plug_in_that_cannot_be_loaded_is_named_where_it_is_asked_for(
    loaded: object, said: str, plug_in: Callable[..., None]
) -> None:
    plug_in(Entry("mine", loaded))
    assert METHODS.get("ga").name == "ga" and "mine" not in METHODS.names()  # the others are not held up by it
    line = f"the plug-in method 'mine' of Outside-Methods 1.2 cannot be used: {said}"
    assert METHODS.broken() == [line]
    with pytest.raises(RecipeError, match=f"^{line}; fix or uninstall that package$"):
        METHODS.get("mine")


def test_a_plug_in_does_not_quietly_win_or_lose_against_a_method_of_its_name(plug_in: Callable[..., None]) -> None:
    def mine() -> Objective:
        return ga()

    plug_in(Entry("npo", mine))
    assert METHODS.get("ga").source == "forgetting" and "npo" not in METHODS.names()
    with pytest.raises(
        RecipeError, match=r"'npo' of Outside-Methods 1\.2 cannot be used: two methods are called 'npo'"
    ):
        METHODS.get("npo")


def test_a_plug_in_that_registers_itself_keeps_its_adapter(plug_in: Callable[..., None]) -> None:
    @register_method("mine", adapter={"kind": "lora"})
    def mine() -> Objective:
        return ga()

    assert METHODS.get("mine").source == "tests"
    plug_in(Entry("mine", mine))
    assert METHODS.get("mine").settings["adapter"] == {"kind": "lora"} and "mine" in METHODS.names()
    assert METHODS.get("mine").source == "Outside-Methods 1.2"


def test_a_plug_in_that_gives_no_objective_is_told_so(plug_in: Callable[..., None]) -> None:
    plug_in(Entry("mine", lambda: nll))
    with pytest.raises(RecipeError, match=r"method 'mine' of Outside-Methods 1.2 gives Loss, not an Objective"):
        build_method("mine")


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
from forgetting.objectives.methods import METHODS, build_method
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
print(json.dumps({"names": METHODS.names(), "steps": result.steps, "moved": moved}))
"""


FORGET = "from forgetting.cli import main; main()"


def outside(folder: Path, **entries: str) -> dict[str, str]:
    """The environment in which a package of that method, with these entry points, is installed in `folder`."""
    package, metadata = folder / "outside", folder / "outside-1.0.dist-info"
    package.mkdir(parents=True)
    metadata.mkdir()
    (package / "__init__.py").write_text(METHOD)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[forgetting.methods]", *lines, ""]))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "OMP_NUM_THREADS": "1"}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_method_from_another_package_trains(tmp_path: Path) -> None:
    assert METHOD.count("\n") < 30
    environment = outside(tmp_path / "site", bounded_ascent="outside:bounded_ascent")
    done = run(environment, "-c", TRAIN, str(tmp_path / "stage"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert "bounded_ascent" in told["names"] and told["steps"] == 1 and told["moved"] > 0
    assert not any(e.name == "bounded_ascent" for e in importlib.metadata.entry_points(group="forgetting.methods"))


def test_the_command_lists_methods_of_other_packages_and_names_broken_ones(tmp_path: Path) -> None:
    environment = outside(tmp_path / "site", bounded_ascent="outside:bounded_ascent", lost="outside:nothing")
    done = run(environment, "-c", FORGET, "methods", "--json")
    assert done.returncode == 0, done.stderr
    sources = {m["name"]: m["source"] for m in json.loads(done.stdout)}
    assert sources["bounded_ascent"] == "outside 1.0" and sources["npo"] == "forgetting" and "lost" not in sources
    assert done.stderr.startswith("warning: the plug-in method 'lost' of outside 1.0 cannot be used: module 'outside'")
