"""The access log: whoever looked is in it, and nobody takes it out again unseen."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from voice_pipeline.access.log import FIRST, AccessLog
from voice_pipeline.access.permissions import Role
from voice_pipeline.access.principal import Principal
from voice_pipeline.cli import app
from voice_pipeline.errors import BadInput
from voice_pipeline.store import Store
from voice_pipeline.store.database import sqlite_engine
from voice_pipeline.store.tables import access_log, access_log_head, metadata

WHO = Principal("key", "aaaaaaaa", Role.compliance, "acme", None)
SEED = bytes(range(32))
WRITER = """
import sys
from pathlib import Path
from voice_pipeline.access.log import AccessLog
from voice_pipeline.store import Store
store = Store(Path(sys.argv[1]), database=sys.argv[2] or None)
log = AccessLog(store.database, bytes(range(32)))
for number in range(int(sys.argv[3])):
    log.append(None, "audio.read", "audio", call=f"c-{number}", account=sys.argv[4])
"""


@pytest.fixture
def store(tmp_path: Path, database: str | None) -> Iterator[Store]:
    made = Store(tmp_path, database=database)
    yield made
    made.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = sqlite_engine(tmp_path / "calls.db")
    metadata.create_all(made, [access_log, access_log_head])
    yield made
    made.dispose()


@pytest.fixture
def log(engine: sa.Engine) -> AccessLog:
    made = AccessLog(engine, SEED)
    for number in range(1, 8):
        made.append(WHO, "notes.read", "note", call=f"c-{number}", why="complaint",
                    address="192.0.2.7")  # fmt: skip
    return made


def kinds(log: AccessLog, noted: str | None = None) -> list[tuple[str, int]]:
    return [(fault.kind, fault.number) for fault in log.verify(noted).faults]


def test_a_look_is_kept_whole(log: AccessLog) -> None:
    """Who looked at what, why, from where, when and with what outcome stands in one row."""
    verdict = log.verify()
    assert verdict.ok and verdict.rows == 7
    look, sha = next(log.rows())
    assert (look.kind, look.who, look.role, look.tenant) == (
        "key", "aaaaaaaa", "compliance", "acme"
    )  # fmt: skip
    assert (look.permission, look.call, look.what, look.why) == (
        "notes.read", "c-1", "note", "complaint"
    )  # fmt: skip
    assert (look.address, look.outcome, look.previous) == ("192.0.2.7", "shown", FIRST)
    assert look.at.endswith("+00:00") and sha == look.sha256
    assert verdict.head.startswith("7:")
    assert log.verify(verdict.head).ok


def test_rows_are_found_by_call_who_and_tenant(log: AccessLog) -> None:
    """A person's question `who heard my call` is one query."""
    log.append(None, "vault.open", "raw audio", call="c-2", account="root")
    assert [look.number for look, _ in log.rows(call="c-2")] == [2, 8]
    assert [look.number for look, _ in log.rows(who="root")] == [8]
    assert len(list(log.rows(tenant="acme"))) == 7


@pytest.mark.parametrize("column", [c for c in access_log.c if c.name != "number"], ids=str)
def test_any_edited_column_is_found(
    engine: sa.Engine, log: AccessLog, column: sa.Column[str]
) -> None:
    """No column of a row can be changed unseen."""
    with engine.begin() as db:
        db.execute(access_log.update().where(access_log.c.number == 4).values({column: "x"}))
    found = kinds(log)
    assert ("edited", 4) in found


def renumber(db: sa.Connection, one: int, to: int) -> None:
    db.execute(access_log.update().where(access_log.c.number == one).values(number=to))


def swap(db: sa.Connection) -> None:
    renumber(db, 3, 99)
    renumber(db, 4, 3)
    renumber(db, 99, 4)


def close_up(db: sa.Connection) -> None:
    db.execute(access_log.delete().where(access_log.c.number == 4))
    for number in (5, 6, 7):
        renumber(db, number, number - 1)
    db.execute(access_log_head.update().values(number=6))


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda db: db.execute(access_log.delete().where(access_log.c.number == 4)),
         ("missing", 5)),
        (lambda db: db.execute(access_log.delete().where(access_log.c.number <= 2)),
         ("missing", 3)),
        (lambda db: db.execute(access_log.delete().where(access_log.c.number > 5)), ("cut", 7)),
        (lambda db: db.execute(access_log.delete()), ("cut", 7)),
        (swap, ("reordered", 3)),
        (close_up, ("reordered", 4)),
        (lambda db: db.execute(access_log_head.delete()), ("unsigned", 7)),
        (lambda db: db.execute(access_log_head.update().values(signature="00" * 64)),
         ("unsigned", 7)),
    ],
    ids=["one", "first", "last", "all", "swapped", "closed up", "no head", "other signature"],
)  # fmt: skip
def test_removed_and_moved_rows_are_found(
    engine: sa.Engine,
    log: AccessLog,
    damage: Callable[[sa.Connection], object],
    found: tuple[str, int],
) -> None:
    """A row that is gone or stands elsewhere is named by its number."""
    with engine.begin() as db:
        damage(db)
    assert found in kinds(log)


