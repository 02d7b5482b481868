"""Both databases: locked, retried and brought from every released schema to the newest and back."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from postgres import Cluster

from voice_pipeline.config import Settings
from voice_pipeline.errors import Misconfigured, Retryable
from voice_pipeline.opening import open_store
from voice_pipeline.store import Store
from voice_pipeline.store.database import (
    add_new,
    alembic_config,
    deciding,
    migrate,
    open_database,
    postgres_url,
    put_row,
)
from voice_pipeline.store.tables import calls, plans, progress

NEVER = "postgresql://nobody:hunter2@127.0.0.1:1/none"


@pytest.fixture
def engine(tmp_path: Path, database: str | None) -> Iterator[sa.Engine]:
    made = open_database(database, tmp_path / "calls.db")
    yield made
    made.dispose()


def revisions() -> list[str]:
    """Every released schema, oldest first."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as db:
        found = ScriptDirectory.from_config(alembic_config(db)).walk_revisions()
        return [script.revision for script in reversed(list(found))]


def move(engine: sa.Engine, to: str) -> None:
    with engine.begin() as db:
        here = db.scalar(sa.text("select version_num from alembic_version")) if tables(db) else ""
        go = command.upgrade if to == "head" or not here or to > here else command.downgrade
        go(alembic_config(db), to)


def tables(db: sa.Connection | sa.Engine) -> set[str]:
    return set(sa.inspect(db).get_table_names())


def invented(column: sa.Column[Any], row: int) -> Any:
    """Return a value that fits a column and differs from row to row."""
    if isinstance(column.type, sa.Integer):
        return row + 1
    if isinstance(column.type, sa.Float):
        return 0.25 + row
    if isinstance(column.type, sa.Boolean):
        return bool(row % 2)
    if isinstance(column.type, sa.LargeBinary):
        return bytes([row, 0, 255])
    return f"{column.name[:3]}{row}"


def fill(engine: sa.Engine) -> None:
    """Put three rows into each table of the schema, whatever tables it has."""
    found = sa.MetaData()
    found.reflect(engine)
    with engine.begin() as db:
        for table in found.sorted_tables:
            if table.name != "alembic_version" and not db.scalar(
                sa.select(sa.func.count()).select_from(table)
            ):
                db.execute(
                    table.insert(),
                    [
                        {c.name: invented(c, row) for c in table.columns if c.computed is None}
                        for row in range(3)
                    ],
                )


