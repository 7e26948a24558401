"""The command that makes data of known badness, to try methods on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line


@app.command()
def corrupt(
    data: Annotated[str, typer.Argument(help="A file of examples, or hub:ORG/NAME.")],
    out: Annotated[Path, typer.Option(help="The .jsonl file to write.")],
    share: Annotated[float, typer.Option(help="Share of the answers to corrupt, from 0 to 1.")] = 0.1,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="wrong_answer, boilerplate or shuffled; may be given several times. Default: all three."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of which answers, and how.")] = 0,
    as_json: Json = False,
) -> None:
    """Corrupt a share of a file's answers, and keep beside each what is wrong in it (column noise)."""
    from forgetting.core.errors import DataError
    from forgetting.core.folder import write_text
    from forgetting.data.examples import load_examples
    from forgetting.data.noise import KINDS, as_row, corrupted, noise_counts
    from forgetting.data.reading import Heard
    from forgetting.data.source import given_source

    source = given_source(data)
    if out.suffix != ".jsonl" or (source.path is not None and out.resolve() == Path(source.path).resolve()):
        raise DataError(f"{out}: name another file, ending in .jsonl, to write to")
    heard = Heard()
    noisy = corrupted(load_examples(source, heard), share=share, kinds=kind or KINDS, seed=seed)
    write_text(out, "".join(json.dumps(as_row(e), ensure_ascii=False, default=str) + "\n" for e in noisy))
    heard.write_beside(out)
    counts = noise_counts(noisy)
    if as_json:
        print_json({"out": str(out), "examples": len(noisy), "noise": counts})
        return
    for line in heard.lines:
        print_line(line)
    ways = ", ".join(f"{number} {name}" for name, number in counts.items())
    print_line(f"{out}: {sum(counts.values())} of {len(noisy)} answers corrupted{f' ({ways})' if ways else ''}")
