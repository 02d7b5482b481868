"""Where calls are kept: rows in a database, bytes in sealed blobs, one key a call.

Decides nothing about content: it moves sealed bytes by kind and never names a raw type. Refuses
to keep anything unsealed and to return what was changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from redaction.hashes import HashKey
from voice_pipeline.domain import Ref
from voice_pipeline.errors import Misconfigured, Permanent
from voice_pipeline.store import memos, tallies
from voice_pipeline.store.backlog import Backlog
from voice_pipeline.store.blobs import Bucket, open_blobs
from voice_pipeline.store.database import (
    add_new,
    deciding,
    migrate,
    open_database,
    retry_on_faults,
    single,
)
from voice_pipeline.store.decisions import Decisions
from voice_pipeline.store.erasure import Eraser
from voice_pipeline.store.holds import Holds
from voice_pipeline.store.kept import check_kept, erased
from voice_pipeline.store.keys import (
    MASTER_KEY,
    SIGNING_KEY,
    FolderKeys,
    GivenKeys,
    KeyRing,
    new_key,
    read_key,
    write_key,
)
from voice_pipeline.store.outbox import Outbox
from voice_pipeline.store.register import Register
from voice_pipeline.store.shelf import BlobShelf
from voice_pipeline.store.tables import (
    calls,
    idempotency,
    plans,
    progress,
    results,
)

AT_ONCE = 1000  # calls that one round of upkeep erases
DAY = 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class StageProgress:
    stage: str
    share: float  # 0..1
    seconds: float | None  # set when done


class Store:
    """One data folder, and the database beside it. Safe for several processes at once."""

    def __init__(
        self,
        root: Path,
        *,
        database: str | None = None,
        bucket: Bucket | None = None,
        master_keys: Sequence[bytes] = (),
        signing_key: bytes | None = None,
    ) -> None:
        """Open or create a data folder.

        Args:
            root: the folder.
            database: URL of a PostgreSQL database; None: SQLite in the folder.
            bucket: where blobs lie; None: in the folder.
            master_keys: each 32 bytes, the one that wraps first; none: kept in the folder.
            signing_key: 32 bytes that sign redaction logs; None: kept in the folder.

        Raises:
            Misconfigured: the folder cannot be made or written, the database does not answer, its
                schema is of a newer release, or calls are there and their master key is not.
        """
        self.root = root
        try:
            (root / "blobs").mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.setup_lock():
                self.database = open_database(database, root / "calls.db")
                migrate(self.database)
                self.keys = KeyRing(
                    GivenKeys(master_keys) if master_keys else self._own_master_key()
                )
                self._signing = signing_key or _own_key(root / SIGNING_KEY)
        except (OSError, sa.exc.DBAPIError) as error:
            if database is not None and isinstance(error, sa.exc.DBAPIError):
                raise Misconfigured(
                    "the database of the setting `database` does not answer, or does not let us "
                    f"in or make tables ({type(error.orig).__name__}); is the URL right?",
                    code="database",
                ) from None  # the driver's message names host and user
            raise Misconfigured(
                f"{root}: the data folder cannot be used ({type(error).__name__}); "
                "name a folder you may write to with --data",
                code="data_folder",
            ) from error
        retry_on_faults(self.database)
        self._single = single(self.database)
        self._url = database
        self.register = Register(self.database)
        self.backlog = Backlog(self.database)
        self._keys: dict[str, bytes] = {}
        self._aged: set[tuple[str, float]] = set()  # call, received_at: raw audio is gone
        self.shelf = BlobShelf(open_blobs(root / "blobs", bucket), self._key_of, self.check_kept)
        self.holds = Holds(self.database)
        self.outbox = Outbox(self.database)
        self.decisions = Decisions(self.database, self.register, self.outbox)
        self.eraser = Eraser(self.database, self.shelf, self.register, self.holds, root)
        self.eraser.again()  # a restored backup may know calls that were erased since

    def _own_master_key(self) -> FolderKeys:
        """Return the folder's keys; one is made for a new store, never for calls that have one."""
        if not (self.root / MASTER_KEY).exists():
            with self.database.connect() as db:
                sealed = sa.select(calls.c.call).where(calls.c.wrapped_key.is_not(None)).limit(1)
                if db.scalar(sealed) is not None:
                    raise Misconfigured(
                        f"{self.root}: the calls' {MASTER_KEY} is not here; restore it, or name "
                        "the key with the setting `master_key`",
                        code="key_missing",
                    )
        _own_key(self.root / MASTER_KEY)
        return FolderKeys(self.root)

    @contextmanager
    def setup_lock(self) -> Iterator[None]:
        """Serialize set-up between processes: two first launches on one folder are common."""
        with (self.root / "setup.lock").open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield

    def engine_database(self) -> sa.Engine:
        """Open the durable engine's own database: the same server, or a file beside ours."""
        return open_database(self._url, self.root / "engine.db")

    def close(self) -> None:
        self.database.dispose()

    def check(self) -> None:
        """Ask whether database and blobs answer: for probes.

        Raises:
            Retryable: one of them does not (code `storage`).
        """
        with self.database.connect() as db:
            db.execute(sa.select(1))
        self.shelf.check()

    def sweep(self) -> int:
        """Remove what killed processes left half-written a day ago or earlier; return how many."""
        return self.shelf.sweep(time.time() - DAY)

    # ------------------------------------------------------------ calls and their keys

    def open_call(self, call: str) -> None:
        """Make a call's row and data key; a call that exists keeps its own."""
        # Under this lock: else the master key may change, and be retired, before the row is there.
        with deciding(self.database, MASTER_KEY) as db:
            row = {
                "call": call,
                "wrapped_key": self.keys.wrap(call, new_key()),
                "received_at": time.time(),
            }
            add_new(db, calls, row)

    def drop_call(self, call: str) -> None:
        """Destroy a call that was never acknowledged: its bytes, its key and its row."""
        self.shelf.delete_call(call)
        self._keys.pop(call, None)
        with self.database.begin() as db:
            db.execute(calls.delete().where(calls.c.call == call))

    def set_received(self, ref: Ref[Any]) -> None:
        with self.database.begin() as db:
            db.execute(
                calls.update()
                .where(calls.c.call == ref.call, calls.c.wrapped_key.is_not(None))
                .values(received_sha256=ref.sha256, received_at=time.time())
            )

    def received(self, call: str) -> Ref[Any] | None:
        """Return what was handed in as this call, if it was."""
        with self.database.connect() as db:
            sha = db.scalar(sa.select(calls.c.received_sha256).where(calls.c.call == call))
        return Ref(call, "Received", sha) if sha else None

    def list_calls(self) -> list[str]:
        with self.database.connect() as db:
            return list(db.scalars(sa.select(calls.c.call).order_by(calls.c.received_at)))

    def purge_raw_audio(self, before: float) -> int:
        """Destroy the raw audio of calls received before `before` (seconds since the epoch).

        With it goes a transcript that was handed in, should its call never have ended. Calls under
        legal hold keep theirs, and so do those that still wait for their turn: they were
        acknowledged, and nothing else is left of them.
        """
        waiting = (calls.c.status == "received") & calls.c.plan.is_not(None)
        aged = (calls.c.received_at < before) & calls.c.wrapped_key.is_not(None) & ~waiting
        with self.database.connect() as db:
            held = self.holds.calls(db)
            found = db.execute(sa.select(calls.c.call, calls.c.received_at).where(aged)).all()
        old = {(call, at) for call, at in found if call not in held} - self._aged
        count = 0
        for call, _ in sorted(old):
            self.shelf.delete_kind(call, "ImportedTranscript")
            count += self.shelf.delete_kind(call, "Audio")
        self._aged |= old  # their blobs are not listed again by this process
        return count

    def aged(self, before: float) -> dict[str, list[str]]:
        """Return the calls that have ended, were received before that and may go, by tenant.

        Args:
            before: seconds since the epoch.
        """
        ended = calls.c.status.in_(("held", "done", "failed", "cancelled"))
        query = sa.select(calls.c.call, calls.c.tenant).where(
            ended & (calls.c.received_at < before) & calls.c.wrapped_key.is_not(None)
        )
        found: dict[str, list[str]] = {}
        with self.database.connect() as db:
            held = self.holds.calls(db)
            for row in db.execute(query.order_by(calls.c.received_at).limit(AT_ONCE + len(held))):
                if row.call not in held:
                    found.setdefault(row.tenant, []).append(row.call)
        return found

    def forget_keys(self, before: float) -> int:
        """Forget answers to keyed uploads of before that time; return how many."""
        with self.database.begin() as db:
            return db.execute(idempotency.delete().where(idempotency.c.at < before)).rowcount

    def hash_key(self, call: str) -> HashKey:
        """Return the key of a call's keyed hashes; it is gone when the call's data key is.

        Raises:
            Permanent: the call is not kept, or was erased (code `erased`).
        """
        return HashKey.of_call(self._key_of(call), call)

    def _key_of(self, call: str) -> bytes:
        if call not in self._keys:
            with self._single.connect() as db:
                wrapped = db.scalar(sa.select(calls.c.wrapped_key).where(calls.c.call == call))
            if wrapped is None:
                raise erased(call)
            self._keys[call] = self.keys.unwrap(call, wrapped)
        return self._keys[call]

    def check_kept(self, call: str) -> None:
        """Refuse a call that was erased: the database says so, not what this process remembers.

        Raises:
            Permanent: it was (code `erased`).
        """
        try:
            with self.database.begin() as db:
                check_kept(db, call)
        except Permanent:
            self._keys.pop(call, None)
            raise

    def erase(self, call: str, erasure: str) -> dict[str, int]:
        """Destroy a call's key, blobs and rows, and say how much of which kind that was.

        Args:
            call: a call that is kept here.
            erasure: in whose name.

        Raises:
            Permanent: it is under legal hold (code `legal_hold`).
        """
        gone = self.eraser.erase(call, erasure)
        self._keys.pop(call, None)
        return gone

    # ------------------------------------------------------------ plans

    def keep_plan(self, settings: Mapping[str, Any]) -> str:
        """Keep a set of choices and return its name, the hash of its content."""
        text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        with self.database.begin() as db:
            add_new(db, plans, {"plan": name, "settings": text})
        return name

    def plan(self, name: str) -> dict[str, Any]:
        with self.database.connect() as db:
            text = db.scalar(sa.select(plans.c.settings).where(plans.c.plan == name))
        if text is None:
            raise Misconfigured(f"plan {name} is not in this data folder", code="unknown_plan")
        return dict(json.loads(text))

    def plans(self) -> list[dict[str, Any]]:
        with self.database.connect() as db:
            texts = db.scalars(sa.select(plans.c.settings).order_by(plans.c.plan)).all()
        return [dict(json.loads(text)) for text in texts]

    # ------------------------------------------------------------ results and progress

    def result(self, call: str, stage: str, key: str) -> Ref[Any] | None:
        """Return the kept result of a stage on the same inputs, if it still exists."""
        with self._single.connect() as db:
            return memos.first(db, call, stage, key)

    def results(self, call: str) -> dict[tuple[str, str], Ref[Any]]:
        """Return every kept result of a call by stage and key."""
        with self._single.connect() as db:
            return memos.every(db, call)

    def keep_result(
        self, stage: str, key: str, ref: Ref[Any], seconds: float, audio: float = 0.0
    ) -> memos.Kept:
        """Keep what a stage gave, that it is done, and how long it took.

        Args:
            ref: a record that is on the shelf.
            audio: seconds of the recording that it worked on; 0: it does not matter to it.

        Returns:
            What stands: this, or what another process gave on the same inputs before.

        Raises:
            Permanent: the call was erased (code `erased`); its record is gone again.
        """
        try:
            with self._single.begin() as db:
                return memos.keep(db, stage, key, ref, seconds, audio)
        except Permanent:
            self._keys.pop(ref.call, None)
            self.shelf.delete_call(ref.call)
            raise

    def count(self, added: tallies.Tallies) -> None:
        """Add to the sums that figures are made of."""
        with self._single.begin() as db:
            tallies.count(db, added)

    def made_at(self, ref: Ref[Any]) -> float:
        """Return when a stage first gave this record, in seconds since the epoch."""
        where = (results.c.call == ref.call) & (results.c.sha256 == ref.sha256)
        with self.database.connect() as db:
            at = db.scalar(
                sa.select(sa.func.min(results.c.made_at)).where(
                    where & (results.c.kind == ref.kind)
                )
            )
        return float(at or 0.0)

    def signing_seed(self) -> bytes:
        """Return the 32-byte secret that signs this folder's redaction logs."""
        return self._signing

    def forget(self, refs: Sequence[Ref[Any]]) -> None:
        """Destroy the bytes of records; the rows that name them stay. Twice is fine.

        A later run whose stages are unchanged needs the names only; one that needs the bytes
        again drops the rows with `invalidate` and makes them anew.
        """
        for ref in refs:
            self.shelf.delete(ref)

    def invalidate(self, ref: Ref[Any]) -> None:
        """Drop the memo of a record whose bytes are gone, so that its stage runs again."""
        same = (results.c.call == ref.call) & (results.c.sha256 == ref.sha256)
        with self.database.begin() as db:
            db.execute(results.delete().where(same & (results.c.kind == ref.kind)))

    def forget_results(self, call: str, stages: Sequence[str]) -> None:
        """Drop the memo of a call's stages, so that they are done anew."""
        with self.database.begin() as db:
            db.execute(results.delete().where(results.c.call == call, results.c.stage.in_(stages)))
            db.execute(
                progress.delete().where(progress.c.call == call, progress.c.stage.in_(stages))
            )

    def note_progress(
        self, call: str, stage: str, share: float, seconds: float | None = None
    ) -> None:
        with self._single.begin() as db:
            memos.note(db, call, stage, share, seconds)

    def progress(self, call: str) -> list[StageProgress]:
        with self._single.connect() as db:
            rows = db.execute(
                sa.select(progress).where(progress.c.call == call).order_by(progress.c.at)
            ).all()
        return [StageProgress(row.stage, row.share, row.seconds) for row in rows]


def _own_key(path: Path) -> bytes:
    """Read one of the folder's 32-byte keys, or make one that only its owner can read."""
    if not path.exists():
        write_key(path, new_key())
    return read_key(path)
