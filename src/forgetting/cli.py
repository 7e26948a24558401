"""The command `forget`: parse, call, print; nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from forgetting.core.measure import Measure

app = typer.Typer(
    name="forget",
    help="Make a language model forget, and measure honestly what it forgot and what it kept.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
lab = typer.Typer(
    help="The small world: rebuild the models that are shipped, or make one from your text.", no_args_is_help=True
)
app.add_typer(lab, name="lab")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


def main() -> NoReturn:
    """Runs the command; an error that the user can mend is one line and exit code 2."""
    from forgetting.core.errors import ForgettingError

    try:
        app(standalone_mode=True)
    except ForgettingError as error:
        print(f"forget: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        print(f"forget: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(0)


@app.command()
def demo(
    output: Annotated[str, typer.Option(help="Folder for the runs and the report.")] = "runs",
    forget: Annotated[str, typer.Option(help="Which facts: rare or popular.")] = "rare",
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
) -> None:
    """Unlearn 78 facts of a small model with GradDiff, NPO and LoKU, and compare them with an oracle."""
    from forgetting.pipeline.demo import run_demo

    with _voice() as voice:
        report = run_demo(Path(output), forget=forget, threads=threads, voice=voice)
    _print_runs([report.parent / name for name in json.loads((report.parent / "chosen.json").read_text())])
    print(f"report: {report}")


@app.command()
def run(
    recipe: Annotated[
        str, typer.Argument(help="A built-in recipe (see `forget recipes`) or the path of a .yaml file.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value …, e.g. model=./my-model data.forget=f.jsonl")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved recipe and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Carry out a recipe; run again, it goes on where it was."""
    from forgetting.pipeline.run import check, run
    from forgetting.recipe import load_recipe

    resolved = load_recipe(recipe, overrides or [])
    if dry_run:
        with _voice(quiet=as_json) as voice:
            plan = check(resolved, voice=voice)
        print(json.dumps({"recipe": resolved.model_dump(mode="json"), "plan": plan}) if as_json else resolved.to_yaml())
        for line in () if as_json else plan:
            print(f"# {line}")
        return
    with _voice(quiet=as_json) as voice:
        folder = run(resolved, voice=voice)
    if as_json:
        print((folder / "results.json").read_text())
    else:
        _print_runs([folder])
        print(f"report: {folder / 'report.html'}")
    _raise_if_collapsed(folder)


