"""API keys: known again, never kept; nobody reaches beyond their own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from voice_pipeline.access.keys import COST, KEY, Keys
from voice_pipeline.access.limits import Buckets, network
from voice_pipeline.access.log import AccessLog
from voice_pipeline.access.permissions import PERMISSIONS, ROLES, Role, may
from voice_pipeline.access.principal import (
    Forbidden,
    Principal,
    TooMany,
    Unauthenticated,
    check_grant,
    scope,
)
from voice_pipeline.cli import app
from voice_pipeline.errors import BadInput
from voice_pipeline.store import Store
from voice_pipeline.store.database import sqlite_engine
from voice_pipeline.store.register import Register
from voice_pipeline.store.tables import access_keys, calls, metadata

DAY = 86400.0


class Clock:
    """The time of day, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path, database: str | None) -> Iterator[Store]:
    made = Store(tmp_path, database=database)
    yield made
    made.close()


def test_a_key_says_who_asks(store: Store) -> None:
    """A key made once is known in every process, with its role, tenant and queues."""
    key = Keys(store.database).create(
        Role.agent, tenant="acme", queues=frozenset({"billing", "claims"})
    )
    assert KEY.fullmatch(key)
    found = Keys(store.database).verify(key)
    assert found == Principal(
        "key", key[3:11], Role.agent, "acme", frozenset({"billing", "claims"})
    )


def test_keys_are_kept_as_slow_hashes(store: Store) -> None:
    """Who steals the table has no key: salts differ, the cost stands beside each hash."""
    keys = Keys(store.database)
    made = [keys.create(Role.agent) for _ in range(2)]
    with store.database.connect() as db:
        rows = db.execute(sa.select(access_keys)).all()
    hashes = [row.hash for row in rows]
    assert all(value.startswith(f"scrypt${COST}$") for value in hashes)
    assert len({value.split("$")[2] for value in hashes}) == 2
    assert not any(key.split("_")[2] in repr(rows) for key in made)
    before = time.process_time()
    Keys(store.database).verify(made[0])
    assert time.process_time() - before > 0.01


def test_a_verified_key_costs_no_second_hash(store: Store) -> None:
    """A request after the first pays for one row, not for a slow hash."""
    keys = Keys(store.database)
    key = keys.create(Role.agent)
    assert keys.known(key) is None
    keys.verify(key)
    before = time.process_time()
    for _ in range(20):
        assert keys.verify(key).role is Role.agent
    assert time.process_time() - before < 20 * 0.02


def test_revoked_is_refused_at_once(store: Store) -> None:
    """A key revoked by one process is refused by another that knew it a moment ago."""
    here, there = Keys(store.database), Keys(store.database)
    key = here.create(Role.agent)
    there.verify(key)
    here.revoke(key[:11])
    for keys in (here, there):
        with pytest.raises(Unauthenticated) as error:
            keys.verify(key)
        assert error.value.code == "key_revoked"
    here.revoke(key[:11])
    assert here.list()[0].state(time.time()) == "revoked"


def test_expired_is_refused_to_the_second(store: Store) -> None:
    """A key ends when it was to end, also for a process that remembers it."""
    clock = Clock()
    keys = Keys(store.database, clock)
    key = keys.create(Role.agent, expires_at=clock.now + DAY)
    clock.now += DAY - 1
    keys.verify(key)
    clock.now += 1
    with pytest.raises(Unauthenticated) as error:
        keys.verify(key)
    assert error.value.code == "key_expired"
    with pytest.raises(BadInput):
        keys.create(Role.agent, expires_at=clock.now)
    with pytest.raises(BadInput):
        keys.rotate(key[:11], grace=0)


def test_rotation_leaves_time_to_change_over(store: Store) -> None:
    """Both keys work during the grace, then the new one alone; a second rotation ends the grace."""
    clock = Clock()
    keys = Keys(store.database, clock)
    first = keys.create(Role.uploader, tenant="acme")
    second = keys.rotate(first[:11], grace=DAY)
    assert second[:11] == first[:11] and second != first
    assert keys.verify(first) == keys.verify(second)
    third = keys.rotate(first[:11], grace=DAY)
    with pytest.raises(Unauthenticated):
        keys.verify(first)
    assert keys.verify(second) == keys.verify(third)
    clock.now += DAY
    with pytest.raises(Unauthenticated):
        keys.verify(second)
    assert keys.verify(third).tenant == "acme"
    at_once = keys.rotate(first[:11], grace=0)
    with pytest.raises(Unauthenticated):
        keys.verify(third)
    keys.revoke(first[:11])
    with pytest.raises(Unauthenticated):
        keys.verify(at_once)


