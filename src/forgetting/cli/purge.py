"""The command that removes what a run still holds of what was to be forgotten."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, print_table, speaking
from forgetting.runs.paths import RunPaths

if TYPE_CHECKING:
    from forgetting.pipeline.finished_run.purge import Plan


@app.command()
def purge(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be removed and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Remove checkpoints, caches and texts of a run; model, numbers and report stay."""
    from forgetting.core.errors import RunError
    from forgetting.pipeline.finished_run.purge import plan_purge, purge

    plan = plan_purge(run)
    if dry_run:
        _print_plan(plan, as_json, done=False)
        return
    if plan.purged and not plan.items:
        yes = True
    if not yes and (as_json or not sys.stdin.isatty()):
        raise RunError(f"{run}: purging cannot be undone; write --yes, or --dry-run to see what would be removed")
    if not yes:
        _print_plan(plan, as_json=False, done=False)
        typer.confirm("Remove this for good?", abort=True)
    with speaking(quiet=True) as voice:
        plan = purge(run, voice=voice)
    if yes:
        _print_plan(plan, as_json, done=True)
    if not as_json:
        print_line(f"report: {RunPaths(run).report_file}")


def _print_plan(plan: Plan, as_json: bool, *, done: bool) -> None:
    if as_json:
        items = [
            {"path": str(i.path), "what": i.what, "bytes": i.bytes, "action": "rewrite" if i.rewritten else "remove"}
            for i in plan.items
        ]
        print_json({"run": str(plan.run), "done": done, "items": items, "notes": plan.notes})
        return
    from forgetting.report.wording import size

    if not plan.items:
        print_line(
            f"{plan.run}: nothing is left to remove" + (f"; purged on {plan.purged[:10]}" if plan.purged else "")
        )
    else:
        rows = [
            ["rewritten without texts" if i.rewritten else "removed", str(i.path), i.what, size(i.bytes)]
            for i in plan.items
        ]
        print_table(["", "path", "what", "size"], rows)
        freed = f"{size(plan.bytes)} {'removed' if done else 'to remove'}"
        print_line(f"{freed}; kept: model, numbers, report")
    for note in plan.notes:
        print_line(note)
