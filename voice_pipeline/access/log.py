"""The access log: each look at a recording, its words or a log. Who, what, why, from where, when.

Rows are only ever added. Each names the hash of the row before, and the last one is signed with the
data folder's key: a row that was edited, taken out or moved is found, and so is a chain that was
cut short or made anew without the key. Refuses nothing and keeps no call content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from voice_pipeline.access.permissions import PERMISSIONS
from voice_pipeline.access.principal import Principal
from voice_pipeline.store.database import deciding
from voice_pipeline.store.tables import access_log, access_log_head

Outcome = Literal["shown", "done", "denied", "not_found", "failed"]
FIRST = "0" * 64  # what the first row names as the one before
CONTEXT = b"voice-pipeline access log 1\n"  # a signature of a redaction log cannot stand here
PAGE = 1000  # rows read at once


@dataclass(frozen=True, slots=True)
class Look:
    """One row, as it is hashed."""

    number: int  # 1, 2, 3, ...
    at: str  # ISO 8601, UTC
    kind: str  # key | token | local
    who: str  # id of the key, subject of the token, account of this machine
    role: str
    tenant: str
    permission: str
    call: str | None
    what: str  # what was looked at, for example `note`
    why: str  # what the person gave as reason, or nothing
    address: str
    outcome: str  # shown | done | denied | not_found | failed
    previous: str  # hash of the row before

    @property
    def sha256(self) -> str:
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """The signed end of the chain."""

    number: int
    sha256: str  # of the row with that number
    signature: str  # Ed25519, hexadecimal


@dataclass(frozen=True, slots=True)
class Fault:
    kind: str  # edited | missing | reordered | unsigned | cut | other_head
    number: int  # of the row where it shows

    def __str__(self) -> str:
        return f"row {self.number}: {FAULTS[self.kind]} ({self.kind})"


FAULTS = {
    "edited": "was changed after it was written",
    "missing": "one or more rows before it are gone",
    "reordered": "does not follow on the row before it",
    "unsigned": "the end of the chain is not signed with this folder's key",
    "cut": "the chain ends before the row that was signed as its last",
    "other_head": "the row that was noted elsewhere is not in the chain",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    rows: int
    head: str  # NUMBER:HASH of the last row; note it elsewhere, and `verify` finds a cut
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        return not self.faults


class AccessLog:
    """The access log of one data folder. Safe for several processes at once."""

    def __init__(self, database: sa.Engine, seed: bytes) -> None:
        """
        Args:
            database: where the rows are.
            seed: the 32-byte secret that signs the end of the chain.
        """
        self._database = database
        self._signer = Ed25519PrivateKey.from_private_bytes(seed)

    def append(
        self,
        principal: Principal | None,
        permission: str,
        what: str,
        *,
        call: str | None = None,
        why: str = "",
        address: str = "",
        outcome: Outcome = "shown",
        account: str = "",
    ) -> int:
        """Keep that somebody looked, before it is shown to them; return the row's number.

        Args:
            principal: who; None: somebody at this machine's command line.
            permission: which permission was used, or was missing.
            what: what kind of thing, never its content.
            call: of which call.
            why: the reason given; the caller takes personal data out of it first.
            address: from where.
            outcome: what came of it.
            account: without a principal, the account of this machine.
        """
        assert permission in PERMISSIONS
        with deciding(self._database, "access log") as db:
            head = db.execute(sa.select(access_log_head)).first()
            look = Look(
                number=head.number + 1 if head else 1,
                at=datetime.now(UTC).isoformat(timespec="milliseconds"),
                kind=principal.kind if principal else "local",
                who=_line(principal.id if principal else account, 200),
                role=principal.role.value if principal else "",
                tenant=principal.tenant if principal else "",
                permission=permission,
                call=None if call is None else _line(call, 64),
                what=_line(what, 80),
                why=_line(why, 500),
                address=_line(address, 64),
                outcome=outcome,
                previous=head.sha256 if head else FIRST,
            )
            sha = look.sha256
            db.execute(access_log.insert().values(**asdict(look), sha256=sha))
            end = {"number": look.number, "sha256": sha, "signature": self._sign(look.number, sha)}
            if head:
                db.execute(access_log_head.update().values(end))
            else:
                db.execute(access_log_head.insert().values(one=1, **end))
        return look.number

    def _sign(self, number: int, sha256: str) -> str:
        return self._signer.sign(_statement(number, sha256)).hex()

    @property
    def public_key(self) -> str:
        """The raw public key, hexadecimal."""
        return self._signer.public_key().public_bytes_raw().hex()

    def rows(
        self, *, call: str | None = None, who: str | None = None, tenant: str | None = None
    ) -> Iterator[tuple[Look, str]]:
        """Yield the rows with their kept hashes, oldest first, some or all."""
        for row in self._pages(call, who, tenant):
            look = Look(**{name: getattr(row, name) for name in Look.__dataclass_fields__})
            yield look, row.sha256

    def _pages(
        self, call: str | None, who: str | None, tenant: str | None
    ) -> Iterator[sa.Row[Any]]:
        """Read by pages: no transaction stays open while somebody prints."""
        query = sa.select(access_log).order_by(access_log.c.number).limit(PAGE)
        for column, value in (
            (access_log.c.call, call),
            (access_log.c.who, who),
            (access_log.c.tenant, tenant),
        ):
            if value is not None:
                query = query.where(column == value)
        last: int | None = None
        while True:
            page = query if last is None else query.where(access_log.c.number > last)
            with self._database.connect() as db:
                rows = db.execute(page).all()
            yield from rows
            if len(rows) < PAGE:
                return
            last = rows[-1].number

    def head(self) -> Head | None:
        """Return the signed end; None before the first row."""
        with self._database.connect() as db:
            row = db.execute(sa.select(access_log_head)).first()
        return Head(row.number, row.sha256, row.signature) if row else None

    def verify(self, noted: str | None = None) -> Verdict:
        """Check every row, their order and the signed end.

        Args:
            noted: NUMBER:HASH of a head that was noted elsewhere; it must be a row of this chain.
                Only this finds that a whole older database was put in place of the newer one.
        """
        head = self.head()  # first: rows that come meanwhile are beyond it and do no harm
        return check(self.rows(), head, self.public_key, noted)


def check(
    rows: Iterable[tuple[Look, str]], head: Head | None, public_key: str, noted: str | None = None
) -> Verdict:
    """Check a chain from anywhere, for example from an export.

    Args:
        rows: each row with the hash that was kept beside it, oldest first.
        head: what is said to be the end; None: nothing.
        public_key: raw Ed25519 key that must have signed the end, hexadecimal.
        noted: NUMBER:HASH that must be a row of the chain.
    """
    faults: list[Fault] = []
    number, before = 0, FIRST
    at_head: str | None = None
    seen_noted = noted is None or noted == f"0:{FIRST}"
    for look, kept in rows:
        if look.number <= number or (look.number == number + 1 and look.previous != before):
            faults.append(Fault("reordered", look.number))
        elif look.number != number + 1:
            faults.append(Fault("missing", look.number))
        if look.sha256 != kept:
            faults.append(Fault("edited", look.number))
        number, before = look.number, kept
        if head and number == head.number:
            at_head = kept
        seen_noted = seen_noted or f"{number}:{kept}" == noted
    if head is None:
        if number:
            faults.append(Fault("unsigned", number))
    elif at_head is None:
        faults.append(Fault("cut", head.number))
    elif at_head != head.sha256 or not _signed(head, public_key):
        faults.append(Fault("unsigned", head.number))
    if not seen_noted:
        faults.append(Fault("other_head", number))
    return Verdict(number, f"{number}:{before}", tuple(faults))


def _statement(number: int, sha256: str) -> bytes:
    return CONTEXT + f"{number}:{sha256}".encode()


def _signed(head: Head, public_key: str) -> bool:
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        public.verify(bytes.fromhex(head.signature), _statement(head.number, head.sha256))
    except (InvalidSignature, ValueError):
        return False
    return True


def _line(text: str, longest: int) -> str:
    """One printable line: nobody writes a second row, or to a terminal, through a field."""
    return "".join(c if c.isprintable() else " " for c in text)[:longest]
