"""A method's trials in an Optuna study on disk, and the points that Optuna proposes next.

The study holds finished trials only, each written at once, with its digest. What is proposed is a function of these, of
the seed and of the trial's number, so a trial that was running when the process was killed is proposed again, and its
folder resumed.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgetting.core.digest import digest
from forgetting.core.errors import ForgettingError, RecipeError, RunError
from forgetting.core.text import said
from forgetting.core.tunable import Sought, Tunable
from forgetting.runs.tuning import Setting, Trial

if TYPE_CHECKING:
    import optuna

FIRST = 4
"""Trials of a method before its sampler looks at results and before any is pruned: its defaults, then random points."""
PEERS = 3
"""Complete trials at the same step that a trial is compared with at least."""
_RECIPE, _NAME, _NOTE, _DIGEST = "recipe", "name", "note", "digest"


def check_installed() -> None:
    """Checks that the extra is there.

    Raises:
        RecipeError: it is not; the message says what to install.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise RecipeError(f"tune: needs Optuna ({error}); pip install 'forgetting[tune]'") from error


@dataclass(frozen=True)
class Study:
    """The trials of one method.

    Args:
        file: the SQLite file, shared by the methods of a tuning.
        method: the method's name.
        space: where its settings are sought.
        own: the recipe's own settings, which are the first trial; keys outside of the space are missing.
        seed: of the sampler.
        recipe: the digest of everything else that trials depend on.
    """

    file: Path
    method: str
    space: Mapping[str, Sought]
    own: Mapping[str, Any]
    seed: int
    recipe: str

    def trials(self) -> tuple[Trial, ...]:
        """The finished trials, in order.

        Raises:
            RunError: the file is damaged, or holds trials of another recipe.
        """
        with _said(self.file):
            found = tuple(map(self._read, self._opened.get_trials(deepcopy=False)))
            if [trial.number for trial in found] != list(range(len(found))):
                raise ValueError("a trial is missing")
        return found

    def add(self, trial: Trial) -> None:
        """Writes a finished trial; all of it, or nothing.

        Raises:
            RunError: the disk cannot be written.
        """
        with _said(self.file):
            self._opened.add_trial(self._written(trial))

    def propose(self, count: int) -> list[dict[str, Setting]]:
        """The points of the next `count` trials.

        The first of all is the recipe's own. TPE treats proposals without a result as bad ones (its constant liar),
        so that the points of one batch differ.
        """
        import optuna

        _quiet()
        study = optuna.create_study(direction="maximize")
        done = self.trials()
        study.add_trials([self._written(trial) for trial in done])
        found = []
        for number in range(len(done), len(done) + count):
            seed = int.from_bytes(hashlib.sha256(f"{self.seed} {self.method} {number}".encode()).digest()[:4], "big")
            study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=FIRST, constant_liar=True)
            if number == 0:
                study.enqueue_trial(dict(self.own))
            asked = study.ask(_distributions(self.space))
            own = self.own if number == 0 else {}
            found.append({k: v if k in own else _rounded(self.space[k], v) for k, v in asked.params.items()})
        return found

    @cached_property
    def _opened(self) -> optuna.Study:
        import optuna
        from sqlalchemy.engine import URL

        _quiet()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        _check(self.file)
        url = URL.create("sqlite", database=str(self.file)).render_as_string()
        study = optuna.create_study(
            storage=optuna.storages.RDBStorage(url), study_name=self.method, direction="maximize", load_if_exists=True
        )
        known = study.user_attrs.get(_RECIPE)
        if known not in (None, self.recipe) and study.get_trials(deepcopy=False):
            raise RunError(
                f"{self.file}: holds trials of {self.method} with another recipe, space or seed; write another "
                f"--name, or remove the folder"
            )
        if known != self.recipe:
            study.set_user_attr(_RECIPE, self.recipe)
        return study

    def _written(self, trial: Trial) -> optuna.trial.FrozenTrial:
        import optuna

        states = optuna.trial.TrialState
        return optuna.create_trial(
            state={"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[trial.state],
            value=trial.value,
            params=dict(trial.point),
            distributions=_distributions(self.space),
            user_attrs={_NAME: trial.name, _NOTE: trial.note, _DIGEST: _digest(trial)},
            intermediate_values=dict(trial.steps),
        )

    def _read(self, written: optuna.trial.FrozenTrial) -> Trial:
        trial = Trial(
            method=self.method,
            number=written.number,
            name=written.user_attrs[_NAME],
            point=dict(written.params),
            state={"COMPLETE": "complete", "PRUNED": "pruned"}.get(written.state.name, "failed"),  # type: ignore[arg-type]
            value=written.value if written.state.name == "COMPLETE" else None,
            steps=dict(written.intermediate_values),
            note=written.user_attrs[_NOTE],
        )
        if written.user_attrs.get(_DIGEST, found := _digest(trial)) != found:
            raise ValueError(f"{trial.name} is not as it was written")
        return trial


def _check(file: Path) -> None:
    """A damaged index hides a study that is there, and another one of its name would be begun.

    Raises:
        ValueError: SQLite finds tables and indexes damaged, or at odds.
    """
    if file.is_file():
        with closing(sqlite3.connect(file)) as opened:
            ((found,), *_) = opened.execute("pragma integrity_check(1)").fetchall()
        if found != "ok":
            raise ValueError(found)


def _digest(trial: Trial) -> str:
    """The digest of all that a study keeps of a trial; those of an earlier version have none."""
    point = [(key, v if isinstance(v, str) else float(v)) for key, v in sorted(trial.point.items())]
    steps = [(step, float(v)) for step, v in sorted(trial.steps.items())]
    return digest({**asdict(trial), "point": point, "steps": steps})


def why_pruned(earlier: Sequence[Trial], balances: Mapping[int, float]) -> str:
    """Why a running trial is not worth its end: Optuna's median rule at equal steps; empty if it is.

    A trial is pruned if its best balance up to now is below the median of the complete trials' balances at the same
    step. It is not judged before `FIRST` trials are complete, nor before half of the shortest one's steps, nor at a
    step that fewer than `PEERS` of them came to: trials differ in their durations.

    Args:
        earlier: the method's trials that were finished when this one began.
        balances: of this trial, by step; the last is the step it is judged at.
    """
    import optuna

    _quiet()
    complete = [trial for trial in earlier if trial.state == "complete" and trial.steps]
    if not balances or len(complete) < FIRST:
        return ""
    warm = min(max(trial.steps) for trial in complete) // 2
    pruner = optuna.pruners.MedianPruner(n_startup_trials=FIRST, n_warmup_steps=warm, n_min_trials=PEERS)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.add_trials([optuna.create_trial(value=t.value, intermediate_values=dict(t.steps)) for t in complete])
    asked = study.ask()
    for step, value in balances.items():
        asked.report(value, step)
    if not asked.should_prune():
        return ""
    step = max(balances)
    peers = sum(step in trial.steps for trial in complete)
    best = max(balances.values())
    return f"pruned at step {step}: its best balance, {best:.3f}, is below the median of {peers} complete trials there"


def _quiet() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _distributions(space: Mapping[str, Sought]) -> dict[str, optuna.distributions.BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, optuna.distributions.BaseDistribution] = {}
    for key, where in space.items():
        if not isinstance(where, Tunable):
            found[key] = CategoricalDistribution(where.values)
        elif where.whole:
            found[key] = IntDistribution(int(where.low), int(where.high), log=where.log)
        else:
            found[key] = FloatDistribution(where.low, where.high, log=where.log)
    return found


def _rounded(where: Sought, value: Setting) -> Setting:
    return where.rounded(float(value)) if isinstance(where, Tunable) else value


@contextmanager
def _said(file: Path) -> Iterator[None]:
    """A database that cannot be used, in one line; of a damaged one, the libraries raise whatever they come to."""
    try:
        yield
    except ForgettingError:
        raise
    except Exception as error:
        raise RunError(
            f"{file}: cannot be read or written as an Optuna study ({said(error)}); check the disk, or remove this "
            "file: what its finished trials gave is read from their folders again"
        ) from error
