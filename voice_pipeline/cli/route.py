"""`calls route` and `calls routes`: where a call is, moving it, and how often that was needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from voice_pipeline.config import load_settings
from voice_pipeline.errors import BadInput, Permanent
from voice_pipeline.metrics.report import wilson
from voice_pipeline.opening import has_store
from voice_pipeline.policy.load import load_pack
from voice_pipeline.rerouting import Rerouting, Standing


def route(
    call: str,
    *,
    queue: str | None,
    undo: bool,
    reason: str,
    by: str,
    data: Path | None,
    config: Path | None,
    as_json: bool,
) -> int:
    """Show where a call is, move it, or take the last move back.

    Raises:
        BadInput: see `Rerouting`.
    """
    if queue and undo:
        raise BadInput("give --queue to move the call, or --undo to take the last move back")
    with _rerouting(data, config) as rerouting:
        if queue:
            standing = rerouting.correct(call, queue, reason=reason, by=by)
        elif undo:
            standing = rerouting.undo(call, reason=reason, by=by)
        else:
            standing = rerouting.standing(call)
    if as_json:
        print(json.dumps(_document(standing), ensure_ascii=False, indent=2))
        return 0
    print(f"{call}: {standing.queue} ({standing.owner})")
    print(f"  given {standing.given.queue}: {'; '.join(standing.given.reasons)}")
    for one in standing.changes:
        change = one.change
        what = f"undoes {change.undoes}, " if change.undoes else ""
        print(
            f"  {one.number}. {change.at} {change.by}: {what}{change.before} -> {change.after}, "
            f"because {change.reason}"
        )
    return 0


def routes(*, data: Path | None, config: Path | None, as_json: bool) -> int:
    """Print the share of routes that people corrected, with 95 % intervals."""
    with _rerouting(data, config) as rerouting:
        figures = rerouting.figures()
    rows = [
        {
            "queue": figure.queue or "all",
            "routed": figure.routed,
            "corrected": figure.corrected,
            "share": figure.corrected / figure.routed if figure.routed else 0.0,
            "interval": wilson(figure.corrected, figure.routed),
        }
        for figure in figures
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    table = Table("queue given", "routed", "corrected", "share", "95 % interval")
    for figure, row in zip(figures, rows, strict=True):
        low, high = wilson(figure.corrected, figure.routed)
        table.add_row(
            str(row["queue"]), str(figure.routed), str(figure.corrected),
            f"{row['share']:.1%}", f"{low:.1%} – {high:.1%}",
        )  # fmt: skip
    Console(highlight=False).print(table)
    return 0


@contextmanager
def _rerouting(data: Path | None, config: Path | None) -> Iterator[Rerouting]:
    settings = load_settings(config, data=data)
    if not has_store(settings):
        raise BadInput(
            f"{settings.data}: no data folder here; name one with --data", code="not_found"
        )
    from voice_pipeline.kit import Kit

    with Kit(settings) as kit:
        given = {}
        for call, _, outcome in kit.engine.finished_runs():
            if outcome.note is not None and outcome.status == "done":
                try:
                    found = kit.engine.read(outcome.note).route
                except Permanent as error:
                    if error.code != "erased":
                        raise
                    continue
                if found is not None:
                    given[call] = found
        yield Rerouting(
            kit.store, load_pack(settings.policy), given, lambda text: kit.scrub(text, False)
        )


def _document(standing: Standing) -> dict[str, object]:
    return {
        "call_id": standing.call,
        "queue": standing.queue,
        "owner": standing.owner,
        "given": {"queue": standing.given.queue, "reasons": list(standing.given.reasons)},
        "changes": [{"number": one.number, **asdict(one.change)} for one in standing.changes],
    }
