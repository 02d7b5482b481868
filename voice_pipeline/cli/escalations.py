"""The commands of `escalations`. Heavy parts load inside."""

from __future__ import annotations

import json
from typing import Annotated

import typer

escalations_app = typer.Typer(help="What people have to see to, and by when.",
                              no_args_is_help=True)  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is redacted before it is kept.")]
By = Annotated[str, typer.Option(help="Who decides.")]
Id = Annotated[str, typer.Argument(help="Id of the escalation, as `escalations list` shows it.")]


@escalations_app.command(
    "list", epilog="Example: voice-pipeline --data state escalations list --overdue"
)
def listed(
    context: typer.Context,
    state: Annotated[
        list[str] | None, typer.Option(help="open, acknowledged or resolved; may be repeated.")
    ] = None,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only what is late and unacknowledged.")
    ] = False,
    category: Annotated[str | None, typer.Option(help="Only of this category.")] = None,
    severity: Annotated[str | None, typer.Option(help="Only of this severity.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None,
    call: Annotated[str | None, typer.Option(help="Only of this call.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 100,
    as_json: Json = False,
) -> None:
    """List escalations, oldest first; without --state those that are not resolved."""
    from voice_pipeline.cli.erase import open_kit
    from voice_pipeline.escalating.desk import escalation_json

    wanted = {"category": category, "severity": severity, "owner": owner, "call": call}
    with open_kit(context.obj["data"], context.obj["config"]) as (kit, _):
        book = kit.store.escalations
        rows = book.find(
            None, states=state or ("open", "acknowledged"), overdue=overdue, limit=limit,
            equal={name: value for name, value in wanted.items() if value is not None},
        )  # fmt: skip
        found = [escalation_json(row, book.clock()) for row in rows]
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for one in found:
        due = f"due {one['due_at']}" if one["due_at"] else "no due time"
        late = " OVERDUE" if one["overdue"] else " (of old times)" if one["historical"] else ""
        by = f" by {one['acknowledged_by']}" if one["state"] == "acknowledged" else ""
        print(f"{one['id']}  call {one['call_id']}: {one['category']} ({one['severity']}), "
              f"{one['owner']}, {due}{late}: {one['state']}{by}, level {one['level']}, "
              f"{one['notices']} notices")  # fmt: skip


@escalations_app.command(
    "show", epilog="Example: voice-pipeline --data state escalations show ID"
)  # fmt: skip
def show(context: typer.Context, escalation: Id) -> None:
    """Show one escalation and who was told of it, as JSON."""
    from voice_pipeline.cli.erase import open_kit
    from voice_pipeline.escalating.desk import escalation_json, notice_json

    with open_kit(context.obj["data"], context.obj["config"]) as (kit, _):
        book = kit.store.escalations
        row, told = book.get(escalation), [notice_json(one) for one in book.notices(escalation)]
        found = escalation_json(row, book.clock()) | {"told": told}
    print(json.dumps(found, ensure_ascii=False, indent=2))


@escalations_app.command(
    "acknowledge",
    epilog="Example: voice-pipeline --data state escalations acknowledge ID "
    "--reason 'I call back at ten' --by 'M. Lee'",
)
def acknowledge(context: typer.Context, escalation: Id, reason: Why = "", by: By = "") -> None:
    """Say that somebody sees to it: nobody is told of it any more."""
    from voice_pipeline.cli.erase import open_kit

    with open_kit(context.obj["data"], context.obj["config"]) as (kit, _):
        row = kit.escalating.acknowledge(escalation, by=by, why=reason)
    print(f"{row.id}: {row.state} by {row.acknowledged_by}")


@escalations_app.command(
    "resolve",
    epilog="Example: voice-pipeline --data state escalations resolve ID "
    "--reason 'customer called back' --by 'M. Lee'",
)
def resolve(context: typer.Context, escalation: Id, reason: Why = "", by: By = "") -> None:
    """Say that it is done with."""
    from voice_pipeline.cli.erase import open_kit

    with open_kit(context.obj["data"], context.obj["config"]) as (kit, _):
        row = kit.escalating.resolve(escalation, by=by, why=reason)
    print(f"{row.id}: {row.state} by {row.resolved_by}")


@escalations_app.command("send", epilog="Example: voice-pipeline --data state escalations send")
def send(context: typer.Context) -> None:
    """Send here and now whatever notices are due; `serve` does that by itself."""
    from voice_pipeline.cli.erase import open_kit

    with open_kit(context.obj["data"], context.obj["config"]) as (kit, _):
        kit.return_deliveries()
        count = kit.keeper.look()
    print(f"{count} tried")
