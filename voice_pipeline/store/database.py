"""Opening the database: SQLite in WAL mode, brought to the newest schema on open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config


def sqlite_engine(path: Path) -> sa.Engine:
    """Open a SQLite file for several processes.

    WAL with synchronous=NORMAL is about twelve times the write rate of the default journal; it
    survives the death of any process, and a power cut may cost the last commits, whose steps
    then run again. IMMEDIATE takes the write lock when a transaction first writes, so that two
    processes wait for one another instead of failing half-way; one that reads before it decides
    what to write needs `deciding`.
    """
    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in (
            "busy_timeout=30000",
            "foreign_keys=ON",
            "journal_mode=WAL",
            "synchronous=NORMAL",
        ):
            connection.execute(f"pragma {pragma}")

    return engine


@contextmanager
def deciding(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Take the write lock before anything is read: nobody else can decide on the same rows."""
    with engine.begin() as connection:
        connection.exec_driver_sql("begin immediate")
        yield connection


def migrate(engine: sa.Engine) -> None:
    """Bring the schema to the newest revision; call it under the data folder's set-up lock."""
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: sa.Connection) -> Config:
    """Return what Alembic needs to move a database from one revision to another."""
    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("voice_pipeline.store") / "migrations")
    )
    config.attributes["connection"] = connection
    return config
