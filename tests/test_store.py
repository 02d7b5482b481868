"""The store: sealed, exact, one key a call, safe for two processes."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from command import CARD_DISPUTE, only_folder, run
from hypothesis import given, settings
from hypothesis import strategies as st
from s3 import objects

from voice_pipeline.errors import Misconfigured, Permanent
from voice_pipeline.store import Store, tables
from voice_pipeline.store.blobs import Bucket
from voice_pipeline.store.database import migrate
from voice_pipeline.store.keys import new_key
from voice_pipeline.store.sealing import CHUNK, HEADER, TAG, Opened, Sealer

KEY = bytes(range(32))


def sealed(plain: bytes, key: bytes = KEY, name: str = "call/Audio") -> bytes:
    sink = io.BytesIO()
    sealer = Sealer(sink, key, name)
    sealer.write(plain)
    sealer.close()
    return sink.getvalue()


def opened(blob: bytes, key: bytes = KEY, name: str = "call/Audio") -> io.BufferedReader:
    return io.BufferedReader(Opened(lambda a, n: blob[a : a + n], len(blob), key, name))


@settings(max_examples=25, deadline=None)
@given(size=st.sampled_from([0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7]))
def test_what_is_sealed_is_read_back_exactly(size: int) -> None:
    """Any length comes back byte for byte, also at the borders of chunks."""
    plain = os.urandom(size)
    assert opened(sealed(plain)).read() == plain


def test_a_sealed_blob_can_be_read_from_any_place() -> None:
    """Audio libraries seek; every offset gives the same bytes as the plain file."""
    plain = os.urandom(2 * CHUNK + 500)
    file = opened(sealed(plain))
    for at in (0, 5, CHUNK - 3, CHUNK, 2 * CHUNK + 499):
        file.seek(at)
        assert file.read(10) == plain[at : at + 10]
    assert file.seek(0, io.SEEK_END) == len(plain)


def test_no_plain_byte_is_in_the_blob() -> None:
    """Sealed means sealed: the words of a call cannot be found in its blob."""
    assert b"four one one one" not in sealed(b"my card is four one one one" * 1000)


@pytest.mark.parametrize("harm", ["flip", "cut", "drop_chunk", "swap_chunks", "other_name", "key"])
def test_a_changed_blob_is_refused(harm: str) -> None:
    """Changed, cut, reordered, renamed or opened with another key: never read as whole."""
    blob = bytearray(sealed(os.urandom(3 * CHUNK)))
    key, name, chunk = KEY, "call/Audio", CHUNK + TAG
    first = HEADER.size
    if harm == "flip":
        blob[first + 10] ^= 1
    elif harm == "cut":
        del blob[-20:]
    elif harm == "drop_chunk":
        del blob[first + 2 * chunk :]
    elif harm == "swap_chunks":
        one = bytes(blob[first : first + chunk])
        blob[first : first + chunk] = blob[first + chunk : first + 2 * chunk]
        blob[first + chunk : first + 2 * chunk] = one
    elif harm == "other_name":
        name = "call/Note"
    else:
        key = bytes(32)
    with pytest.raises(Permanent) as raised:
        opened(bytes(blob), key, name).read()
    assert raised.value.code == "damaged_blob"


def test_a_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    """The master key can be read by nobody else."""
    Store(tmp_path / "data").close()
    mode = (tmp_path / "data" / "master.key").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_nothing_is_kept_of_a_write_that_fails(tmp_path: Path, database: str | None) -> None:
    """An error in the middle of a blob leaves no blob and no part of one."""
    store = Store(tmp_path, database=database)
    store.open_call("c")
    with pytest.raises(RuntimeError), store.shelf.create("c", "Audio") as writer:
        writer.write(b"x" * 3_000_000)
        raise RuntimeError
    assert [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == []


def test_another_master_key_opens_nothing(tmp_path: Path, database: str | None) -> None:
    """A data folder without its own key says so instead of returning noise."""
    store = Store(tmp_path, database=database)
    store.open_call("c")
    ref = store.shelf.put("c", "CaseNote", b"{}")
    store.close()
    (tmp_path / "master.key").write_bytes(new_key())
    other = Store(tmp_path, database=database)
    with pytest.raises(Permanent) as raised:
        other.shelf.get(ref)
    assert raised.value.code == "wrong_master_key"


def test_forgetting_twice_is_fine_and_the_row_stays(tmp_path: Path, database: str | None) -> None:
    """A record whose life ended is gone, its name is still known, and repeating changes nothing."""
    store = Store(tmp_path, database=database)
    store.open_call("c")
    ref = store.shelf.put("c", "Heard", b"raw")
    store.keep_result("transcribe", "k", ref, 1.0)
    store.forget([ref])
    store.forget([ref])
    assert not store.shelf.has(ref)
    assert store.result("c", "transcribe", "k") == ref
    store.invalidate(ref)
    assert store.result("c", "transcribe", "k") is None


def test_old_raw_audio_is_purged_and_the_rest_stays(tmp_path: Path, database: str | None) -> None:
    """Retention destroys recordings, not what was made of them."""
    store = Store(tmp_path, database=database)
    store.open_call("c")
    sound, note = store.shelf.put("c", "Audio", b"RIFF"), store.shelf.put("c", "CaseNote", b"{}")
    assert store.purge_raw_audio(before=0.0) == 0
    assert store.purge_raw_audio(before=9e12) == 1
    assert not store.shelf.has(sound)
    assert store.shelf.has(note)


def not_the_index(_thing: Any, name: str | None, kind: str, *_: Any) -> bool:
    """Leave out the search index: each database has tables of its own kind for it."""
    return not (kind in ("table", "index") and (name or "").startswith("call_texts"))


def test_the_schema_is_what_the_tables_say(tmp_path: Path, database: str | None) -> None:
    """Migrations and tables cannot drift apart: upgrade from nothing gives exactly the tables."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from voice_pipeline.store.tables import metadata

    store = Store(tmp_path, database=database)
    with store.database.connect() as db:
        context = MigrationContext.configure(db, opts={"include_object": not_the_index})
        assert compare_metadata(context, metadata) == []
    migrate(store.database)  # again: nothing to do
    assert sa.inspect(store.database).has_table("alembic_version")


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    """A file where the data folder should be is a message, not a traceback."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(Misconfigured) as raised:
        Store(tmp_path / "file" / "data")
    assert raised.value.code == "data_folder"


def test_two_first_launches_on_one_folder(tmp_path: Path, database: str | None) -> None:
    """Two processes that open a new folder at once both succeed, with the same key."""
    code = (
        "import sys; from pathlib import Path; from voice_pipeline.store import Store;"
        "s = Store(Path(sys.argv[1]), database=sys.argv[2] or None);"
        "s.open_call('c'); s.close()"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "d"), database or ""],
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert Store(tmp_path / "d", database=database).list_calls() == ["c"]


def test_the_probe_and_the_signing_key(tmp_path: Path, database: str | None) -> None:
    """A store that answers says so; logs are signed by the key that was given, else by its own."""
    given, store = new_key(), Store(tmp_path, database=database)
    store.check()
    own = store.signing_seed()
    assert own == (tmp_path / "signing.key").read_bytes()
    store.close()
    other = Store(tmp_path, database=database, signing_key=given)
    assert other.signing_seed() == given
    other.close()


@pytest.mark.slow
def test_process_with_database_and_bucket(
    tmp_path: Path, postgres_database: str, bucket: Bucket
) -> None:
    """A whole call with its list on PostgreSQL, its blobs in a bucket and its keys by reference:
    the results are those of a data folder, and neither list, blob nor key lies in the folder."""
    settings = tmp_path / "settings.toml"
    for name in ("master", "signing"):
        (tmp_path / name).write_text(new_key().hex())
    (tmp_path / "invented").write_text("invented")
    settings.write_text(
        f'database = "{postgres_database}"\n'
        f'master_key = "file:{tmp_path}/master"\nsigning_key = "file:{tmp_path}/signing"\n'
        f'[blobs]\nurl = "{bucket.url}"\nendpoint = "{bucket.endpoint}"\nregion = "us-east-1"\n'
        f'access_key = "file:{tmp_path}/invented"\nsecret_key = "file:{tmp_path}/invented"\n'
    )
    words = ("process", CARD_DISPUTE, "--transcriber", "scripted:create", "--out")
    there = run("--config", settings, "--data", tmp_path / "data", *words, tmp_path / "there")
    here = run(*words, tmp_path / "here")
    assert (there.returncode, there.stderr, here.returncode) == (0, "", 0)
    for name in ("note.json", "transcript.json", "audio.redacted.flac"):
        one, other = (only_folder(tmp_path / place) / name for place in ("there", "here"))
        assert one.read_bytes() == other.read_bytes(), name
    listed = run("--config", settings, "--data", tmp_path / "data", "calls", "list")
    assert only_folder(tmp_path / "there").name in listed.stdout
    left = {path.name for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert not left & {"calls.db", "master.key", "signing.key"}
    assert not [p for p in (tmp_path / "data/blobs").rglob("*") if p.is_file()]
    assert len(objects(bucket)) > 5


def test_what_still_waits_keeps_its_recording(tmp_path: Path, database: str | None) -> None:
    """An acknowledged call that waits longer than raw audio is kept loses nothing; others do."""
    store = Store(tmp_path, database=database)
    for call, status, plan in (("waits", "received", "p"), ("ended", "done", "p")):
        store.open_call(call)
        store.shelf.put(call, "Audio", b"RIFF")
        with store.database.begin() as db:
            db.execute(
                tables.calls.update()
                .where(tables.calls.c.call == call)
                .values(status=status, plan=plan, received_at=1.0)
            )
    assert store.purge_raw_audio(time.time()) == 1
    assert store.purge_raw_audio(time.time()) == 0
    with store.database.begin() as db:
        db.execute(tables.calls.update().values(status="done"))
    assert store.purge_raw_audio(time.time()) == 1
    store.close()
