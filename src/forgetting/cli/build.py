"""The commands that build forget sets for Forget-to-Focus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from forgetting.cli.app import MODEL, Json, app
from forgetting.cli.printing import print_json, print_line, speaking

if TYPE_CHECKING:
    from forgetting.forget_sets.build import Embedding

build = typer.Typer(help="Build forget sets out of a general corpus, away from a domain.", no_args_is_help=True)
app.add_typer(build, name="build")

General = Annotated[
    str,
    typer.Argument(help="The general corpus: a file, hub:ORG/NAME, or '{path: FILE, columns: {response: COLUMN}}'."),
]
Domain = Annotated[
    list[str], typer.Option(help="Data of the domain, written likewise. Given several times, they are one domain.")
]
Out = Annotated[
    Path, typer.Option(help="The .jsonl file to write; a .provenance.json and a .html are written beside it.")
]
Evaluation = Annotated[
    list[str] | None,
    typer.Option(help="Data that will be measured, for the overlap with it; may be given several times."),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")]
Name = Annotated[str | None, typer.Option("--embedder", help="A model of sentence-transformers: a folder or a hub id.")]
GeneralEmbeddings = Annotated[
    Path | None, typer.Option(help="Stored embeddings of the general corpus (.npy), a row per example.")
]
DomainEmbeddings = Annotated[Path | None, typer.Option(help="Stored embeddings of the domain (.npy).")]


@build.command()
def select(
    general: General,
    domain: Domain,
    out: Out,
    most_words: Annotated[
        float, typer.Option(help="Keep a text if at most this share of its words is characteristic of the domain.")
    ] = 0.05,
    embedder: Name = None,
    general_embeddings: GeneralEmbeddings = None,
    domain_embeddings: DomainEmbeddings = None,
    least_distance: Annotated[
        float | None,
        typer.Option(
            help="And if its cosine distance to the domain is above this. Default: that of 99% of the domain."
        ),
    ] = None,
    review: Annotated[Path | None, typer.Option(help="An edited review, whose yes and no decide.")] = None,
    review_out: Annotated[
        Path | None, typer.Option(help="Where the review goes, .csv or .jsonl. Default: OUT.review.csv.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="Of what is kept only so many, drawn. Default: all.")] = None,
    seed: Seed = 0,
    evaluation: Evaluation = None,
    as_json: Json = False,
) -> None:
    """Keep what does not overlap the domain (BC-Select), with a review that can be edited and given back."""
    from forgetting.forget_sets.build import Draw, Review, Rule, build_select
    from forgetting.forget_sets.files import Sides

    with speaking(quiet=as_json) as voice:
        found = build_select(
            Sides(general, domain, evaluation or ()),
            out,
            rule=Rule(most_words, least_distance),
            embedding=_embedding(embedder, general_embeddings, domain_embeddings),
            review=Review(review, review_out),
            draw=Draw(count, seed),
            voice=voice,
        )
    _print(found, as_json)


@build.command()
def mixed(
    general: General,
    domain: Domain,
    out: Out,
    count: Annotated[int, typer.Option("--general", help="General examples to draw.")] = 800,
    domain_count: Annotated[int, typer.Option(help="Domain examples to draw.")] = 200,
    seed: Seed = 0,
    evaluation: Evaluation = None,
    as_json: Json = False,
) -> None:
    """Draw so many general and so many domain examples (BC-Mixed)."""
    from forgetting.forget_sets.build import build_mixed
    from forgetting.forget_sets.files import Sides

    sides = Sides(general, domain, evaluation or ())
    found = build_mixed(sides, out, count=count, domain_count=domain_count, seed=seed)
    _print(found, as_json)


@build.command()
def cosine(
    general: General,
    domain: Domain,
    out: Out,
    count: Annotated[int, typer.Option(help="Texts to choose.")],
    embedder: Name = None,
    general_embeddings: GeneralEmbeddings = None,
    domain_embeddings: DomainEmbeddings = None,
    nearest: Annotated[
        bool, typer.Option("--nearest/--farthest", help="Those nearest to the domain, or farthest from it.")
    ] = False,
    evaluation: Evaluation = None,
    as_json: Json = False,
) -> None:
    """Choose the texts whose embeddings lie farthest from the domain's centroid (BC-Cosine), or nearest to it."""
    from forgetting.core.errors import RecipeError
    from forgetting.forget_sets.build import build_cosine
    from forgetting.forget_sets.files import Sides

    with speaking(quiet=as_json) as voice:
        embedding = _embedding(embedder, general_embeddings, domain_embeddings)
        if embedding is None:
            raise RecipeError("no embeddings; name --embedder, or give --general-embeddings and --domain-embeddings")
        sides = Sides(general, domain, evaluation or ())
        found = build_cosine(sides, out, count=count, embedding=embedding, nearest=nearest, voice=voice)
    _print(found, as_json)


@build.command()
def known(
    data: Annotated[str, typer.Argument(help="Questions with answers: a file, hub:ORG/NAME, or '{path: FILE, …}'.")],
    model: Annotated[str, typer.Option(help=MODEL)],
    out: Annotated[Path, typer.Option(help="The .jsonl file to write: question, answer, known.")],
    form: Annotated[
        str, typer.Option(help="words: every answer ends with sure or unsure. refusals: unknown ones are refused.")
    ] = "words",
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value …: how the model is asked, as for forget eval.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a model, and write data that teach it to say what it knows (R-Tuning)."""
    from forgetting.pipeline.one_model.known import Form, build_known
    from forgetting.recipe.changes import parsed

    with speaking(quiet=as_json) as voice:
        found = build_known(data, model, out, form=cast(Form, form), settings=parsed(overrides or []), voice=voice)
    if as_json:
        print_json({"known": found.known, "unknown": found.unknown, "file": str(out)})
        return
    print_line(f"{out}: {found.known:,} questions that {model} answers rightly, {found.unknown:,} that it does not")


def _embedding(name: str | None, general: Path | None, domain: Path | None) -> Embedding | None:
    from forgetting.forget_sets.build import Embedding
    from forgetting.forget_sets.builders.embedding import SentenceEmbedder

    if name is None and general is None and domain is None:
        return None
    return Embedding(SentenceEmbedder(name) if name is not None else None, general, domain)


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for what, number in found["counts"].items():
        print_line(f"{what.replace('_', ' ')}: {number:,}" if isinstance(number, int) else f"{what}: {number:.4g}")
    for one in found["overlaps"]:
        print_line(f"forget ∩ {one['with']} ({one['source']}): {one['exact']} exact, {one['near']} near")
    for line in found["left_out"]:
        print_line(line)
    for file in found["files"]:
        print_line(f"written: {file}")
