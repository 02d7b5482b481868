"""The kept articles and who decided what about them.

A version is proposed by import and becomes usable when somebody else than its owner and its
importer approves it; the version before is then superseded. Every decision is kept with who, when
and why, and the last one can be taken back. Refuses what is out of date.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, cast

import numpy as np
import sqlalchemy as sa

from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.knowledge.article import Article, Audience, ReadArticle, expires_in
from voice_pipeline.policy.source import Fault
from voice_pipeline.ports import Vectors
from voice_pipeline.store.database import deciding, put_row
from voice_pipeline.store.kept import check_kept
from voice_pipeline.store.tables import (
    article_events,
    article_marks,
    article_vectors,
    articles,
    draft_edits,
)

State = Literal["proposed", "approved", "superseded", "retired"]
Verdict = Literal["useful", "wrong"]

WARN_DAYS = 30  # days before an article goes out of date in which its owner is reminded


@dataclass(frozen=True, slots=True)
class Entry:
    """One kept version of an article."""

    article: Article
    state: State


@dataclass(frozen=True, slots=True)
class Event:
    """One decision about an article."""

    number: int
    article: str
    version: int
    event: Literal["imported", "approved", "retired", "undone"]
    was: State | None  # state of the version before
    undoes: int | None
    replaced: int | None  # version that was superseded
    by: str
    at: float  # seconds since the epoch
    why: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did; `faults` were not imported."""

    proposed: tuple[Article, ...]
    approved: tuple[Article, ...]
    unchanged: tuple[Article, ...]
    faults: tuple[Fault, ...]


