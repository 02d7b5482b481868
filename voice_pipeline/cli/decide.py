"""The commands of `calls` that decide: erase, hold, approve, release. Heavy parts load inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

decide_app = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Reason = Annotated[str, typer.Option(help="Why; it is redacted before it is kept.")]
By = Annotated[str, typer.Option(help="Who decides.")]
Tenant = Annotated[str, typer.Option(help="Whose calls.")]
Customer = Annotated[
    str | None, typer.Option(help="Reference of a customer: every call with it, as handed in.")
]


@decide_app.command(
    "erase",
    epilog="Example: voice-pipeline --data state calls erase CALL --reason 'customer asks' "
    "--by 'M. Lee'",
)
def erase(
    context: typer.Context,
    calls: Annotated[
        list[str] | None, typer.Argument(help="Call ids; with --verify, or that of an erasure.")
    ] = None,
    customer: Customer = None,
    phone: Annotated[
        Path | None,
        typer.Option(
            help="A file with a phone number, or - for stdin: every call that came from it, where "
            "the metadata said `phone`. The number stands in no history and no log."
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--list", help="A file of call ids, one a line.")
    ] = None,
    reason: Reason = "",
    by: By = "",
    preview: Annotated[bool, typer.Option("--preview", help="Say what would go; no more.")] = False,
    approve: Annotated[
        str | None, typer.Option(help="Id of an erasure that somebody else proposed: do it.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Search for what should be gone; exit 1 if any.")
    ] = False,
    receipt: Annotated[
        Path | None, typer.Option(help="Check a receipt, and search for what it says is gone.")
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of results of `process`: these go too; may be repeated."),
    ] = None,
    corrections: Annotated[
        list[Path] | None,
        typer.Option(help="A file of corrections for `classify`: its lines of the call go too."),
    ] = None,
    tenant: Tenant = "default",
    as_json: Json = False,
) -> None:
    """Erase calls for good, with a signed receipt; or preview, agree to or check an erasure."""
    from voice_pipeline.cli.erase import Order
    from voice_pipeline.cli.erase import erase as run

    order = Order(
        calls=calls or (),
        file=file,
        customer=customer,
        phone=phone,
        tenant=tenant,
        reason=reason,
        by=by,
        preview=preview,
        approve=approve,
        verify=verify,
        receipt=receipt,
        out=out or (),
        corrections=corrections or (),
        as_json=as_json,
    )
    raise typer.Exit(run(order, **context.obj))


@decide_app.command(
    "hold",
    epilog="Example: voice-pipeline --data state calls hold CALL --reason 'court order 12' "
    "--by 'M. Lee'",
)
def hold(
    context: typer.Context,
    call: Annotated[str | None, typer.Argument(help="Call id.")] = None,
    customer: Customer = None,
    reason: Reason = "",
    by: By = "",
    tenant: Tenant = "default",
) -> None:
    """Put a call, or all of a customer's, under legal hold: nothing erases it meanwhile."""
    _hold(context, call, customer, reason, by, tenant, lift=False)


@decide_app.command(
    "unhold",
    epilog="Example: voice-pipeline --data state calls unhold CALL --reason settled --by 'M. Lee'",
)
def unhold(
    context: typer.Context,
    call: Annotated[str | None, typer.Argument(help="Call id.")] = None,
    customer: Customer = None,
    reason: Reason = "",
    by: By = "",
    tenant: Tenant = "default",
) -> None:
    """Lift a legal hold."""
    _hold(context, call, customer, reason, by, tenant, lift=True)


@decide_app.command("holds", epilog="Example: voice-pipeline --data state calls holds")
def holds(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Those that were lifted, too.")] = False,
    as_json: Json = False,
) -> None:
    """List the legal holds: on what, since when, by whom and why."""
    from voice_pipeline.cli.erase import holds as run

    raise typer.Exit(run(every=every, as_json=as_json, **context.obj))