def test_last_use_is_noted_once_a_minute(store: Store) -> None:
    """One sees which keys are in use; a busy key does not write at each request."""
    clock = Clock()
    keys = Keys(store.database, clock)
    key = keys.create(Role.agent)
    assert keys.list()[0].last_used_at is None
    used = []
    for _ in range(3):
        keys.verify(key)
        used.append(keys.list()[0].last_used_at)
        clock.now += 30
    assert used == [clock.now - 90, clock.now - 90, clock.now - 30]


def test_one_tenant_does_not_manage_anothers_keys(store: Store) -> None:
    """Another tenant's key is as unknown as none: same error, nothing changed."""
    keys = Keys(store.database)
    key = keys.create(Role.agent, tenant="acme")
    assert keys.list("other") == []
    for change in (
        lambda: keys.revoke(key[:11], "other"),
        lambda: keys.rotate(key[:11], grace=0, tenant="other"),
        lambda: keys.revoke("zzzzzzzz"),
    ):
        with pytest.raises(BadInput) as error:
            change()
        assert error.value.code == "unknown_key"
    assert keys.verify(key).tenant == "acme"


def test_many_threads_know_one_key(store: Store) -> None:
    """Requests that come together are all answered, the first ones too."""
    keys = Keys(store.database)
    key = keys.create(Role.agent)
    found: list[Principal] = []
    threads = [threading.Thread(target=lambda: found.append(keys.verify(key))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Keys, list[str]]]:
    engine = sqlite_engine(tmp_path_factory.mktemp("keys") / "calls.db")
    metadata.create_all(engine)
    keys = Keys(engine)
    yield keys, [keys.create(role, tenant=f"t{n}") for n, role in enumerate(Role)]
    engine.dispose()


@settings(max_examples=50)  # a slow hash each
@given(data=st.data())
def test_no_mutated_key_is_taken(kept: tuple[Keys, list[str]], data: st.DataObject) -> None:
    """A key with a character changed, added, taken, moved, or half another's opens nothing."""
    keys, made = kept
    key, other = data.draw(st.permutations(made))[:2]
    at = data.draw(st.integers(0, len(key) - 1))
    letter = data.draw(st.characters() | st.sampled_from("abcXYZ019_-. \n\x00"))
    mutated = data.draw(
        st.sampled_from(
            [
                key[:at] + letter + key[at + 1 :],
                key[:at] + letter + key[at:],
                key[:at] + key[at + 1 :],
                key[at:] + key[:at],
                key[:at] + other[at:],
                key.swapcase(),
                key + letter,
                letter + key,
                "".join(data.draw(st.permutations(key))),
            ]
        )
    )
    if mutated in made:
        assert keys.verify(mutated).id == mutated[3:11]
    else:
        with pytest.raises(Unauthenticated):
            keys.verify(mutated)


NAMES = ["acme", "Acme", "acm", "acme2", "default", "other"]
QUEUES = ["billing", "Billing", "bill", "claims"]


@pytest.fixture(scope="module")
def register(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[sa.Engine, Register]]:
    engine = sqlite_engine(tmp_path_factory.mktemp("register") / "calls.db")
    metadata.create_all(engine)
    yield engine, Register(engine)
    engine.dispose()


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(NAMES), st.none() | st.sampled_from(QUEUES)), max_size=12
    ),
    tenant=st.sampled_from(NAMES),
    queues=st.none() | st.frozensets(st.sampled_from(QUEUES)),
    role=st.sampled_from(Role),
)
def test_nobody_sees_a_row_of_another_tenant_or_queue(
    register: tuple[sa.Engine, Register],
    rows: list[tuple[str, str | None]],
    tenant: str,
    queues: frozenset[str] | None,
    role: Role,
) -> None:
    """Whatever tenants and queues there are: through a scope one sees exactly one's own calls."""
    engine, calls_of = register
    with engine.begin() as db:
        db.execute(calls.delete())
        for number, (owner, queue) in enumerate(rows):
            db.execute(
                calls.insert().values(
                    call=f"c{number}", tenant=owner, queue=queue, received_at=float(number),
                    status="done",
                )
            )  # fmt: skip
    mine = scope(Principal("key", "aaaaaaaa", role, tenant, queues))
    own = {
        f"c{number}"
        for number, (owner, queue) in enumerate(rows)
        if owner == tenant and (queues is None or queue in queues)
    }
    assert {row.call for row in calls_of.find(mine, limit=100)} == own
    for number in range(len(rows)):
        assert (calls_of.get(f"c{number}", mine) is not None) == (f"c{number}" in own)


