"""Master keys: in the folder or by reference, changed without touching a blob, killed or not."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.config import load_settings
from voice_pipeline.errors import Misconfigured, Permanent
from voice_pipeline.opening import open_store
from voice_pipeline.store import Store
from voice_pipeline.store.keys import GivenKeys, HeldKey, KeyRing, new_key, parse_key
from voice_pipeline.store.rotation import KeyUse, key_status, retire, rotate
from voice_pipeline.store.tables import calls

KEYS = st.binary(min_size=32, max_size=32)


def states(store: Store) -> list[tuple[str, int]]:
    return [(use.state, use.calls) for use in key_status(store)]


def seal_as_before_ids(store: Store, call: str) -> None:
    """Wrap a call's key in the form that released data folders have."""
    key, nonce = store._key_of(call), os.urandom(12)
    master = AESGCM((store.root / "master.key").read_bytes())
    old = nonce + master.encrypt(nonce, key, call.encode())
    with store.database.begin() as db:
        db.execute(calls.update().where(calls.c.call == call).values(wrapped_key=old))


@given(KEYS, KEYS, st.text(min_size=1, max_size=20), st.integers(0, 71))
def test_a_wrapped_key_opens_for_its_call_and_master_key_alone(
    master: bytes, other: bytes, call: str, at: int
) -> None:
    """One bit changed, another call or another key: refused, never another key."""
    key = new_key()
    ring = KeyRing(GivenKeys([master]))
    wrapped = ring.wrap(call, key)
    assert ring.unwrap(call, wrapped) == key
    harmed = bytearray(wrapped)
    harmed[at] ^= 1
    for keys, name, sealed in (
        (ring, call, bytes(harmed)),
        (ring, call + "x", wrapped),
        (KeyRing(GivenKeys([other])), call, wrapped),
    ):
        if keys is not ring and other == master:
            continue
        with pytest.raises(Permanent) as refused:
            keys.unwrap(name, sealed)
        assert refused.value.code == "wrong_master_key"


@given(KEYS)
def test_a_key_is_read_in_hex_and_base64(key: bytes) -> None:
    """As `openssl rand -hex 32` and `-base64 32` print it."""
    assert parse_key(key.hex(), "k") == parse_key(base64.b64encode(key).decode(), "k") == key


@pytest.mark.parametrize("text", ["", "short", "0" * 63, "g" * 64, base64.b64encode(b"x").decode()])
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    """A cut or mistyped key stops the start; the message does not show it."""
    with pytest.raises(Misconfigured) as refused:
        parse_key(text, "master_key")
    assert refused.value.code == "key_form"
    assert not text or text not in str(refused.value)


def test_rotation_leaves_every_call_readable(tmp_path: Path, database: str | None) -> None:
    """A new master key, all calls wrapped anew, blobs untouched, erased calls still erased."""
    store = Store(tmp_path, database=database)
    refs = []
    for number in range(23):
        store.open_call(f"c{number}")
        refs.append(store.shelf.put(f"c{number}", "CaseNote", b"note %d" % number))
    for number in (3, 4):
        seal_as_before_ids(store, f"c{number}")
    store.open_call("erased")
    with store.database.begin() as db:
        db.execute(calls.update().where(calls.c.call == "erased").values(wrapped_key=None))
    blobs = {p: p.read_bytes() for p in (tmp_path / "blobs").rglob("*") if p.is_file()}
    before = (tmp_path / "master.key").read_bytes()
    assert states(store) == [("current", 21), ("unnamed", 2)]

    done = rotate(store, batch=5)
    assert (done.renewed, done.wrapped, done.closed) == (True, 23, 0)
    assert states(store) == [("current", 23), ("former", 0)]
    assert (tmp_path / "master.key").read_bytes() != before
    assert {p: p.read_bytes() for p in blobs} == blobs
    fresh = Store(tmp_path, database=database)
    for opened in (store, fresh):
        assert [opened.shelf.get(ref) for ref in refs] == [b"note %d" % n for n in range(23)]
    with pytest.raises(Permanent, match="erased"):
        fresh.hash_key("erased")

    assert retire(fresh) == [HeldKey(before).id.hex()]
    assert states(fresh) == [("current", 23)]
    assert before not in {path.read_bytes() for path in tmp_path.glob("*.key")}
    fresh.close()
    store.close()


def test_a_server_that_runs_meanwhile_uses_the_new_key(tmp_path: Path) -> None:
    """Who had the folder open before a rotation opens what others sealed, and seals as they do."""
    server = Store(tmp_path)
    server.open_call("before")
    other = Store(tmp_path)
    rotate(other)
    other.open_call("after")
    server.open_call("mine")
    ref = server.shelf.put("after", "CaseNote", b"x")
    assert other.shelf.get(ref) == b"x"
    assert states(other) == [("current", 3), ("former", 0)]
    server.close()
    other.close()


def test_calls_that_come_in_during_rotations_are_never_lost(tmp_path: Path) -> None:
    """Rotate and retire again and again while another process's calls arrive: all open."""
    writer, keeper = Store(tmp_path), Store(tmp_path)
    ended = threading.Event()

    def receive() -> None:
        for number in range(150):
            writer.open_call(f"c{number}")
        ended.set()

    thread = threading.Thread(target=receive)
    thread.start()
    while not ended.is_set():
        rotate(keeper, batch=7)
        retire(keeper)
    thread.join()
    fresh = Store(tmp_path)
    assert len([fresh.hash_key(call) for call in fresh.list_calls()]) == 150
    for store in (writer, keeper, fresh):
        store.close()


