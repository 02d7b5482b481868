"""Bringing models: whole or not at all, pinned, and never another file than was promised."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command import run
from hub_server import COMMIT, Hub
from huggingface_hub import constants

from voice_pipeline import catalogue, fetching
from voice_pipeline.errors import (
    BadInput,
    Misconfigured,
    Permanent,
    PipelineError,
    Retryable,
)
from voice_pipeline.fetching import Digest, fetch, make_room, part_of
from voice_pipeline.hub import list_files

NAME = "whisper-tiny"
MODEL = catalogue.model(NAME)
BIG = np.random.default_rng(1).bytes(3_000_000)
FILES = {
    name: (BIG if name == "model.bin" else f"this is {name}\n".encode()) for name in MODEL.files
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub with the model, and an environment that points the hub's library at it."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with Hub(MODEL.hub, FILES) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def pull(data: Path, *more: str, name: str = NAME) -> subprocess.CompletedProcess[str]:
    return run("--data", data, "models", "pull", name, *more, timeout=120)


def folder(data: Path) -> Path:
    return data / "models" / NAME


def one(hub: Hub, target: Path, name: str = "model.bin", data: bytes = BIG) -> None:
    digest = Digest("sha256", hashlib.sha256(data).hexdigest())
    fetch(hub.file_url(name), target, size=len(data), digest=digest, pause=0.01, timeout=5)


# ---------------------------------------------------------------- the command


def test_a_model_is_fetched_checked_and_pinned(hub: Hub, tmp_path: Path) -> None:
    """At one commit, with every file as the hub lists it; a second time nothing is asked."""
    done = pull(tmp_path, "--revision", "main")
    assert done.returncode == 0, done.stderr
    assert {p.name: p.read_bytes() for p in folder(tmp_path).iterdir() if p.name in FILES} == FILES
    assert catalogue.verify(NAME, tmp_path / "models").ok
    assert catalogue.source(folder(tmp_path)) == {"repository": MODEL.hub, "commit": COMMIT}
    assert not list(folder(tmp_path).glob(".*.part"))
    asked = len(hub.requests)
    again = pull(tmp_path)
    assert again.returncode == 0
    assert "already here" in again.stderr
    assert len(hub.requests) == asked
    listed = json.loads(run("--data", tmp_path, "models", "list", "--json").stdout)
    entry = next(row for row in listed if row["name"] == NAME)
    assert entry["here"] and entry["pinned"] == COMMIT[:12]
    assert entry["languages"] and entry["memory"] and entry["licence"] and entry["good_for"]
    assert run("--data", tmp_path, "models", "verify").returncode == 0


def test_a_revision_must_be_named_once(hub: Hub, tmp_path: Path) -> None:
    """Where the catalogue pins none, nobody takes whatever is newest by accident."""
    done = pull(tmp_path)
    assert done.returncode == 3
    assert "--revision" in done.stderr
    assert "revision_needed" in done.stderr
    assert hub.requests == []


def test_links_that_break_are_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    """Storage cuts every answer after 700 kB: the file comes in pieces, none of them twice."""
    hub.cut_after = 700_000
    done = pull(tmp_path, "--revision", COMMIT)
    assert done.returncode == 0, done.stderr
    assert hub.sent == sum(map(len, FILES.values()))
    ranges = [h["Range"] for path, h in hub.downloads if "Range" in h]
    assert ranges == [f"bytes={at}-" for at in (700_000, 1_400_000, 2_100_000, 2_800_000)]


def test_a_killed_download_goes_on(hub: Hub, tmp_path: Path) -> None:
    """SIGKILL in the middle: nothing that could be loaded is there; the next command goes on."""
    hub.cut_after = 300_000
    hub.statuses = [200] + [503] * 100
    command = [sys.executable, "-m", "voice_pipeline", "--data", str(tmp_path),
               "models", "pull", NAME, "--revision", "main"]  # fmt: skip
    process = subprocess.Popen(
        command, env={**os.environ}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(hub.downloads) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert not (folder(tmp_path) / "model.bin").exists()
    assert not catalogue.verify(NAME, tmp_path / "models").ok
    half = run("--data", tmp_path, "models", "verify")
    assert half.returncode == 1
    assert "model.bin" in half.stdout
    assert "models pull" in half.stdout
    hub.cut_after, hub.statuses = None, []
    before = hub.sent
    assert pull(tmp_path, "--revision", "main").returncode == 0
    assert hub.sent - before == sum(map(len, FILES.values())) - 300_000
    assert catalogue.verify(NAME, tmp_path / "models").ok


def test_another_file_than_listed_is_not_kept(hub: Hub, tmp_path: Path) -> None:
    """Bytes changed on the way, large and small files alike: exit 1, and nothing pinned."""
    for name in ("model.bin", "config.json"):
        hub.served = {**FILES, name: bytes(len(FILES[name]))}
        done = pull(tmp_path, "--revision", "main")
        assert done.returncode == 1
        assert "hash_mismatch" in done.stderr
        assert not (folder(tmp_path) / name).exists()
        assert not (folder(tmp_path) / catalogue.PINS).exists()


def test_only_the_catalogues_files_are_taken(hub: Hub, tmp_path: Path) -> None:
    """What else a repository lists, with whatever name, is neither fetched nor written."""
    for name in ("../../escape.txt", "/etc/passwd", "..\\x", "evil.py", "sub/evil.py"):
        hub.extra.append({"rfilename": name, "size": 3, "blobId": "0" * 40})
    assert pull(tmp_path, "--revision", "main").returncode == 0
    fetched = {path for path, _ in hub.downloads}
    assert fetched == {f"/{name}" for name in FILES}
    written = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert not written & {"escape.txt", "evil.py"}


@pytest.mark.parametrize(
    ("listing", "status", "code"),
    [
        (b"{}", 200, "hub_unreachable"),
        (b"<html>sign in</html>", 200, "hub_unreachable"),
        (b"{}", 500, "hub_unreachable"),
        (b"{}", 401, "hub_refused"),
        (b"{}", 403, "hub_refused"),
        (json.dumps({"id": "x", "sha": "main", "siblings": []}).encode(), 200, "hub_unreachable"),
        (json.dumps({"id": "x", "sha": COMMIT, "siblings": []}).encode(), 200, "model_incomplete"),
        (json.dumps({"id": "x", "sha": COMMIT, "siblings": [
            {"rfilename": n, "size": 1, "blobId": "?"} for n in FILES]}).encode(), 200,
         "hub_unreachable"),
    ],
)  # fmt: skip
def test_hubs_that_answer_badly(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, listing: bytes, status: int, code: str
) -> None:
    """One error that says what to do, and nothing is fetched."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr("voice_pipeline.hub.PAUSE", 0.01)
    hub.listing, hub.listing_status = listing, status
    with pytest.raises(PipelineError) as caught:
        list_files(MODEL.hub, "main", MODEL.files)
    assert caught.value.code == code
    assert hub.downloads == []


