"""The command that builds benchmarks of facts by popularity."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from forgetting.cli.app import MODEL, Json
from forgetting.cli.build import build
from forgetting.cli.printing import print_json, print_line, print_table, speaking


class _Combine(StrEnum):
    sum = "sum"
    subject = "subject"
    rank = "rank"


class _Several(StrEnum):
    drop = "drop"
    popular = "popular"


@build.command()
def facts(
    source: Annotated[
        str,
        typer.Argument(
            help="A table of facts or questions (.csv, .tsv, .jsonl, .json, .parquet; .gz allowed), a Wikidata dump "
            "(dump:FILE.json.gz, also .bz2 or plain), or a SPARQL endpoint (https://…)."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    popularity: Annotated[
        str,
        typer.Option(
            help="A measure that the facts bring (sitelinks, population, …), 'degree' (in how many of the facts an "
            "entity stands), or a table of entities."
        ),
    ] = "degree",
    popularity_date: Annotated[str, typer.Option(help="As of when.")] = "",
    combine: Annotated[
        _Combine,
        typer.Option(help="The popularity of a fact: its subject's, or of both ends the sum or the mean rank."),
    ] = _Combine.subject,
    relations: Annotated[
        str | None,
        typer.Option(help="A .yaml file that says how relations are asked, or built-in ones by name: country,capital."),
    ] = None,
    known_by: Annotated[
        str | None, typer.Option(help=f"Keep the facts that this model knows. {MODEL} Default: all facts.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value of a recipe that says how the model is asked; may be repeated."),
    ] = None,
    shots: Annotated[int, typer.Option(min=0, help="Facts that are shown before each question.")] = 3,
    ask: Annotated[int | None, typer.Option(min=1, help="Ask only so many facts, drawn. Default: all.")] = None,
    percent: Annotated[
        list[float] | None, typer.Option(help="Rare and popular sets of this share of the facts; may be repeated.")
    ] = None,
    matched: Annotated[
        str, typer.Option(help="In what rare and popular facts agree in the matched splits; '' for none.")
    ] = "relation,answer",
    most: Annotated[
        int | None, typer.Option(min=1, help="At most so many facts of one answer on a side of a matched split.")
    ] = None,
    fast: Annotated[int | None, typer.Option(min=1, help="Also draw so many of what is retained.")] = None,
    several: Annotated[
        _Several, typer.Option(help="Of a question with several answers: drop it, or keep the most popular answer.")
    ] = _Several.drop,
    leaks: Annotated[bool, typer.Option("--leaks", help="Keep facts whose subject tells the answer.")] = False,
    column: Annotated[
        list[str] | None, typer.Option(help="FIELD=COLUMN of a table, such as subject=city; may be repeated.")
    ] = None,
    credit: Annotated[str, typer.Option(help="Whose data they are.")] = "",
    licence: Annotated[str, typer.Option(help="And under which licence.")] = "",
    date: Annotated[str, typer.Option(help="As of when.")] = "",
    page: Annotated[int, typer.Option(min=1, help="Rows that an endpoint is asked for at once.")] = 2000,
    most_rows: Annotated[
        int | None, typer.Option(min=1, help="Rows of an endpoint for each relation and class. Default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")] = 0,
    as_json: Json = False,
) -> None:
    """Build rare, popular and retained questions on facts that a model knows, also matched by relation and answer."""
    from forgetting.core.errors import RecipeError
    from forgetting.forget_sets.facts.build import build_facts
    from forgetting.forget_sets.facts.plan import Plan
    from forgetting.forget_sets.facts.relations import load_relations
    from forgetting.forget_sets.facts.source import SourceKeys, fact_source
    from forgetting.forget_sets.facts.splits import matched_keys
    from forgetting.pipeline.one_model.knower import ModelKnower
    from forgetting.recipe.changes import parsed

    plan = Plan(
        popularity=popularity,
        date=popularity_date,
        combine=combine.value,
        several=several.value,
        leaks=leaks,
        percents=tuple(percent or [5.0]),
        matched=matched_keys(matched),
        most=most,
        shots=shots,
        ask=ask,
        fast=fast,
        seed=seed,
    )
    changes = parsed(settings or [])
    if changes and known_by is None:
        raise RecipeError("--set says how a model is asked, and none is; name one with --known-by, or leave it out")
    with speaking(quiet=as_json) as voice:
        asked = load_relations(relations)
        found = build_facts(
            fact_source(source, asked, out, SourceKeys(column or (), credit, licence, date, page, most_rows), voice),
            asked,
            out,
            plan=plan,
            knower=None if known_by is None else lambda: ModelKnower(known_by, changes, voice),
            voice=voice,
        )
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    for step, count in found["facts_left_after_each_step"].items():
        print_line(f"{step}: {count:,}")
    rows = [_split(f"{kind} {n}%", about) for kind, by in found["splits"].items() for n, about in by.items()]
    print_line("what tells rare from popular facts beside popularity (AUC 0.5, V 0: nothing; in brackets: by chance)")
    print_table(
        ["split", "rare + popular", "retain", "V of relation", "V of answer", "AUC of answer's frequency",
         "AUC of subject's length", "commonest answer, rare", "and popular"],
        rows,
    )  # fmt: skip
    print_line(f"written: {found['folder']}: {len(found['files'])} sets and build.json, which counts everything")
    credit = found["credit"]
    print_line(f"name wherever the facts are shown: {credit['source']} ({credit['licence'] or 'licence not stated'})")


def _split(name: str, about: dict[str, Any]) -> list[str]:
    v = [
        "—" if about[k]["v"] is None else f"{about[k]['v']:.2f} ({about[k]['by_chance']:.2f})"
        for k in ("relation", "answer")
    ]
    sides = [about["rare"], about["popular"]]
    retain = [about[k]["facts"] for k in ("retain", "retain_same_answers") if about[k]]
    return [
        name,
        " + ".join(f"{side['facts']:,}" for side in sides),
        " + ".join(f"{count:,}" for count in retain) or "0",
        *v,
        f"{about['auc_of_the_answers_frequency']:.2f}",
        f"{about['auc_of_the_subjects_length']:.2f}",
        *(f"{next(iter(side['answers']))} {side['share_of_the_commonest_answer']:.0%}" for side in sides),
    ]
