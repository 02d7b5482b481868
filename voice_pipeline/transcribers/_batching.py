"""Gathers what several callers want done into shared batches for one device.

Decides which waiting tasks go together (one kind, like length, the oldest among them) and how many
(as memory allows). It refuses to let callers meet: a result goes to the task's own future, an error
to the tasks that cause it, and a caller who goes away takes its waiting tasks along.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

# Seconds without work after which the thread ends; the next task starts another. Longer than a call
# listens between two batches: every new thread may take a malloc arena and leave it torn.
IDLE = 60.0
PATIENCE = 16  # full batches that must fit before a larger one is tried; doubled by each failure


class Task(Protocol):
    """Something to do on the device."""

    @property
    def kind(self) -> Hashable:
        """Only tasks of one kind share a batch."""

    @property
    def length(self) -> float:
        """How long it is expected to take; a batch of like lengths ends together."""


T = TypeVar("T", bound=Task)
R = TypeVar("R")


class BatchSize:
    """How many tasks fit into memory: halved when they do not, grown again with patience."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.now = most
        self._fitted = 0
        self._patience = PATIENCE

    def fitted(self, count: int) -> None:
        """Note a batch that went through."""
        if count < self.now or self.now == self.most:
            return
        self._fitted += 1
        if self._fitted >= self._patience:
            self.now = min(self.most, self.now + max(1, self.now // 4))
            self._fitted = 0

    def ran_out(self, count: int) -> None:
        """Note a batch for which memory was too small."""
        self.now = max(1, min(self.now, count // 2))
        self._fitted = 0
        self._patience *= 2


@dataclass(eq=False, slots=True)
class _Waiting(Generic[T, R]):
    task: T
    future: Future[R] = field(default_factory=Future)


class Batcher(Generic[T, R]):
    """One device's queue. `run` may be called from any number of threads.

    Args:
        work: does a batch, one result a task in the same order; called by `at_once` threads.
        most: tasks in a batch.
        linger: seconds to wait for callers that are preparing tasks, while a batch is not full.
        is_short_of_memory: says whether an error means that fewer tasks would have fitted.
        idle: seconds without work after which a thread ends.
        at_once: batches under way; with two, a device computes while the other is prepared.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Sequence[R]],
        *,
        most: int,
        linger: float,
        is_short_of_memory: Callable[[Exception], bool],
        idle: float = IDLE,
        at_once: int = 1,
    ) -> None:
        self.size = BatchSize(most)
        self._work = work
        self._linger = linger
        self._idle = idle
        self._at_once = at_once
        self._is_short_of_memory = is_short_of_memory
        self._changed = threading.Condition()
        self._waiting: list[_Waiting[T, R]] = []  # in order of arrival
        self._preparing: set[int] = set()  # threads
        self._threads = 0

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Announce tasks of this thread: until they are handed in, a batch waits a little."""
        me = threading.get_ident()
        with self._changed:
            self._preparing.add(me)
        try:
            yield
        finally:
            with self._changed:
                self._preparing.discard(me)
                self._changed.notify_all()

    def run(self, tasks: Sequence[T], done: Callable[[int], None] = lambda count: None) -> list[R]:
        """Do the tasks, in batches shared with other callers, and return their results in order.

        Args:
            tasks: any number.
            done: called in this thread with the number of finished tasks, as it grows.

        Raises:
            Exception: what `work` raised for one of these tasks; of other callers' tasks, nothing.
        """
        mine = [_Waiting[T, R](task) for task in tasks]
        with self._changed:
            self._waiting += mine
            self._preparing.discard(threading.get_ident())
            if mine and self._threads < self._at_once:
                self._threads += 1
                threading.Thread(target=self._serve, name="batcher", daemon=True).start()
            self._changed.notify_all()
        try:
            for count, future in enumerate(as_completed(one.future for one in mine), 1):
                future.result()
                done(count)
        except BaseException:
            self._withdraw(mine)
            raise
        return [one.future.result() for one in mine]

    def _withdraw(self, mine: list[_Waiting[T, R]]) -> None:
        with self._changed:
            self._waiting = [one for one in self._waiting if one not in mine]
        for one in mine:
            one.future.cancel()

    def _serve(self) -> None:
        while (batch := self._next()) is not None:
            self._do(batch)

    def _next(self) -> list[_Waiting[T, R]] | None:
        """Wait for a batch; None: nothing came for a while, and the thread is to end."""
        with self._changed:
            while True:
                if not self._changed.wait_for(lambda: self._waiting, self._idle):
                    self._threads -= 1
                    return None
                self._changed.wait_for(self._has_enough, self._linger)
                if self._waiting:  # else whoever waited went away in the meantime
                    return self._pick()

    def _has_enough(self) -> bool:
        return not self._preparing or len(self._waiting) >= self.size.now

    def _pick(self) -> list[_Waiting[T, R]]:
        """Take tasks of like length around the oldest one, so that nobody waits for ever."""
        oldest, size = self._waiting[0], self.size.now
        alike = sorted(
            (one for one in self._waiting if one.task.kind == oldest.task.kind),
            key=lambda one: one.task.length,
        )
        first = max(0, min(alike.index(oldest) // size * size, len(alike) - size))
        batch = alike[first : first + size]
        self._waiting = [one for one in self._waiting if one not in batch]
        for one in batch:
            one.future.set_running_or_notify_cancel()  # from here on nobody can cancel it
        return batch

    def _do(self, batch: list[_Waiting[T, R]]) -> None:
        """Do a batch; one that fails is halved until only the tasks at fault fail."""
        try:
            results = self._work([one.task for one in batch])
            paired = list(zip(batch, results, strict=True))
        except Exception as error:  # noqa: BLE001
            if len(batch) == 1:
                batch[0].future.set_exception(error)  # raised where its caller waits
                return
            if self._is_short_of_memory(error):
                with self._changed:
                    self.size.ran_out(len(batch))
            middle = len(batch) // 2
            self._do(batch[:middle])
            self._do(batch[middle:])
            return
        with self._changed:
            self.size.fitted(len(batch))
        for one, result in paired:
            one.future.set_result(result)
