"""Days on which the machine itself misbehaves: a disk that fills up, a clock that jumps."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from crm import CRMS
from quick import hand_in, running, settled
from test_delivery import Desk

LARGE = b"RIFF" + bytes(200_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MB, where the system lets us make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_up_refuses_and_loses_nothing(small_disk: Path) -> None:
    """What was acknowledged is done in the end; what had no room was refused in plain words."""
    ballast = small_disk / "ballast"
    with (
        running(small_disk / "data", serve={"disk_reserve": 0}) as api,
        api.client("admin") as client,
    ):
        first = hand_in(client, LARGE)
        assert settled(client, first)["status"] == "done"
        fill(ballast)
        taken, refused = [], 0
        for number in range(12):
            answer = client.post("/v1/calls", files={"file": (f"{number}.wav", LARGE)})
            if answer.status_code == 202:
                taken.append(answer.json()["id"])
            else:
                refused += 1
                assert answer.status_code in (429, 503, 507), answer.text
                assert answer.json()["code"]
        assert refused
        ballast.unlink()
        after = hand_in(client, LARGE, name="after.wav")
        for call in (first, *taken, after):
            assert settled(client, call, 60)["status"] == "done"
            assert client.get(f"/v1/calls/{call}/note").status_code == 200


def test_the_reserve_refuses_before_the_disk_is_full(small_disk: Path) -> None:
    """Below the reserve uploads get 429 with a time to come back; reading goes on."""
    with (
        running(small_disk / "data", serve={"disk_reserve": 4 << 20}) as api,
        api.client("admin") as client,
    ):
        call = hand_in(client)
        assert settled(client, call)["status"] == "done"
        fill(small_disk / "ballast", leave=2 << 20)
        answer = client.post("/v1/calls", files={"file": ("a.wav", LARGE)})
        assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
        assert int(answer.headers["Retry-After"]) >= 1
        assert client.get(f"/v1/calls/{call}/note").status_code == 200
        (small_disk / "ballast").unlink()
        assert settled(client, hand_in(client))["status"] == "done"


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0, 3 * 365 * 86_400.0])
def test_a_clock_that_jumps_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """A day ahead, a day back, three years ahead in the middle: all done, delivered once."""
    CRMS.clear()
    real = time.time
    with (
        running(tmp_path / "data", targets={"crm": Desk.target()}) as api,
        api.client("admin") as client,
    ):
        calls = [hand_in(client, f"before {n}".encode()) for n in range(4)]
        calls.append(hand_in(client, b"slow call"))
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        calls += [hand_in(client, f"after {n}".encode()) for n in range(4)]
        for call in calls:
            assert settled(client, call, 60)["status"] == "done"
        arrived(client, calls)
        monkeypatch.setattr(time, "time", real)
        last = hand_in(client, b"back again")
        assert settled(client, last, 60)["status"] == "done"
        arrived(client, [last])
    assert sorted(CRMS[""].calls) == sorted([*calls, last])


def fill(file: Path, leave: int = 0) -> None:
    """Write until the disk is full, but for so many bytes."""
    with file.open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(65_536))
        except OSError:
            size = ballast.tell()
    os.truncate(file, max(0, size - leave))


def arrived(client: httpx.Client, calls: list[str]) -> None:
    deadline = time.monotonic() + 60
    for call in calls:
        while True:
            found = client.get("/v1/deliveries", params={"call": call}).json()["items"]
            if [one["state"] for one in found] == ["delivered"]:
                break
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
