"""Delivers case notes into a folder: one JSON file each, or lines of a file a day, for warehouses.

The file's name is the delivery's key and the file appears whole or not at all, so writing the
same delivery again finds the first one. As lines, a key is looked for before it is written again.
Refuses a folder that cannot be made or written.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline.domain import Receipt
from voice_pipeline.errors import Misconfigured, Permanent, Retryable
from voice_pipeline.ports import Checked, ConnectorTraits, Match, Outgoing, Parcel


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: Path = Field(description="the folder; made when missing")
    form: Literal["files", "lines"] = Field(
        "files", description="files: KEY.json each; lines: one DATE.jsonl a day"
    )


class FolderConnector:
    """`folder:DIR`: DIR/<key>.json holds {key, delivered_at, event, number, note, ...}."""

    name = "folder"
    traits = ConnectorTraits(idempotent=True, updates=False, notices=True)

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, parcel: Parcel) -> Receipt | None:
        file = self._file(parcel.key)
        if not file.is_file():
            return None
        at = json.loads(file.read_text("utf-8"))["delivered_at"]
        return Receipt(self.name, parcel.key, file.name, at)

    def deliver(self, parcel: Parcel) -> Receipt:
        file, document = self._file(parcel.key), _document(parcel)
        part = self._path / f".{parcel.key}.{uuid.uuid4().hex}.part"
        with _writing(self._path):
            self._path.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(document, ensure_ascii=False, indent=2), "utf-8")
            try:
                os.link(part, file)  # fails when somebody else was first
            except FileExistsError:
                found = self.find(parcel)
                if found is not None:
                    return found
            finally:
                part.unlink(missing_ok=True)
        return Receipt(self.name, parcel.key, file.name, document["delivered_at"])

    def match(self, parcel: Parcel) -> Match:
        return Match("none", "a folder knows no customers")

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        text = json.dumps(_document(parcel), ensure_ascii=False, indent=2)
        return [Outgoing("WRITE", str(self._file(parcel.key)), {}, text)]

    def check(self) -> Sequence[Checked]:
        return [_writable(self._path)]

    def remove(self, receipt: Receipt) -> None:
        self._file(receipt.key).unlink(missing_ok=True)

    def close(self) -> None:
        return None

    def _file(self, key: str) -> Path:
        return self._path / f"{key}.json"


class LinesConnector:
    """One `DATE.jsonl` a day, a line a revision, only ever added to."""

    name = "folder"
    traits = ConnectorTraits(idempotent=False, updates=False, notices=True)

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, parcel: Parcel) -> Receipt | None:
        files = sorted(self._path.glob("*.jsonl"), reverse=True) if self._path.is_dir() else []
        for file in files:
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if parcel.key.encode() in line and line.endswith(b"\n"):
                        kept = json.loads(line)
                        if kept["key"] == parcel.key:
                            return self._receipt(parcel.key, file, number, kept["delivered_at"])
        return None

    def deliver(self, parcel: Parcel) -> Receipt:
        document = _document(parcel)
        file = self._path / f"{document['delivered_at'][:10]}.jsonl"
        line = json.dumps(document, ensure_ascii=False).encode() + b"\n"
        with _writing(self._path):
            self._path.mkdir(parents=True, exist_ok=True)
            with file.open("a+b") as lines:
                fcntl.flock(lines, fcntl.LOCK_EX)  # released when the file is closed
                if not parcel.first_try and (found := self.find(parcel)) is not None:
                    return found
                _mend(lines)
                number = _count(lines) + 1
                lines.write(line)
                lines.flush()
                os.fsync(lines.fileno())
        return self._receipt(parcel.key, file, number, document["delivered_at"])

    def match(self, parcel: Parcel) -> Match:
        return Match("none", "a folder knows no customers")

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        file = self._path / f"{datetime.now(UTC).date()}.jsonl"
        return [Outgoing("APPEND", str(file), {}, json.dumps(_document(parcel)))]

    def check(self) -> Sequence[Checked]:
        return [_writable(self._path)]

    def remove(self, receipt: Receipt) -> None:
        raise Permanent(
            f"lines are only ever added; the test's line stays: {receipt.external_id}",
            code="not_removed",
        )

    def close(self) -> None:
        return None

    def _receipt(self, key: str, file: Path, number: int, at: str) -> Receipt:
        return Receipt(self.name, key, f"{file.name}:{number}", at)


def create(options: Options) -> FolderConnector | LinesConnector:
    kind = FolderConnector if options.form == "files" else LinesConnector
    return kind(options.path)


def _document(parcel: Parcel) -> dict[str, Any]:
    return {
        "key": parcel.key,
        "delivered_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "event": parcel.event,
        "number": parcel.number,
        "link": parcel.link,
        "metadata": dict(parcel.metadata),
        "note": dict(parcel.note),
        **({"fields": dict(parcel.fields)} if not parcel.note else {}),
        **({"test": True} if parcel.test else {}),
    }


def _mend(lines: IO[bytes]) -> None:
    """Take away the half line that a killed process left at the end."""
    size = lines.seek(0, os.SEEK_END)
    start = size
    while start > 0:
        lines.seek(start - 1)
        if lines.read(1) == b"\n":
            break
        start -= 1
    if start != size:
        lines.truncate(start)
    lines.seek(0, os.SEEK_END)


def _count(lines: IO[bytes]) -> int:
    lines.seek(0)
    return sum(1 for _ in lines)


def _writable(path: Path) -> Checked:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{uuid.uuid4().hex}.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return Checked("folder", False, f"{path}: cannot be written ({type(error).__name__})")
    return Checked("folder", True, "")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise Misconfigured(
            f"{path}: cannot be written ({type(error).__name__}); "
            "name a folder this user may write to"
        ) from error
    except OSError as error:
        raise Retryable(
            f"{path}: writing failed ({type(error).__name__})", code="target_failed"
        ) from error
