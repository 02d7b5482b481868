"""`doctor`: what is here, and whether it suffices. Heavy parts load inside the command."""

from __future__ import annotations

from typing import Annotated

import typer

machine_app = typer.Typer()  # its command stands beside `process` and `serve`

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@machine_app.command(epilog="Example: voice-pipeline doctor")
def doctor(
    context: typer.Context,
    plan: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="CALLS MINUTES",
            help="Whether this machine suffices for so many calls a day of so many minutes.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what is installed, what is missing, what that costs, and how to get it."""
    data, config = context.obj["data"], context.obj["config"]
    if plan is not None:
        from voice_pipeline.cli.sizing import suffices

        raise typer.Exit(suffices(data, config, *plan, as_json=as_json))
    from voice_pipeline.cli.doctor import run

    raise typer.Exit(run(data, config, as_json=as_json))
