"""API keys: `vp_<id>_<secret>`, made, known again, rotated and revoked.

Decides who a key is. Keeps no key: of its secret (256 random bits) there is a scrypt hash with a
salt of its own. Refuses a key that differs in one character, was revoked or has expired, with one
and the same sentence unless the secret was right.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import string
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from voice_pipeline.access.permissions import Role
from voice_pipeline.access.principal import Principal, Unauthenticated, check_reach
from voice_pipeline.errors import BadInput, Retryable
from voice_pipeline.store.tables import access_keys

# 16 MiB and about 40 ms a try. The secret cannot be guessed at any cost; scrypt stands between a
# stolen table and somebody who brought a shorter secret into it.
COST = 2**14  # scrypt's N; r = 8, p = 1. Kept with each hash, so that it can be raised
ID_LETTERS = string.ascii_lowercase + string.digits
SECRET_LETTERS = string.ascii_letters + string.digits
KEY = re.compile(r"vp_([a-z0-9]{8})_([A-Za-z0-9]{43})", re.ASCII)
REMEMBERED = 1024  # verified keys
REMEMBER = 60.0  # seconds
USED = 60.0  # seconds between two notes that a key was used
AT_ONCE = threading.BoundedSemaphore(2)  # hashes: a flood of wrong keys takes no more memory


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What may be shown of a key. Times are seconds since the epoch."""

    id: str
    role: str
    tenant: str
    queues: tuple[str, ...] | None  # None: all
    created_at: float
    expires_at: float | None
    rotated_at: float | None
    revoked_at: float | None
    last_used_at: float | None  # to the minute

    @property
    def prefix(self) -> str:
        return f"vp_{self.id}"

    def state(self, now: float) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


@dataclass(frozen=True, slots=True)
class _Known:
    """A key that was verified: of which row, and which of its hashes it fitted."""

    id: str
    hash: str
    until: float  # on the monotonic clock


