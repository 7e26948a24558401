"""`forget export`: what others read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from forgetting.cli.app import app
from forgetting.cli.printing import print_line, print_table

export = typer.Typer(
    help="Suites as tasks for lm-evaluation-harness's command, records as logs of open-unlearning and of Inspect.",
    no_args_is_help=True,
)
app.add_typer(export, name="export")


@export.command("lm-eval")
def lm_eval(
    folder: Annotated[Path, typer.Argument(help="Where to write the task files.")],
    suite: Annotated[
        list[str], typer.Option(help="A suite, such as tofu:forget10 or duet:SPLIT@FOLDER; may be given often.")
    ],
) -> None:
    """Write suites as task files, so that `lm_eval --include_path FOLDER` measures them."""
    from forgetting.benchmarks.harness_export.files import export_tasks

    for one in export_tasks(folder, suite):
        print_line(f"{one.suite}: {', '.join(one.tasks)}")
        if one.left_out:
            print_line(f"left out, for they need the likelihood of every token: {', '.join(one.left_out)}")
        print_line(f"lm_eval --include_path {folder} --tasks {one.group} --model hf --model_args pretrained=MODEL")


@export.command("open-unlearning")
def open_unlearning(
    run: Annotated[Path, typer.Argument(help="A finished run's folder, or an imported log's.")],
    folder: Annotated[Path, typer.Argument(help="Where to write the log and its summary.")],
    at: Annotated[Literal["before", "after", "oracle"], typer.Option(help="Which of the run's models.")] = "after",
    benchmark: Annotated[str, typer.Option(help="What the files' names begin with.")] = "TOFU",
) -> None:
    """Write a run's records as open-unlearning's log: TOFU_EVAL.json and TOFU_SUMMARY.json."""
    from forgetting.imports.export_log import export_log

    done = export_log(run, folder, at=at, benchmark=benchmark)
    print_table(["of the log", "value"], [[name, f"{value:.6g}"] for name, value in done.values.items()])
    print_line(f"log: {done.log}")
    print_line(f"summary: {done.summary}")


@export.command("inspect")
def inspect(
    run: Annotated[Path, typer.Argument(help="A finished run's folder, or an imported log's.")],
    folder: Annotated[Path, typer.Argument(help="Where to write the logs, beside those of other runs.")],
) -> None:
    """Write a run's records and measures as Inspect's logs, so that `inspect view --log-dir FOLDER` shows them."""
    from forgetting.imports.export_inspect import export_inspect

    done = export_inspect(run, folder)
    print_table(["model", "task", "samples"], [[log.model, log.task, str(log.samples)] for log in done])
    print_line(f"logs: {folder}")
