"""A kit whose stages take no time, and a service around it that really listens on loopback.

What it hears is always the same invented call; a file that begins with `broken` cannot be decoded,
one that begins with `doubtful` is held, one with `slow` takes a second to hear.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from redaction.records import Word
from voice_pipeline import domain as d
from voice_pipeline.access.keys import Keys
from voice_pipeline.access.permissions import Role
from voice_pipeline.api.app import create_app
from voice_pipeline.api.guard import Guard
from voice_pipeline.api.listening import server
from voice_pipeline.codec import encode
from voice_pipeline.config import Settings, load_settings
from voice_pipeline.engine.queues import QUEUES, Duty, Limits
from voice_pipeline.errors import BadInput
from voice_pipeline.kit import Kit
from voice_pipeline.pipeline import Stages
from voice_pipeline.ports import Stage
from voice_pipeline.service import Service

SAID = "my card is four one one one"
SHOWN = "my card is [CARD_NUMBER_1] and the parcel is late"
FLAC = bytes(range(256)) * 40


class QuickKit(Kit):
    """Stages that say little and quickly; everything around them is real."""

    ran: Sequence[str] = ()

    def plan(self, *, transcriber: str | None = None, diarizer: str | None = None) -> str:
        part = {"use": "quick", "options": {}, "made_by": "quick 1"}
        return self.store.keep_plan(
            {
                "release": "test", "transcriber": part, "analyst": part,
                "redaction": {"profile": "balanced", "sha256": "0" * 64, "text": ""},
                "policy": {"pack": None, "id": "default", "version": 1, "sha256": "0" * 64},
            }
        )  # fmt: skip

    def stages(self, plan: str) -> Stages:
        shelf = self.store.shelf

        def ingest(received: d.Received) -> d.Recording:
            with shelf.open(received.audio) as file:
                start = file.read(8)
            if start.startswith(b"broken"):
                raise BadInput("the audio's header is broken", code="damaged_audio")
            return d.Recording(
                received.call, received.sha256, received.name, received.audio, 1, 8000, 1.0, "pcm",
                received.metadata, "auto", start.decode("latin-1"), (-20.0,), None, 3400.0,
            )  # fmt: skip

        def transcribe(recording: d.Recording) -> d.Heard:
            if recording.language.startswith("slow"):
                time.sleep(1)
            speech = d.Speech(0, (Word(SAID, 0.0, 1.0),), "en", "quick", ((0.0, 1.0),), 1.0, 1.0)
            return d.Heard((speech,), "quick 1")

        def diarize(recording: d.Recording, heard: d.Heard) -> d.Transcript:
            turn = d.Turn("customer", heard.speech[0].words)
            return d.Transcript(
                recording.id, recording.language, (turn,), "quick 1", "quick", (1.0,), (1.0,), ()
            )

        def text(said: d.Transcript, _found: d.Redaction) -> d.RedactedTranscript:
            words = tuple(Word(word, 0.1 * n, 0.1 * n + 0.1) for n, word in
                          enumerate(SHOWN.split()))  # fmt: skip
            turn = d.RedactedTurn(0, "customer", 0, 0.0, 1.0, words)
            return d.RedactedTranscript(said.call, "en", (turn,), 1.0, "quick 1", "quick")

        def mute(recording: d.Recording, _found: d.Redaction) -> d.RedactedAudio:
            return d.RedactedAudio(
                shelf.put(recording.id, "RedactedAudio", FLAC), 8000, 1, 1.0, 0.5
            )

        def verify(
            said: d.Transcript, _f: d.Redaction, text: d.RedactedTranscript, sound: d.RedactedAudio
        ) -> d.Verification:
            doubt = said.language.startswith("doubtful"[:8])
            reasons = (d.Warning("low_confidence", "Heard too badly."),) if doubt else ()
            assert sound.blob is not None
            shown = hashlib.sha256(encode(text)).hexdigest()
            return d.Verification(not doubt, reasons, {}, shown, sound.blob.sha256)

        def analyse(recording: d.Recording, _text: d.RedactedTranscript) -> d.CaseNote:
            quote = d.Evidence(0, "the parcel is late", 0.5, 1.0)
            return d.CaseNote(
                recording.id, "done", d.RequestType("delivery_problem", 0.9, "auto"), "high",
                d.Claim("The parcel is late.", (quote,)), (), (), (), (),
                d.CallOutcome("unresolved", ()), (), (), {}, {},
                review=d.Review(True, ("complaint",)),
            )  # fmt: skip

        def stage(name: str, do: Any, lane: str = "cpu") -> Stage[Any]:
            return Stage(name, do, "1", lane)

        return Stages(
            ingest=stage("ingest", ingest),
            transcribe=stage("transcribe", transcribe, "gpu"),
            diarize=stage("diarize", diarize),
            redact=stage("redact", lambda _s: d.Redaction((), (), "balanced", "x", "y")),
            replace=stage("replace", text),
            mute=stage("mute", mute),
            verify=stage("verify", verify),
            analyse=stage("analyse", analyse),
            escalate=stage("escalate", lambda *_: d.Escalations((), "")),
            review=stage("review", lambda _r, _t, note, _f: replace(note, urgency="high")),
            draft=stage("draft", lambda _t, note: note),
            release=stage("release", lambda _r, _t, _n, verdict: verdict),
        )


@dataclass(slots=True)
class Running:
    """A service that listens, and a way to get keys for it."""

    url: str
    service: Service

    def key(self, role: str = "admin", tenant: str = "default", queues: str = "") -> str:
        names = frozenset(queues.split(",")) if queues else None
        keys = Keys(self.service.kit.store.database)
        return keys.create(Role(role), tenant=tenant, queues=names)

    def client(
        self, role: str = "admin", tenant: str = "default", queues: str = ""
    ) -> httpx.Client:
        """Return a client with a key of that role."""
        bearer = {"Authorization": f"Bearer {self.key(role, tenant, queues)}"}
        return httpx.Client(base_url=self.url, headers=bearer, timeout=30)


@contextmanager
def running(
    data: Path, port: int = 0, queues: tuple[str, ...] = QUEUES, **settings: Any
) -> Iterator[Running]:
    """Run a service over a data folder until the block ends."""
    limits = {"rate": 100_000.0, "burst": 100_000, "failed_logins": 10_000}
    given: Settings = load_settings(None, data=data, **{"limits": limits, **settings})
    duty = Duty(queues, Limits(calls=given.serve.calls), given.serve.dead_after)
    with QuickKit(given, duty) as kit, Service(kit, duty) as service, _socket() as listening:
        listening.bind(("127.0.0.1", port))
        app = create_app(service, Guard.of(given, kit.store))
        listener = server(app, "127.0.0.1", 0)
        thread = threading.Thread(target=listener.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 30
        while not listener.started and time.monotonic() < deadline:
            time.sleep(0.02)
        try:
            yield Running(f"http://127.0.0.1:{listening.getsockname()[1]}", service)
        finally:
            listener.should_exit = True
            thread.join(10)


def hand_in(
    client: httpx.Client, body: bytes = b"RIFF sound", name: str = "a.wav", **metadata: Any
) -> str:
    """Upload a recording and return its id."""
    answer = client.post("/v1/calls", files={"file": (name, body)}, data=_form(metadata))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def settled(client: httpx.Client, call: str, seconds: float = 30.0) -> dict[str, Any]:
    """Wait until a call has ended and return its state."""
    deadline = time.monotonic() + seconds
    while True:
        state: dict[str, Any] = client.get(f"/v1/calls/{call}").json()
        if state["status"] not in ("received", "running"):
            return state
        assert time.monotonic() < deadline, state
        time.sleep(0.05)


def _form(metadata: dict[str, Any]) -> dict[str, str]:
    return {"metadata": json.dumps(metadata)} if metadata else {}


def _socket() -> socket.socket:
    """Return a socket that asyncio knows for TCP, so that it sends small answers at once."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made
