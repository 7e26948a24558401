"""What judges say of runs' answers: grades before, after and of the oracle, what has no grade, agreement, cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from forgetting.core.measure import Measure
from forgetting.metrics.judged import AGREEMENT, GRADES, MISSING
from forgetting.metrics.share import ends
from forgetting.metrics.statistics import FEWEST
from forgetting.report import wording
from forgetting.report.table import Table, main_table
from forgetting.report.verdict.intervals import relation
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.judged import Judged
from forgetting.runs.paths import RunPaths
from forgetting.runs.results import Results


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one judge said of all runs that it was asked about."""

    judge: str
    told: str
    """Name and version of its instructions; empty: those of the run's own version."""
    said: tuple[tuple[int, str], ...]
    """With the number of the run."""
    grades: Table
    agreement: Table
    costs: tuple[tuple[int, str], ...]


def judgements(runs: Sequence[Results]) -> list[Judgement]:
    """One entry for each judge and its instructions; first the judges that recipes name.

    Raises:
        RunError: a file that holds no judgements.
    """
    found: dict[tuple[str, str], dict[int, Judged]] = {}
    for place, run in enumerate(runs):
        for judged in (*_of_recipe(run), *judged_of(run.folder)):
            found.setdefault((judged.judge, judged.instructions), {})[place] = judged
    return [_judgement(judge, told, some, runs) for (judge, told), some in found.items()]


def judged_of(folder: Path) -> list[Judged]:
    """The judgements in a run folder, by file name; none where it has none.

    Raises:
        RunError: a file that holds no judgements.
    """
    return [Judged.load(file) for file in sorted(RunPaths(folder).judgements_folder.glob("*.json"))]


def _of_recipe(run: Results) -> Iterator[Judged]:
    """The same of the judge that a run's recipe names: its grades are among the measures of the evaluations."""
    points = {
        point: tuple(m for m in evaluation.measures if m.name in (*GRADES, MISSING, *AGREEMENT))
        for point, evaluation in _points(run).items()
    }
    how = run.recipe.get("judge")
    if any(points.values()) and isinstance(how, Mapping):
        judge = f"{how.get('model')} at {how.get('url')}, named by the recipe"
        yield Judged(judge=judge, instructions="", points=points)


def _points(run: Results) -> dict[str, Evaluation]:
    named = {"before": run.before, "oracle": run.oracle_evaluation, "after": run.after}
    return {point: evaluation for point, evaluation in named.items() if evaluation is not None}


def _judgement(judge: str, told: str, some: Mapping[int, Judged], runs: Sequence[Results]) -> Judgement:
    graded = [_as_run(run, some.get(place)) for place, run in enumerate(runs)]
    splits = list(dict.fromkeys(m.split for run in graded for m in run.measures))
    return Judgement(
        judge=judge,
        told=told,
        said=tuple((place, " ".join(found)) for place in some if (found := sentences(graded[place]))),
        grades=_table(graded, [f"{split}/{name}" for split in splits for name in GRADES]),
        agreement=_table(graded, [f"{split}/{name}" for split in splits for name in AGREEMENT]),
        costs=tuple((place, cost) for place, one in some.items() if (cost := _cost(one))),
    )


def _as_run(run: Results, judged: Judged | None) -> Results:
    """The run with the judge's measures alone, under the names that splits bear here."""
    points = {} if judged is None else judged.points
    evaluations = tuple(
        replace(
            evaluation,
            measures=tuple(replace(m, split=run.read_as.get(m.split, m.split)) for m in points.get(point, ())),
        )
        for point, evaluation in _points(run).items()
        if points.get(point)
    )
    return replace(run, evaluations=evaluations)


def _table(graded: Sequence[Results], keys: Sequence[str]) -> Table:
    """Start, oracle and runs against the judge's measures, without the models that it was not asked about."""
    table = main_table(graded, keys)
    return replace(table, rows=tuple(row for row in table.rows if any(cell.measure for cell in row.cells)))


def sentences(run: Results) -> list[str]:
    """What a judge's measures bear: what has no grade, what its grades are worth, then what changed, failures first.

    Models are compared where the judge was asked about as many answers of both, and then as if each answer without a
    grade had the grade that speaks most against the difference.

    Args:
        run: with the judge's measures alone.
    """
    return [*_missing(run), *_worth(run), *_changes(run)]


