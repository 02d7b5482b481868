"""What `keys` and `access-log` do. They open the database, never the engine or a model.

Decides how keys and looks are shown. Refuses to print a key again. Making, rotating and revoking
a key, and reading the access log, are kept in the access log themselves.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voice_pipeline.access.keys import Keys
from voice_pipeline.access.log import AccessLog, Head, Look, Verdict, check
from voice_pipeline.access.permissions import Role
from voice_pipeline.config import load_settings
from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.opening import has_store, open_store
from voice_pipeline.store import Store

FAULT = 1
SPAN = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
LONGEST = 3653 * 86400.0  # seconds
Context = Mapping[str, Path | None]


@contextmanager
def _opened(context: Context, *, make: bool = False) -> Iterator[tuple[Keys, AccessLog]]:
    settings = load_settings(context["config"], data=context["data"])
    if not make and not has_store(settings):
        raise BadInput(
            f"{settings.data}: no data folder here; name one with --data", code="not_found"
        )
    store: Store = open_store(settings)
    try:
        yield Keys(store.database), AccessLog(store.database, store.signing_seed())
    finally:
        store.close()


def create_key(
    context: Context, role: str, *, queues: list[str] | None, tenant: str, expires: str | None
) -> int:
    """Print a new key, and nothing else, on standard output.

    Raises:
        BadInput: a name or time does not fit (codes `access_name`, `time`).
    """
    until = None if expires is None else _until(expires)
    only = None if queues is None else frozenset(queues)
    with _opened(context, make=True) as (keys, log):
        key = keys.create(Role(role), tenant=tenant, queues=only, expires_at=until)
        _note(log, f"key {_shown(key)} created", "keys.manage")
    print(key)
    print(f"{_shown(key)}: shown this once; keep it as a password", file=sys.stderr)
    return 0


def list_keys(context: Context, *, as_json: bool) -> int:
    with _opened(context) as (keys, _):
        rows = keys.list()
    now = time.time()
    if as_json:
        shown = [
            {"prefix": row.prefix, "state": row.state(now)}
            | {name: _moment(v) if name.endswith("_at") else v for name, v in asdict(row).items()}
            for row in rows
        ]
        print(json.dumps(shown, indent=2))
        return 0
    names = ("key", "role", "tenant", "queues", "state", "expires", "last used")
    table = Table(*names, box=None, padding=(0, 1, 0, 0))
    for row in rows:
        queues = "all" if row.queues is None else ", ".join(row.queues)
        times = (row.expires_at, row.last_used_at)
        cells = (row.prefix, row.role, row.tenant, queues, row.state(now), *map(_day, times))
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)
    return 0


def revoke_key(context: Context, identifier: str) -> int:
    with _opened(context) as (keys, log):
        keys.revoke(identifier)
        _note(log, f"key {_shown(identifier)} revoked", "keys.manage")
    print(f"{_shown(identifier)}: refused from now on")
    return 0


def rotate_key(context: Context, identifier: str, *, grace: str) -> int:
    """Print the new key, and nothing else, on standard output."""
    seconds = 0.0 if grace == "0" else _span(grace, "--grace")
    with _opened(context) as (keys, log):
        key = keys.rotate(identifier, grace=seconds)
        _note(log, f"key {_shown(key)} rotated", "keys.manage")
    print(key)
    print(f"{_shown(key)}: the old key is taken for {grace} more", file=sys.stderr)
    return 0


def list_looks(
    context: Context, *, call: str | None, who: str | None, limit: int, as_json: bool
) -> int:
    with _opened(context) as (_, log):
        looks = deque((look for look, _ in log.rows(call=call, who=who)), limit)
        _note(log, "access log", "access_log.read", call=call, outcome="shown")
    if as_json:
        print(json.dumps([asdict(look) for look in looks], indent=2))
        return 0
    for look in looks:
        role = f" ({look.role})" if look.role else ""
        cells = (
            look.at[:19] + "Z", f"{look.kind} {look.who}{role}", look.permission, look.call or "-",
            look.what, look.outcome, look.address, look.why,
        )  # fmt: skip
        print("  ".join(cell for cell in cells if cell))
    return 0


def verify_log(
    context: Context, *, file: Path | None, head: str | None, signer: str | None, as_json: bool
) -> int:
    """Print the verdict; return 1 where there are faults.

    Raises:
        BadInput: the file is no export (code `not_an_export`).
    """
    if head is not None and not re.fullmatch(r"\d{1,12}:[0-9a-f]{64}", head):
        raise BadInput("--head takes NUMBER:HASH as `access-log verify` prints it")
    if file is None:
        with _opened(context) as (_, log):
            verdict, key = log.verify(head), log.public_key
    else:
        verdict, key = _verify_export(file, head, signer)
    if as_json:
        faults = [{"kind": f.kind, "row": f.number} for f in verdict.faults]
        document = {"ok": verdict.ok, "rows": verdict.rows, "head": verdict.head, "signer": key}
        print(json.dumps(document | {"faults": faults}, indent=2))
    else:
        for fault in verdict.faults:
            print(fault)
        print(f"{'ok' if verdict.ok else 'FAULTS'}: {verdict.rows} rows")
        print(f"head: {verdict.head}\nsigner: {key}")
    return 0 if verdict.ok else FAULT


def export_log(context: Context, out: Path) -> int:
    """Write the log as JSON lines, its signed end last."""
    with _opened(context) as (_, log):
        _note(log, "access log", "access_log.read", outcome="shown")
        head = log.head()
        assert head is not None  # the row above
        try:
            with out.open("x", encoding="utf-8") as file:
                for look, kept in log.rows():
                    if look.number > head.number:
                        break
                    file.write(json.dumps(asdict(look) | {"sha256": kept}) + "\n")
                end = {"head": asdict(head), "public_key": log.public_key}
                file.write(json.dumps(end) + "\n")
        except OSError as error:
            raise Misconfigured(
                f"{out}: cannot be written ({error.strerror or type(error).__name__}); "
                "name a new file with --out",
                code="output",
            ) from error
    print(f"{out}: {head.number} rows, signer {log.public_key}")
    return 0


def _verify_export(file: Path, noted: str | None, signer: str | None) -> tuple[Verdict, str]:
    try:
        lines: list[dict[str, Any]] = [
            json.loads(line) for line in file.read_text("utf-8").splitlines()
        ]
        *rows, end = lines
        head, key = Head(**end["head"]), str(end["public_key"])
        looks = [(str(row.pop("sha256")), Look(**row)) for row in rows]
        if not all(type(number) is int for number in (head.number, *(o.number for _, o in looks))):
            raise ValueError("a number that is none")
    except OSError as error:
        raise BadInput(
            f"{file}: cannot be read ({error.strerror or type(error).__name__})", code="unreadable"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError):
        raise BadInput(
            f"{file}: no whole export of an access log; name one that `access-log export` wrote",
            code="not_an_export",
        ) from None
    return check(((look, kept) for kept, look in looks), head, signer or key, noted), key


def _note(
    log: AccessLog, what: str, permission: str, *, call: str | None = None, outcome: Any = "done"
) -> None:
    log.append(
        None, permission, what, call=call, address="command line", outcome=outcome,
        account=account(),
    )  # fmt: skip


def account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's number without a name
        return str(os.getuid())


def _shown(key: str) -> str:
    return "vp_" + key.removeprefix("vp_").split("_")[0]


def _until(text: str) -> float:
    """Read `90d` or a date; a date without a zone is UTC, and a day means its beginning."""
    if SPAN.fullmatch(text):
        return time.time() + _span(text, "--expires")
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadInput(
            "--expires takes a span or an ISO 8601 date, for example 90d or 2027-01-31",
            code="time",
        ) from None


def _span(text: str, option: str) -> float:
    found = SPAN.fullmatch(text)
    seconds = float(int(found[1]) * SECONDS[found[2]]) if found else 0.0
    if not 0 < seconds <= LONGEST:
        raise BadInput(
            f"{option} takes a span up to ten years, for example 90d, 24h or 30m", code="time"
        )
    return seconds


def _moment(value: float | None) -> str | None:
    return None if value is None else datetime.fromtimestamp(value, UTC).isoformat()


def _day(value: float | None) -> str:
    return "never" if value is None else f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d}"
