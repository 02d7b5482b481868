"""The commands of `deliveries` and `targets`. Heavy parts load inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from voice_pipeline.kit import Kit

deliveries_app = typer.Typer(help="Where notes went, and what did not arrive.",
                             no_args_is_help=True)  # fmt: skip
targets_app = typer.Typer(help="The CRMs that notes go to.", no_args_is_help=True)

FAULT = 1  # exit code: a check found a fault
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is redacted before it is kept.")]
By = Annotated[str, typer.Option(help="Who decides.")]
Key = Annotated[str, typer.Argument(help="Key of the delivery, as `deliveries list` shows it.")]
Name = Annotated[str, typer.Argument(help="Name of the target in the settings.")]


@deliveries_app.command(
    "list", epilog="Example: voice-pipeline --data state deliveries list --state refused"
)
def listed(
    context: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option(help="waiting, sending, delivered, refused, unmatched, unapproved, "
                     "superseded or cancelled; may be repeated."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Only to this target.")] = None,
    call: Annotated[str | None, typer.Option(help="Only of this call.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 100,
    as_json: Json = False,
) -> None:  # fmt: skip
    """List deliveries, oldest first, with what each waits for."""
    from voice_pipeline.delivery.desk import delivery_json

    with _kit(context) as kit:
        rows = kit.store.outbox.find(
            None, states=state or (), target=target, call=call, limit=limit
        )
        found = [delivery_json(row) for row in rows]
    if as_json:
        _print(found)
        return
    for one in found:
        why = f": {one['reason']} ({one['code']})" if one["reason"] else ""
        record = f" as {one['record']}" if one["record"] else ""
        print(f"{one['key']}  call {one['call_id']} to {one['target']}: {one['state']}"
              f"{record}{why}")  # fmt: skip


@deliveries_app.command(
    "replay",
    epilog="Example: voice-pipeline --data state deliveries replay --target crm "
    "--reason 'field added' --by 'M. Lee'",
)
def replay(
    context: typer.Context,
    keys: Annotated[
        list[str] | None, typer.Argument(help="Keys; none: everything that was refused.")
    ] = None,
    reason: Why = "",
    by: By = "",
    target: Annotated[str | None, typer.Option(help="Only to this target.")] = None,
) -> None:
    """Make refused deliveries due again: one, some, or all."""
    with _kit(context) as kit:
        count = kit.desk.replay(by=by, why=reason, keys=keys or (), target=target)
    print(f"{count} deliveries are due again; `serve` or `deliveries send` sends them")


@deliveries_app.command(
    "assign",
    epilog="Example: voice-pipeline --data state deliveries assign KEY 0038d00 "
    "--reason 'asked the agent' --by 'M. Lee'",
)
def assign(
    context: typer.Context,
    key: Key,
    record: Annotated[
        str | None, typer.Argument(help="The customer's record as the target names it.")
    ] = None,
    nobody: Annotated[
        bool, typer.Option("--nobody", help="The note goes onto no customer's record.")
    ] = False,
    reason: Why = "",
    by: By = "",
) -> None:
    """Say whose record an unmatched note goes onto."""
    if (record is None) != nobody:
        raise typer.BadParameter("name the record, or say --nobody")
    with _kit(context) as kit:
        row = kit.desk.assign(key, record, by=by, why=reason)
    print(f"{row.key}: due, onto {record or 'no record'}")


@deliveries_app.command(
    "cancel",
    epilog="Example: voice-pipeline --data state deliveries cancel KEY --reason 'wrong queue' "
    "--by 'M. Lee'",
)
def cancel(context: typer.Context, key: Key, reason: Why = "", by: By = "") -> None:
    """Call a delivery off."""
    with _kit(context) as kit:
        row = kit.desk.cancel(key, by=by, why=reason)
    print(f"{row.key}: {row.state}")


@deliveries_app.command("send", epilog="Example: voice-pipeline --data state deliveries send")
def send(context: typer.Context) -> None:
    """Send here and now whatever is due; `serve` does that by itself."""
    with _kit(context) as kit:
        kit.return_deliveries()
        count = 0
        while tried := kit.courier.send():
            count += tried
        left = kit.store.outbox.waiting()
    print(f"{count} tried")
    for (target, state), (number, _) in sorted(left.items()):
        print(f"{target}: {number} {state}")


@deliveries_app.command(
    "preview", epilog="Example: voice-pipeline --data state deliveries preview CALL --target crm"
)
def preview(
    context: typer.Context,
    call: Annotated[str, typer.Argument(help="Id of the call.")],
    target: Annotated[str, typer.Option(help="Where it would go.")],
    as_json: Json = False,
) -> None:
    """Show exactly what would be sent of a call's note. Nothing is sent."""
    with _kit(context) as kit:
        shown = kit.desk.preview(call, target)
    requests: list[dict[str, Any]] = [
        {"method": r.method, "url": r.url, "headers": dict(r.headers), "body": r.body}
        for r in shown.requests
    ]
    if as_json:
        _print({"target": shown.target, "number": shown.number, "customer": shown.customer,
                "requests": requests})  # fmt: skip
        return
    for one in requests:
        print(f"{one['method']} {one['url']}")
        for name, value in sorted(one["headers"].items()):
            print(f"{name}: {value}")
        print(f"\n{one['body']}\n")


