"""Opening the database: SQLite in WAL mode in the data folder, or PostgreSQL for many machines.

Decides how each is opened, locked and brought to the newest schema, so that no other module asks
which of the two it talks to. Refuses any third kind.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql, sqlite

from voice_pipeline.errors import Misconfigured, Retryable

UNASKED = 1.0  # seconds for which a connection that was used is believed to be there
POSTGRES = ("postgres", "postgresql", "postgresql+psycopg")  # spellings of a URL's first word
# What a waiting or forgotten transaction may cost others; PostgreSQL's own defaults are for ever.
LOCK_TIMEOUT, IDLE_TIMEOUT = 30, 120  # seconds
# Results of SQLite that are no fault of the statement.
SQLITE_FAULTS = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}


def open_database(url: str | None, file: Path) -> sa.Engine:
    """Open a PostgreSQL database, or the SQLite file where no URL is given.

    Raises:
        Misconfigured: the URL is none, or of another kind of database (code `database_url`).
    """
    return sqlite_engine(file) if url is None else postgres_engine(url)


def sqlite_engine(path: Path) -> sa.Engine:
    """Open a SQLite file for several processes.

    WAL with synchronous=NORMAL is about twelve times the write rate of the default journal; it
    survives the death of any process, and a power cut may cost the last commits, whose steps
    then run again. IMMEDIATE takes the write lock when a transaction first writes, so that two
    processes wait for one another instead of failing half-way; one that reads before it decides
    what to write needs `deciding`.
    """
    engine = sa.create_engine(f"sqlite:///{path}", hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in (
            "busy_timeout=30000",
            "foreign_keys=ON",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "secure_delete=ON",  # what is deleted is overwritten: erased means gone from the file
        ):
            connection.execute(f"pragma {pragma}")

    return engine


def postgres_engine(url: str) -> sa.Engine:
    """Open a PostgreSQL database by its URL; connects only when first used.

    A connection that was idle and that the server dropped meanwhile is replaced before it is used.
    A process that hangs inside a transaction loses it after two minutes, so that its locks cannot
    stop others.

    Raises:
        Misconfigured: the URL is none, or of another kind of database (code `database_url`).
    """
    engine = sa.create_engine(
        postgres_url(url),
        hide_parameters=True,  # an error is logged; values may be personal
        pool_recycle=1800,
        pool_size=10,
        max_overflow=20,
        pool_timeout=30,
        connect_args={
            "connect_timeout": 10,
            "application_name": "voice-pipeline",
            "options": f"-c lock_timeout={LOCK_TIMEOUT}s "
            f"-c idle_in_transaction_session_timeout={IDLE_TIMEOUT}s",
        },
    )

    @sa.event.listens_for(engine, "checkin")
    def rest(_connection: Any, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def look(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("rests_since", math.inf) < UNASKED:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise sa.exc.InvalidatePoolError from error  # the others are older still

    return engine


def postgres_url(text: str) -> sa.URL:
    """Read a URL as people write it: `postgresql://user@host/database`, the driver is ours."""
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):  # the message would repeat the password
        url = None
    if url is None or url.drivername not in POSTGRES:
        raise Misconfigured(
            "`database` takes postgresql://USER@HOST/NAME, or env:NAME or file:PATH of such a URL",
            code="database_url",
        )
    return url.set(drivername="postgresql+psycopg")


def retry_on_faults(engine: sa.Engine) -> None:
    """Let a database that is away, full or locked be `Retryable` to whoever uses this engine."""

    @sa.event.listens_for(engine, "handle_error")
    def translate(context: sa.engine.ExceptionContext) -> Exception | None:
        fault = context.original_exception
        if isinstance(fault, sqlite3.Error):
            passing = (fault.sqlite_errorcode & 0xFF) in SQLITE_FAULTS if _coded(fault) else False
        else:
            passing = context.is_disconnect or isinstance(
                context.sqlalchemy_exception, sa.exc.OperationalError
            )
        if not passing:
            return None
        return Retryable(
            f"the database did not take a statement ({type(fault).__name__}); "
            "is it running, and is there room on its disk?",
            code="storage",
        )


def _coded(fault: sqlite3.Error) -> bool:
    """Errors that Python's own module raises have no code of SQLite."""
    return getattr(fault, "sqlite_errorcode", None) is not None


@contextmanager
def deciding(engine: sa.Engine, about: str = "") -> Iterator[sa.Connection]:
    """Take the write lock before anything is read: nobody else can decide on the same rows.

    Args:
        about: what is decided on; on PostgreSQL decisions about other things go on meanwhile.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("begin immediate")
        else:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_lock(f"decide {about}"))))
        yield connection


def single(engine: sa.Engine) -> sa.Engine:
    """Return the same database for work of one statement each.

    PostgreSQL then needs no transaction around it: one trip to the server instead of four.
    """
    if engine.dialect.name == "sqlite":  # whose way of beginning would be changed for good
        return engine
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def add_new(db: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Add a row unless a unique key of it is taken; return whether it was added."""
    statement = _insert(db)(table).values(dict(row)).on_conflict_do_nothing()
    done = db.execute(statement, execution_options={"preserve_rowcount": True})
    return done.rowcount > 0


def put_row(db: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Add a row, or change the one with the same primary key to it."""
    keys = [column.name for column in table.primary_key]
    rest = {name: value for name, value in row.items() if name not in keys}
    statement = _insert(db)(table).values(dict(row))
    db.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest))


def migrate(engine: sa.Engine) -> None:
    """Bring the schema to the newest revision; several processes may do so at once.

    On SQLite the caller holds the data folder's set-up lock.

    Raises:
        Misconfigured: the schema is of a newer release than this (code `newer_schema`).
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("set local lock_timeout = 0")  # another may take minutes
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_lock("migrate"))))
        try:
            command.upgrade(alembic_config(connection), "head")
        except CommandError as error:
            raise Misconfigured(
                "the database was used by a newer release; install that one, or restore a backup",
                code="newer_schema",
            ) from error


def check_schema(engine: sa.Engine) -> None:
    """Refuse a database whose schema is not this release's, for those who only look.

    Raises:
        Misconfigured: it is another (code `other_schema`), or does not answer (code `database`).
    """
    try:
        with engine.connect() as db:
            newest = ScriptDirectory.from_config(alembic_config(db)).get_current_head()
            here = (
                db.scalar(sa.text("select version_num from alembic_version"))
                if sa.inspect(db).has_table("alembic_version")
                else None
            )
    except sa.exc.DBAPIError as error:
        raise Misconfigured(
            f"the database does not answer ({type(error.orig).__name__}); is it running?",
            code="database",
        ) from None  # the driver's message names host and user
    if here != newest:
        raise Misconfigured(
            "the database is of another release than this command; "
            "start the service of this release once, or use the command of the other",
            code="other_schema",
        )


def alembic_config(connection: sa.Connection) -> Config:
    """Return what Alembic needs to move a database from one revision to another."""
    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("voice_pipeline.store") / "migrations")
    )
    config.attributes["connection"] = connection
    return config


def _insert(db: sa.Connection) -> Any:
    return sqlite.insert if db.dialect.name == "sqlite" else postgresql.insert


def _lock(name: str) -> int:
    """Return the number of an advisory lock: 64 bits, signed."""
    digest = hashlib.sha256(f"voice-pipeline {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