def _hold(
    context: typer.Context, call: str | None, customer: str | None, reason: str, by: str,
    tenant: str, *, lift: bool,
) -> None:  # fmt: skip
    from voice_pipeline.cli.erase import hold as run

    done = run(
        call, customer=customer, tenant=tenant, reason=reason, by=by, lift=lift, **context.obj
    )
    raise typer.Exit(done)


Call = Annotated[str, typer.Argument(help="Call id.")]
Later = Annotated[
    bool, typer.Option("--later", help="Leave the work to the running service, do not wait.")
]


@decide_app.command(
    "approve",
    epilog="Example: voice-pipeline --data state calls approve CALL --reason checked --by 'M. Lee'",
)
def approve(
    context: typer.Context, call: Call, reason: Reason = "", by: By = "", as_json: Json = False
) -> None:
    """Approve a note that waits for it."""
    _decide(context, call, "approve", reason, by, as_json)


@decide_app.command(
    "reject",
    epilog="Example: voice-pipeline --data state calls reject CALL --reason 'wrong amount' "
    "--by 'M. Lee'",
)
def reject(
    context: typer.Context, call: Call, reason: Reason = "", by: By = "", as_json: Json = False
) -> None:
    """Reject a note that waits for approval."""
    _decide(context, call, "reject", reason, by, as_json)


@decide_app.command(
    "edit",
    epilog="Example: voice-pipeline --data state calls edit CALL --changes new.json "
    "--reason 'clearer' --by 'M. Lee'",
)
def edit(
    context: typer.Context,
    call: Call,
    changes: Annotated[
        Path | None,
        typer.Option(
            help='JSON of the fields to change, for example {"urgency": "high"}; -: stdin.'
        ),
    ] = None,
    reason: Reason = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Change a note, and so approve it; what you write is redacted, the older note is kept."""
    _decide(context, call, "edit", reason, by, as_json, changes=changes)


@decide_app.command(
    "release",
    epilog="Example: voice-pipeline --data state calls release CALL --reason 'listened to it' "
    "--by 'M. Lee'",
)
def release(
    context: typer.Context,
    call: Call,
    reason: Reason = "",
    by: By = "",
    later: Later = False,
    as_json: Json = False,
) -> None:
    """Let a held call go on as it was redacted: you answer for that. Exit 5: held again."""
    _decide(context, call, "release", reason, by, as_json, later=later)


@decide_app.command(
    "rerun",
    epilog="Example: voice-pipeline --data state calls rerun CALL --reason 'better model' "
    "--by 'M. Lee'",
)
def rerun(
    context: typer.Context,
    call: Call,
    reason: Reason = "",
    by: By = "",
    later: Later = False,
    as_json: Json = False,
) -> None:
    """Work on a held call again with today's models and policy. Exit 5: held again."""
    _decide(context, call, "rerun", reason, by, as_json, later=later)


@decide_app.command(
    "discard",
    epilog="Example: voice-pipeline --data state calls discard CALL --reason 'test call' "
    "--by 'M. Lee'",
)
def discard(
    context: typer.Context, call: Call, reason: Reason = "", by: By = "", as_json: Json = False
) -> None:
    """Give a held call up: it fails, and its recording is destroyed."""
    _decide(context, call, "discard", reason, by, as_json)


@decide_app.command("decisions", epilog="Example: voice-pipeline --data state calls decisions CALL")
def decisions(context: typer.Context, call: Call, as_json: Json = False) -> None:
    """List what people decided about a call: who, when and why."""
    from voice_pipeline.cli.review import decisions as run

    raise typer.Exit(run(call, as_json=as_json, **context.obj))


def _decide(
    context: typer.Context, call: str, decision: str, reason: str, by: str, as_json: bool,
    *, changes: Path | None = None, later: bool = False,
) -> None:  # fmt: skip
    from voice_pipeline.cli.review import decide as run

    done = run(
        call, decision, reason=reason, by=by, changes=changes, later=later, as_json=as_json,
        **context.obj,
    )  # fmt: skip
    raise typer.Exit(done)
