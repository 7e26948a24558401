"""What changed inside: the analyses of runs, as tables, figures and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.metrics.share import LEAST
from forgetting.metrics.statistics import FEWEST
from forgetting.report import wording
from forgetting.report.drawing import heat
from forgetting.report.drawing.figure import Figure, Line, draw
from forgetting.runs.audits import AFTER, Analysed
from forgetting.runs.paths import RunPaths
from forgetting.runs.results import Results, labels

_NAMES = {"sae": "sparse autoencoder"}


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of an analysis, by run."""

    title: str
    meaning: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inside:
    """One analysis of all runs that have it."""

    title: str
    at: str
    """The model that changed: `after`, or `stage-NAME`."""
    against: str
    said: tuple[str, ...]
    rows: tuple[Row, ...]
    figures: tuple[Figure, ...]
    texts: tuple[tuple[str, str], ...] = ()
    """What names in the figures stand for."""

    @property
    def of(self) -> str:
        """Its title with the models that it is of, where these are others than those before and after the run."""
        at, against = "" if self.at == AFTER else f" at {self.at}", "" if self.against == "before" else self.against
        return f"{self.title}{at}{against and f' since {against}'}"


def inside(runs: Sequence[Results]) -> list[Inside]:
    """The analyses of the runs by name, by the model that changed and by the one that changes are counted from.

    Raises:
        RunError: a file that holds no analysis.
    """
    found: dict[tuple[str, str, str], dict[int, Analysed]] = {}
    for place, run in enumerate(runs):
        for analysed in analyses_of(run.folder):
            found.setdefault((analysed.analysis, analysed.at, analysed.against), {})[place] = analysed
    names = labels(runs)
    return [_inside(*key, some, names) for key, some in sorted(found.items())]


def analyses_of(folder: Path) -> list[Analysed]:
    """The analyses in a run folder, by file name; none where it has none.

    Raises:
        RunError: a file that holds no analysis.
    """
    files = sorted(RunPaths(folder).analyses_folder.glob("*.json"))
    return [analysed for file in files if (analysed := Analysed.load(file)) is not None]


def _inside(name: str, at: str, against: str, some: dict[int, Analysed], names: Sequence[str]) -> Inside:
    measures = {place: {m.key: m for m in one.measures} for place, one in some.items()}
    keys = dict.fromkeys(key for by_key in measures.values() for key in by_key)
    several = len(names) > 1
    stage = "" if at == AFTER else f"{at}: "
    said = [
        f"{names[place]}: {stage}{sentence}" if several else f"{stage}{sentence}"
        for place, by_key in measures.items()
        for sentence in sentences(name, by_key, against)
    ]
    return Inside(
        title=_NAMES.get(name, wording.plain(name)),
        at=at,
        against=against,
        said=tuple(said),
        rows=tuple(_row(key, measures, len(names)) for key in keys),
        figures=tuple(_figures(some, names)),
        texts=tuple(
            (f"{names[place]}: {key}" if several else key, text)
            for place, one in some.items()
            for key, text in one.texts.items()
        ),
    )


def _row(key: str, measures: dict[int, dict[str, Measure]], count: int) -> Row:
    having = next(by_key[key] for by_key in measures.values() if key in by_key)
    cells = [_cell(measures.get(place, {}).get(key)) for place in range(count)]
    return Row(f"{wording.plain(having.split)} · {wording.plain(having.name)}", having.meaning, tuple(cells))


def _cell(measure: Measure | None) -> str:
    if measure is None:
        return wording.ABSENT
    if measure.value is None:
        return f"{wording.ABSENT} ({measure.reason})" if measure.reason else wording.ABSENT
    return wording.with_interval(measure)


def _figures(some: dict[int, Analysed], names: Sequence[str]) -> list[Figure]:
    """One figure for all series of a run; of several runs, one for each role with the lines of all; then the maps."""
    several = len(names) > 1
    panels: dict[tuple[str, str], dict[str, dict[int, Series]]] = {}
    for place, analysed in some.items():
        for series in analysed.series:
            role = series.name.partition(", ")[0] if several else ""
            panels.setdefault((series.figure, role), {}).setdefault(series.name, {})[place] = series
    drawn = []
    for (_, role), by_name in panels.items():
        lines = _of_runs(by_name, names) if several else _of_one(by_name)
        drawn.append(draw(_title(lines[0].series.y_label, role), lines))
    drawn += [
        heat.draw(_title(f"{grid.label} of layers", ": ".join([names[place]] * several + [grid.name])), grid)
        for place, analysed in some.items()
        for grid in analysed.grids
    ]
    return [figure for figure in drawn if figure is not None]