class Library:
    """The article tables of one data folder."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    # ------------------------------------------------------------ in

    def bring(
        self,
        read: Sequence[ReadArticle],
        *,
        by: str,
        today: date,
        approved_by: str | None = None,
        why: str = "",
    ) -> Imported:
        """Keep new versions as proposed; nothing becomes usable by importing it.

        Args:
            by: who imports; may not approve these versions later.
            approved_by: approves, in the same breath, the articles whose front matter says
                approved; somebody else than their owner.

        Raises:
            BadInput: a name that decides is empty.
        """
        importer = _person(by, "--by") if by else ""
        approver = _person(approved_by, "--approved-by") if approved_by is not None else None
        proposed: list[Article] = []
        approved: list[Article] = []
        unchanged: list[Article] = []
        faults: list[Fault] = []
        for one in sorted(read, key=lambda one: (one.article.id, one.article.version)):
            article = one.article
            with deciding(self._database, "articles") as db:
                kept = _versions(db, article.id)
                same = next((e for e in kept if e.article.version == article.version), None)
                if same and same.article.sha256 == article.sha256:
                    unchanged.append(article)
                    entry = same
                elif same:
                    message = f"version {article.version} is kept with other content; raise it"
                    faults.append(one.fault(message, "version"))
                    continue
                elif kept and article.version < kept[-1].article.version:
                    message = f"version {kept[-1].article.version} is kept already; go beyond it"
                    faults.append(one.fault(message, "version"))
                    continue
                else:
                    db.execute(articles.insert().values(_row(article)))
                    _note(db, article, "imported", importer, why or "import")
                    proposed.append(article)
                    entry = Entry(article, "proposed")
                if approver is None or not one.says_approved or entry.state != "proposed":
                    continue
                try:
                    _approve(db, entry, approver, why or "import", today)
                except BadInput as error:
                    faults.append(one.fault(error.message, "owner"))
                    continue
                approved.append(article)
        return Imported(tuple(proposed), tuple(approved), tuple(unchanged), tuple(faults))

    # ------------------------------------------------------------ decisions

    def approve(
        self, name: str, *, by: str, why: str, today: date, version: int | None = None
    ) -> Article:
        """Make the newest proposed version of an article (or the named one) usable.

        Raises:
            BadInput: there is none, it is out of date, or `by` owns or imported it.
        """
        with deciding(self._database, "articles") as db:
            entry = _chosen(db, name, version, ("proposed",))
            _approve(db, entry, _person(by, "--by"), _reason(why), today)
        return entry.article

    def retire(self, name: str, *, by: str, why: str, version: int | None = None) -> Article:
        """Take an article out of use: the approved version, else the newest proposed one."""
        with deciding(self._database, "articles") as db:
            entry = _chosen(db, name, version, ("approved", "proposed"))
            _set(db, entry.article, "retired")
            _note(db, entry.article, "retired", _person(by, "--by"), _reason(why), was=entry.state)
        return entry.article

    def undo(self, name: str, *, by: str, why: str) -> Event:
        """Take back the last approval or retirement of an article; return that decision.

        Raises:
            BadInput: the article is unknown, or there is nothing to take back.
        """
        with deciding(self._database, "articles") as db:
            kept = {entry.article.version: entry.article for entry in _versions(db, name)}
            events = _events(db, name)
            undone = {event.undoes for event in events}
            last = next(
                (
                    event
                    for event in reversed(events)
                    if event.event in ("approved", "retired") and event.number not in undone
                ),
                None,
            )
            if not kept or last is None or last.was is None:
                raise BadInput(f"{name}: there is no decision to take back", code="article_state")
            _set(db, kept[last.version], last.was)
            if last.replaced is not None:
                _set(db, kept[last.replaced], "approved")
            _note(
                db, kept[last.version], "undone", _person(by, "--by"), _reason(why),
                undoes=last.number,
            )  # fmt: skip
        return last

    def mark(self, name: str, verdict: Verdict, *, by: str, call: str | None = None) -> Article:
        """Keep what somebody says of a suggestion of this article."""
        with deciding(self._database, "articles") as db:
            entry = _chosen(db, name, None, ("approved", "superseded", "retired", "proposed"))
            db.execute(
                article_marks.insert().values(
                    article=name,
                    version=entry.article.version,
                    call=call,
                    verdict=verdict,
                    by=_person(by, "--by"),
                    at=time.time(),
                )
            )
            if call is not None:
                check_kept(db, call)
        return entry.article

    # ------------------------------------------------------------ out

    def usable(self, today: date) -> tuple[Article, ...]:
        """Return the articles that may be found today: approved, and not out of date."""
        return tuple(
            entry.article
            for entry in self.entries()
            if entry.state == "approved" and expires_in(entry.article, today) >= 0
        )

    def pinned(self, members: Iterable[tuple[str, int]], today: date) -> tuple[Article, ...]:
        """Return the versions that a plan names, but for those retired or expired since."""
        wanted = {(str(name), int(version)) for name, version in members}
        return tuple(
            entry.article
            for entry in self.entries()
            if (entry.article.id, entry.article.version) in wanted
            and entry.state in ("approved", "superseded")
            and expires_in(entry.article, today) >= 0
        )

    def entries(self, name: str | None = None) -> list[Entry]:
        """Return every kept version, by id and version."""
        with self._database.connect() as db:
            return _versions(db, name)

    def events(self, name: str) -> list[Event]:
        """Return the decisions about an article, oldest first."""
        with self._database.connect() as db:
            return _events(db, name)

    def marks(self) -> dict[str, dict[Verdict, int]]:
        """Return how often each article was marked useful and wrong."""
        counted = sa.func.count()
        statement = sa.select(article_marks.c.article, article_marks.c.verdict, counted).group_by(
            article_marks.c.article, article_marks.c.verdict
        )
        found: dict[str, dict[Verdict, int]] = {}
        with self._database.connect() as db:
            for name, verdict, count in db.execute(statement):
                found.setdefault(name, {"useful": 0, "wrong": 0})[cast(Verdict, verdict)] = count
        return found

    # ------------------------------------------------------------ vectors

    def vectors(self, sha256: str, made_by: str) -> Vectors | None:
        """Return the kept vectors of an article by one model, shape (passages, dimension).

        Raises:
            Misconfigured: what is kept does not fit its own description.
        """
        same = (article_vectors.c.sha256 == sha256) & (article_vectors.c.made_by == made_by)
        with self._database.connect() as db:
            row = db.execute(sa.select(article_vectors).where(same)).first()
        if row is None:
            return None
        flat = np.frombuffer(row.vectors, dtype="<f4") if len(row.vectors) % 4 == 0 else None
        if flat is None or row.dimension < 1 or flat.size % row.dimension:
            raise Misconfigured(
                "kept vectors of an article are damaged; run `voice-pipeline knowledge index`",
                code="embedding_mismatch",
            )
        return flat.reshape(-1, row.dimension).astype(np.float32)

    def keep_vectors(self, sha256: str, made_by: str, vectors: Vectors) -> None:
        row = {
            "sha256": sha256,
            "made_by": made_by,
            "dimension": vectors.shape[1],
            "vectors": np.ascontiguousarray(vectors, dtype="<f4").tobytes(),
        }
        with self._database.begin() as db:
            put_row(db, article_vectors, row)

    def drop_vectors(self) -> int:
        """Forget all vectors, whatever model made them; return of how many articles."""
        with self._database.begin() as db:
            return db.execute(article_vectors.delete()).rowcount

    # ------------------------------------------------------------ drafts and erasure

    def note_draft_edit(
        self, call: str, revision: str, *, characters: float, words: float, by: str
    ) -> None:
        """Keep how much a person changed a draft: shares from 0 to 1, never the texts."""
        with self._database.begin() as db:
            db.execute(
                draft_edits.insert().values(
                    call=call,
                    revision=revision,
                    characters=characters,
                    words=words,
                    by=_person(by, "by"),
                    at=time.time(),
                )
            )
            check_kept(db, call)

    def draft_edits(self) -> list[tuple[str, float, float]]:
        """Return (call, share of characters, share of words changed), oldest first."""
        columns = (draft_edits.c.call, draft_edits.c.characters, draft_edits.c.words)
        with self._database.connect() as db:
            rows = db.execute(sa.select(*columns).order_by(draft_edits.c.number)).all()
        return [(row.call, row.characters, row.words) for row in rows]

    def forget_call(self, call: str) -> int:
        """Remove all that these tables know of a call; return how many rows. Twice is fine."""
        with self._database.begin() as db:
            return sum(
                db.execute(table.delete().where(table.c.call == call)).rowcount
                for table in (article_marks, draft_edits)
            )


def _approve(db: sa.Connection, entry: Entry, by: str, why: str, today: date) -> None:
    article = entry.article
    if _same(by, article.owner):
        raise BadInput(
            f"{article.id}: its owner cannot approve it; ask somebody else", code="own_article"
        )
    importers = {
        event.by
        for event in _events(db, article.id)
        if event.version == article.version and event.event == "imported"
    }
    if any(_same(by, importer) for importer in importers):
        raise BadInput(
            f"{article.id}: who imported it cannot approve it; ask somebody else",
            code="own_article",
        )
    if expires_in(article, today) < 0:
        raise BadInput(
            f"{article.id} version {article.version} was to be reviewed until "
            f"{article.reviewed_until}; review it and import a new version",
            code="article_expired",
        )
    before = next((e for e in _versions(db, article.id) if e.state == "approved"), None)
    if before is not None and before.article.version > article.version:
        raise BadInput(
            f"{article.id}: version {before.article.version} is in use and newer",
            code="article_state",
        )
    if before is not None:
        _set(db, before.article, "superseded")
    _set(db, article, "approved")
    replaced = before.article.version if before else None
    _note(db, article, "approved", by, why, was=entry.state, replaced=replaced)


def _chosen(db: sa.Connection, name: str, version: int | None, states: Sequence[State]) -> Entry:
    """Return the named version, else the newest in the first state that the article has."""
    kept = _versions(db, name)
    if not kept:
        raise BadInput(f"{name}: no such article; see `knowledge list`", code="unknown_article")
    for state in states:
        for entry in reversed(kept):
            if entry.state == state and version in (None, entry.article.version):
                return entry
    which = "it" if version is None else f"version {version}"
    raise BadInput(
        f"{name}: {which} is not {' or '.join(states)}; see `knowledge show {name}`",
        code="article_state",
    )


def _versions(db: sa.Connection, name: str | None) -> list[Entry]:
    statement = sa.select(articles)
    if name is not None:
        statement = statement.where(articles.c.id == name)
    # Sorted here: databases differ in how they order letters and hyphens.
    rows = sorted(db.execute(statement), key=lambda row: (row.id, row.version))
    return [
        Entry(
            Article(
                id=row.id,
                version=row.version,
                title=row.title,
                owner=row.owner,
                audience=cast(tuple[Audience, ...], tuple(row.audience.split(","))),
                locale=row.locale,
                reviewed_until=date.fromisoformat(row.reviewed_until),
                body=row.body,
            ),
            row.state,
        )
        for row in rows
    ]


def _events(db: sa.Connection, name: str) -> list[Event]:
    statement = (
        sa.select(article_events)
        .where(article_events.c.article == name)
        .order_by(article_events.c.number)
    )
    return [Event(**row) for row in db.execute(statement).mappings()]


def _row(article: Article) -> dict[str, Any]:
    return {
        "id": article.id,
        "version": article.version,
        "sha256": article.sha256,
        "title": article.title,
        "owner": article.owner,
        "audience": ",".join(article.audience),
        "locale": article.locale,
        "reviewed_until": article.reviewed_until.isoformat(),
        "body": article.body,
        "state": "proposed",
    }


def _set(db: sa.Connection, article: Article, state: State) -> None:
    same = (articles.c.id == article.id) & (articles.c.version == article.version)
    db.execute(articles.update().where(same).values(state=state))


def _note(
    db: sa.Connection,
    article: Article,
    event: str,
    by: str,
    why: str,
    *,
    was: State | None = None,
    undoes: int | None = None,
    replaced: int | None = None,
) -> None:
    db.execute(
        article_events.insert().values(
            article=article.id,
            version=article.version,
            event=event,
            was=was,
            undoes=undoes,
            replaced=replaced,
            by=by,
            at=time.time(),
            why=why,
        )
    )


def _person(name: str, option: str) -> str:
    shown = " ".join(unicodedata.normalize("NFKC", name).split())
    if not shown or len(shown) > 200 or not shown.isprintable():
        raise BadInput(f"{option}: say who decides, by a name of up to 200 letters", code="person")
    return shown


def _reason(why: str) -> str:
    shown = " ".join(why.split())
    if not shown or len(shown) > 1000:
        raise BadInput("--why: say why, in up to 1000 letters", code="person")
    return shown


def _same(one: str, other: str) -> bool:
    """Tell whether two names are one person's, as far as letters can tell."""

    def plain(name: str) -> str:
        return " ".join(unicodedata.normalize("NFKC", name).casefold().split())

    return bool(plain(one)) and plain(one) == plain(other)
