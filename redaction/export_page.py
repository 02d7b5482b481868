"""The pages of an export that people read: a summary in HTML and a note in plain text.

Decides how much a page shows; everything else is in the table. Refuses scripts, outside resources
and unescaped text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from redaction.log_events import MEANINGS

MOST_CALLS = 500  # rows of the page; the table has all
_HERE = Path(__file__).parent


@dataclass(slots=True)
class Call:
    """One log, as the page shows it."""

    time: str = ""
    result: str = ""
    found: int = 0
    muted: float = 0.0  # seconds, summed over channels
    released: int = 0
    records: int = 0


@dataclass(slots=True)
class Summary:
    """Counts over all logs of an export; holds no more than the logs do."""

    made_by: str
    fingerprint: str
    calls: dict[str, Call] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    policies: set[str] = field(default_factory=set)
    records: int = 0
    since: str = ""
    until: str = ""

    def see(self, log: str, record: Mapping[str, Any]) -> None:
        """Count one record."""
        call = self.calls.setdefault(log, Call())
        call.records += 1
        self.records += 1
        event = record.get("event")
        if event == "policy_applied":
            self.policies.add(str(record["policy_sha256"]))
        elif event == "redacted" and record.get("action") == "mute":
            length = (record.get("end_ms") or 0) - (record.get("start_ms") or 0)
            call.muted += length / 1000 * max(1, len(record.get("channels") or ()))
        elif event == "redacted":
            call.found += 1
            self.labels[str(record.get("label"))] += 1
        elif event == "suppressed":
            self.kept[f"{record['label']}: {record.get('reason', '')}"] += 1
        elif event == "verification":
            call.result = str(record["result"])
            self.held.update(map(str, record.get("reasons") or ()))
        elif event == "released_to":
            call.released += 1
            self.targets[str(record["target"])] += 1

    def close(self, log: str, head: Mapping[str, Any]) -> None:
        """Note when a log ends."""
        call = self.calls.setdefault(log, Call())
        call.time = str(head["time"])
        self.since = min(filter(None, (self.since, call.time)))
        self.until = max(self.until, call.time)

    def facts(self, root: str) -> tuple[tuple[str, str], ...]:
        """Return what the top of both pages says."""
        passed = sum(call.result == "pass" for call in self.calls.values())
        return (
            ("Logs", f"{len(self.calls):,}"),
            ("Records", f"{self.records:,}"),
            ("Redaction verified", f"{passed:,}"),
            ("Held for a person", f"{len(self.calls) - passed:,}"),
            ("From", _plainly(self.since)),
            ("To", _plainly(self.until)),
            ("Made by", self.made_by),
            ("Signing key", self.fingerprint),
            ("Batch root", root),
        )


def readme(summary: Summary, root: str) -> str:
    """Return README.txt."""
    facts = "\n".join(f"{name + ':':20} {value}" for name, value in summary.facts(root))
    return Template((_HERE / "export.txt").read_text("utf-8")).substitute(
        facts=facts, signer=summary.fingerprint
    )


def page(summary: Summary, root: str) -> str:
    """Return index.html: one file, no script, nothing fetched."""
    shown = list(summary.calls.items())[:MOST_CALLS]
    rows = [
        (
            name.removeprefix("logs/").removesuffix(".jsonl"),
            _plainly(call.time),
            {"pass": "verified", "hold": "held for a person"}.get(call.result, call.result),
            call.found,
            f"{call.muted:.1f}",
            call.released,
            call.records,
        )
        for name, call in shown
    ]
    more = len(summary.calls) - len(shown)
    return Template((_HERE / "export.html").read_text("utf-8")).substitute(
        facts="\n".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
            for name, value in summary.facts(root)
        ),
        labels=_counts(summary.labels, "Nothing was found."),
        kept=_counts(summary.kept, "Nothing was kept."),
        held=_counts(summary.held, "No call was held."),
        targets=_counts(summary.targets, "Nothing was delivered."),
        calls="\n".join(_row(row) for row in rows),
        more=f"<p>And {more:,} more: see <code>events.csv</code>.</p>" if more > 0 else "",
        events="\n".join(_row((f"<code>{name}</code>", text.replace("`", "")), raw=1)
                         for name, text in MEANINGS.items()),
        policies=_list(sorted(summary.policies)),
        signer=escape(summary.fingerprint),
    )  # fmt: skip


def _plainly(time: str) -> str:
    """A time as people write it."""
    return time.replace("T", " ").replace("+00:00", " UTC").replace("Z", " UTC")


def _counts(counts: Counter[str], none: str) -> str:
    if not counts:
        return f'<p class="none">{escape(none)}</p>'
    most = max(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = (
        f'<tr><td>{escape(name)}</td><td class="n">{count:,}</td><td class="bar">'
        f'<i style="width:{100 * count / most:.0f}%"></i></td></tr>'
        for name, count in ordered
    )
    return f"<table>{''.join(rows)}</table>"


def _row(cells: Sequence[object], raw: int = 0) -> str:
    """One table row; the first `raw` cells are markup already."""
    made = (
        str(cell) if place < raw else escape(f"{cell:,}" if isinstance(cell, int) else str(cell))
        for place, cell in enumerate(cells)
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in made) + "</tr>"


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li><code>{escape(item)}</code></li>" for item in items) + "</ul>"
