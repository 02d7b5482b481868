"""Opening the database: SQLite in WAL mode, brought to the newest schema on open."""

from __future__ import annotations

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
    then run again. IMMEDIATE takes the write lock when a transaction starts, so that two
    processes wait for one another instead of failing half-way.
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


def migrate(engine: sa.Engine, revision: str = "head") -> None:
    """Bring the schema to `revision`; call it under the data folder's set-up lock."""
    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("voice_pipeline.store") / "migrations")
    )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