def test_an_unknown_revision_is_said(hub: Hub, tmp_path: Path) -> None:
    """A commit that the repository does not have."""
    done = pull(tmp_path, "--revision", "f" * 40)
    assert done.returncode == 3
    assert "hub_refused" in done.stderr


def test_no_hub_at_all(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a network is told how to bring the files."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    done = pull(tmp_path, "--revision", "main")
    assert done.returncode == 1
    assert "models add" in done.stderr
    assert "hub_unreachable" in done.stderr


def test_the_token_goes_to_the_hub_alone(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By reference, as the hub's own tools find it; not to storage, not into any output or file."""
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    done = pull(tmp_path, "--revision", "main")
    assert done.returncode == 0, done.stderr
    assert all(h.get("Authorization") == "Bearer hf_canary" for p, h in hub.requests)
    assert not any("Authorization" in h for p, h in hub.downloads)
    assert "canary" not in done.stdout + done.stderr
    assert not any(b"canary" in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())


# ---------------------------------------------------------------- one file


def test_a_server_without_ranges_starts_over(hub: Hub, tmp_path: Path) -> None:
    """What it sends again is not put behind what is there."""
    target = tmp_path / "model.bin"
    part = part_of(target, Digest("sha256", hashlib.sha256(BIG).hexdigest()))
    part.write_bytes(BIG[:1000])
    hub.ranges = False
    one(hub, target)
    assert target.read_bytes() == BIG


def test_a_part_that_is_too_long_or_wrong_is_not_used(hub: Hub, tmp_path: Path) -> None:
    """Longer than the file: over again. Other bytes: found at the end, deleted, right next time."""
    target = tmp_path / "model.bin"
    part = part_of(target, Digest("sha256", hashlib.sha256(BIG).hexdigest()))
    part.write_bytes(BIG + b"more")
    one(hub, target)
    assert target.read_bytes() == BIG
    target.unlink()
    part.write_bytes(b"x" * 1000)
    with pytest.raises(Permanent):
        one(hub, target)
    assert not part.exists()
    one(hub, target)
    assert target.read_bytes() == BIG


def test_more_bytes_than_promised_are_refused(hub: Hub, tmp_path: Path) -> None:
    """A file that does not end does not fill the disk."""
    hub.served["model.bin"] = BIG + bytes(50_000_000)
    with pytest.raises(Permanent) as caught:
        one(hub, tmp_path / "model.bin")
    assert caught.value.code == "hash_mismatch"
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= len(BIG)


def test_what_is_there_already_is_not_fetched(hub: Hub, tmp_path: Path) -> None:
    """The right file is kept; a wrong one of its name, or a link, is replaced."""
    target = tmp_path / "model.bin"
    target.write_bytes(BIG)
    one(hub, target)
    assert hub.downloads == []
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    target.unlink()
    target.symlink_to(outside)
    one(hub, target)
    assert target.read_bytes() == BIG
    assert not target.is_symlink()
    assert outside.read_bytes() == b"mine"


def test_passing_faults_pass_and_lasting_ones_end(hub: Hub, tmp_path: Path) -> None:
    """429 and 503 are tried again; a link that never brings a byte is given up, and said so."""
    hub.statuses = [429, 503, 200]
    one(hub, tmp_path / "model.bin")
    (tmp_path / "model.bin").unlink()
    hub.statuses = [503] * 50
    with pytest.raises(Retryable) as caught:
        one(hub, tmp_path / "model.bin")
    assert caught.value.code == "hub_unreachable"
    assert len(hub.statuses) == 50 - fetching.ATTEMPTS
    hub.statuses = [404]
    with pytest.raises(BadInput):
        one(hub, tmp_path / "model.bin")


def test_a_full_disk_is_said_before(tmp_path: Path) -> None:
    """Nothing is fetched that will not fit; a folder that cannot be made is said, too."""
    with pytest.raises(Misconfigured) as caught:
        make_room(tmp_path, 10**18)
    assert caught.value.code == "disk_full"
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="models"):
        make_room(tmp_path / "file" / "models", 1)


def test_a_disk_that_fills_up_is_said(hub: Hub, tmp_path: Path) -> None:
    """No room for the rest (a limit stands for it): said, what came is kept and gone on with."""
    target = tmp_path / "model.bin"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        with pytest.raises(Misconfigured) as caught:
            one(hub, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "disk_full"
    assert not target.exists()
    one(hub, target)
    assert target.read_bytes() == BIG
    assert any("Range" in headers for _, headers in hub.downloads)


def test_a_part_that_is_a_link_is_not_followed(hub: Hub, tmp_path: Path) -> None:
    """Whoever may write into the folder of models cannot make us write, or read, elsewhere."""
    target, elsewhere = tmp_path / "model.bin", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    for place in (elsewhere, Path("/dev/zero")):
        part_of(target, Digest("sha256", hashlib.sha256(BIG).hexdigest())).symlink_to(place)
        one(hub, target)
        assert target.read_bytes() == BIG
        target.unlink()
    assert elsewhere.read_bytes() == b"mine"


# ---------------------------------------------------------------- from a folder


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """A folder on a stick."""
    place = tmp_path / "stick"
    place.mkdir()
    for name, data in FILES.items():
        (place / name).write_bytes(data)
    (place / "README.md").write_text("more")
    return place


def add(data: Path, source: Path) -> subprocess.CompletedProcess[str]:
    return run("--data", data, "models", "add", NAME, source)


def test_a_model_comes_from_a_folder(brought: Path, tmp_path: Path) -> None:
    """Only the files that are needed, pinned; without hashes beside them, they are shown."""
    done = add(tmp_path / "data", brought)
    assert done.returncode == 0, done.stderr
    assert "nobody had vouched" in done.stderr
    assert hashlib.sha256(BIG).hexdigest() in done.stdout
    assert catalogue.verify(NAME, tmp_path / "data" / "models").ok
    assert not (folder(tmp_path / "data") / "README.md").exists()


def test_hashes_beside_a_folder_are_obeyed(brought: Path, tmp_path: Path) -> None:
    """SHA256SUMS of the machine that fetched it: a file that changed since is refused."""
    lines = [f"{hashlib.sha256(d).hexdigest()}  {n}\n" for n, d in FILES.items()]
    (brought / catalogue.PINS).write_text("".join(lines))
    assert "vouched" not in add(tmp_path / "one", brought).stderr
    (brought / "model.bin").write_bytes(BIG[:-1] + b"!")
    done = add(tmp_path / "two", brought)
    assert done.returncode == 1
    assert "hash_mismatch" in done.stderr
    assert not folder(tmp_path / "two").exists()


def test_an_incomplete_folder_is_refused(brought: Path, tmp_path: Path) -> None:
    """What is missing is named; a folder that is not there as well; nothing is copied."""
    (brought / "model.bin").unlink()
    done = add(tmp_path / "data", brought)
    assert done.returncode == 3
    assert "model.bin missing" in done.stderr
    assert add(tmp_path / "data", tmp_path / "no").returncode == 3
    assert not folder(tmp_path / "data").exists()


def test_links_are_followed_when_a_folder_is_added(brought: Path, tmp_path: Path) -> None:
    """The hub's own cache is made of links: the files themselves are taken."""
    blob = tmp_path / "blob"
    shutil.move(brought / "model.bin", blob)
    (brought / "model.bin").symlink_to(blob)
    assert add(tmp_path / "data", brought).returncode == 0
    assert not (folder(tmp_path / "data") / "model.bin").is_symlink()


def test_ours_are_not_fetched(tmp_path: Path) -> None:
    """An artefact is part of the package; an unknown name is said with those there are."""
    assert pull(tmp_path, name="names-en").returncode == 3
    unknown = pull(tmp_path, name="whisper-huge")
    assert unknown.returncode == 4
    assert "whisper-small" in unknown.stderr
