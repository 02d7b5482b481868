"""What a person sees on a terminal: bars while it runs, a short summary with the flags first.

Prints redacted records only; file names are shown to the person who typed them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from voice_pipeline.codec import plain
from voice_pipeline.errors import PipelineError
from voice_pipeline.results import CallResult
from voice_pipeline.store import StageProgress

if TYPE_CHECKING:
    from voice_pipeline.cli.process import Request, Tally

# Share of a call's work that each stage is, for the bar; speech recognition is nearly all of it.
WEIGHTS = {
    "ingest": 4.0,
    "transcribe": 80.0,
    "diarize": 2.0,
    "redact": 4.0,
    "replace": 1.0,
    "mute": 2.0,
    "verify": 3.0,
    "analyse": 2.0,
    "escalate": 1.0,
    "review": 1.0,
    "draft": 1.0,
    "release": 1.0,
}
COLOURS = {"critical": "bold white on red", "high": "bold red", "medium": "yellow", "low": "cyan"}


class Bars(Protocol):
    def update(self, call: str, name: str, stages: Sequence[StageProgress]) -> None: ...

    def finish(self, call: str) -> None: ...


class _Bars:
    def __init__(self, bars: Progress, total: int) -> None:
        self._bars, self._tasks = bars, dict[str, TaskID]()
        self._all = bars.add_task("", total=total, stage="") if total > 1 else None
        if self._all is not None:
            bars.update(self._all, description=f"{total} calls")

    def update(self, call: str, name: str, stages: Sequence[StageProgress]) -> None:
        if call not in self._tasks:
            self._tasks[call] = self._bars.add_task(
                printable(name)[-40:], total=sum(WEIGHTS.values()), stage="waiting"
            )
        done = sum(WEIGHTS.get(s.stage, 1.0) * s.share for s in stages)
        running = [s.stage for s in stages if s.share < 1.0]
        stage = running[-1] if running else (stages[-1].stage if stages else "waiting")
        self._bars.update(self._tasks[call], completed=done, stage=stage)

    def finish(self, call: str) -> None:
        if call in self._tasks:
            self._bars.remove_task(self._tasks.pop(call))
        if self._all is not None:
            self._bars.advance(self._all)


@contextmanager
def progress(total: int, *, quiet: bool) -> Iterator[Bars]:
    """Show bars on standard error where that is a terminal."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[stage]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    ) as bars:
        yield _Bars(bars, total)


def fault(path: Path, error: PipelineError) -> None:
    """Print one line on standard error for a file that could not be used."""
    print(f"error: {printable(str(path))}: {error}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return a name with control characters made visible, so that it stays one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def steps(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show one bar on standard error, and give what advances it by one."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    ) as bars:  # fmt: skip
        task = bars.add_task(what, total=total)
        yield lambda: bars.advance(task)


def report(tally: Tally, request: Request, *, plan: str) -> None:
    """Print what happened: JSON for a program, else flags first, a few lines a call."""
    if request.as_json:
        print(json.dumps(as_json(tally, plan), ensure_ascii=False, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    for path, result, folder in tally.results:
        _call(console, path, result, folder)
    _closing(console, tally, request)


def as_json(tally: Tally, plan: str) -> dict[str, Any]:
    return {
        "plan": plan,
        "calls": [
            {
                "call_id": result.call,
                "file": str(path),
                "folder": str(folder),
                "status": result.status,
                "flags": [plain(f) for f in (result.note.escalations if result.note else ())],
                "warnings": [plain(w) for w in result.warnings],
            }
            for path, result, folder in tally.results
        ],
        "errors": [
            {"file": str(path), "code": error.code, "message": error.message}
            for path, error in tally.faults
        ],
        "unapproved": [{"target": t, "call": call} for t, call in tally.unapproved],
        "undelivered": [{"target": t, "reason": reason} for t, reason in tally.undelivered],
        "same_call_twice": [str(path) for path in tally.twice],
        "skipped": tally.skipped,
    }


def _call(console: Console, path: Path, result: CallResult, folder: Path) -> None:
    minutes, seconds = divmod(round(result.recording.duration), 60)
    head = Text()
    head.append(
        {"done": "✓ ", "held": "■ ", "failed": "✗ "}[result.status],
        style={"done": "green", "held": "yellow", "failed": "red"}[result.status],
    )
    head.append(printable(path.name), style="bold")
    head.append(f"  {minutes}:{seconds:02d}  call {result.call}", style="dim")
    console.print(head)
    note = result.note
    if note is None:
        console.print(Text("  held: nothing leaves until a person has decided", style="yellow"))
        for reason in result.verification.reasons:
            console.print(Text(f"    {reason.code}: {reason.detail}"))
    else:
        for flag in note.escalations:
            line = Text("  ⚑ ")
            line.append(f" {flag.severity} ", style=COLOURS[flag.severity])
            line.append(f" {flag.category}", style="bold")
            line.append(f"  {flag.why}")
            console.print(line)
            for evidence in flag.evidence[:1]:
                console.print(Text(f"      turn {evidence.turn}: “{evidence.quote}”", style="dim"))
        if note.reason is not None:
            console.print(Text(f"  reason   {note.reason.text}"))
        console.print(
            Text(f"  outcome  {note.outcome.value}   type {note.request_type.label}", style="dim")
        )
        if note.review is not None and note.review.required:
            console.print(
                Text(f"  a person must approve: {', '.join(note.review.reasons)}", style="yellow")
            )
    for warning in result.warnings:
        if warning not in result.verification.reasons:
            console.print(Text(f"  ! {warning.code}: {warning.detail}".rstrip(": "), style="dim"))
    console.print(Text(f"  → {folder}", style="dim"))


def _closing(console: Console, tally: Tally, request: Request) -> None:
    done = sum(r.status == "done" for _, r, _ in tally.results)
    held = sum(r.status == "held" for _, r, _ in tally.results)
    parts = [f"{done} done", f"{held} held for a person"] if held else [f"{done} done"]
    if tally.faults:
        parts.append(f"{len(tally.faults)} could not be used")
    if tally.twice:
        parts.append(f"{len(tally.twice)} the same as another file")
    if tally.skipped:
        parts.append(f"{tally.skipped} skipped (not audio)")
    console.print(Text("\n" + ", ".join(parts), style="bold"))
    for target, call in tally.unapproved:
        console.print(Text(f"{target} gets the note of call {call} once a person approves it"))
    for target, reason in tally.undelivered:
        print(f"error: {target}: not delivered: {reason}", file=sys.stderr)
    if tally.results:
        example = tally.results[0][2] / "note.md"
        if example.exists():
            console.print(Text(f"read a note: {example}", style="dim"))
