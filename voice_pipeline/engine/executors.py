"""Who is alive on this machine: each process holds a file lock for life.

A lock that can be taken belongs to a dead process, so its calls are known to be free at once,
without waiting for a heartbeat to time out.
"""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Callable
from pathlib import Path


class Executor:
    """This process as the engine knows it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self.id = folder, uuid.uuid4().hex
        self._lock = (folder / self.id).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def recover_dead(self, recover: Callable[[str], int]) -> int:
        """Hand every dead executor's id to `recover` and return how many calls came back.

        The dead one's file goes only after its calls are safe, so that a second death in the
        middle loses nothing; recovering twice is harmless.
        """
        count = 0
        for path in sorted(self._folder.iterdir()):
            if path.name == self.id:
                continue
            try:
                with path.open() as other:
                    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    count += recover(path.name)
                    path.unlink(missing_ok=True)
            except (BlockingIOError, FileNotFoundError):
                continue  # alive, or somebody else has just recovered it
        return count

    def alive(self, executor: str) -> bool:
        """Say whether a process of this machine still holds its lock."""
        try:
            with (self._folder / executor).open() as other:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            pass
        return executor == self.id

    def close(self) -> None:
        self._lock.close()