def _missing(run: Results) -> Iterator[str]:
    counts = {point: _named(evaluation, MISSING) for point, evaluation in _points(run).items()}
    left = [
        f"{wording.plain(split)} {point} {m.value:.0f} of {wording.count(m.count)}"
        for point, by_split in counts.items()
        for split, m in by_split.items()
        if m.value
    ]
    asked = sum(m.count for by_split in counts.values() for m in by_split.values())
    if left:
        yield f"Answers without a grade are left out, not counted as wrong: {', '.join(left)}."
    elif asked:
        yield f"Each of {wording.count(asked)} answers has a grade."


def _worth(run: Results) -> Iterator[str]:
    """How often a judge is not told from one who grades by chance, as far as matching by words can say."""
    known = [
        (m, m.value if m.low is None else m.low)
        for evaluation in _points(run).values()
        for m in evaluation.measures
        if m.name in AGREEMENT and m.value is not None and m.count >= FEWEST
    ]
    by_chance = [m for m, low in known if low <= 0]
    if by_chance:
        of = f"{len(by_chance)} of {len(known)}"
        yield f"In {of} comparisons with matching by words, the judge's agreement is not told from chance."


def _changes(run: Results) -> list[str]:
    splits = dict.fromkeys(m.split for m in run.measures)
    keys = [f"{split}/{name}" for split in splits for name in GRADES]
    found = [one for key in keys for point in ("before", "oracle") if (one := _change(run, key, point)) is not None]
    return [text for _, text in sorted(found, key=lambda one: not one[0])]


def _change(run: Results, key: str, point: str) -> tuple[bool, str] | None:
    """Whether it is a failure, and how the grades after differ from those of the model before or of the oracle."""
    points = _points(run)
    after, other = (_bounded(points.get(which), key) for which in ("after", point))
    if after is None or other is None or after[1] != other[1]:
        return None
    how = relation(after[0], other[0])
    shown = [m for which in ("after", point) if (m := points[which].measure(key)) is not None]
    values = " against ".join(wording.with_interval(m) for m in shown)
    split, name = wording.plain(after[0].split), wording.plain(after[0].name.removeprefix("judge_"))
    if point == "oracle":
        than, failed, telling = "that of the oracle", False, False
    else:
        than, telling = "before", after[0].split in run.declared.forget_splits and name == "accuracy"
        failed = how != "lower" if telling else how == "lower"
    start = f"{split[:1].upper()}{split[1:]}: {name}"
    if how in ("lower", "higher"):
        return failed, f"{start} is {how} than {than}: {values}."
    if not telling or how != "overlap":
        return None
    if relation(*shown) != "overlap":
        return failed, f"{start} is {values} before, but the answers without a grade could undo the difference."
    return failed, f"{start} is not told from that before: {values}."


def _bounded(evaluation: Evaluation | None, key: str) -> tuple[Measure, int] | None:
    """The measure with ends between which it lies whatever grades the missing ones are, and of how many answers."""
    measure = evaluation.measure(key) if evaluation is not None else None
    missing = evaluation.measure(f"{key.split('/')[0]}/{MISSING}") if evaluation is not None else None
    if measure is None or missing is None or not missing.count or (known := ends(measure)) is None:
        return None
    share = measure.count / missing.count
    return replace(measure, low=share * known[0], high=share * known[1] + 1 - share), missing.count


def _named(evaluation: Evaluation, name: str) -> dict[str, Measure]:
    return {m.split: m for m in evaluation.measures if m.name == name}


def _cost(judged: Judged) -> str:
    """Tokens of all replies, and the time of the last asking; nothing of a judge of which neither was kept."""
    if judged.prompt_tokens is not None and judged.reply_tokens is not None:
        tokens = f"{wording.count(judged.prompt_tokens)} tokens read and {wording.count(judged.reply_tokens)} written"
    elif judged.instructions:
        tokens = "how many tokens it took, the judge did not say"
    else:
        return ""
    kept = f", {wording.count(judged.kept)} replies were there from before" if judged.kept else ""
    return f"{tokens[:1].upper()}{tokens[1:]}; asked for {wording.seconds(judged.seconds)} the last time{kept}."
