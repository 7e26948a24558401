"""The command that attacks a run's models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, print_table, speaking, value_words

if TYPE_CHECKING:
    from forgetting.pipeline.audit.certify import Certified
    from forgetting.runs.audits import Audit
    from forgetting.runs.register import Request


@app.command()
def audit(
    run: Annotated[Path | None, typer.Argument(help="A finished run's folder.")] = None,
    settings: Annotated[
        list[str] | None, typer.Argument(help="Parameters of attacks: NAME.PARAMETER=VALUE, such as sample.n=64.")
    ] = None,
    attacks: Annotated[
        list[str] | None,
        typer.Option(
            help="fast, standard, all (but suffix) or an attack; several: the option several times. Default: standard."
        ),
    ] = None,
    oracle: Annotated[
        str | None, typer.Option(help="A model that never saw the forget set. Default: the run's own.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that attacks draw.")] = 0,
    facts: Annotated[int, typer.Option(min=1, help="At most so many forget examples.")] = 400,
    margin: Annotated[float, typer.Option(help="How much more than the oracle counts as no more, of 1.")] = 0.1,
    earlier: Annotated[
        Path | None,
        typer.Option(help="Rows of earlier requests to this model: audited again on the model as it is now."),
    ] = None,
    asked_by: Annotated[
        str,
        typer.Option(help="Who asked, for the certificate; it stands there as written, and stays after a purge."),
    ] = "",
    owner: Annotated[str, typer.Option(help="Whose model it is, for the certificate.")] = "",
    verify: Annotated[
        Path | None,
        typer.Option(help="Check this certificate.json instead: its digests, and its records scored again."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Attack the model before and after a run, and the oracle: what each still gives away, and what that shows.

    It writes certificate.json, certificate.html and register.json into the run's folder. With --earlier, rows are
    matched with the register's commitments, and what the model gives away of them is said beside. Exit code 0:
    shown to give away as much as the oracle within the margin, under every attack that can tell. 3: not shown (never
    without an oracle). 4: refuted. 5: the model is damaged, so nothing can be said. With --verify, 0: all fits; 1:
    something does not.
    """
    from forgetting.core.errors import RecipeError
    from forgetting.pipeline.audit.audit import audit
    from forgetting.pipeline.finished_run.plugged import read_settings

    if verify is not None:
        _verify(verify, run)
    if run is None:
        raise RecipeError("name the folder of a finished run, or a certificate with --verify")
    if not 0 < margin < 1:
        raise RecipeError(f"--margin is {margin:g}; write a number between 0 and 1, such as 0.1")
    from forgetting.pipeline.audit.certify import certify
    from forgetting.pipeline.audit.earlier import audit_earlier, supplied
    from forgetting.pipeline.audit.register import names_of

    names = names_of(asked_by, owner)
    given = read_settings(settings or [])
    how: dict[str, Any] = {"attacks": attacks or (), "settings": given, "seed": seed}
    with speaking(quiet=as_json) as voice:
        rows = [] if earlier is None else supplied(run, earlier, voice)
        found = audit(run, oracle=oracle, facts=facts, voice=voice, **how)
        again = audit_earlier(run, rows, voice=voice, **how) if rows else []
        done = certify(run, found, margin=margin, again=again, names=names)
    if as_json:
        _print_json(run, done, found, again)
    else:
        _print(done, found, again)
    raise typer.Exit(done.statement["predicate"]["exit_code"])


def _print_json(run: Path, done: Certified, found: list[Audit], again: list[Request]) -> None:
    from dataclasses import asdict

    earlier = {"earlier": [asdict(request) for request in again]} if again else {}
    print_json({"run": str(run), "certificate": done.statement, "audits": [asdict(a) for a in found], **earlier})


def _print(done: Certified, found: list[Audit], again: list[Request]) -> None:
    """The verdict, what it rests on, the facts that leak most, what earlier requests come to, and every measure."""
    from forgetting.audits.certificate.words import COLUMNS, bound_sentence, control_sentences, rows, worst_rows

    verdict = done.verdict
    print_line(done.statement["predicate"]["line"])
    print_line()
    if verdict.found:
        print_table(COLUMNS, rows(verdict.found))
        print_line()
    gates, bounds = [gate.text for gate in verdict.gates], list(map(bound_sentence, verdict.bounds))
    for sentence in [*gates, *control_sentences(verdict), *bounds]:
        print_line(sentence)
    print_line()
    if verdict.worst:
        print_table(["leaks most", "attack", "value", "before", "oracle", "unlearned"], worst_rows(verdict, done.texts))
        print_line()
    for request in again:
        last = request.again[-1]
        print_line(f"{request.id}, {last.facts} of {request.facts} facts, on the model as it is now: {last.line}")
    if again:
        print_line()
    points = list(dict.fromkeys(point for a in found for point in a.points))
    print_table(["attack", "split", "measure", *points, "n"], [row for a in found for row in _rows(a, points)])


def _verify(file: Path, run: Path | None) -> None:
    """Says what does not fit, and ends the command."""
    from forgetting.pipeline.audit.verify import verify

    wrong = verify(file, run)
    for line in wrong:
        print_line(line)
    if not wrong:
        print_line(f"{file}: all digests fit, and the records give what it says")
    raise typer.Exit(1 if wrong else 0)


def _rows(audit: Audit, points: list[str]) -> list[list[str]]:
    """A row for each measure: its value and 95% interval under every model."""
    by_key = {point: {m.key: m for m in found.measures} for point, found in audit.points.items()}
    keys = dict.fromkeys(key for measures in by_key.values() for key in measures)
    rows = []
    for key in keys:
        measures = [by_key.get(point, {}).get(key) for point in points]
        first = next(m for m in measures if m is not None)
        cells = ["" if m is None else value_words(m) for m in measures]
        rows.append([audit.attack, first.split, first.name, *cells, str(first.count)])
    return rows
