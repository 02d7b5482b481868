"""`submit`, `watch` and `backfill`: recordings of the machine handed to the service.

Heavy parts load inside the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ways_app = typer.Typer()  # its commands stand beside `process` and `serve`
backfill_app = typer.Typer(help="Old recordings that were handed in.", no_args_is_help=True)
ways_app.add_typer(backfill_app, name="backfill")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Meta = Annotated[
    list[str] | None, typer.Option(help="Facts about the calls, K=V; may be repeated.")
]
Pattern = Annotated[
    str | None,
    typer.Option(help="What file names hold: '{call_ref}_{agent}_{started_at:%Y%m%d-%H%M%S}'."),
]
Backfill = Annotated[
    bool,
    typer.Option("--backfill", help="Old recordings: after live calls, nothing is due any more."),
]
Deliver = Annotated[
    list[str] | None, typer.Option(help="Where finished notes go, for example folder:DIR.")
]
Tenant = Annotated[str, typer.Option(help="Whose calls they are.")]


@ways_app.command(epilog="Example: voice-pipeline --data state submit old/ --backfill")
def submit(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Recordings, or folders of them.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="CSV: a column `file`, every other one metadata; PATHS: its folder."),
    ] = None,
    pattern: Pattern = None,
    meta: Meta = None,
    backfill: Backfill = False,
    deliver: Deliver = None,
    again: Annotated[
        bool, typer.Option("--again", help="Take files that are here already once more.")
    ] = False,
    tenant: Tenant = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come, no more.")] = (
        False
    ),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, however much it is.")] = False,
    as_json: Json = False,
) -> None:
    """Hand recordings of this machine to the service; `serve` and `worker` work them off."""
    from voice_pipeline.cli.submit import Request, run

    raise typer.Exit(
        run(
            Request(
                tuple(paths or ()),
                manifest=manifest,
                pattern=pattern,
                meta=tuple(meta or ()),
                backfill=backfill,
                targets=tuple(deliver) if deliver else None,
                again=again,
                tenant=tenant,
                dry_run=dry_run,
                yes=yes,
                as_json=as_json,
                data=context.obj["data"],
                config=context.obj["config"],
            )
        )
    )


@ways_app.command(epilog="Example: voice-pipeline --data state watch /srv/recorder --every 5")
def watch(
    context: typer.Context,
    places: Annotated[list[str], typer.Argument(help="Folders, or s3://BUCKET/PREFIX.")],
    every: Annotated[float, typer.Option(help="Seconds between looks.", min=0.1)] = 5.0,
    pattern: Pattern = None,
    meta: Meta = None,
    backfill: Backfill = False,
    deliver: Deliver = None,
    tenant: Tenant = "default",
    once: Annotated[
        bool, typer.Option("--once", help="End when all that lies there now was taken.")
    ] = False,
) -> None:
    """Take recordings from a folder as they are written; move them to done or failed."""
    from voice_pipeline.cli.watch import run

    raise typer.Exit(
        run(
            places,
            every=every,
            pattern=pattern,
            meta=meta or (),
            backfill=backfill,
            targets=deliver,
            tenant=tenant,
            once=once,
            data=context.obj["data"],
            config=context.obj["config"],
        )
    )


@backfill_app.command("pause", epilog="Example: voice-pipeline --data state backfill pause")
def pause(context: typer.Context) -> None:
    """Hand no more old recordings to the workers; what they have is finished."""
    from voice_pipeline.cli.backfill import pause as run

    raise typer.Exit(run(context.obj["data"], context.obj["config"]))


@backfill_app.command("resume", epilog="Example: voice-pipeline --data state backfill resume")
def resume(context: typer.Context) -> None:
    """Let old recordings go on."""
    from voice_pipeline.cli.backfill import resume as run

    raise typer.Exit(run(context.obj["data"], context.obj["config"]))


@backfill_app.command("status", epilog="Example: voice-pipeline --data state backfill status")
def status(context: typer.Context, as_json: Json = False) -> None:
    """Say how many old recordings wait, are worked on and have ended, and how long it takes."""
    from voice_pipeline.cli.backfill import status as run

    raise typer.Exit(run(context.obj["data"], context.obj["config"], as_json=as_json))
