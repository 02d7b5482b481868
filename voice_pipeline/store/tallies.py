"""Sums that only grow: how many calls ended how, how long stages took, what was redacted.

Kept beside the calls and added to in the transaction of what they count, so that they survive
restarts, and outlive erased calls. Names and labels are words of the code, never of a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import sqlalchemy as sa

from voice_pipeline.store.tables import tallies

Tallies = Mapping[tuple[str, str], float]  # (name, label) -> what is added

# Upper bounds of the seconds from the end of an upload to its note.
TO_NOTE = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, float("inf"))


def count(db: sa.Connection, added: Tallies) -> None:
    """Add to sums, in the order of their names: two transactions never wait for one another."""
    rows = [(*names, float(amount)) for names, amount in sorted(added.items()) if amount]
    if rows:
        values = {
            f"{c}{n}": v for n, row in enumerate(rows) for c, v in zip("nla", row, strict=True)
        }
        db.execute(_adding(len(rows)), values)


@cache
def _adding(rows: int) -> sa.TextClause:
    """Return the statement that adds so many amounts at once, for both databases."""
    values = ", ".join(f"(:n{n}, :l{n}, :a{n})" for n in range(rows))
    return sa.text(
        f"insert into tallies (name, label, amount) values {values} on conflict (name, label) "
        "do update set amount = tallies.amount + excluded.amount"
    )


def counted(db: sa.Connection) -> dict[str, dict[str, float]]:
    """Return every sum as {name: {label: amount}}."""
    found: dict[str, dict[str, float]] = {}
    for row in db.execute(sa.select(tallies).order_by(tallies.c.name, tallies.c.label)):
        found.setdefault(row.name, {})[row.label] = row.amount
    return found


def ended(status: str, code: str | None) -> Tallies:
    """Return what the end of a call adds."""
    added = {("calls", status): 1.0}
    if status in ("held", "failed"):
        added[status, code or "unknown"] = 1.0
    return added


def to_note(seconds: float, *, backfill: bool) -> Tallies:
    """Return what a note adds that came `seconds` after the end of its upload."""
    work = "backfill" if backfill else "live"
    seconds = max(0.0, seconds)
    bound = next(bound for bound in TO_NOTE if seconds <= bound)
    return {(f"to_note_{work}", f"{bound:g}"): 1.0, ("to_note_seconds", work): seconds}
