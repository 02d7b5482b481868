"""A real Request Tracker for tests: Debian's package, a SQLite database of our own, on loopback.

Needs no configured Request Tracker and touches none: everything lies in a temporary folder, and
the server ends with the test run (or with its process, if that is killed). Sends no mail.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

LIBRARY = Path("/usr/share/request-tracker5")
QUEUE = "Calls"
RIGHTS = (
    "SeeQueue", "SeeCustomField", "ShowTicket", "CreateTicket", "ModifyCustomField",
    "CommentOnTicket", "ShowTicketComments",
)  # fmt: skip
PASSWORD = "invented password"
_SETUP = ["rt-setup-database-5", "--skip-create", "--action"]
# Debian's packages set these folders at build time; ours come after.
_SITE = """
$RT::VarPath = "{folder}";
$RT::MasonDataDir = "{folder}/mason";
$RT::MasonSessionDir = "{folder}/sessions";
Set($rtname, "test");
Set($Organization, "test");
Set($WebDomain, "127.0.0.1");
Set($WebPort, {port});
Set($WebPath, "");
Set($DatabaseType, "SQLite");
Set($DatabaseName, "{folder}/tickets.sqlite");
Set($LogToSyslog, undef);
Set($LogToSTDERR, "warning");
Set($MailCommand, "testfile");
Set($DisallowExecuteCode, 1);
Set($BcryptCost, 4);
Set($InitialdataFormatHandlers, ["perl", "RT::Initialdata::JSON"]);
1;
"""
_TOKEN = """
use RT -init;
my $user = RT::User->new(RT->SystemUser);
$user->Load($ARGV[0]);
my $token = RT::AuthToken->new(RT->SystemUser);
my ($ok, $message, $text) = $token->Create(Owner => $user->id, Description => "test");
die $message unless $ok;
print $text;
"""


class Tracker:
    """A Request Tracker with a queue, two custom fields, and a user for every set of rights."""

    def __init__(self, folder: Path) -> None:
        """Make the database in `folder`; nothing runs yet."""
        self._folder, self._log = folder, folder / "server.log"
        self._server: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        for name in ("mason", "sessions"):
            (folder / name).mkdir()
        site = folder / "RT_SiteConfig.pm"
        site.write_text(_SITE.replace("{folder}", str(folder)).replace("{port}", str(self.port)))
        self._env = os.environ | {"RT_SITE_CONFIG": str(site), "RT_SITE_CONFIG_DIR": "/dev/null"}
        self._run(*_SETUP, "init")
        content = folder / "content.json"
        content.write_text(json.dumps(_content()))
        self._run(*_SETUP, "insert", "--datafile", str(content))
        self.token = self._run("perl", f"-I{LIBRARY}/lib", "-e", _TOKEN, "voice").strip()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", str(LIBRARY / "libexec/rt-server"),
                 "--server", "Standalone", "--host", "127.0.0.1", "--port", str(self.port)],
                stdout=log, stderr=log, cwd="/", env=self._env,
            )  # fmt: skip
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
            except OSError:
                if self._server.poll() is not None:
                    break
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"Request Tracker did not start:\n{self.log()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(timeout=60)
            self._server = None

    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def root(self) -> httpx.Client:
        """Return another program's view of everything."""
        return httpx.Client(
            base_url=f"{self.url}/REST/2.0", auth=("root", "password"), timeout=60, trust_env=False
        )

    def tickets(self, query: str = "id > 0") -> list[dict[str, Any]]:
        """Return id, Subject, Status, CustomFields ... of every ticket that is not deleted."""
        found: list[dict[str, Any]] = []
        fields = "Subject,Status,Queue,CustomFields,Requestor"
        with self.root() as root:
            while True:
                answer = root.get("/tickets", params={
                    "query": query, "fields": fields, "per_page": 100, "orderby": "id",
                    "page": len(found) // 100 + 1,
                }).raise_for_status().json()  # fmt: skip
                found += answer["items"]
                if answer["count"] < 100:
                    return found

    def said(self, ticket: str) -> list[dict[str, Any]]:
        """Return Subject, ContentType and Content of what was written on a ticket, in order."""
        fields = "Subject,ContentType,Content"
        with self.root() as root:
            listed = root.get(
                f"/ticket/{ticket}/attachments", params={"fields": fields, "per_page": 100}
            )
            items: list[dict[str, Any]] = listed.raise_for_status().json()["items"]
            return [item for item in items if item["ContentType"].startswith("text/")]

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=self._env)
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
        return done.stdout


def values(ticket: Mapping[str, Any]) -> dict[str, str]:
    """Return a ticket's custom fields, the first value of each."""
    return {field["name"]: (field["values"] or [""])[0] for field in ticket["CustomFields"]}


@contextmanager
def server() -> Iterator[Tracker]:
    """Run a Request Tracker until the block ends.

    Raises:
        FileNotFoundError: Debian's packages are not installed.
    """
    if not (LIBRARY / "libexec/rt-server").exists() or not shutil.which(_SETUP[0]):
        raise FileNotFoundError(
            "Debian's packages request-tracker5, rt5-standalone and rt5-db-sqlite are not installed"
        )
    folder = Path(tempfile.mkdtemp(prefix="voice-pipeline-request-tracker-"))
    try:
        tracker = Tracker(folder)
        tracker.start()
        try:
            yield tracker
        finally:
            tracker.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def request_tracker() -> Iterator[Tracker]:
    """A running Request Tracker; skipped where it is not installed, but never in CI."""
    try:
        with server() as tracker:
            yield tracker
    except FileNotFoundError as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error}; .ci/run installs them")
        pytest.skip(str(error))


def _content() -> dict[str, Any]:
    """Return a queue, its fields and its users as Request Tracker's own set-up reads them."""
    names = {"voice": RIGHTS, "tidy": (*RIGHTS, "DeleteTicket")}
    names |= {f"no {right}": tuple(r for r in RIGHTS if r != right) for right in RIGHTS}
    field = {"Type": "FreeformSingle", "LookupType": "RT::Queue-RT::Ticket", "Queue": [QUEUE]}
    return {
        "Queues": [{"Name": QUEUE}, {"Name": "Elsewhere"}],
        "CustomFields": [
            {"Name": name, **field} for name in ("CallId", "DeliveryKey", "Customer", "Reason")
        ],
        "Users": [
            *({"Name": name, "Password": PASSWORD, "Privileged": 1} for name in names),
            {"Name": "C-1042", "RealName": "Ann Invented", "EmailAddress": "ann@invented.example"},
            {"Name": "C-1043", "RealName": "Bob Invented", "EmailAddress": "bob@invented.example"},
        ],
        "ACL": [
            {"UserId": name, "Queue": QUEUE, "Right": right}
            for name, rights in names.items()
            for right in rights
        ],
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