def content(engine: sa.Engine, only: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """Return {table: rows}, of the columns in `only` where it is given."""
    found = sa.MetaData()
    found.reflect(engine)
    kept = {}
    with engine.connect() as db:
        for table in found.sorted_tables:
            if table.name == "alembic_version" or (only is not None and table.name not in only):
                continue
            names = only[table.name] if only is not None else [c.name for c in table.columns]
            rows = db.execute(sa.select(*(table.c[name] for name in names))).all()
            kept[table.name] = sorted(map(repr, rows))
    return kept


def columns(engine: sa.Engine) -> dict[str, list[str]]:
    looked = sa.inspect(engine)
    return {name: [c["name"] for c in looked.get_columns(name)] for name in tables(engine)}


@pytest.mark.parametrize("released", revisions())
def test_every_released_schema_goes_to_the_newest_and_back(
    engine: sa.Engine, released: str
) -> None:
    """A data folder of any release is opened by this one, and can be handed back, rows and all."""
    move(engine, released)
    fill(engine)
    before, shape = content(engine), columns(engine)
    shape.pop("alembic_version")
    move(engine, "head")
    assert content(engine, only=shape) == before
    fill(engine)
    move(engine, released)
    after = columns(engine)
    after.pop("alembic_version")
    assert after == shape
    assert content(engine) == before
    migrate(engine)
    assert content(engine, only=shape) == before


def test_the_oldest_schema_can_be_taken_away(engine: sa.Engine) -> None:
    """Down to nothing leaves nothing of ours."""
    migrate(engine)
    with engine.begin() as db:
        command.downgrade(alembic_config(db), "base")
    assert tables(engine) == {"alembic_version"}


def test_a_schema_of_a_newer_release_is_refused(tmp_path: Path, database: str | None) -> None:
    """An old release does not write into a schema that it does not know."""
    store = Store(tmp_path, database=database)
    with store.database.begin() as db:
        db.execute(sa.text("update alembic_version set version_num = '9999'"))
    store.close()
    with pytest.raises(Misconfigured) as refused:
        Store(tmp_path, database=database)
    assert refused.value.code == "newer_schema"


def test_one_decides_at_a_time(engine: sa.Engine) -> None:
    """Ten threads that each read a counter and write one more lose no step."""
    migrate(engine)
    with engine.begin() as db:
        add_new(db, plans, {"plan": "count", "settings": "0"})

    def more() -> None:
        for _ in range(10):
            with deciding(engine, "count") as db:
                at = int(db.scalar(sa.select(plans.c.settings)) or 0)
                time.sleep(0.001)
                db.execute(plans.update().values(settings=str(at + 1)))

    threads = [threading.Thread(target=more) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.connect() as db:
        assert db.scalar(sa.select(plans.c.settings)) == "100"


def test_decisions_about_other_things_do_not_wait(postgres_database: str) -> None:
    """On PostgreSQL a slow decision about one call does not stop those about others."""
    engine = open_database(postgres_database, Path("unused"))
    with deciding(engine, "one"), deciding(engine, "other") as db:
        assert db.scalar(sa.select(1)) == 1
    engine.dispose()


def test_rows_are_added_once_and_overwritten_where_asked(engine: sa.Engine) -> None:
    """The first of two equal keys stays with `add_new`, the last with `put_row`."""
    migrate(engine)
    row = {"call": "c", "stage": "s", "share": 0.5, "seconds": None, "at": 1.0}
    with engine.begin() as db:
        assert add_new(db, progress, row)
        assert not add_new(db, progress, {**row, "share": 0.7})
        assert db.scalar(sa.select(progress.c.share)) == 0.5
        put_row(db, progress, {**row, "share": 0.9})
        put_row(db, progress, {**row, "stage": "other"})
        shares = sa.select(progress.c.share).order_by(progress.c.stage.desc())
        assert db.scalars(shares).all() == [0.9, 0.5]


def test_a_database_that_comes_back_is_used_again(postgres: Cluster, tmp_path: Path) -> None:
    """While it is away a step is to be tried again; once it is back, nothing must be restarted."""
    url = postgres.create()
    store = Store(tmp_path, database=url)
    store.open_call("one")
    postgres.stop(signal.SIGQUIT)
    try:
        with pytest.raises(Retryable) as away:
            store.open_call("two")
        assert away.value.code == "storage"
    finally:
        postgres.start()
    store.open_call("two")
    assert store.list_calls() == ["one", "two"]
    store.close()
    postgres.drop(url)


def test_a_call_that_hangs_in_a_transaction_is_cut_off(postgres_database: str) -> None:
    """The server itself ends a transaction that nobody goes on with, and a wait for a lock."""
    engine = open_database(postgres_database, Path("unused"))
    with engine.connect() as db:
        shown = [
            db.scalar(sa.text(f"show {name}"))
            for name in ("lock_timeout", "idle_in_transaction_session_timeout", "application_name")
        ]
    assert shown == ["30s", "2min", "voice-pipeline"]
    engine.dispose()


@pytest.mark.parametrize("text", ["", "calls.db", "mysql://root:hunter2@db/calls", "sqlite:///x"])
def test_another_database_is_refused(text: str) -> None:
    """Only PostgreSQL, and the refusal repeats no password."""
    with pytest.raises(Misconfigured) as refused:
        postgres_url(text)
    assert refused.value.code == "database_url"
    assert "hunter2" not in str(refused.value)


def test_a_database_that_does_not_answer_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL may stand in the environment or a file; no message or print shows its password."""
    monkeypatch.setenv("CALLS_DATABASE", NEVER)
    (tmp_path / "url").write_text(NEVER + "\n")
    for given in (NEVER, "env:CALLS_DATABASE", f"file:{tmp_path / 'url'}"):
        settings = Settings(data=tmp_path / "data", database=given)
        assert "hunter2" not in repr(settings)
        with pytest.raises(Misconfigured) as away:
            open_store(settings)
        assert away.value.code == "database"
        assert "hunter2" not in str(away.value)
        assert away.value.__cause__ is None
    with pytest.raises(Misconfigured):
        open_store(Settings(data=tmp_path / "data", database="env:NOT_SET"))


def test_the_store_of_the_settings_is_in_the_database(
    tmp_path: Path, postgres_database: str
) -> None:
    """With `database` set, no list of calls is kept in the folder."""
    store = open_store(Settings(data=tmp_path, database=postgres_database))
    store.open_call("c")
    with store.database.connect() as db:
        assert db.dialect.name == "postgresql"
        assert db.scalar(sa.select(calls.c.call)) == "c"
    assert not (tmp_path / "calls.db").exists()
    store.close()
