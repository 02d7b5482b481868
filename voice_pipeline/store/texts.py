"""The search index: redacted texts of calls, one a call, in SQLite's or PostgreSQL's own way."""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa


def number(call: str) -> int:
    """Return the number by which SQLite's index knows a call: found without a search."""
    return int.from_bytes(hashlib.sha256(call.encode()).digest()[:8], "big") >> 1


def put(db: sa.Connection, call: str, body: str) -> None:
    """Keep a call's text instead of what was there."""
    forget(db, call)
    columns, values = "call, body", ":call, :body"
    if db.dialect.name == "sqlite":
        columns, values = f"rowid, {columns}", f":number, {values}"
    row = {"call": call, "body": body, "number": number(call)}
    db.execute(sa.text(f"insert into call_texts ({columns}) values ({values})"), row)


def forget(db: sa.Connection, call: str) -> int:
    """Take a call out of the index and return how many texts it had there."""
    row = {"call": call, "number": number(call)}
    return db.execute(sa.text(f"delete from call_texts where {_this(db)}"), row).rowcount


def count(db: sa.Connection, call: str) -> int:
    """Return how many texts of a call there are: none or one."""
    row = {"call": call, "number": number(call)}
    return db.scalar(sa.text(f"select count(*) from call_texts where {_this(db)}"), row) or 0


def matching(database: sa.Engine, words: str) -> sa.Select[Any]:
    """Return a query of the calls whose text holds all the words."""
    if database.dialect.name == "sqlite":
        terms = " ".join('"' + word.replace('"', '""') + '"' for word in words.split())
        where = sa.text("call_texts match :terms").bindparams(terms=terms or '""')
    else:
        where = sa.text("words @@ plainto_tsquery('simple', :terms)").bindparams(terms=words)
    return sa.select(sa.column("call")).select_from(sa.table("call_texts")).where(where)


def _this(db: sa.Connection) -> str:
    return "rowid = :number" if db.dialect.name == "sqlite" else "call = :call"
