"""The API under hostile use: fuzzed requests, malformed uploads, crowds, and senders that stall."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from quick import Running, hand_in, running, settled

MALFORMED = int(os.environ.get("HOSTILE_UPLOADS", "1000"))  # more on demand: docs/api.md


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = tmp_path_factory.mktemp("hostile") / "data"
    with running(place, serve={"read_timeout": 1.0}) as found:
        yield found


@pytest.mark.slow
def test_fuzzed_requests_meet_the_description(api: Running, tmp_path: Path) -> None:
    """No request brings the service down, and every answer is one that the description names."""
    with api.client() as client:
        settled(client, hand_in(client, queue="billing"))
    program = Path(sys.executable).with_name("st")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,ignored_auth"
    done = subprocess.run(
        [program, "run", f"{api.url}/openapi.json", "-H", f"Authorization: Bearer {api.key()}",
         "-n", "40", "--phases", "examples,coverage,fuzzing", "--checks", checks, "--no-color",
         "--seed", "1", "--exclude-path-regex", "/progress"],
        capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.slow
def test_malformed_uploads(api: Running) -> None:
    """Broken bodies get an answer of the 400s each, and leave no call behind."""
    rng = random.Random(5)
    before = api.service.kit.store.register.counts()
    codes: Counter[int] = Counter()
    with api.client("uploader") as client:
        for _ in range(MALFORMED):
            kind, body = _malformed(rng)
            answer = client.post("/v1/calls", content=body, headers={b"Content-Type": kind})
            codes[answer.status_code] += 1
            assert 400 <= answer.status_code < 500, (kind, body[:200], answer.text)
            assert answer.json()["code"], answer.text
    assert api.service.kit.store.register.counts() == before, codes


def _malformed(rng: random.Random) -> tuple[bytes, bytes]:
    """Return a content type and a body that is no acceptable upload."""
    good = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n'
        b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"queue": "x"}\r\n--b--\r\n'
    )
    kind = b"multipart/form-data; boundary=b"
    choice = rng.randrange(6)
    if choice == 0:  # cut
        return kind, good[: rng.randrange(len(good) - 8)]
    if choice == 1:  # another boundary
        return b"multipart/form-data; boundary=" + rng.choice(
            [b"c", b"", b"b" * 300, b"\xfc"]
        ), good
    if choice == 2:  # metadata that is none
        bad = rng.choice([b"{", b"[]", b"7", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": [1]}',
                          b"\xff\xfe", b'{"A b": 1}', b'{"a": 1, "a": 2}', b'{"a": "%s"}' %
                          (b"x" * 3000), b"{" + b'"a": {' * 5000])  # fmt: skip
        return kind, good.replace(b'{"queue": "x"}', bad)
    if choice == 3:  # no file, two files, an empty one
        bad = rng.choice(
            [
                good.replace(b'"file"', b'"fill"'),
                good.replace(b"RIFF", b""),
                good.replace(b'name="metadata"', b'name="file"; filename="b"'),
            ]
        )
        return kind, bad  # fmt: skip
    if choice == 4:  # headers of parts that are too many or too long
        return kind, good.replace(b"Content-Disp", b"X: " + b"y" * 9000 + b"\r\nContent-Disp", 1)
    return rng.choice([b"text/plain", b"application/json", b"multipart/mixed; boundary=b"]), good


@pytest.mark.slow
def test_a_crowd_of_uploads(api: Running) -> None:
    """Five hundred at once: each is taken or told to come back, and each that was taken ends."""

    crowd = api.client("uploader")

    def send(number: int) -> tuple[int, str]:
        files = {"file": (f"{number}.wav", f"RIFF crowd {number}".encode())}
        answer = crowd.post("/v1/calls", files=files, timeout=120)
        return answer.status_code, answer.json().get("id", "")

    with crowd, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(send, range(500)))
    assert {status for status, _ in answers} <= {202, 429}
    taken = [call for status, call in answers if status == 202]
    assert len(set(taken)) == len(taken) > 0
    with api.client() as client:
        assert {settled(client, call, 300)["status"] for call in taken} == {"done"}


@pytest.mark.slow
def test_one_that_stalls_is_cut(api: Running) -> None:
    """A sender that stops in the middle gets 408; others are served meanwhile."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as peer, api.client() as client:
        peer.sendall(
            f"POST /v1/calls HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key()}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\r\n"
            '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nRI'.encode()
        )
        assert client.get("/healthz").status_code == 200
        peer.settimeout(20)
        answer = ""
        while "slow_upload" not in answer and (piece := peer.recv(65536)):
            answer += piece.decode()
    assert answer.startswith("HTTP/1.1 408") and "slow_upload" in answer


@pytest.mark.slow
def test_nothing_of_what_is_sent_is_executed_or_shown_raw(api: Running) -> None:
    """SQL, headers, formulas and markup in metadata are text: kept, listed, and nothing else."""
    tricks = ["'; drop table calls; --", "=cmd|' /C calc'!A0", "<script>alert(1)</script>",
              "a\r\nSet-Cookie: x=1", "\u202ereversed", "{{7*7}}", "%00",
              "../../etc/passwd"]  # fmt: skip
    with api.client() as client:
        for trick in tricks:
            call = hand_in(client, agent=trick, team=trick)
            state = settled(client, call)
            assert state["status"] == "done"
            answer = client.get("/v1/calls", params={"team": state["metadata"]["team"]})
            assert call in [one["id"] for one in answer.json()["items"]]
            assert "set-cookie" not in answer.headers
            json.loads(answer.text)
        assert client.get("/readyz").json()["status"] == "ok"


@pytest.mark.slow
def test_forged_and_foreign_credentials(api: Running) -> None:
    """Whatever is no key of ours is 401, in the same time and words, and nobody is locked out."""
    with api.client() as client:
        for shown in ("vp_aaaaaaaa_" + "x" * 43, "x", "vp_", "a.b.c", "null", "é" * 10):
            header = f"Bearer {shown}".encode()
            answer = httpx.get(f"{api.url}/v1/calls", headers={b"Authorization": header})
            assert answer.status_code == 401, shown
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert client.get("/v1/calls").status_code == 200
