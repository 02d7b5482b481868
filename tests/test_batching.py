"""The shared queue: who shares a batch, who waits for whom, and whose error is whose."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.transcribers._batching import PATIENCE, Batcher, BatchSize

SOON = 60.0  # seconds after which a test that waits for another thread gives up


@dataclass(frozen=True)
class Sum:
    """A task whose result is known: twice its number."""

    number: int
    length: float = 1.0
    kind: str = "sum"


class TooMuch(RuntimeError):
    """Memory is too small."""


class Desk:
    """Does sums, and remembers the batches; may be told to wait, to fail, to be short."""

    def __init__(
        self, *, fits: int = 1000, breaks_at: Sequence[int] = (), pause: float = 0.0
    ) -> None:
        self.pause = pause
        self.batches: list[list[Sum]] = []
        self.fits, self.breaks_at = fits, set(breaks_at)
        self.open = threading.Event()
        self.open.set()
        self.busy = threading.Event()

    def __call__(self, tasks: Sequence[Sum]) -> list[int]:
        self.busy.set()
        assert self.open.wait(SOON)
        time.sleep(self.pause)
        if len(tasks) > self.fits:
            raise TooMuch
        if bad := self.breaks_at & {task.number for task in tasks}:
            raise ValueError(f"cannot do {sorted(bad)}")
        self.batches.append(list(tasks))
        return [2 * task.number for task in tasks]

    def batcher(self, most: int = 8, linger: float = 0.0) -> Batcher[Sum, int]:
        return Batcher(
            self,
            most=most,
            linger=linger,
            is_short_of_memory=lambda error: isinstance(error, TooMuch),
            idle=0.2,
        )


def in_threads(*jobs: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    return threads


def joined(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()


def still_preparing(batcher: Batcher[Sum, int], done: threading.Event) -> None:
    with batcher.preparing():
        assert done.wait(SOON)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


# ---------------------------------------------------------------- results


def test_nothing_to_do_is_nothing() -> None:
    """An empty list gives an empty list and starts no thread."""
    before = threading.active_count()
    assert Desk().batcher().run([]) == []
    assert threading.active_count() == before


@settings(max_examples=60, deadline=None)
@given(
    callers=st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab")), max_size=12),
        min_size=1,
        max_size=6,
    ),
    most=st.integers(1, 9),
    fits=st.integers(1, 9),
)
def test_everybody_gets_their_own(
    callers: list[list[tuple[int, str]]], most: int, fits: int
) -> None:
    """Whoever calls together: every result goes to its task, in order, and kinds never mix."""
    desk = Desk(fits=fits)
    batcher = desk.batcher(most)
    given_back: dict[int, list[int]] = {}

    def call(number: int) -> None:
        tasks = [
            Sum(100 * number + place, float(length), kind)
            for place, (length, kind) in enumerate(callers[number])
        ]
        given_back[number] = batcher.run(tasks)

    joined(in_threads(*(lambda n=number: call(n) for number in range(len(callers)))))
    for number, asked in enumerate(callers):
        assert given_back[number] == [2 * (100 * number + place) for place in range(len(asked))]
    assert all(len({task.kind for task in batch}) == 1 for batch in desk.batches)
    assert all(len(batch) <= min(most, fits) for batch in desk.batches)
    assert sum(map(len, desk.batches)) == sum(map(len, callers))


def test_like_lengths_go_together() -> None:
    """Sorted by expected length, a batch ends together; the oldest task is in the first one."""
    desk = Desk()
    lengths = [9, 1, 8, 2, 7, 3, 6, 4]
    desk.batcher(4).run([Sum(n, length) for n, length in enumerate(lengths)])
    first, second = ([task.length for task in batch] for batch in desk.batches)
    assert first == [6, 7, 8, 9]
    assert second == [1, 2, 3, 4]


def test_progress_comes_in_the_callers_thread() -> None:
    """`done` is called where the caller may touch its own things, and counts to the end."""
    seen: list[tuple[int, int]] = []
    Desk().batcher(2).run(
        [Sum(n) for n in range(5)],
        lambda count: seen.append((count, threading.get_ident())),
    )
    assert [count for count, _ in seen] == [1, 2, 3, 4, 5]
    assert {thread for _, thread in seen} == {threading.get_ident()}


# ---------------------------------------------------------------- sharing


def test_callers_share_a_batch() -> None:
    """What several callers hand in while the device is busy is done at once."""
    desk = Desk()
    batcher = desk.batcher(8)
    desk.open.clear()
    threads = in_threads(lambda: batcher.run([Sum(0)]))
    assert desk.busy.wait(SOON)
    threads += in_threads(*(lambda n=n: batcher.run([Sum(n)]) for n in range(1, 6)))
    until(lambda: len(batcher._waiting) == 5)
    desk.open.set()
    joined(threads)
    assert [len(batch) for batch in desk.batches] == [1, 5]


def test_a_lone_caller_never_lingers() -> None:
    """Waiting for others costs a single call nothing, however long the linger."""
    desk = Desk()
    batcher = desk.batcher(8, linger=SOON)
    started = time.monotonic()
    for number in range(3):
        with batcher.preparing():
            batcher.run([Sum(number)])
    assert time.monotonic() - started < SOON / 2


def test_a_batch_waits_for_those_who_prepare() -> None:
    """While somebody prepares tasks, a batch that is not full waits until they are handed in."""
    desk = Desk()
    batcher = desk.batcher(8, linger=SOON)
    ready = threading.Event()

    def slow() -> None:
        with batcher.preparing():
            ready.set()
            until(lambda: len(batcher._waiting) == 1)
            time.sleep(0.02)
            batcher.run([Sum(2)])

    threads = in_threads(slow)
    assert ready.wait(SOON)
    threads += in_threads(lambda: batcher.run([Sum(1)]))
    joined(threads)
    assert [len(batch) for batch in desk.batches] == [2]


def test_the_linger_ends() -> None:
    """Somebody who prepares for ever does not stop the others."""
    batcher, done = Desk().batcher(8, linger=0.02), threading.Event()
    threads = in_threads(lambda: still_preparing(batcher, done))
    until(lambda: bool(batcher._preparing))
    assert batcher.run([Sum(1)]) == [2]
    done.set()
    joined(threads)


def test_a_full_batch_does_not_linger() -> None:
    """There is nothing to wait for where the batch is full."""
    batcher, done = Desk().batcher(2, linger=SOON), threading.Event()
    started = time.monotonic()
    threads = in_threads(lambda: still_preparing(batcher, done))
    until(lambda: bool(batcher._preparing))
    assert batcher.run([Sum(1), Sum(2)]) == [2, 4]
    assert time.monotonic() - started < SOON / 2
    done.set()
    joined(threads)


def test_the_oldest_is_never_left_behind() -> None:
    """A long task among ever new short ones is done in the next batch."""
    desk = Desk()
    batcher = desk.batcher(2)
    desk.open.clear()
    threads = in_threads(lambda: batcher.run([Sum(0)]))
    assert desk.busy.wait(SOON)
    threads += in_threads(lambda: batcher.run([Sum(99, 30.0)]))
    until(lambda: len(batcher._waiting) == 1)
    threads += in_threads(lambda: batcher.run([Sum(n, 1.0) for n in range(1, 9)]))
    until(lambda: len(batcher._waiting) == 9)
    desk.open.set()
    joined(threads)
    assert 99 in [task.number for task in desk.batches[1]]


# ---------------------------------------------------------------- errors


def test_an_error_is_its_own_callers() -> None:
    """One task that cannot be done fails its caller; those that shared its batch get results."""
    desk = Desk(breaks_at=[7])
    batcher = desk.batcher(16)
    desk.open.clear()
    outcomes: dict[str, object] = {}

    def call(name: str, numbers: Sequence[int]) -> None:
        try:
            outcomes[name] = batcher.run([Sum(n) for n in numbers])
        except ValueError as error:
            outcomes[name] = error

    threads = in_threads(lambda: call("first", [0]))
    assert desk.busy.wait(SOON)
    threads += in_threads(lambda: call("good", range(1, 6)), lambda: call("bad", range(6, 9)))
    until(lambda: len(batcher._waiting) == 8)
    desk.open.set()
    joined(threads)
    assert outcomes["first"] == [0]
    assert outcomes["good"] == [2, 4, 6, 8, 10]
    assert str(outcomes["bad"]) == "cannot do [7]"
    assert batcher.run([Sum(1)]) == [2], "the device goes on"


def test_a_missing_result_is_an_error() -> None:
    """A device that answers too little never leaves anybody waiting."""
    batcher: Batcher[Sum, int] = Batcher(
        lambda tasks: [], most=4, linger=0.0, is_short_of_memory=lambda error: False
    )
    with pytest.raises(ValueError, match="zip"):
        batcher.run([Sum(1), Sum(2)])


def test_whoever_goes_away_takes_tasks_along() -> None:
    """A caller whose progress raises leaves nothing behind, and blocks nobody."""
    desk = Desk(pause=0.02)
    batcher = desk.batcher(2)

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batcher.run([Sum(n) for n in range(100)], stop)
    assert batcher.run([Sum(1000)]) == [2000]
    assert sum(map(len, desk.batches)) < 100


def test_memory_that_is_too_small_halves_the_batch() -> None:
    """Out of memory: the batch shrinks, goes on, and the size that worked is remembered."""
    desk = Desk(fits=3)
    batcher = desk.batcher(16)
    assert batcher.run([Sum(n) for n in range(40)]) == [2 * n for n in range(40)]
    assert batcher.size.now == 2
    assert all(len(batch) <= 3 for batch in desk.batches)


def test_memory_too_small_for_one_is_an_error() -> None:
    """Where a single task does not fit, its caller is told, and nothing hangs."""
    desk = Desk(fits=0)
    with pytest.raises(TooMuch):
        desk.batcher(4).run([Sum(1), Sum(2)])


def test_a_batch_grows_again_with_patience() -> None:
    """After many batches that fitted a larger one is tried; each failure doubles the patience."""
    size = BatchSize(16)
    size.ran_out(16)
    assert size.now == 8
    for _ in range(2 * PATIENCE - 1):
        size.fitted(8)
    size.fitted(3)  # a batch that was not full proves nothing
    assert size.now == 8
    size.fitted(8)
    assert size.now == 10
    size.ran_out(10)
    assert size.now == 5
    for _ in range(1000):
        size.fitted(size.now)
    assert size.now == 16, "it never grows beyond what was asked for"


# ---------------------------------------------------------------- the thread


def test_an_idle_queue_is_let_go() -> None:
    """The thread ends by itself, so that a model nobody uses can be freed."""
    desk = Desk()
    batcher = desk.batcher()
    assert batcher.run([Sum(1)]) == [2]
    until(lambda: batcher._threads == 0)
    assert batcher.run([Sum(2)]) == [4], "and the next task starts another"
    until(lambda: batcher._threads == 0)


def test_an_idle_model_can_be_freed() -> None:
    """Nothing holds a queue that nobody uses: neither the thread nor the process."""

    def used() -> weakref.ref[Batcher[Sum, int]]:
        batcher = Desk().batcher()
        assert batcher.run([Sum(1)]) == [2]
        return weakref.ref(batcher)

    gone = used()
    end = time.monotonic() + SOON
    while gone() is not None and time.monotonic() < end:
        gc.collect()
        time.sleep(0.05)
    assert gone() is None


def test_two_batches_are_under_way_where_the_device_takes_two() -> None:
    """While one is computed the next is prepared; every result still goes to its own task."""
    both = threading.Barrier(2, timeout=20)

    def work(tasks: Sequence[Sum]) -> list[int]:
        both.wait()  # passes only when two batches are here at once
        return [2 * task.number for task in tasks]

    batcher: Batcher[Sum, int] = Batcher(
        work, most=1, linger=0.0, is_short_of_memory=lambda error: False, at_once=2
    )
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda n: batcher.run([Sum(n)]), (1, 2))) == [[2], [4]]