@app.command(name="eval")
def evaluate(
    model: Annotated[str, typer.Argument(help="A model folder, a hub id, or a suite's model such as 'lab'.")],
    suite: Annotated[str | None, typer.Option(help="A suite (see `forget suites`).")] = None,
    forget: Annotated[str | None, typer.Option(help="A file of forget examples, instead of a suite.")] = None,
    retain: Annotated[str | None, typer.Option(help="A file of retain examples, instead of a suite.")] = None,
    oracle: Annotated[str | None, typer.Option(help="A model that never saw the forget set, or its records.")] = None,
    records: Annotated[Path | None, typer.Option(help="Write the records to this .jsonl file.")] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on a suite or on your own files."""
    from forgetting.pipeline.evaluate import evaluate

    data = {role: path for role, path in (("forget", forget), ("retain", retain)) if path is not None}
    with _voice(quiet=as_json) as voice:
        found = evaluate(model, suite=suite, data=data, oracle=oracle, records=records, voice=voice)
    _print_measures(found.measures, as_json, model=model, suite=found.suite)


@app.command()
def rescore(
    log: Annotated[Path, typer.Argument(help="An aggregated evaluation log of TOFU's own code (.json or .json.gz).")],
    oracle: Annotated[Path | None, typer.Option(help="The same of a model that never saw the forget set.")] = None,
    as_json: Json = False,
) -> None:
    """Compute every TOFU measure from a published evaluation log."""
    from forgetting.benchmarks.tofu import rescore

    _print_measures(rescore(log, oracle), as_json, log=str(log))


@app.command()
def methods(as_json: Json = False) -> None:
    """List the methods, their parameters and defaults."""
    from forgetting.objectives.methods import get_method, method_names

    found = [get_method(name) for name in method_names()]
    if as_json:
        parameters = {m.name: {k: p.default for k, p in m.parameters.items()} for m in found}
        print(
            json.dumps(
                [
                    {"name": m.name, "summary": m.summary, "parameters": parameters[m.name], "adapter": dict(m.adapter)}
                    for m in found
                ]
            )
        )
        return
    rows = [[m.name, m.summary, " ".join(f"{k}={p.default}" for k, p in m.parameters.items())] for m in found]
    _print_table(["method", "what it does", "parameters"], rows)


@app.command()
def recipes(as_json: Json = False) -> None:
    """List the built-in recipes."""
    from forgetting.recipe import recipe_names, recipe_summary

    found = {name: recipe_summary(name) for name in recipe_names()}
    if as_json:
        print(json.dumps(found))
    else:
        _print_table(["recipe", "what it does"], [[k, v] for k, v in found.items()])


@app.command()
def suites(as_json: Json = False) -> None:
    """List the suites that models can be measured on."""
    from forgetting.benchmarks.registry import suites

    found = suites()
    if as_json:
        print(json.dumps(found))
    else:
        _print_table(["suite", "what it is"], [[k, v] for k, v in found.items()])


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="One or more run folders.")],
    out: Annotated[
        Path | None, typer.Option(help="The HTML file to write; default: report.html in the first run.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="The report's title.")] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML report of one run or several."""
    from forgetting.report.build import build_report

    path = build_report(runs, out or runs[0] / "report.html", title=title)
    if as_json:
        from forgetting.report.results import Results
        from forgetting.report.table import main_table

        print(json.dumps({"report": str(path), **main_table([Results.load(run) for run in runs]).as_json()}))
    else:
        _print_runs(runs)
        print(f"report: {path}")


@lab.command()
def train(
    folder: Annotated[Path, typer.Argument(help="Where to write the model.")],
    without: Annotated[
        str | None, typer.Option(help="Leave these facts out of the text: rare or popular (an oracle).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the world's order and the weights.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads; the same number gives the same bits.")] = 1,
) -> None:
    """Train the lab's model, or an oracle that never saw some of its facts, from scratch."""
    from forgetting.benchmarks.lab.train import train_lab_model

    with _voice() as voice:
        train_lab_model(folder, without=without, seed=seed, threads=threads, progress=voice.progress)
    print(f"model: {folder}")


@lab.command()
def new(
    folder: Annotated[Path, typer.Argument(help="Where to write the model.")],
    text: Annotated[list[Path], typer.Argument(help="Data files whose text the tokenizer is trained on.")],
    hidden: Annotated[int, typer.Option(help="Hidden size.")] = 192,
    layers: Annotated[int, typer.Option(help="Layers.")] = 4,
    vocabulary: Annotated[int, typer.Option(help="Tokens of the vocabulary.")] = 4096,
    seed: Annotated[int, typer.Option(help="Seed of the weights.")] = 0,
) -> None:
    """Make a small untrained Llama and a tokenizer for your own text, to try things with."""
    from forgetting.benchmarks.blank import blank_model

    with _voice(quiet=True):
        blank_model(folder, text, hidden=hidden, layers=layers, vocabulary=vocabulary, seed=seed)
    print(f"model: {folder}")


def _print_measures(measures: Sequence[Measure], as_json: bool, **about: str) -> None:
    from dataclasses import asdict

    if as_json:
        print(json.dumps({**about, "measures": [asdict(m) for m in measures]}))
        return
    rows = [
        [
            m.split,
            m.name,
            _number(m.value),
            _interval(m.low, m.high),
            str(m.count),
            m.meaning if not m.reason else m.reason,
        ]
        for m in measures
    ]
    _print_table(["split", "metric", "value", "95% interval", "n", "meaning"], rows)


def _raise_if_collapsed(folder: Path) -> None:
    from forgetting.core.errors import CollapseError

    stages = json.loads((folder / "results.json").read_text())["stages"]
    for stage in stages:
        if stage["stopped"] == "collapse":
            raise CollapseError(f"stage '{stage['name']}' collapsed at {stage['message']} (kept: {stage['kept']})")


def _voice(*, quiet: bool = False) -> Any:
    from forgetting.terminal import speaking

    return speaking(quiet=quiet)


def _print_runs(runs: list[Path]) -> None:
    from forgetting.report.results import Results
    from forgetting.report.table import main_table

    _print_table(*main_table([Results.load(run) for run in runs]).plain())


def _print_table(columns: list[str], rows: list[list[str]]) -> None:
    from forgetting.terminal import print_table

    print_table(columns, rows)


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3g}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3g} … {high:.3g}"
