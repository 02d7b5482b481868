"""What `backup` and `master-key` do: keep copies, change and count master keys."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

master_key_app = typer.Typer(help="The key that seals the keys of all calls.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
FAULT = 1


def backup(
    context: typer.Context,
    to: Annotated[Path, typer.Argument(help="A new folder.")],
    keys: Annotated[
        bool, typer.Option(help="Copy the keys that lie in the data folder as well.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Copy the data folder while servers work in it; the copy is a data folder itself."""
    from voice_pipeline.config import load_settings
    from voice_pipeline.errors import Misconfigured
    from voice_pipeline.store.backup import back_up

    settings = load_settings(context.obj["config"], data=context.obj["data"])
    if settings.database is not None or settings.blobs is not None:
        raise Misconfigured(
            "`backup` copies a data folder that holds everything; with `database` or `blobs` set, "
            "use pg_dump and your bucket's own means: docs/operations.md says in which order",
            code="not_in_folder",
        )
    made = back_up(settings.data, to, keys=keys)
    if as_json:
        print(json.dumps(asdict(made)))
        return
    print(f"{to}: {', '.join(made.databases)}, {made.blobs} blobs, {made.bytes / 1e6:.1f} MB")
    if keys:
        print("it holds the keys too: whoever reads it reads the calls. --no-keys leaves them out")


@master_key_app.command("status", epilog="Example: voice-pipeline --data state master-key status")
def status(context: typer.Context, as_json: Json = False) -> None:
    """List the master keys that are here or needed, and how many calls each seals."""
    from voice_pipeline.config import load_settings
    from voice_pipeline.opening import open_store
    from voice_pipeline.store.rotation import key_status

    store = open_store(load_settings(context.obj["config"], data=context.obj["data"]))
    try:
        found = key_status(store)
    finally:
        store.close()
    if as_json:
        print(json.dumps([asdict(use) for use in found], indent=2))
    else:
        for use in found:
            print(f"{use.id or '(no id)':16}  {use.state:8}  {use.calls} calls")
    raise typer.Exit(FAULT if any(use.state == "missing" for use in found) else 0)


@master_key_app.command("rotate", epilog="Example: voice-pipeline --data state master-key rotate")
def rotate(
    context: typer.Context,
    batch: Annotated[int, typer.Option(help="Calls a transaction.", min=1)] = 500,
    as_json: Json = False,
) -> None:
    """Change the master key, or finish a change that was cut off; no recording is rewritten."""
    from rich.console import Console

    from voice_pipeline.config import load_settings
    from voice_pipeline.opening import open_store
    from voice_pipeline.store import rotation

    store = open_store(load_settings(context.obj["config"], data=context.obj["data"]))
    try:
        with Console(stderr=True).status("wrapping the calls' keys") as line:
            done = rotation.rotate(
                store, batch=batch, progress=lambda n: line.update(f"{n} calls have the new key")
            )
    finally:
        store.close()
    if as_json:
        print(json.dumps(asdict(done)))
    else:
        what = "new master key" if done.renewed else "master key"
        print(f"{what} {done.key}: {done.wrapped} calls wrapped anew")
        if done.closed:
            print(f"{done.closed} calls need a key that is not here: see master-key status")
    raise typer.Exit(FAULT if done.closed else 0)


@master_key_app.command("retire", epilog="Example: voice-pipeline --data state master-key retire")
def retire(context: typer.Context) -> None:
    """Destroy former keys in the data folder that no call needs; old backups may need them."""
    from voice_pipeline.config import load_settings
    from voice_pipeline.opening import open_store
    from voice_pipeline.store import rotation

    store = open_store(load_settings(context.obj["config"], data=context.obj["data"]))
    try:
        gone = rotation.retire(store)
    finally:
        store.close()
    print("\n".join(f"{key}: destroyed" for key in gone) or "no former key can go")