def test_a_key_that_calls_need_is_not_retired(tmp_path: Path) -> None:
    """Also not when the rotation that would free it was cut off."""
    store = Store(tmp_path)
    store.open_call("c")
    store.keys.source.renew()  # type: ignore[attr-defined]
    assert states(store) == [("current", 0), ("former", 1)]
    assert retire(store) == []
    assert rotate(store).renewed is False
    assert len(retire(store)) == 1
    store.close()


def test_an_erasure_during_a_rotation_stays(tmp_path: Path) -> None:
    """A call whose key was destroyed between reading and writing it does not get it back."""
    store = Store(tmp_path)
    for call in ("a", "b", "c"):
        store.open_call(call)

    def erase_next(wrapped: int) -> None:
        if wrapped == 1:
            with store.database.begin() as db:
                db.execute(calls.update().where(calls.c.call == "b").values(wrapped_key=None))

    rotate(store, batch=1, progress=erase_next)
    with store.database.connect() as db:
        key = db.scalar(sa.select(calls.c.wrapped_key).where(calls.c.call == "b"))
    assert key is None
    store.close()


def test_a_call_that_no_key_opens_is_left_and_told(tmp_path: Path) -> None:
    """Rotation neither stops at it nor touches it: the right key may still be found."""
    store = Store(tmp_path)
    store.open_call("ours")
    store.open_call("theirs")
    lost = HeldKey(new_key())
    with store.database.begin() as db:
        db.execute(
            calls.update()
            .where(calls.c.call == "theirs")
            .values(wrapped_key=lost.wrap("theirs", new_key()))
        )
    done = rotate(store)
    assert (done.wrapped, done.closed) == (1, 1)
    assert KeyUse(lost.id.hex(), "missing", 1) in key_status(store)
    store.close()


def command(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voice_pipeline", "--data", str(folder), *words],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **env},
    )  # fmt: skip


@pytest.mark.slow
def test_a_rotation_that_is_killed_is_finished_by_the_next(
    tmp_path: Path, database: str | None
) -> None:
    """SIGKILL in the middle, three times: every call opens all the time; one new key, not four."""
    store = Store(tmp_path, database=database)
    names = [f"c{number:04}" for number in range(800)]
    for name in names:
        store.open_call(name)
    keys = {name: store._key_of(name) for name in names}
    env = {"VOICE_PIPELINE_DATABASE": database} if database else {}
    rotating = [sys.executable, "-m", "voice_pipeline", "--data", str(tmp_path),
                "master-key", "rotate", "--batch", "3"]  # fmt: skip
    reached = 0
    for _ in range(3):
        process = subprocess.Popen(rotating, env={**os.environ, **env}, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            now = dict(states(store))
            if "former" in now and now["current"] > reached + 30:
                break
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        now = dict(states(store))
        assert 0 < now["former"] < 800, "the kill must come in the middle"
        assert now["current"] > reached
        reached = now["current"]
        half = Store(tmp_path, database=database)
        assert all(half._key_of(name) == keys[name] for name in names)
        half.close()
    done = command(tmp_path, "master-key", "rotate", **env)
    assert done.returncode == 0, done.stderr
    assert states(store) == [("current", 800), ("former", 0)]
    store.close()


def test_keys_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment or a file; rotation is the new one first, the old one beside it."""
    old, new = new_key(), new_key()
    monkeypatch.setenv("OLD_KEY", old.hex())
    (tmp_path / "new").write_text(base64.b64encode(new).decode() + "\n")
    data, new_ref = tmp_path / "data", f"file:{tmp_path / 'new'}"
    store = open_store(load_settings(data=data, master_key="env:OLD_KEY"))
    store.open_call("c")
    ref = store.shelf.put("c", "CaseNote", b"x")
    with pytest.raises(Misconfigured) as nothing:
        rotate(store)
    assert nothing.value.code == "no_new_key"
    store.close()
    assert not (data / "master.key").exists()

    both = open_store(
        load_settings(data=data, master_key=new_ref, other_master_keys=["env:OLD_KEY"])
    )
    done = rotate(both)
    assert (done.wrapped, done.renewed) == (1, False)
    both.close()
    alone = open_store(load_settings(data=data, master_key=new_ref))
    assert alone.shelf.get(ref) == b"x"
    alone.close()


def test_a_missing_master_key_is_not_made_anew(tmp_path: Path) -> None:
    """A restore that forgot the key says so, instead of sealing new calls under another one."""
    store = Store(tmp_path)
    store.open_call("c")
    store.close()
    (tmp_path / "master.key").rename(tmp_path / "away")
    with pytest.raises(Misconfigured) as refused:
        Store(tmp_path)
    assert refused.value.code == "key_missing"
    assert not (tmp_path / "master.key").exists()


def test_a_key_itself_is_no_setting(tmp_path: Path) -> None:
    """Settings say where a key stands; one that is written into them is refused, not repeated."""
    with pytest.raises(Misconfigured) as refused:
        load_settings(data=tmp_path, master_key="ab" * 32)
    assert "abab" not in str(refused.value)


def test_the_commands(tmp_path: Path) -> None:
    """Status, rotate, retire, as an operator types them."""
    store = Store(tmp_path)
    store.open_call("c")
    store.close()
    assert "current   1 calls" in command(tmp_path, "master-key", "status").stdout
    assert "1 calls wrapped anew" in command(tmp_path, "master-key", "rotate").stdout
    assert "destroyed" in command(tmp_path, "master-key", "retire").stdout
