"""`models pull` and `models add`: how a model comes to this machine, and is pinned.

`pull` is the one command that reaches out, and only when a person asks for it: the files that the
catalogue names, at one commit, checked against the hub's own hashes while they arrive. `add` takes
them from a folder. Both write SHA256SUMS: from then on a changed file is not loaded.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from voice_pipeline import catalogue
from voice_pipeline.config import allow_downloads, load_settings, models_dir
from voice_pipeline.errors import BadInput, Permanent
from voice_pipeline.fetching import fetch, make_room, part_of

LOCK = ".lock"


def run(name: str, revision: str | None, *, data: Path | None, config: Path | None) -> int:
    """Fetch a model into the folder of models and pin its files."""
    folder = models_dir(load_settings(config, data=data))
    model = _brought(name, folder)
    place = catalogue.place(name, folder)
    before = catalogue.source(place).get("commit", "")
    chosen = revision or before or model.revision
    if not chosen:
        raise BadInput(
            f"{name} has no pinned revision in the catalogue: look at {model.hub} at the hub and "
            "name a commit with --revision, or take the newest with --revision main (either is "
            "pinned from then on)",
            code="revision_needed",
        )
    if chosen == before and catalogue.verify(name, folder).ok:
        print(f"{name}: already here, pinned at {before[:12]}", file=sys.stderr)
        return 0
    allow_downloads()
    from voice_pipeline.hub import list_files

    listing = list_files(model.hub, chosen, model.files)
    for file in listing.files:
        known = model.files[file.name]
        if known and file.digest.kind == "sha256" and file.digest.value != known:
            raise Permanent(
                f"the hub's {file.name} is not the one that the catalogue pins",
                code="hash_mismatch",
            )
    total = sum(file.size for file in listing.files)
    print(
        f"fetching {model.hub} at {listing.commit[:12]} ({total / 1e6:.0f} MB, {model.licence}) "
        f"into {place}"
    )
    waiting = [part_of(place / file.name, file.digest) for file in listing.files]
    here = sum(part.stat().st_size for part in waiting if part.is_file())
    make_room(place, max(0, total - here))
    with _alone(place), _bar(name, total) as progress:
        for file in listing.files:
            fetch(
                file.url,
                place / file.name,
                size=file.size,
                digest=file.digest,
                token=listing.token,
                progress=progress,
            )
        catalogue.pin(
            place, model.files, {"repository": listing.repository, "commit": listing.commit}
        )
    return _said(name, folder, f"ok, pinned at {listing.commit[:12]}")


def add(name: str, source: Path, *, data: Path | None, config: Path | None) -> int:
    """Take a model's files from a folder, check them against its SHA256SUMS, and pin them."""
    folder = models_dir(load_settings(config, data=data))
    model = _brought(name, folder)
    place = catalogue.place(name, folder)
    if not source.is_dir():
        raise BadInput(
            f"{source}: no such folder; name the one that holds {', '.join(model.files)}",
            code="not_found",
        )
    gone = [file for file in model.files if not (source / file).is_file()]
    if gone:
        raise BadInput(
            f"{source}: {', '.join(gone)} missing; {name} needs {', '.join(model.files)}",
            code="model_incomplete",
        )
    pins = catalogue.read_pins(source)
    for file, known in model.files.items():
        expected = known or pins.get(file, "")
        if expected and catalogue.sha256(source / file) != expected:
            raise Permanent(
                f"{source}: {file} is not the file that was pinned; bring it again",
                code="hash_mismatch",
            )
    if source.resolve() != place.resolve():
        make_room(place, sum((source / file).stat().st_size for file in model.files))
        with _alone(place):
            for file in model.files:
                _copy(source / file, place / file)
    catalogue.pin(place, model.files, {"folder": source.name, **catalogue.source(source)})
    if not pins:
        for file in model.files:
            print(f"{catalogue.sha256(place / file)}  {file}")
        print(
            f"{name}: nobody had vouched for these files; they are pinned as they are now. Compare "
            "the hashes above with those of the hub.",
            file=sys.stderr,
        )
    return _said(name, folder, "ok, pinned")


def _brought(name: str, folder: Path) -> catalogue.Model:
    model = catalogue.model(name)
    if not model.hub:
        raise BadInput(f"{name} is not fetched: {model.how_to_get(folder)}", code="model_missing")
    return model


def _said(name: str, folder: Path, well: str) -> int:
    verdict = catalogue.verify(name, folder)
    print(f"{name}: {well if verdict.ok else verdict.detail}", file=sys.stderr)
    return 0 if verdict.ok else 1


def _copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all; links are followed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, part)
    part.replace(target)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold a model's folder: two commands at once would write the same files."""
    with (place / LOCK).open("w") as gate:
        try:
            fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(
                f"{place}: another command is bringing this model; wait until it has ended",
                code="busy",
            ) from None
        yield


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how much of a download is here, on standard error, and give what counts bytes."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=30), DownloadColumn(),
        TransferSpeedColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    ) as bars:  # fmt: skip
        task = bars.add_task(what, total=total)
        yield lambda count: bars.advance(task, count)
