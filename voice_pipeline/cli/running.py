"""`serve`, `worker` and `status`: the commands of a running service. Heavy parts load inside."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

running_app = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


class LogFormat(StrEnum):
    text = "text"
    json = "json"


class LogLevel(StrEnum):
    debug = "debug"
    info = "info"
    warning = "warning"


Form = Annotated[LogFormat, typer.Option("--log-format", help="How log lines on stderr look.")]
Level = Annotated[LogLevel, typer.Option("--log-level", help="From which level on they appear.")]


@running_app.command(epilog="Example: voice-pipeline --data state serve --port 8000")
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
    queues: Annotated[
        str,
        typer.Option(help="Queues to work off here, between commas; `none` answers HTTP alone."),
    ] = "calls,gpu,llm,crm",
    demo: Annotated[bool, typer.Option("--demo", help="Make a key and say how to begin.")] = False,
    log_format: Form = LogFormat.text,
    log_level: Level = LogLevel.info,
) -> None:
    """Take recordings in over HTTP and work on them, all in this process."""
    from voice_pipeline.cli import logs
    from voice_pipeline.cli.serve import serve as run

    logs.configure(log_format.value, log_level.value)
    raise typer.Exit(
        run(
            context.obj["data"],
            context.obj["config"],
            host=host,
            port=port,
            queues=queues.split(","),
            demo=demo,
        )
    )


@running_app.command(epilog="Example: voice-pipeline --config site.toml worker --queues gpu")
def worker(
    context: typer.Context,
    queues: Annotated[str, typer.Option(help="Queues to work off, between commas.")],
    concurrency: Annotated[
        int | None, typer.Option(help="Runs at once. [default: serve.calls]", min=1)
    ] = None,
    log_format: Form = LogFormat.text,
    log_level: Level = LogLevel.info,
) -> None:
    """Work on calls that another process took in."""
    from voice_pipeline.cli import logs
    from voice_pipeline.cli.serve import work

    logs.configure(log_format.value, log_level.value)
    raise typer.Exit(
        work(
            context.obj["data"],
            context.obj["config"],
            queues=queues.split(","),
            concurrency=concurrency,
        )
    )


@running_app.command(epilog="Example: voice-pipeline --data state status")
def status(
    context: typer.Context,
    url: Annotated[str, typer.Option(help="Where the service listens.")] = "http://127.0.0.1:8000",
    as_json: Json = False,
) -> None:
    """Say what waits, who works, what failed, and what needs a person; changes nothing."""
    from voice_pipeline.cli.status import run

    raise typer.Exit(run(context.obj["data"], context.obj["config"], url=url, as_json=as_json))
