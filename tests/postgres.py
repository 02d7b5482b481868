"""A real PostgreSQL for tests: Debian's binaries, a cluster of our own, a database a test.

Needs no running server and touches none: the cluster lives in a temporary folder, on a free
loopback port, without fsync, and ends with the test run (or with its process, if that is killed).
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

USER = "postgres"


class Cluster:
    """A database server that a test may stop, kill and start again."""

    def __init__(self, programs: Path, folder: Path) -> None:
        """Make the files of a new cluster in `folder`; nothing runs yet."""
        self._programs, self._data = programs, folder / "data"
        self._log = folder / "server.log"
        self._server: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.port = _free_port()
        if os.geteuid() == 0:  # the server refuses to run as root
            account = pwd.getpwnam(USER)
            os.chown(folder, account.pw_uid, account.pw_gid)
        subprocess.run(
            [*_unprivileged(), self.program("initdb"), "-D", self._data, "-U", USER, "-A", "trust",
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=True, capture_output=True, cwd="/",
        )  # fmt: skip

    def program(self, name: str) -> str:
        """Return the path of a program of the same version: pg_dump, pg_restore, psql."""
        return str(self._programs / name)

    def start(self) -> None:
        options = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
            "fsync": "off", "max_connections": 200, "shared_buffers": "64MB",
        }  # fmt: skip
        given = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                [*_unprivileged(), self.program("postgres"), "-D", self._data, *given],
                stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        for _ in range(300):
            try:
                psycopg.connect(self.conninfo(USER), connect_timeout=2).close()
            except psycopg.OperationalError:
                if self._server.poll() is not None:
                    break
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start:\n{self._log.read_text('utf-8')[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT fast (sessions are cut), SIGQUIT at once (as in a crash)."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(timeout=60)
            self._server = None

    def conninfo(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.conninfo(USER), autocommit=True) as db:
            db.execute(f"create database {name}")
        return self.conninfo(name)

    def drop(self, url: str) -> None:
        with psycopg.connect(self.conninfo(USER), autocommit=True) as db:
            db.execute(f"drop database if exists {url.rpartition('/')[2]} with (force)")


@contextmanager
def server() -> Iterator[Cluster]:
    """Run a PostgreSQL until the block ends.

    Raises:
        FileNotFoundError: Debian's package is not installed.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
    if not found:
        raise FileNotFoundError("Debian's package postgresql is not installed")
    folder = Path(tempfile.mkdtemp(prefix="voice-pipeline-postgres-"))
    try:
        cluster = Cluster(found[-1].parent, folder)
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A running PostgreSQL; skipped where the package is not installed, but never in CI."""
    try:
        with server() as cluster:
            yield cluster
    except FileNotFoundError as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error}; .ci/run installs it")
        pytest.skip(str(error))


@pytest.fixture
def postgres_database(postgres: Cluster) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str | None:
    """Each test that asks for it runs twice: None is SQLite in the data folder, else a URL."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgres_database")
    return url


def _unprivileged() -> list[str]:
    """Return what starts a program so that it ends with us, and never as root."""
    ends_with_us = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() != 0:
        return ends_with_us
    return [*ends_with_us, f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]


def _version(program: Path) -> int:
    return int(program.parts[-3])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