def _of_one(by_name: Mapping[str, Mapping[int, Series]]) -> list[Line]:
    return [Line(name, one, n) for n, (name, by_run) in enumerate(by_name.items()) for one in by_run.values()]


def _of_runs(by_name: Mapping[str, Mapping[int, Series]], names: Sequence[str]) -> list[Line]:
    """A line for each run in its colour; what is the same in all runs (the model at the start, the oracle) once."""
    lines, shared = [], []
    for name, by_run in by_name.items():
        point = name.partition(", ")[2]
        first = next(iter(by_run.values()))
        if point and len(by_run) > 1 and all((one.x, one.y) == (first.x, first.y) for one in by_run.values()):
            shared.append((point, first))
            continue
        for place, one in by_run.items():
            label = names[place] if point in ("", "after") else f"{names[place]}, {point}"
            lines.append(Line(label, one, place))
    lines.sort(key=lambda line: line.label not in names)  # the models after first: their lines are whole ones
    return [*lines, *(Line(point, one, len(names) + n) for n, (point, one) in enumerate(shared))]


def _title(label: str, name: str) -> str:
    title = label[:1].upper() + label[1:]
    return f"{title}: {name}" if name else title


def sentences(analysis: str, found: dict[str, Measure], against: str = "before") -> list[str]:
    """What the intervals of an analysis show; nothing where they show nothing, or are of fewer than `FEWEST` examples.

    `against`: the model that changes are counted from.
    """
    shown = {key: m for key, m in found.items() if m.count >= FEWEST}
    than = "before" if against == "before" else f"in {'the oracle' if against == 'oracle' else against}"
    roles = dict.fromkeys(m.split for m in shown.values())
    said = _CAN_SAY.get(analysis)
    return [] if said is None else [s for role in roles if (s := said(role, shown, than))]


def _forgottenness(role: str, found: dict[str, Measure], than: str) -> str:
    change = found.get(f"{role}/delta_nll")
    if change is None or change.value is None or change.low is None or change.high is None:
        return ""
    if change.low <= 0 <= change.high or abs(change.value) < LEAST:
        return ""
    way = "less" if change.value > 0 else "more"
    return f"{_of(role)} is {way} likely than {than}: ΔNLL {wording.with_interval(change)} nats per token."


def _above_oracle(name: str, role: str, found: dict[str, Measure]) -> tuple[str, str] | None:
    """The measure after and that of the oracle as text, where the whole interval lies above the oracle's."""
    after, oracle = found.get(f"{role}/{name}_after"), found.get(f"{role}/{name}_oracle")
    if after is None or oracle is None or after.low is None or oracle.high is None or after.low <= oracle.high:
        return None
    return wording.with_interval(after), wording.with_interval(oracle)


def _lens(role: str, found: dict[str, Measure], than: str) -> str:
    if (values := _above_oracle("hidden", role, found)) is None:
        return ""
    return (
        f"{_of(role)}: a middle layer says the right answer better than the last one does, by {values[0]} nats; in the "
        f"oracle by {values[1]}."
    )


def _probe(role: str, found: dict[str, Measure], than: str) -> str:
    if (values := _above_oracle("probe", role, found)) is None:
        return ""
    return (
        f"{_of(role)}: a linear probe tells right answers from wrong ones in {values[0]} of the questions, more often "
        f"than in the oracle, {values[1]}."
    )


def _geometry(role: str, found: dict[str, Measure], than: str) -> str:
    alike, ceiling = found.get(f"{role}/cka"), found.get(f"{role}/cka_ceiling")
    if alike is None or alike.high is None or ceiling is None or ceiling.value is None or alike.high >= ceiling.value:
        return ""
    return (
        f"{_of(role)}: representations differ from those {than} (CKA {wording.with_interval(alike)}) by more than two "
        f"readings of one model do ({wording.number(ceiling.value)})."
    )


def _sae(role: str, found: dict[str, Measure], than: str) -> str:
    changed, tested = found.get(f"{role}/features_changed"), found.get(f"{role}/features_tested")
    if changed is None or tested is None or not changed.value or tested.value is None:
        return ""
    return (
        f"{_of(role)}: of {tested.value:.0f} features that could be tested, {changed.value:.0f} are active for more or "
        f"fewer tokens than {than} (at 5% false discoveries)."
    )


_CAN_SAY = {
    "forgottenness": _forgottenness,
    "lens": _lens,
    "probe": _probe,
    "geometry": _geometry,
    "sae": _sae,
}


def _of(role: str) -> str:
    return wording.plain(role)[:1].upper() + wording.plain(role)[1:]
