"""`knowledge`: the commands on approved articles. Heavy parts load inside the command."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

knowledge_app = typer.Typer(help="Approved articles.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Name = Annotated[str, typer.Argument(help="Id of the article.")]
By = Annotated[str, typer.Option(help="Who decides.")]
Why = Annotated[str, typer.Option(help="Why, in a sentence; it is kept.")]
Version = Annotated[int | None, typer.Option(help="Version. [default: see `knowledge show`]")]


class Reader(StrEnum):
    agent = "agent"
    customer = "customer"


class Verdict(StrEnum):
    useful = "useful"
    wrong = "wrong"


@knowledge_app.command(
    "import", epilog="Example: voice-pipeline knowledge import articles/ --by 'Ana Ruiz'"
)
def import_(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of *.md, or one file.")],
    by: Annotated[str, typer.Option(help="Who imports; may not approve these.")] = "",
    approved_by: Annotated[
        str | None,
        typer.Option(help="Approve those whose front matter says approved, in this name."),
    ] = None,
    why: Annotated[str, typer.Option(help="Why, in a sentence; it is kept.")] = "",
    as_json: Json = False,
) -> None:
    """Bring in new versions as proposed; importing alone approves nothing."""
    from voice_pipeline.cli.articles import bring

    raise typer.Exit(
        bring(context.obj, folder, by=by, approved_by=approved_by, why=why, as_json=as_json)
    )


@knowledge_app.command("list", epilog="Example: voice-pipeline knowledge list --json")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List every article with its state, what people say of it, and when it goes out of date."""
    from voice_pipeline.cli.articles import list_articles

    raise typer.Exit(list_articles(context.obj, as_json=as_json))


@knowledge_app.command("show", epilog="Example: voice-pipeline knowledge show refund-times")
def show(
    context: typer.Context, name: Name, version: Version = None, as_json: Json = False
) -> None:
    """Show one article with who decided what about it, when and why."""
    from voice_pipeline.cli.articles import show_article

    raise typer.Exit(show_article(context.obj, name, version, as_json=as_json))


@knowledge_app.command(
    "search", epilog="Example: voice-pipeline knowledge search 'where is my parcel'"
)
def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="What is asked, as people say it.")],
    reader: Annotated[Reader, typer.Option(help="Whose articles.")] = Reader.agent,
    locale: Annotated[str, typer.Option(help="Language, ISO 639-1, or with region.")] = "en",
    as_json: Json = False,
) -> None:
    """Search the approved articles that are in date, as a call does."""
    from voice_pipeline.cli.articles import search_articles

    raise typer.Exit(
        search_articles(context.obj, query, reader=reader.value, locale=locale, as_json=as_json)
    )


@knowledge_app.command(
    "approve",
    epilog="Example: voice-pipeline knowledge approve refund-times --by 'Li Wei' --why 'checked'",
)
def approve(context: typer.Context, name: Name, by: By, why: Why, version: Version = None) -> None:
    """Make a proposed version usable; not by its owner, and not by who imported it."""
    from voice_pipeline.cli.articles import decide

    raise typer.Exit(decide(context.obj, "approve", name, by=by, why=why, version=version))


@knowledge_app.command(
    "retire",
    epilog="Example: voice-pipeline knowledge retire refund-times --by 'Li Wei' --why 'untrue'",
)
def retire(context: typer.Context, name: Name, by: By, why: Why, version: Version = None) -> None:
    """Take an article out of use at once."""
    from voice_pipeline.cli.articles import decide

    raise typer.Exit(decide(context.obj, "retire", name, by=by, why=why, version=version))


@knowledge_app.command(
    "undo",
    epilog="Example: voice-pipeline knowledge undo refund-times --by 'Li Wei' --why 'wrong one'",
)
def undo(context: typer.Context, name: Name, by: By, why: Why) -> None:
    """Take back the last approval or retirement of an article; both stay in its history."""
    from voice_pipeline.cli.articles import decide

    raise typer.Exit(decide(context.obj, "undo", name, by=by, why=why, version=None))


@knowledge_app.command(
    "mark", epilog="Example: voice-pipeline knowledge mark refund-times useful --by 'Sam'"
)
def mark(
    context: typer.Context,
    name: Name,
    verdict: Annotated[Verdict, typer.Argument(help="What you say of the suggestion.")],
    by: By,
    call: Annotated[str | None, typer.Option(help="Call it was suggested on.")] = None,
) -> None:
    """Say whether a suggested article was useful or wrong."""
    from voice_pipeline.cli.articles import mark_article

    raise typer.Exit(mark_article(context.obj, name, verdict.value, by=by, call=call))


@knowledge_app.command("gaps", epilog="Example: voice-pipeline --data state knowledge gaps")
def gaps(context: typer.Context, as_json: Json = False) -> None:
    """Say what callers asked that no approved article answers: types, terms, counts."""
    from voice_pipeline.cli.articles import show_gaps

    raise typer.Exit(show_gaps(context.obj, as_json=as_json))


@knowledge_app.command("index", epilog="Example: voice-pipeline knowledge index")
def index(context: typer.Context) -> None:
    """Make the vectors of all usable articles anew with the embedder of the settings."""
    from voice_pipeline.cli.articles import index_articles

    raise typer.Exit(index_articles(context.obj))
