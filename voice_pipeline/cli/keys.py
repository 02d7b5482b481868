"""`keys` and `access-log`: the commands on access. Heavy parts load inside the command."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

keys_app = typer.Typer(help="API keys of the service.", no_args_is_help=True)
access_log_app = typer.Typer(help="Who looked at what.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Id = Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")]


class KeyRole(StrEnum):
    uploader = "uploader"
    integration = "integration"
    agent = "agent"
    supervisor = "supervisor"
    compliance = "compliance"
    admin = "admin"


@keys_app.command("create", epilog="Example: voice-pipeline keys create --role agent --expires 90d")
def create(
    context: typer.Context,
    role: Annotated[KeyRole, typer.Option(help="What it may do; see docs/security.md.")],
    queue: Annotated[
        list[str] | None, typer.Option(help="Only calls of this queue; may be repeated.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose calls it reaches.")] = "default",
    expires: Annotated[
        str | None, typer.Option(help="90d, 12h, or an ISO 8601 date. [default: never]")
    ] = None,
) -> None:
    """Make an API key and print it: it is shown this once and kept as a hash only."""
    from voice_pipeline.cli.access import create_key

    raise typer.Exit(
        create_key(context.obj, role.value, queues=queue, tenant=tenant, expires=expires)
    )


@keys_app.command("list", epilog="Example: voice-pipeline keys list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the keys: whose, what for, until when, last used. Never the keys themselves."""
    from voice_pipeline.cli.access import list_keys

    raise typer.Exit(list_keys(context.obj, as_json=as_json))


@keys_app.command("revoke", epilog="Example: voice-pipeline keys revoke a1b2c3d4")
def revoke(context: typer.Context, key: Id) -> None:
    """Refuse a key from now on, in every running process."""
    from voice_pipeline.cli.access import revoke_key

    raise typer.Exit(revoke_key(context.obj, key))


@keys_app.command("rotate", epilog="Example: voice-pipeline keys rotate a1b2c3d4 --grace 24h")
def rotate(
    context: typer.Context,
    key: Id,
    grace: Annotated[
        str, typer.Option(help="How long the old one is taken beside it, for example 24h; 0: not.")
    ] = "24h",
) -> None:
    """Give a key a new secret and print it; role, reach and expiry stay."""
    from voice_pipeline.cli.access import rotate_key

    raise typer.Exit(rotate_key(context.obj, key, grace=grace))


@access_log_app.command("list", epilog="Example: voice-pipeline access-log list --call CALL")
def log_list(
    context: typer.Context,
    call: Annotated[str | None, typer.Option(help="Looks at this call only.")] = None,
    who: Annotated[str | None, typer.Option(help="Looks by this key id or subject only.")] = None,
    limit: Annotated[int, typer.Option(help="The newest N rows.", min=1)] = 100,
    as_json: Json = False,
) -> None:
    """Show who looked at which recording, words or log, when, from where and why."""
    from voice_pipeline.cli.access import list_looks

    raise typer.Exit(list_looks(context.obj, call=call, who=who, limit=limit, as_json=as_json))


@access_log_app.command("verify", epilog="Example: voice-pipeline access-log verify")
def log_verify(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="An export. [default: this data folder's log]")
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="NUMBER:HASH that an earlier `verify` printed.")
    ] = None,
    signer: Annotated[
        str | None, typer.Option(help="Public key that must have signed an export.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that no row was edited, taken out, moved or cut off."""
    from voice_pipeline.cli.access import verify_log

    raise typer.Exit(verify_log(context.obj, file=file, head=head, signer=signer, as_json=as_json))


@access_log_app.command(
    "export", epilog="Example: voice-pipeline access-log export --out log.jsonl"
)
def log_export(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The JSON lines file to write.")],
) -> None:
    """Write the whole log with its signed end for an auditor."""
    from voice_pipeline.cli.access import export_log

    raise typer.Exit(export_log(context.obj, out))
