"""Places that recordings turn up in: taken when complete, once, and put away with a reason."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest
from command import run
from hypothesis import given
from hypothesis import strategies as st
from tones import taking, tone

from voice_pipeline.config import load_settings
from voice_pipeline.errors import Misconfigured
from voice_pipeline.service import Sender, Service
from voice_pipeline.store.blobs import Bucket, open_blobs
from voice_pipeline.store.rows import CallRow, Scope
from voice_pipeline.ways_in.bucket import BucketPlace
from voice_pipeline.ways_in.facts import NamePattern
from voice_pipeline.ways_in.folder import Folder
from voice_pipeline.ways_in.places import open_place
from voice_pipeline.ways_in.taking import Terms
from voice_pipeline.ways_in.watching import Watch, Watcher, counts, numbered, sidecars

TERMS = Terms(Sender(by="watch"))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with taking(tmp_path / "data") as found:
        yield found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def rows(service: Service) -> list[CallRow]:
    return service.kit.store.register.find(Scope())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_a_file_is_taken_when_it_has_settled(service: Service, place: Path) -> None:
    """One that still grows is left; two looks that see the same take it, with its sidecar."""
    watch = Watch(service, Folder(place), TERMS, metadata={"team": "north"})
    tone(place / "a.wav", 1)
    assert watch.look() == 1 and not rows(service)
    tone(place / "a.wav", 1, seconds=2)  # still being written
    assert watch.look() == 1 and not rows(service)
    (place / "a.json").write_text('{"queue": "billing"}')  # its sidecar comes, too
    assert watch.look() == 1 and not rows(service)
    assert watch.look() == 0
    (row,) = rows(service)
    assert (row.queue, row.team, row.name, row.uploaded_by) == (
        "billing", "north", "a.wav", "watch",
    )  # fmt: skip
    assert not names(place) and names(place / "done") == {"a.wav", "a.wav.json"}


def test_what_cannot_be_used_goes_to_failed_with_a_reason(service: Service, place: Path) -> None:
    """A reason stands beside it, in words that repeat nothing of it; the others are taken."""
    (place / "memo.wav").write_text("Dear Mrs Invented, your card is 4111")
    tone(place / "b.wav", 2)
    (place / "b.wav.json").write_text('{"started_at": "Mrs Invented"}')
    tone(place / "c.wav", 3)
    tone(place / "d.wav", 4)
    (place / "d.json").write_text('{"queue": "' + "x" * 70_000 + '"}')
    (place / "empty.wav").touch()
    watch = Watch(service, Folder(place), TERMS)
    watch.look()
    assert watch.look() == 0
    assert (watch.taken, watch.failed, len(rows(service))) == (1, 4, 1)
    failed = place / "failed"
    assert names(failed) == {
        "memo.wav", "memo.wav.reason.txt", "b.wav", "b.wav.json", "b.wav.reason.txt", "d.wav",
        "d.wav.json", "d.wav.reason.txt", "empty.wav", "empty.wav.reason.txt",
    }  # fmt: skip
    assert (failed / "memo.wav.reason.txt").read_text().startswith("unsupported_audio: ")
    assert "Invented" not in "".join(p.read_text() for p in failed.glob("*.reason.txt"))


def test_unfinished_hidden_and_linked_things_are_left_alone(
    service: Service, place: Path, tmp_path: Path
) -> None:
    """Names that say `not yet`, sidecars alone, folders and links are no recordings."""
    for name in (".a.wav", "a.wav.part", "b.tmp", "c.wav~", "d.PART", "e.json"):
        tone(place / name)
    (place / "folder.wav").mkdir()
    (place / "link.wav").symlink_to(tone(tmp_path / "elsewhere.wav"))
    os.mkfifo(place / "pipe.wav")
    watch = Watch(service, Folder(place), TERMS)
    assert [watch.look(), watch.look()] == [0, 0]
    assert not rows(service) and not names(place / "done") and not names(place / "failed")


def test_the_same_bytes_are_taken_once(service: Service, place: Path) -> None:
    """A copy goes to done with the call that it is, whatever its name; nothing is replaced."""
    watch = Watch(service, Folder(place), TERMS)
    for _ in range(2):
        tone(place / "a.wav", 1)
        watch.look(), watch.look()
    tone(place / "b.wav", 1)
    watch.look(), watch.look()
    (row,) = rows(service)
    assert names(place / "done") == {
        "a.wav", "a-2.wav", "a-2.wav.reason.txt", "b.wav", "b.wav.reason.txt",
    }  # fmt: skip
    assert row.call in (place / "done" / "b.wav.reason.txt").read_text()


def test_a_crash_between_taking_and_moving_takes_nothing_twice(
    service: Service, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who died after the call was kept and before the file was moved finds it taken."""
    tone(place / "a.wav", 1)
    with monkeypatch.context() as broken:
        broken.setattr(Folder, "settle", _dies)
        watch = Watch(service, Folder(place), TERMS)
        watch.look()
        with pytest.raises(KeyboardInterrupt):
            watch.look()
    assert len(rows(service)) == 1 and names(place) == {"a.wav"}
    again = Watch(service, Folder(place), TERMS)
    again.look()
    assert again.look() == 0 and len(rows(service)) == 1 and not names(place)


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


