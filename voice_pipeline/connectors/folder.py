"""Delivers case notes into a folder, one JSON file each: for warehouses and small scripts.

The file's name is the delivery's key and the file appears whole or not at all, so writing the
same delivery again finds the first one. Refuses a folder that cannot be made or written.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from voice_pipeline.domain import Receipt
from voice_pipeline.errors import Misconfigured, Retryable


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: Path  # the folder; made when missing


class FolderConnector:
    """`folder:DIR`: DIR/<key>.json holds {key, delivered_at, note}."""

    name = "folder"

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, key: str) -> Receipt | None:
        file = self._file(key)
        if not file.is_file():
            return None
        at = json.loads(file.read_text("utf-8"))["delivered_at"]
        return Receipt(self.name, key, file.name, at)

    def deliver(self, key: str, payload: Mapping[str, Any]) -> Receipt:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        document = {"key": key, "delivered_at": at, "note": payload}
        part = self._path / f".{key}.{uuid.uuid4().hex}.part"
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(document, ensure_ascii=False, indent=2), "utf-8")
            try:
                os.link(part, self._file(key))  # fails when somebody else was first
            except FileExistsError:
                return self.find(key) or Receipt(self.name, key, self._file(key).name, at)
            finally:
                part.unlink(missing_ok=True)
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            raise Misconfigured(
                f"{self._path}: cannot be written ({type(error).__name__}); "
                "name a folder this user may write to"
            ) from error
        except OSError as error:
            raise Retryable(f"{self._path}: writing failed ({type(error).__name__})") from error
        return Receipt(self.name, key, self._file(key).name, at)

    def _file(self, key: str) -> Path:
        return self._path / f"{key}.json"


def create(options: Options) -> FolderConnector:
    return FolderConnector(options.path)
