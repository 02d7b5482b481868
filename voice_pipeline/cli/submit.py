"""`submit`: recordings of this machine into the data folder, with a plan before it starts.

One file that cannot be used never stops the rest. The same bytes are not taken twice, so that
whoever was interrupted runs the same command again.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer

from voice_pipeline.cli import show
from voice_pipeline.cli.process import disk_faults
from voice_pipeline.config import Settings, load_settings
from voice_pipeline.engine.queues import Duty
from voice_pipeline.errors import BadInput, Misconfigured, PipelineError
from voice_pipeline.intake import find_recordings, parse_metadata
from voice_pipeline.kit import Kit
from voice_pipeline.policy.load import load_pack
from voice_pipeline.service import Sender, Service
from voice_pipeline.ways_in.estimate import DAY, Speed, told, weigh
from voice_pipeline.ways_in.facts import NamePattern, read_csv
from voice_pipeline.ways_in.taking import Terms, take

MANY = 1000  # files that are not taken without being asked for twice
LONG = DAY  # seconds of work, likewise


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for."""

    paths: tuple[Path, ...]
    manifest: Path | None = None
    pattern: str | None = None
    meta: tuple[str, ...] = ()
    backfill: bool = False
    targets: tuple[str, ...] | None = None
    again: bool = False
    tenant: str = "default"
    dry_run: bool = False
    yes: bool = False
    as_json: bool = False
    data: Path | None = None
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A recording with what is known of it, or why it cannot be used."""

    path: Path
    label: str  # how messages name it
    metadata: dict[str, str] = field(default_factory=dict)
    fault: BadInput | None = None


@dataclass(slots=True)
class Tally:
    taken: int = 0
    known: int = 0
    failed: int = 0


def run(request: Request) -> int:
    """Hand the recordings in and return the exit code."""
    settings = load_settings(request.config, data=request.data)
    items = list(_items(request))
    with disk_faults(settings.data), Kit(settings) as kit:
        kit.check_targets(request.targets or ())
        service = Service(kit, Duty())  # not entered: what is taken waits for `serve`
        usable = [item.path for item in items if item.fault is None]
        if not _agreed(request, settings, kit, usable):
            return 0 if request.dry_run else 1
        tally = _take(request, service, items)
    if request.as_json:
        print(json.dumps({"taken": tally.taken, "known": tally.known, "failed": tally.failed}))
    else:
        known = f", {tally.known:,} were here already" if tally.known else ""
        failed = f", {tally.failed:,} could not be used" if tally.failed else ""
        print(f"{tally.taken:,} taken{known}{failed}")
    return 3 if tally.failed else 0


def _items(request: Request) -> Iterator[Item]:
    """Return what is to be handed in, in order."""
    common = parse_metadata(request.meta)
    pattern = NamePattern(request.pattern) if request.pattern is not None else None
    if request.manifest is not None:
        if pattern is not None:
            raise typer.BadParameter("takes metadata from one of them", param_hint="--pattern")
        yield from _of_manifest(request.manifest, request.paths, common)
        return
    if not request.paths:
        raise typer.BadParameter("name recordings, or a --manifest", param_hint="PATHS")
    found = find_recordings(request.paths)
    for path, fault in found.faults:
        yield Item(path, str(path), fault=fault)
    for path in found.files:
        try:
            said = pattern.read(path.name) if pattern is not None else {}
            yield Item(path, str(path), {**said, **common})
        except BadInput as error:
            yield Item(path, str(path), fault=error)


def _of_manifest(manifest: Path, paths: Sequence[Path], common: dict[str, str]) -> Iterator[Item]:
    if len(paths) > 1:
        raise typer.BadParameter(
            "with --manifest at most one: the folder that its files are in", param_hint="PATHS"
        )
    folder = paths[0] if paths else manifest.parent
    try:
        data = manifest.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{manifest}: cannot be read ({error.strerror or type(error).__name__})",
            code="unreadable",
        ) from error
    for line in read_csv(data, str(manifest)):
        path, label = folder / line.file, f"{manifest}:{line.number}"
        fault = line.fault
        if fault is None and not path.is_file():
            fault = BadInput("there is no such file", code="not_found")
        yield Item(path, label, {**common, **line.metadata}, fault)


def _agreed(request: Request, settings: Settings, kit: Kit, files: Sequence[Path]) -> bool:
    """Say what is to come, and return whether to begin.

    Raises:
        Misconfigured: the disk has no room for it (code `disk_full`).
    """
    load = weigh(files)
    speed = Speed.of(kit.store.backlog.measured(), settings.serve.calls)
    free = shutil.disk_usage(kit.store.root).free
    for line in told(load, speed, free):
        print(line, file=sys.stderr)
    takes, kept = speed.seconds(load.audio), _kept(settings)
    if takes > kept:
        print(
            f"warning: the last would wait longer than originals are kept "
            f"({kept / DAY:.0f} days, policy retention.raw_audio_days), and be lost: hand them in "
            "in parts, or work with more machines",
            file=sys.stderr,
        )
    if load.room + settings.serve.disk_reserve > free:
        raise Misconfigured(
            "the disk of the data folder has no room for these; make room, or hand in a part",
            code="disk_full",
        )
    if request.dry_run:
        return False
    large = load.files >= MANY or takes > min(LONG, kept)
    if request.yes or not large or not sys.stdin.isatty():
        return True
    return typer.confirm("this is much; begin? (--yes does not ask)", err=True)


def _kept(settings: Settings) -> float:
    return load_pack(settings.policy).retention.raw_audio_days * DAY


def _take(request: Request, service: Service, items: Sequence[Item]) -> Tally:
    terms = Terms(Sender(request.tenant, "local"), request.targets, request.backfill, request.again)
    tally = Tally()
    with show.steps("handing in", len(items)) as step:
        for item in items:
            try:
                if item.fault is not None:
                    raise item.fault
                call = _one(service, item, terms, tally)
                if request.as_json:
                    print(json.dumps({"file": str(item.path), "call": call}), flush=True)
            except BadInput as error:
                tally.failed += 1
                _tell(item, error)
            step()
    return tally


def _one(service: Service, item: Item, terms: Terms, tally: Tally) -> str:
    """Take one recording in and return its call.

    Raises:
        BadInput: it cannot be used.
    """
    try:
        with item.path.open("rb") as file:
            taken = take(service, file, item.path.name, item.metadata, terms)
    except OSError as error:
        raise BadInput(
            f"cannot be read ({error.strerror or type(error).__name__})", code="unreadable"
        ) from error
    if taken.known:
        tally.known += 1
    else:
        tally.taken += 1
    return taken.call


def _tell(item: Item, error: PipelineError) -> None:
    print(f"error: {show.printable(item.label)}: {error}", file=sys.stderr, flush=True)