class Keys:
    """The API keys of one database. Safe for several processes and threads at once."""

    def __init__(self, database: sa.Engine, now: Callable[[], float] = time.time) -> None:
        self._database, self._now = database, now
        self._pepper = secrets.token_bytes(32)  # of this process: its memory holds no key either
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lock = threading.Lock()

    # ------------------------------------------------------------ for those who manage

    def create(
        self,
        role: Role,
        *,
        tenant: str = "default",
        queues: frozenset[str] | None = None,
        expires_at: float | None = None,
    ) -> str:
        """Make a key and return it: the only time that anybody sees it.

        Args:
            role: what it may do.
            tenant: whose calls it reaches.
            queues: which of them; None: all.
            expires_at: seconds since the epoch; None: never.

        Raises:
            BadInput: a name or the time does not fit (codes `access_name`, `time`).
        """
        check_reach(tenant, queues)
        if expires_at is not None and expires_at <= self._now():
            raise BadInput("the key would have expired already; name a later time", code="time")
        identifier, secret = _random(ID_LETTERS, 8), _random(SECRET_LETTERS, 43)
        row = {
            "id": identifier,
            "hash": _hash(secret),
            "role": role.value,
            "tenant": tenant,
            "queues": None if queues is None else json.dumps(sorted(queues)),
            "created_at": self._now(),
            "expires_at": expires_at,
        }
        with self._database.begin() as db:
            db.execute(access_keys.insert().values(row))
        return f"vp_{identifier}_{secret}"

    def list(self, tenant: str | None = None) -> list[KeyRow]:
        """Return the keys of a tenant, or of all, oldest first."""
        query = sa.select(access_keys).order_by(access_keys.c.created_at, access_keys.c.id)
        if tenant is not None:
            query = query.where(access_keys.c.tenant == tenant)
        with self._database.connect() as db:
            return [_shown(row) for row in db.execute(query)]

    def revoke(self, identifier: str, tenant: str | None = None) -> None:
        """Refuse a key from now on, in every process; twice is fine.

        Args:
            identifier: the eight letters, or the prefix that `list` shows.
            tenant: look among the keys of this one only; None: of all.

        Raises:
            BadInput: there is no such key (code `unknown_key`).
        """
        values = {"revoked_at": sa.func.coalesce(access_keys.c.revoked_at, self._now())}
        self._change(_where(identifier, tenant), values)

    def rotate(self, identifier: str, *, grace: float, tenant: str | None = None) -> str:
        """Give a key a new secret and return it; the old one is taken for `grace` seconds more.

        Role, reach and expiry stay. A second rotation ends the grace of the first.

        Raises:
            BadInput: there is no such key, or it was revoked or has expired (code `unknown_key`).
        """
        now, secret = self._now(), _random(SECRET_LETTERS, 43)
        alive = sa.and_(
            access_keys.c.revoked_at.is_(None),
            sa.or_(access_keys.c.expires_at.is_(None), access_keys.c.expires_at > now),
        )
        values: dict[str, Any] = {
            "old_hash": access_keys.c.hash,
            "old_until": now + max(0.0, grace),
            "hash": _hash(secret),
            "rotated_at": now,
        }
        self._change(sa.and_(_where(identifier, tenant), alive), values)
        return f"vp_{_identifier(identifier)}_{secret}"

    def _change(self, where: sa.ColumnElement[bool], values: dict[str, Any]) -> None:
        with self._database.begin() as db:
            changed = db.execute(access_keys.update().where(where).values(values)).rowcount
        if not changed:
            raise BadInput("no such key that could be used; see `keys list`", code="unknown_key")

    # ------------------------------------------------------------ for those who ask

    def verify(self, key: str) -> Principal:
        """Return whose key this is.

        The first time it takes a hash, tens of milliseconds; then, for a minute, one row is read.

        Raises:
            Unauthenticated: nobody's, or it was revoked or has expired.
        """
        if (principal := self.known(key)) is not None:
            return principal
        found = KEY.fullmatch(key)
        if not found:
            raise _nobody()
        row = self._row(found[1])
        if row is None:  # at once: ids are no secret, and made-up ones should cost us no hash
            raise _nobody()
        fitting = next((h for h in _hashes(row, self._now()) if _fits(h, found[2])), None)
        if fitting is None:
            raise _nobody()
        principal = self._principal(row)
        self._remember(key, _Known(row.id, fitting, time.monotonic() + REMEMBER))
        return principal

    def known(self, key: str) -> Principal | None:
        """Return whose key this is if it was verified lately, without a hash.

        Raises:
            Unauthenticated: it was revoked or has expired since.
        """
        with self._lock:
            known = self._known.get(self._digest(key))
        if known is None or known.until < time.monotonic():
            return None
        row = self._row(known.id)
        if row is None or known.hash not in _hashes(row, self._now()):
            raise _nobody()
        return self._principal(row)

    def _principal(self, row: sa.Row[Any]) -> Principal:
        """Only for somebody who has shown the right secret: the message says what is wrong."""
        now = self._now()
        if row.revoked_at is not None:
            raise Unauthenticated("this key was revoked; ask for a new one", code="key_revoked")
        if row.expires_at is not None and row.expires_at <= now:
            raise Unauthenticated("this key has expired; ask for a new one", code="key_expired")
        if row.role not in set(Role):
            raise Unauthenticated("this key's role is not known to this release")
        if row.last_used_at is None or now - row.last_used_at >= USED:
            same = access_keys.c.id == row.id
            # a database that takes no writes now is no reason to refuse somebody who reads
            with suppress(Retryable), self._database.begin() as db:
                db.execute(access_keys.update().where(same).values(last_used_at=now))
        queues = None if row.queues is None else frozenset(json.loads(row.queues))
        return Principal("key", row.id, Role(row.role), row.tenant, queues)

    def _row(self, identifier: str) -> sa.Row[Any] | None:
        with self._database.connect() as db:
            return db.execute(sa.select(access_keys).where(access_keys.c.id == identifier)).first()

    def _digest(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), key=self._pepper).digest()

    def _remember(self, key: str, known: _Known) -> None:
        with self._lock:
            self._known[self._digest(key)] = known
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)


def _hashes(row: sa.Row[Any], now: float) -> list[str]:
    """The hashes that a secret may fit: the current one, and the old one during its grace."""
    if row.old_hash is not None and row.old_until > now:
        return [row.hash, row.old_hash]
    return [row.hash]


def _hash(secret: str) -> str:
    return _scrypt(secret, COST, secrets.token_bytes(16))


def _fits(kept: str, secret: str) -> bool:
    _, cost, salt, _ = kept.split("$")
    return hmac.compare_digest(kept, _scrypt(secret, int(cost), bytes.fromhex(salt)))


def _scrypt(secret: str, cost: int, salt: bytes) -> str:
    with AT_ONCE:
        hashed = hashlib.scrypt(
            secret.encode(), salt=salt, n=cost, r=8, p=1, maxmem=256 * cost * 8, dklen=32
        )
    return f"scrypt${cost}${salt.hex()}${hashed.hex()}"


def _nobody() -> Unauthenticated:
    return Unauthenticated("the key or token is not known here")


def _random(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


def _identifier(shown: str) -> str:
    return shown.removeprefix("vp_").split("_")[0]


def _where(identifier: str, tenant: str | None) -> sa.ColumnElement[bool]:
    same = access_keys.c.id == _identifier(identifier)
    return same if tenant is None else sa.and_(same, access_keys.c.tenant == tenant)


def _shown(row: sa.Row[Any]) -> KeyRow:
    names = [name for name in KeyRow.__dataclass_fields__ if name != "queues"]
    queues = None if row.queues is None else tuple(json.loads(row.queues))
    return KeyRow(queues=queues, **{name: getattr(row, name) for name in names})
