"""What people said a request really was: each correction is one more example at the next fit.

An append-only file of JSON lines with author and time. It takes redacted turns alone, lets the last
word on a text win, and forgets a whole call when that is erased; the fit after that knows nothing
of it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from voice_pipeline.domain import RedactedTurn
from voice_pipeline.errors import BadInput
from voice_pipeline.examples import Example
from voice_pipeline.spoken.fewshot import normal


@dataclass(frozen=True, slots=True)
class Correction:
    """One label that a person gave to one turn."""

    call: str
    turn: int
    text: str  # redacted
    label: str
    author: str
    at: str  # ISO 8601, with the offset from UTC


class Corrections:
    """A file of corrections; made when the first one comes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def add(self, call: str, turn: RedactedTurn, label: str, author: str, at: datetime) -> None:
        """Append one correction.

        Raises:
            BadInput: label or author is empty, the turn has no words, or the time no zone.
        """
        if not (label.strip() and author.strip() and normal(turn.text)) or at.tzinfo is None:
            raise BadInput(
                "a correction needs a turn with words, a label, an author and a time with its zone"
            )
        line = Correction(
            call, turn.turn, turn.text, label, author, at.isoformat(timespec="seconds")
        )
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(), self._file.open("ab") as file:
            file.write(_line(line))

    def __iter__(self) -> Iterator[Correction]:
        """Yield every correction, oldest first.

        Raises:
            BadInput: a line is no correction (code `examples`).
        """
        if not self._file.is_file():
            return
        for number, line in enumerate(self._file.read_text("utf-8").splitlines(), 1):
            try:
                yield Correction(**json.loads(line))
            except (ValueError, TypeError):
                raise BadInput(
                    f"{self._file}: line {number} is no correction; restore the file",
                    code="examples",
                ) from None

    def forget(self, call: str) -> int:
        """Take out every correction of a call, as its erasure demands; return how many."""
        if not self._file.is_file():
            return 0
        with self._locked():
            found = list(self)
            kept = [one for one in found if one.call != call]
            part = self._file.with_suffix(".part")
            with part.open("wb") as file:
                file.writelines(map(_line, kept))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._file)
        return len(found) - len(kept)

    def joined(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        """Return examples and corrections together; of two labels for one text the last wins."""
        latest = {normal(example.text): example for example in examples}
        for row, one in enumerate(self, 1):
            latest[normal(one.text)] = Example(one.text, one.label, row)
        return tuple(latest.values())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other writers out; the file itself is replaced, so a file beside it is locked."""
        with self._file.with_suffix(".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _line(correction: Correction) -> bytes:
    return json.dumps(asdict(correction), ensure_ascii=False).encode() + b"\n"
