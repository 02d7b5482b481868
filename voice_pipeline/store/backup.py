"""A consistent copy of a data folder while processes work in it. The copy is a data folder.

The order decides what a restore finds. The engine's journal first, then the list of calls, then
the blobs: what a copied row names was written before it, so it is in the copy as well, and what
came later is only more than is named. Keys are copied before the list and again after it, since
they may change meanwhile. Refuses a place that holds anything already.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.store.keys import FORMER, MASTER_KEY, SIGNING_KEY, HeldKey, read_key
from voice_pipeline.store.shelf import PARTS

DATABASES = ("engine.db", "calls.db")  # in the order in which they are copied
MANIFEST = "backup.json"


@dataclass(frozen=True, slots=True)
class Backup:
    """What a copy holds."""

    made_at: float  # seconds since the epoch, when the copying began
    databases: tuple[str, ...]
    blobs: int
    bytes: int  # of the blobs
    keys: tuple[str, ...]  # names of key files


def back_up(root: Path, to: Path, *, keys: bool = True) -> Backup:
    """Copy a data folder into the new folder `to`.

    Args:
        keys: False: without the keys that lie in the folder; the copy cannot be read without them.

    Raises:
        BadInput: there is no data folder, or something is at `to` already.
        Misconfigured: `to` cannot be written (code `output`), or a database is damaged.
    """
    if not (root / "calls.db").is_file():
        raise BadInput(f"{root}: no data folder here; name one with --data", code="not_found")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise BadInput(f"{to}: something is there already; name a new folder", code="not_empty")
    part = to.with_name(f".{to.name}.part")
    began = time.time()
    try:
        if part.exists():
            shutil.rmtree(part)  # of a backup that was cut off
        part.mkdir(parents=True, mode=0o700)
        kept = _copy_keys(root, part) if keys else set()
        databases = tuple(name for name in DATABASES if (root / name).exists())
        for name in databases:
            _copy_database(root / name, part / name)
        count, size = _copy_blobs(root / "blobs", part / "blobs")
        if keys:
            kept |= _copy_keys(root, part)
        made = Backup(began, databases, count, size, tuple(sorted(kept)))
        (part / MANIFEST).write_text(json.dumps(asdict(made), indent=2) + "\n", "utf-8")
        if to.exists():
            to.rmdir()
        part.rename(to)
    except OSError as error:
        raise Misconfigured(
            f"{to}: the backup cannot be written ({type(error).__name__}); is the disk full?",
            code="output",
        ) from error
    return made


def _copy_database(source: Path, to: Path) -> None:
    """Copy one moment of a SQLite file that others write to."""
    origin, copy = sqlite3.connect(source, timeout=30), sqlite3.connect(to)
    try:
        origin.backup(copy)
        copy.execute("pragma journal_mode=delete")  # the copy is one file
        (verdict,) = copy.execute("pragma quick_check").fetchone()
    except sqlite3.Error as error:
        verdict = type(error).__name__
    finally:
        origin.close()
        copy.close()
    if verdict != "ok":
        raise Misconfigured(
            f"{source}: cannot be copied whole; look at its disk before anything else",
            code="database_damaged",
        )
    to.chmod(0o600)


def _copy_blobs(source: Path, to: Path) -> tuple[int, int]:
    """Copy what is whole; what is deleted meanwhile had to go. Return how many, and their bytes."""
    to.mkdir(mode=0o700)
    count = size = 0
    for folder in sorted(source.iterdir()) if source.exists() else ():
        if folder.name == PARTS or not folder.is_dir():
            continue
        (to / folder.name).mkdir()
        for blob in folder.iterdir():
            if blob.name.startswith("part-") or "#" in blob.name:  # half-written
                continue
            try:
                shutil.copyfile(blob, to / folder.name / blob.name)
            except FileNotFoundError:
                continue
            count += 1
            size += (to / folder.name / blob.name).stat().st_size
    return count, size


def _copy_keys(root: Path, to: Path) -> set[str]:
    """Copy the keys as they are now, beside those of an earlier look; return their names."""
    names = [SIGNING_KEY, *(path.name for path in root.glob(FORMER.format("*")))]
    chosen = {name: root / name for name in names if (root / name).exists()}
    if (root / MASTER_KEY).exists():
        before = to / MASTER_KEY
        if before.exists() and before.read_bytes() != (root / MASTER_KEY).read_bytes():
            key_of_then = HeldKey(read_key(before)).id.hex()
            before.rename(to / FORMER.format(key_of_then))
        chosen[MASTER_KEY] = root / MASTER_KEY
    for name, path in chosen.items():
        shutil.copyfile(path, to / name)
        (to / name).chmod(0o600)
    return {path.name for path in to.glob("*.key")}