@targets_app.command("list", epilog="Example: voice-pipeline --data state targets list")
def targets(context: typer.Context, as_json: Json = False) -> None:
    """List targets, how each does, and what waits for it."""
    from voice_pipeline.delivery.desk import target_json

    with _kit(context, new=True) as kit:
        found = [target_json(*one) for one in kit.desk.states()]
    if as_json:
        _print(found)
        return
    for one in found:
        waits = ", ".join(f"{number} {state}" for state, number in one["waiting"].items())
        why = f": {one['detail']} ({one['code']})" if one["code"] else ""
        print(f"{one['target']}: {one['state']}{why}; {waits or 'nothing waits'}")


@targets_app.command(
    "test", epilog="Example: voice-pipeline --config site.toml targets test crm"
)  # fmt: skip
def test(
    context: typer.Context,
    name: Name,
    call: Annotated[
        str | None, typer.Option(help="A call whose note the mapping is shown on.")
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Make no record there, not even a test's.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check credentials, rights and fields; make one marked record and take it away again."""
    with _kit(context, new=True) as kit:
        found = kit.desk.test(name, write=not read_only)
        shown = kit.desk.preview(call, name) if call else None
    if as_json:
        _print([{"what": one.what, "good": one.good, "detail": one.detail} for one in found])
    else:
        for one in found:
            print(f"{'good' if one.good else 'BAD '}  {one.what}"
                  f"{': ' + one.detail if one.detail else ''}")  # fmt: skip
        for request in shown.requests if shown else ():
            print(f"\n{request.method} {request.url}\n{request.body}")
    if not all(one.good for one in found):
        raise typer.Exit(FAULT)


@targets_app.command(
    "pause",
    epilog="Example: voice-pipeline --data state targets pause crm --reason 'moving house' "
    "--by 'M. Lee'",
)
def pause(context: typer.Context, name: Name, reason: Why = "", by: By = "") -> None:
    """Send nothing to a target until it is resumed; nothing is lost meanwhile."""
    with _kit(context) as kit:
        kit.desk.pause(name, by=by, why=reason)
    print(f"{name}: paused; `targets resume {name}` lets it go on")


@targets_app.command("resume", epilog="Example: voice-pipeline --data state targets resume crm")
def resume(context: typer.Context, name: Name) -> None:
    """Send to a target again, at once."""
    with _kit(context) as kit:
        kit.desk.resume(name)
    print(f"{name}: goes on")


@contextmanager
def _kit(context: typer.Context, *, new: bool = False) -> Iterator[Kit]:
    """Open the data folder that the command line names; `new`: make it where there is none."""
    from voice_pipeline.cli.erase import open_kit
    from voice_pipeline.config import load_settings
    from voice_pipeline.kit import Kit

    data, config = context.obj["data"], context.obj["config"]
    if new:
        with Kit(load_settings(config, data=data)) as kit:
            yield kit
    else:
        with open_kit(data, config) as (kit, _):
            yield kit


def _print(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))
