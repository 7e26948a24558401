"""Options of the commands that start many runs: where the runs are carried out, and how many at once."""

from __future__ import annotations

from typing import Annotated

import typer

RunsAtOnce = Annotated[
    int | None,
    typer.Option(min=1, max=4096, help="Runs at once; default: 1, or as many as fit into a cluster with --address."),
]
EngineName = Annotated[str, typer.Option(help="What carries out the runs: local (processes) or ray (a cluster).")]
Address = Annotated[
    str | None, typer.Option(help="With --engine ray: the cluster, HOST:PORT or auto; default: one on this machine.")
]
GpusPerRun = Annotated[
    float | None, typer.Option(min=0, help="With --engine ray: GPUs of a run, such as 1 or 0.5; default: 1 if any.")
]