def test_without_room_a_file_stays(service: Service, place: Path) -> None:
    """A full disk is nobody's fault: the file waits where it is and is taken later."""
    tone(place / "a.wav")
    watch = Watch(service, Folder(place), TERMS)
    settings = service.kit.settings
    full = settings.serve.model_copy(update={"disk_reserve": 1 << 60})
    service.kit.settings = settings.model_copy(update={"serve": full})
    watch.look()
    assert watch.look() == 1 and names(place) == {"a.wav"}
    service.kit.settings = settings
    assert watch.look() == 0 and len(rows(service)) == 1


def test_names_tell_metadata(service: Service, place: Path) -> None:
    """A pattern reads names; the sidecar has the last word."""
    tone(place / "c1_a7.wav", 1)
    tone(place / "odd.wav", 2)
    (place / "c1_a7.json").write_text('{"agent": "a9"}')
    watch = Watch(service, Folder(place), TERMS, pattern=NamePattern("{call_ref}_{agent}"))
    watch.look(), watch.look()
    (row,) = rows(service)
    assert (row.call_ref, row.agent) == ("c1", "a9")
    assert (place / "failed" / "odd.wav.reason.txt").read_text().startswith("pattern: ")


def test_a_thread_looks_until_it_is_stopped(service: Service, place: Path) -> None:
    """`serve` takes files by itself, and a place that is gone for a while does not end it."""
    watch = Watch(service, Folder(place), TERMS)
    for end in ("done", "failed"):
        (place / end).rmdir()
    place.rmdir()
    with Watcher([watch], 0.05):
        time.sleep(0.2)
        for folder in (place, place / "done", place / "failed"):
            folder.mkdir()
        tone(place / "a.wav")
        _until(lambda: watch.taken == 1, 200)
    assert len(rows(service)) == 1


def _until(true: Callable[[], bool], looks: int) -> None:
    for _ in range(looks):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come true")


def test_the_command_ends_when_all_was_taken(place: Path, tmp_path: Path) -> None:
    """`watch --once` suits a timer: it takes what lies there and says how many."""
    tone(place / "c1_a7.wav", 1)
    (place / "c2_a8.wav").write_text("no sound")
    done = run(
        "--data", tmp_path / "data", "watch", place, "--every", "0.2", "--once",
        "--pattern", "{call_ref}_{agent}",
    )  # fmt: skip
    assert done.returncode == 3 and "1 taken, 1 failed" in done.stderr, done.stderr
    assert names(place / "done") == {"c1_a7.wav"}


def test_a_place_that_is_none_is_said_at_once(tmp_path: Path) -> None:
    """A missing folder or another kind of URL ends the command before it begins."""
    settings = load_settings(None, data=tmp_path)
    for name in (str(tmp_path / "none"), "ftp://host/x", str(tone(tmp_path / "file"))):
        with pytest.raises(Misconfigured) as error:
            open_place(name, settings)
        assert error.value.code == "watch_folder"


@given(st.text(min_size=1, max_size=30), st.integers(1, 9))
def test_numbered_names_keep_their_ending(name: str, number: int) -> None:
    """A second recording of a name is another name, and both are recordings or neither is."""
    again = numbered(name, number)
    assert (again == name) == (number == 1)
    assert len({numbered(name, n) for n in range(1, 9)}) == 8
    assert sidecars(name)[0] == f"{name}.json" and not counts(f"{name}.json")


def test_a_bucket_is_a_place_like_a_folder(
    service: Service, tmp_path: Path, bucket: Bucket
) -> None:
    """Objects below a prefix are taken once and moved to done or failed, with a reason."""
    store = open_blobs(tmp_path, bucket)
    data = tone(tmp_path / "a.wav", 1).read_bytes()
    obstore.put(store, "a.wav", data)
    obstore.put(store, "a.json", b'{"queue": "billing"}')
    obstore.put(store, "copy.wav", data)
    obstore.put(store, "memo.wav", b"Dear Mrs Invented")
    obstore.put(store, "deeper/b.wav", tone(tmp_path / "b.wav", 2).read_bytes())
    obstore.put(store, "c.wav.part", b"x")
    watch = Watch(service, BucketPlace(store, bucket.url), TERMS)
    assert watch.look() == 3
    assert watch.look() == 0
    (row,) = rows(service)
    assert row.queue == "billing"
    there = {m["path"] for batch in obstore.list(store) for m in batch}
    assert there == {
        "done/a.wav", "done/a.wav.json", "done/copy.wav", "done/copy.wav.reason.txt",
        "failed/memo.wav", "failed/memo.wav.reason.txt", "deeper/b.wav", "c.wav.part",
    }  # fmt: skip
    reason = bytes(obstore.get(store, "failed/memo.wav.reason.txt").bytes())
    assert reason.startswith(b"unsupported_audio: ") and b"Mrs" not in reason
