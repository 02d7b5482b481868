"""What the service costs: calls a second, uploads, reads, memory, 100,000 calls in the register.

python tests/bench/service.py [--calls 300] [--rows 100000]

Stages say nothing and take no time (tests/quick.py); everything around them is real. Servers run in
processes of their own. What is compared is compared in the same run. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# Not this folder, whose names shadow packages of ours; `quick` is found after them.
sys.path[0] = str(HERE.parents[1])
sys.path.append(str(HERE.parent))

import httpx  # noqa: E402
import sqlalchemy as sa  # noqa: E402
import uvicorn  # noqa: E402
from chaos import start  # noqa: E402
from fastapi import FastAPI, Request  # noqa: E402
from postgres import server as postgres_server  # noqa: E402
from quick import QuickKit, running  # noqa: E402

from voice_pipeline.config import load_settings  # noqa: E402
from voice_pipeline.engine.queues import QUEUES, Duty, Limits  # noqa: E402
from voice_pipeline.service import Sender, Service  # noqa: E402
from voice_pipeline.store import Store  # noqa: E402
from voice_pipeline.store.register import Scope  # noqa: E402
from voice_pipeline.store.tables import calls as table  # noqa: E402

RECORDING = os.urandom(5 << 20)


def engine_rate(folder: Path, database: str | None, calls: int, workers: int) -> float:
    """Return calls a second from the first hand-over to the last note."""
    settings = load_settings(
        None, data=folder / "data", database=database, serve={"calls": 8, "dead_after": 30}
    )
    duty = Duty(() if workers else QUEUES, Limits(calls=8), 30)
    with QuickKit(settings, duty) as kit:
        service = Service(kit, duty)
        for number in range(calls):
            arrival = service.arrival()
            arrival.write(f"RIFF {number}".encode())
            arrival.finish(f"{number}.wav", {}, Sender())
        others = [start(folder, database or "", ",".join(QUEUES)) for _ in range(workers)]
        if workers:
            time.sleep(8)  # imports
        begun = time.perf_counter()
        with service:
            while kit.store.register.counts().get("done", 0) < calls:
                time.sleep(0.05)
            seconds = time.perf_counter() - begun
        for other in others:
            other.send_signal(signal.SIGKILL)
            other.wait()
    return calls / seconds


@contextmanager
def serving(kind: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Run a server in a process of its own and return its address and a key."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", kind, "--folder", folder, "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    key = process.stdout.readline().strip()
    try:
        yield f"http://127.0.0.1:{port}", key
    finally:
        process.kill()
        process.wait()


def serve(kind: str, folder: Path, port: int) -> None:
    """Be that server: ours, or a bare FastAPI that writes the same bytes to a file."""
    if kind == "ours":
        with running(folder / "data", port=port, queues=()) as found:
            print(found.key("admin"), flush=True)
            threading.Event().wait()
    app = FastAPI()

    @app.post("/v1/calls")
    async def upload(request: Request) -> dict[str, str]:
        with (folder / f"{random.random()}").open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
        return {"id": "x"}

    @app.get("/v1/calls/{call}")
    def call(call: str) -> dict[str, str]:
        return {"id": call, "status": "done"}

    print("none", flush=True)
    uvicorn.run(app, port=port, log_level="critical")


def uploads(url: str, key: str, count: int) -> float:
    """Return megabytes a second of uploads of 5 MB, four at a time."""
    headers = {"Authorization": f"Bearer {key}"}

    def one(number: int) -> None:
        with httpx.Client(headers=headers, timeout=120) as client:
            for _ in range(50):
                try:
                    files = {"file": ("a.wav", bytes([number]) + RECORDING)}
                    client.post(f"{url}/v1/calls", files=files).raise_for_status()
                    return
                except httpx.ConnectError:  # not up yet
                    time.sleep(0.2)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
        begun = time.perf_counter()
        list(pool.map(one, range(count)))
    return count * 5 / (time.perf_counter() - begun)


def reads(url: str, key: str, call: str, seconds: float, rate: int = 50) -> dict[str, float]:
    """Return p50 and p99 in milliseconds of reading one call's state at a fixed rate."""
    took: list[float] = []
    with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        for _ in range(20):
            client.get(f"{url}/v1/calls/{call}")
        begun = time.perf_counter()
        for number in range(int(seconds * rate)):
            time.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            at = time.perf_counter()
            client.get(f"{url}/v1/calls/{call}").raise_for_status()
            took.append(1000 * (time.perf_counter() - at))
    cuts = statistics.quantiles(took, n=100)
    return {"p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}


def idle_memory(folder: Path) -> float:
    """Return megabytes that `voice-pipeline serve` holds when nothing is there to do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "voice_pipeline", "--data", folder, "serve", "--port", str(port)],
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{port}/readyz").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        time.sleep(5)
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024
    finally:
        process.terminate()
        process.wait(timeout=60)


def big_register(folder: Path, database: str | None, rows: int) -> dict[str, float]:
    """Return milliseconds of list, search and status with that many calls."""
    store = Store(folder, database=database)
    rng = random.Random(1)
    words = [f"word{n}" for n in range(5000)]
    with store.database.begin() as db:
        for first in range(0, rows, 5000):
            made = [
                {"call": f"{n:020x}", "received_sha256": "0", "received_at": 1e9 + n,
                 "status": "done", "queue": f"q{n % 7}", "customer_ref": f"c{n % 5000}",
                 "plan": "p", "run": "r"}
                for n in range(first, min(first + 5000, rows))
            ]  # fmt: skip
            db.execute(table.insert(), made)
            texts = [{"call": one["call"], "body": " ".join(rng.choices(words, k=40))} for one
                     in made]  # fmt: skip
            db.execute(sa.text("insert into call_texts (call, body) values (:call, :body)"), texts)
    if database is not None:
        with store.database.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.execute(sa.text("vacuum analyze"))
    register = store.register
    middle = f"{rows // 2:020x}"

    def timed(what: Callable[[], Any]) -> float:
        what()
        took = []
        for _ in range(15):
            at = time.perf_counter()
            what()
            took.append(1000 * (time.perf_counter() - at))
        return round(statistics.median(took), 2)

    found = {
        "list": timed(lambda: register.find(Scope())),
        "list_by_customer": timed(lambda: register.find(Scope(), filters={"customer_ref": "c77"})),
        "deep_page": timed(lambda: register.find(Scope(), before=(1e9 + rows / 2, middle))),
        "search": timed(lambda: register.find(Scope(), words="word7 word8")),
        "status": timed(lambda: register.get(middle, Scope())),
    }
    store.close()
    return found


def erase_one(folder: Path, database: str | None) -> dict[str, float]:
    """Return seconds to erase one worked-off call from a register, and to search what is left."""
    settings = load_settings(None, data=folder, database=database)
    duty = Duty(QUEUES, Limits(calls=2), 30)
    with QuickKit(settings, duty) as kit, Service(kit, duty) as service:
        arrival = service.arrival()
        arrival.write(RECORDING)
        call = arrival.finish("a.wav", {"customer_ref": "to-erase"}, Sender()).call
        while (row := kit.store.register.get(call)) is None or row.status != "done":
            time.sleep(0.05)
        at = time.perf_counter()
        asked = kit.erasing.propose(Scope(), calls=[call], reason="measured", by="the benchmark")
        kit.erasing.confirm(asked.id, by="the benchmark", four_eyes=False)
        erased = time.perf_counter() - at
        remains = kit.erasing.check([call]).remains
        searched = time.perf_counter() - at - erased
    assert not remains, remains
    return {"erase_s": round(erased, 2), "verify_s": round(searched, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--serve")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.folder, given.port)
        return
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, postgres_server() as cluster:
        place = iter(Path(name) / str(n) for n in range(20))

        def folder() -> Path:
            made = next(place)
            made.mkdir()
            return made

        found["calls_a_second_sqlite"] = engine_rate(folder(), None, given.calls, 0)
        found["calls_a_second_postgres_2_workers"] = engine_rate(
            folder(), cluster.create(), given.calls, 2
        )
        with serving("ours", folder()) as ours, serving("bare", folder()) as bare:
            rates = [(uploads(*ours, 40), uploads(*bare, 40)) for _ in range(3)]
            found["upload_mb_a_second"] = [[round(a), round(b)] for a, b in rates]
            found["upload_share_of_bare"] = statistics.median(a / b for a, b in rates)
            headers = {"Authorization": f"Bearer {ours[1]}"}
            call = httpx.get(f"{ours[0]}/v1/calls?limit=1", headers=headers).json()["items"][0]
            found["reads_ours"] = reads(*ours, call["id"], 10)
            found["reads_bare"] = reads(*bare, call["id"], 10)
        found["idle_mb"] = round(idle_memory(folder()))
        for label, make in (("sqlite", lambda: None), ("postgres", cluster.create)):
            found[f"register_{label}_1000_ms"] = big_register(folder(), make(), 1000)
            data, url = folder(), make()
            found[f"register_{label}_{given.rows}_ms"] = big_register(data, url, given.rows)
            found[f"erase_one_of_{given.rows}_{label}"] = erase_one(data, url)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