@given(
    mine=st.none() | st.frozensets(st.sampled_from(QUEUES)),
    given_away=st.none() | st.frozensets(st.sampled_from(QUEUES)),
    tenant=st.sampled_from(NAMES),
)
def test_nobody_gives_away_more_than_they_have(
    mine: frozenset[str] | None, given_away: frozenset[str] | None, tenant: str
) -> None:
    """A key made by somebody reaches no call that its maker does not reach."""
    maker = Principal("key", "aaaaaaaa", Role.admin, "acme", mine)
    inside = tenant == "acme" and (mine is None or (given_away is not None and given_away <= mine))
    if inside:
        check_grant(maker, tenant, given_away)
    else:
        with pytest.raises(Forbidden):
            check_grant(maker, tenant, given_away)


def test_the_table_gives_least() -> None:
    """An uploader sees no content, and only compliance opens the vault."""
    uploader = {name for name in PERMISSIONS if may(Role.uploader, name)}
    assert uploader == {"calls.upload", "calls.read"}
    assert PERMISSIONS["vault.open"].roles == {Role.compliance}
    assert PERMISSIONS["keys.manage"].roles == {Role.admin}
    assert {name for name in PERMISSIONS if may(Role.agent, name)}.isdisjoint(
        {"logs.read", "held.decide", "reviews.decide", "access_log.read", "metrics.read"}
    )
    assert all(permission.roles for permission in PERMISSIONS.values())
    assert set(ROLES) == set(Role)


def test_buckets_fill_again() -> None:
    """A burst is taken at once, then the rate holds; names do not share; memory is bounded."""
    clock = Clock()
    buckets = Buckets(2.0, 3, clock)
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(TooMany) as error:
        buckets.take("a")
    assert error.value.wait == pytest.approx(0.5)
    buckets.take("b")
    clock.now += 0.5
    buckets.check("a")
    buckets.take("a")
    for number in range(20_000):
        buckets.take(str(number))
    assert len(buckets._buckets) <= 10_000


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_counts_once(address: str, counted: str) -> None:
    """One IPv6 host has a whole /64: it does not get a fresh bucket for each of them."""
    assert network(address) == counted


def test_the_command_prints_only_the_key(tmp_path: Path) -> None:
    """`KEY=$(voice-pipeline keys create ...)` works before anything was served, and beside it."""
    folder = tmp_path / "data"
    made = subprocess.run(
        [sys.executable, "-m", "voice_pipeline", "--data", folder, "keys", "create",
         "--role", "agent", "--queue", "billing", "--expires", "90d"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    key = made.stdout.removesuffix("\n")
    assert KEY.fullmatch(key)
    assert key not in made.stderr
    store = Store(folder)  # a service that runs
    keys = Keys(store.database)
    assert keys.verify(key).queues == {"billing"}

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["--data", str(folder), "keys", *words])
        assert done.exit_code == 0
        return done.stdout.strip()

    listed = run("list", "--json")
    assert [row["state"] for row in json.loads(listed)] == ["active"]
    assert key.split("_")[2] not in listed + run("list")
    rotated = run("rotate", key[:11], "--grace", "0")
    assert keys.verify(rotated).role is Role.agent
    with pytest.raises(Unauthenticated):
        keys.verify(key)
    run("revoke", key[3:11])
    with pytest.raises(Unauthenticated):
        keys.verify(rotated)
    looks = [look.what for look, _ in AccessLog(store.database, store.signing_seed()).rows()]
    assert looks == [f"key {key[:11]} {what}" for what in ("created", "rotated", "revoked")]
    store.close()


@pytest.mark.parametrize(
    "words",
    [
        ("keys", "create", "--role", "agent", "--expires", "soon"),
        ("keys", "create", "--role", "agent", "--expires", "2020-01-01"),
        ("keys", "create", "--role", "agent", "--expires", "999999w"),
        ("keys", "create", "--role", "agent", "--tenant", "a b"),
        ("keys", "revoke", "nokey"),
    ],
    ids=["no time", "past", "for ever", "tenant", "unknown"],
)
def test_wrong_words_make_no_key(tmp_path: Path, words: tuple[str, ...]) -> None:
    """What does not fit is bad input, and nothing that looks like a key is printed."""
    done = CliRunner().invoke(app, ["--data", str(tmp_path), *words])
    assert isinstance(done.exception, BadInput)
    assert done.output == ""
    assert words[1] == "create" or not list(tmp_path.iterdir())  # a question makes no folder