def test_a_chain_made_anew_is_found(engine: sa.Engine, log: AccessLog) -> None:
    """Who may write to the database but has not the folder's key cannot make another chain."""
    with engine.begin() as db:
        db.execute(access_log.delete())
        db.execute(access_log_head.delete())
    AccessLog(engine, bytes(32)).append(WHO, "notes.read", "note", call="c-1")
    assert kinds(log) == [("unsigned", 1)]


def test_an_older_database_is_found_by_a_noted_head(engine: sa.Engine, log: AccessLog) -> None:
    """A whole older state verifies by itself; the head that was noted elsewhere tells."""
    with engine.connect() as db:
        old = db.execute(sa.select(access_log_head)).one()
    log.append(WHO, "vault.open", "raw audio", call="c-1")
    noted = log.verify().head
    with engine.begin() as db:
        db.execute(access_log.delete().where(access_log.c.number == 8))
        db.execute(access_log_head.update().values(old._asdict()))
    assert log.verify().ok
    assert kinds(log, noted) == [("other_head", 7)]


def test_fields_are_one_printable_line(log: AccessLog) -> None:
    """Nobody writes a second row, or to a terminal, through a reason or a name."""
    odd = Principal("token", "x\n\x1b[2J\ud800", Role.agent, "acme", None)
    log.append(odd, "notes.read", "note", why="a\r\nb\x00" + "c" * 9999, address="\x07")
    *_, (look, _) = log.rows()
    assert look.who == "x  [2J "
    assert look.why.startswith("a  b c") and len(look.why) == 500
    assert log.verify().ok
    with pytest.raises(AssertionError):
        log.append(WHO, "no.such", "note")


def test_processes_append_to_one_chain(store: Store, database: str | None) -> None:
    """Three processes at once: no look is lost and none breaks the chain."""
    count = 40
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, store.root, database or "", str(count), f"w{n}"]
        )
        for n in range(3)
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    log = AccessLog(store.database, SEED)
    verdict = log.verify()
    assert verdict.ok and verdict.rows == 3 * count
    for number in range(3):
        assert [look.call for look, _ in log.rows(who=f"w{number}")] == [
            f"c-{one}" for one in range(count)
        ]


def test_a_killed_process_leaves_a_whole_chain(store: Store, database: str | None) -> None:
    """A SIGKILL in the middle of appending loses at most the row that was not yet kept."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, store.root, database or "", "100000", "w"]
    )
    log = AccessLog(store.database, SEED)
    for _ in range(600):
        if (head := log.head()) is not None and head.number > 20:
            break
        time.sleep(0.1)
    writer.kill()
    writer.wait()
    before = log.verify()
    assert before.ok and before.rows > 20
    log.append(WHO, "notes.read", "note")
    assert log.verify(before.head).ok


def test_an_auditor_checks_an_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An export is checked without the data folder; a changed line of it is named."""
    store = Store(tmp_path)
    log = AccessLog(store.database, store.signing_seed())
    log.append(WHO, "notes.read", "note", call="c-1")
    out, key = tmp_path / "looks.jsonl", log.public_key
    store.close()

    def run(*words: str) -> tuple[int, str]:
        code = app(["--data", str(tmp_path), "access-log", *words], standalone_mode=False)
        return code or 0, capsys.readouterr().out

    assert run("export", "--out", str(out))[0] == 0
    assert run("verify", str(out), "--signer", key)[0] == 0
    code, text = run("verify", str(out), "--signer", "ab" * 32)
    assert code == 1 and "unsigned" in text
    lines = out.read_text().splitlines()
    out.write_text("\n".join([lines[0].replace("c-1", "c-2"), *lines[1:]]))
    code, text = run("verify", str(out), "--json")
    assert code == 1
    assert json.loads(text)["faults"] == [{"kind": "edited", "row": 1}]
    text_as_number = lines[0].replace('"number": 1', '"number": "1"')
    for broken in (lines[0], "", "{}", "[]\n[]", f"{text_as_number}\n{lines[-1]}"):
        out.write_text(broken)
        with pytest.raises(BadInput):
            run("verify", str(out))
    code, text = run("list", "--json")
    looks = json.loads(text)
    assert [look["permission"] for look in looks] == ["notes.read", "access_log.read"]
    assert looks[1]["kind"] == "local"
    code, text = run("verify")
    assert code == 0 and text.startswith("ok: 3 rows")
