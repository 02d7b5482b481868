"""Blobs in a folder and in a bucket: the same contract, and what each does when it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from s3 import client, objects

from voice_pipeline.config import load_settings
from voice_pipeline.domain import Ref
from voice_pipeline.errors import Misconfigured, Permanent, Retryable
from voice_pipeline.opening import open_store
from voice_pipeline.store import DAY, Store
from voice_pipeline.store.blobs import Bucket, open_blobs
from voice_pipeline.store.keys import new_key
from voice_pipeline.store.shelf import SMALL

BIG = SMALL + 3_000_000  # bytes: goes through a working name


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store of each kind, with the call `c` in it."""
    bucket = request.getfixturevalue("bucket") if request.param == "bucket" else None
    made = Store(tmp_path / "data", bucket=bucket)
    made.open_call("c")
    yield made
    made.close()


def kept(store: Store, bucket: Bucket | None = None) -> list[str]:
    if bucket is not None:
        return [key.removeprefix("kept/here/") for key in objects(bucket)]
    root = store.root / "blobs"
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


@pytest.mark.parametrize("size", [0, 1, 100_000, SMALL - 100, SMALL, BIG, 3 * SMALL + 1])
def test_what_is_kept_is_read_back(store: Store, size: int) -> None:
    """Any size, in one piece or in parts, whole and from any place."""
    data = os.urandom(size)
    ref = store.shelf.put("c", "Audio", data)
    assert store.shelf.has(ref)
    assert store.shelf.get(ref) == data
    with store.shelf.open(ref) as file:
        for at in (size // 2, 0, max(0, size - 7)):
            file.seek(at)
            assert file.read(5) == data[at : at + 5]
    assert store.shelf.put("c", "Audio", data) == ref  # again: the same, and nothing is left over
    assert store.shelf.get(ref) == data


def test_a_blob_goes_and_stays_gone(store: Store) -> None:
    """Deleted by name or by kind; twice is fine; what is gone says so."""
    note, sounds = store.shelf.put("c", "CaseNote", b"n"), [
        store.shelf.put("c", "Audio", os.urandom(size)) for size in (10, BIG)
    ]  # fmt: skip
    assert store.shelf.delete_kind("c", "Audio") == 2
    assert store.shelf.delete_kind("c", "Audio") == 0
    assert not any(map(store.shelf.has, sounds))
    store.shelf.delete(note)
    store.shelf.delete(note)
    with pytest.raises(Permanent) as gone:
        store.shelf.get(note)
    assert gone.value.code == "erased"


@pytest.mark.parametrize("size", [100, BIG])
def test_a_failed_write_leaves_nothing(store: Store, size: int) -> None:
    """An error in the middle of a recording is no half recording."""
    with pytest.raises(RuntimeError), store.shelf.create("c", "Audio") as writer:
        writer.write(os.urandom(size))
        raise RuntimeError
    assert store.shelf.delete_kind("c", "Audio") == 0
    assert store.shelf.sweep(time.time() + DAY) == 0


@pytest.mark.parametrize("size", [100, BIG])
def test_a_kept_blob_is_not_written_again(store: Store, size: int) -> None:
    """Write once: the same record handed in again leaves the sealed bytes as they were."""
    data = os.urandom(size)
    ref = store.shelf.put("c", "Audio", data)
    path = f"c/Audio-{ref.sha256}"
    before = bytes(store.shelf._blobs.get(path).bytes())  # type: ignore[attr-defined]
    store.shelf.put("c", "Audio", data)
    assert bytes(store.shelf._blobs.get(path).bytes()) == before  # type: ignore[attr-defined]
    assert store.shelf.sweep(time.time() + DAY) == 0


@pytest.mark.parametrize("size", [100, BIG])
@pytest.mark.parametrize("left", [b"", b"cut off", None], ids=["empty", "cut", "other key"])
def test_a_blob_that_does_not_open_is_replaced(
    store: Store, size: int, left: bytes | None, tmp_path: Path
) -> None:
    """What a restore or a full disk left under a name does not stop the call for ever."""
    data = os.urandom(size)
    if left is None:  # sealed for the call of a database that was lost
        lost = Store(tmp_path / "lost")
        lost.open_call("c")
        ref = lost.shelf.put("c", "Audio", data)
        left = (tmp_path / "lost/blobs/c" / f"Audio-{ref.sha256}").read_bytes()
        lost.close()
    else:
        ref = store.shelf.put("c", "Audio", data)
    path = f"c/Audio-{ref.sha256}"
    store.shelf._blobs.put(path, left, mode="overwrite")  # type: ignore[attr-defined]
    with pytest.raises(Permanent) as damaged:
        store.shelf.get(ref)
    assert damaged.value.code == "damaged_blob"
    assert store.shelf.put("c", "Audio", data) == ref
    assert store.shelf.get(ref) == data


def test_upkeep_removes_what_killed_writers_left(tmp_path: Path) -> None:
    """A process killed while it writes leaves a part; a day later it is gone, younger ones stay."""
    code = (
        "import sys, time; from pathlib import Path; from voice_pipeline.store import Store\n"
        "store = Store(Path(sys.argv[1])); store.open_call('c')\n"
        "with store.shelf.create('c', 'Audio') as writer:\n"
        "    writer.write(bytes(30_000_000)); print('written', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    store = Store(tmp_path)
    (left,) = kept(store)
    assert left.startswith("parts/c-")
    (tmp_path / "blobs/c").mkdir()
    (tmp_path / "blobs/c/part-of-a-former-release").touch()
    assert store.sweep() == 0
    for path in (tmp_path / "blobs").rglob("*part*"):
        os.utime(path, (0, time.time() - DAY - 60))
    for path in (tmp_path / "blobs/parts").iterdir():
        os.utime(path, (0, time.time() - DAY - 60))
    note = store.shelf.put("c", "CaseNote", b"n")
    assert store.sweep() == 2
    assert store.shelf.get(note) == b"n"
    assert len(kept(store)) == 1
    store.close()


def test_upkeep_of_a_bucket(tmp_path: Path, bucket: Bucket) -> None:
    """The same in a bucket, where a part stays when its writer dies between copy and delete."""
    store = Store(tmp_path, bucket=bucket)
    store.open_call("c")
    note = store.shelf.put("c", "CaseNote", b"n")
    store.shelf._blobs.put("parts/c-left", b"x")  # type: ignore[attr-defined]
    assert store.shelf.sweep(time.time() - DAY) == 0
    assert store.shelf.sweep(time.time() + DAY) == 1
    assert kept(store, bucket) == [f"c/CaseNote-{note.sha256}"]
    store.close()


def test_a_bucket_holds_no_plain_byte_and_the_folder_no_blob(
    tmp_path: Path, bucket: Bucket
) -> None:
    """The server sees sealed bytes under our prefix alone."""
    store = Store(tmp_path, bucket=bucket)
    store.open_call("c")
    store.shelf.put("c", "Audio", b"a telling sentence" * 400_000)
    store.shelf.put("c", "CaseNote", b"a telling sentence")
    assert bucket.endpoint is not None
    server, name = client(bucket.endpoint), bucket.url.split("/")[2]
    keys = objects(bucket)
    assert len(keys) == 2
    for key in keys:
        assert key.startswith("kept/here/c/")
        assert b"telling" not in server.get_object(Bucket=name, Key=key)["Body"].read()
    assert kept(store) == []
    store.close()


def test_the_server_is_told_what_to_check(tmp_path: Path) -> None:
    """A small blob comes with its sha256, and with the wish that a taken key stays as it is."""
    told: list[Message] = []

    class Server(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            told.append(self.headers)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("ETag", '"x"')
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        store = Store(tmp_path, bucket=Bucket("s3://b", place, "us-east-1", "invented", "invented"))
        store.open_call("c")
        store.shelf.put("c", "CaseNote", b"n")
        server.shutdown()
    assert (told[0]["if-none-match"], len(told[0]["x-amz-checksum-sha256"])) == ("*", 44)
    store.close()


def test_a_storage_fault_is_to_be_tried_again(tmp_path: Path) -> None:
    """A server that does not answer, or a bucket that is not there, fails no call for good."""
    ref = Ref("c", "CaseNote", "0" * 64)
    away = Bucket("s3://calls", "http://127.0.0.1:1", "us-east-1", "invented", "invented")
    store = Store(tmp_path, bucket=away)
    store.open_call("c")
    for action in (
        lambda: store.shelf.put("c", "CaseNote", b"n"),
        lambda: store.shelf.get(ref),
        lambda: store.shelf.has(ref),
        lambda: store.shelf.delete_kind("c", "Audio"),
        store.check,
    ):
        with pytest.raises(Retryable) as fault:
            action()
        assert fault.value.code == "storage"
    store.close()


def test_a_bucket_that_is_not_there_is_told_by_the_probe(tmp_path: Path, bucket: Bucket) -> None:
    """Readiness asks the bucket, so that a wrong name shows before the first call."""
    Store(tmp_path / "right", bucket=bucket).check()
    wrong = Store(tmp_path / "wrong", bucket=Bucket("s3://none", *_rest(bucket)))
    with pytest.raises(Retryable):
        wrong.check()


def test_a_full_disk_is_to_be_tried_again(tmp_path: Path) -> None:
    """A folder that takes no more says so as a passing fault, and keeps no part."""
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from voice_pipeline.errors import Retryable; from voice_pipeline.store import Store\n"
        "store = Store(Path(sys.argv[1])); store.open_call('c')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6_000_000, 6_000_000))\n"
        "try:\n    store.shelf.put('c', 'Audio', bytes(30_000_000))\n"
        "except Retryable as fault:\n    print(fault.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "storage\n", done.stderr
    assert [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == []


@pytest.mark.parametrize(
    "url", ["", "bucket", "http://bucket", "s3://", "s3:///prefix", "s3://b?x"]
)
def test_what_is_no_bucket_is_refused(tmp_path: Path, url: str) -> None:
    """At the start, not at the first call."""
    with pytest.raises(Misconfigured) as refused:
        open_blobs(tmp_path, Bucket(url))
    assert refused.value.code == "blobs_url"


def test_half_a_credential_is_refused(tmp_path: Path) -> None:
    """A key without its secret would fall back to whatever the machine has."""
    with pytest.raises(Misconfigured):
        open_blobs(tmp_path, Bucket("s3://b", access_key="a"))


def test_the_bucket_of_the_settings(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A settings file names the bucket and where its credentials stand."""
    monkeypatch.setenv("S3_KEY", "invented")
    (tmp_path / "secret").write_text("invented\n")
    (tmp_path / "settings.toml").write_text(
        f'data = "{tmp_path / "data"}"\n[blobs]\nurl = "{bucket.url}"\n'
        f'endpoint = "{bucket.endpoint}"\nregion = "us-east-1"\n'
        f'access_key = "env:S3_KEY"\nsecret_key = "file:{tmp_path / "secret"}"\n'
    )
    store = open_store(load_settings(tmp_path / "settings.toml"))
    store.open_call("c")
    ref = store.shelf.put("c", "CaseNote", new_key())
    assert objects(bucket) == [f"kept/here/c/CaseNote-{ref.sha256}"]
    store.close()


def _rest(bucket: Bucket) -> tuple[str | None, ...]:
    return bucket.endpoint, bucket.region, bucket.access_key, bucket.secret_key
