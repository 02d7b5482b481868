"""A released call as a vCon: what was redacted and verified, and nothing else.

Decides what leaves: roles, muted audio, redacted words, note, flags, measures, the redaction log.
Refuses calls that were not verified. Leaves out names and references of customers, claims that
failed a check, and letters that nobody has sent. The same call and revision is the same file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

from voice_pipeline.domain import Recording, RedactedAudio, RedactedTranscript, Verification
from voice_pipeline.errors import BadInput
from voice_pipeline.vcon.content import base64url_pieces, digests
from voice_pipeline.vcon.recordings import PRIOR, from_letters
from voice_pipeline.vcon.rules import VERSION, is_https
from voice_pipeline.vcon.wtf import TYPE as WTF
from voice_pipeline.vcon.wtf import wtf_body

VENDOR = "voice-pipeline"
CONTACT_CENTER = "CC"  # the extension that has `role` and `interaction_id`
DOMAIN = "voice-pipeline.invalid"  # what UUIDs are made under
REDACTED = "personal data in words and sound"
# Parts of a note with an analysis of their own, and parts that do not leave.
OWN = ("escalations", "measures")
KEPT_BACK = ("unverified", "draft", "suggestions", "no_article")
ROLES = {"agent": "agent", "customer": "customer"}  # by what a speaker's name begins with


@dataclass(frozen=True, slots=True)
class Released:
    """Everything that a vCon of a call is made of; redacted forms only."""

    recording: Recording
    verification: Verification
    transcript: RedactedTranscript
    transcript_sha256: str  # of the record, as it is kept
    audio: RedactedAudio
    note: Mapping[str, Any]  # as note.json
    log: bytes  # as redaction_log.jsonl
    sound: Callable[[], AbstractContextManager[BinaryIO]]  # opens the muted recording, FLAC
    received_at: float  # seconds since the epoch
    verified_at: float
    release: str  # of this product, that worked on the call


@dataclass(frozen=True, slots=True)
class VconFile:
    """A vCon about to be written: JSON on one line; the recording is read only then."""

    identity: str  # of all that is in it, 64 hexadecimal digits
    before: bytes
    sound: Callable[[], AbstractContextManager[BinaryIO]] | None  # None: it lies elsewhere
    behind: bytes

    def pieces(self) -> Iterator[bytes]:
        """Yield the file in order."""
        yield self.before
        if self.sound is not None:
            with self.sound() as file:
                yield from base64url_pieces(file)
        yield self.behind

    def read(self) -> bytes:
        return b"".join(self.pieces())


def redacted_vcon(released: Released, *, audio_url: str | None = None) -> VconFile:
    """Return the unsigned form.

    Args:
        released: the call.
        audio_url: where whoever reads it gets the muted recording; None: it is inline.

    Raises:
        BadInput: redaction was not verified, or not of this recording and these words (code
            `held`); the URL is none (code `vcon_url`).
    """
    call, verification = released.recording.id, released.verification
    if not verification.passed:
        raise BadInput(f"call {call} is held: nothing of it leaves", code="held")
    with released.sound() as file:
        sha256, token = digests(file)
    if (verification.transcript_sha256, verification.audio_sha256) != (
        released.transcript_sha256,
        sha256,
    ):
        raise BadInput(f"call {call}: these are not the words or the audio that were verified, and "
                       "do not leave", code="held")  # fmt: skip
    if audio_url is not None and not is_https(audio_url):
        raise BadInput("the audio's place is not an https URL", code="vcon_url")
    if audio_url is None:
        content = {"encoding": "base64url", "body": f"<{sha256}>"}  # stands in for the recording
    else:
        content = {"url": audio_url, "content_hash": token}
    document = _document(released, content)
    identity = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    uuid = uuid8(_whole(released.verified_at), f"{identity}.{DOMAIN}")
    text = json.dumps(
        {"uuid": uuid, **document}, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    data = f"{text}\n".encode()
    if audio_url is not None:
        return VconFile(identity, data, None, b"")
    before, behind = data.split(f"<{sha256}>".encode())
    return VconFile(identity, before, released.sound, behind)


def _document(released: Released, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return all but the UUID; `content` is where the recording is."""
    call = released.recording.id
    created, received = _whole(released.verified_at), _whole(released.received_at)
    speakers = _speakers(released.transcript)
    start, start_given = _start(released.recording.metadata, received)
    parties = [_party(name, released.recording.metadata) for name in speakers]
    dialog = {**_dialog(released, speakers, start), **content}
    return {
        "vcon": VERSION,
        "extensions": [CONTACT_CENTER, WTF],
        "created_at": _utc(created),
        "subject": str(released.note["request_type"]["label"]).replace("_", " "),
        "redacted": {
            "uuid": from_letters(released.recording.metadata.get(PRIOR, ""))
            or uuid8(received, f"{call}.unredacted.{DOMAIN}"),
            "type": REDACTED,
        },
        "parties": [*parties, {"type": "bot", "name": VENDOR}],
        "dialog": [dialog],
        "analysis": [*_analyses(released, speakers, _utc(created), start_given)],
        "attachments": [
            {
                "purpose": "redaction log: what was taken out, where and by which rule; signed",
                "start": _utc(created),
                "party": len(parties),
                "dialog": 0,
                "mediatype": "application/x-ndjson",
                "filename": "redaction_log.jsonl",
                "encoding": "none",
                "body": released.log.decode("utf-8"),
            }
        ],
    }


def uuid8(moment: float, name: str) -> str:
    """Return the UUID of version 8 that the draft recommends, without anything random in it.

    Args:
        moment: seconds since the epoch.
        name: a DNS name that no other vCon is made under: it stands for the host's, whose hash
            would be the same for all of its vCons.
    """
    milliseconds = int(moment * 1000) & (2**48 - 1)
    low = int.from_bytes(hashlib.sha1(name.encode(), usedforsecurity=False).digest()[:8], "big")
    high = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big") >> 4
    value = milliseconds << 80 | 0x8 << 76 | high << 64 | 0b10 << 62 | low >> 2
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _speakers(transcript: RedactedTranscript) -> dict[str, int]:
    """Return each speaker's place among the parties: the customer, the agent, then others."""
    heard = dict.fromkeys(turn.speaker for turn in transcript.turns)
    names = dict.fromkeys(["customer", "agent", *heard])
    return {name: place for place, name in enumerate(names)}


def _party(speaker: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    if speaker == "system":
        return {"type": "bot", "role": "system"}
    base = speaker.partition("_")[0]
    party: dict[str, Any] = {"role": ROLES[base]} if base in ROLES else {}
    if base in ROLES:
        party["type"] = "person"
    if speaker == "agent":
        party |= {name: metadata[key] for name, key in (("name", "agent"), ("dept", "team"))
                  if metadata.get(key)}  # fmt: skip
    return party


def _dialog(released: Released, speakers: Mapping[str, int], start: str) -> dict[str, Any]:
    audio, call = released.audio, released.recording.id
    outbound = released.recording.metadata.get("direction", "").lower().startswith("out")
    caller = speakers["agent" if outbound else "customer"]
    parties = _channels(released.transcript, speakers, audio.channels)
    dialog: dict[str, Any] = {
        "type": "recording",
        "start": start,
        "duration": round(audio.duration, 3),
        "parties": parties,
        "interaction_id": call,
        "mediatype": "audio/flac",
        "filename": f"{call}.redacted.flac",
    }
    if not parties or parties[0] != caller:
        dialog["originator"] = caller
    return dialog


def _channels(
    transcript: RedactedTranscript, speakers: Mapping[str, int], channels: int
) -> list[Any]:
    """Return who is on each channel, null for nobody; on a single channel, who is on it."""
    heard = [
        sorted({speakers[turn.speaker] for turn in transcript.turns if turn.channel == channel})
        for channel in range(channels)
    ]
    if channels == 1:
        return heard[0]
    return [_one_or_many(found) for found in heard]


def _one_or_many(found: list[int]) -> int | list[int] | None:
    if not found:
        return None
    return found[0] if len(found) == 1 else found


def _analyses(
    released: Released, speakers: Mapping[str, int], created: str, start_given: bool
) -> Iterable[dict[str, Any]]:
    note = released.note
    sound = {
        "duration": round(released.audio.duration, 3),
        "sample_rate": released.audio.rate,
        "channels": released.audio.channels,
        "format": "flac",
    }
    words = wtf_body(released.transcript, speakers=speakers, at=created, audio=sound)
    summary = {key: value for key, value in note.items() if key not in (*OWN, *KEPT_BACK)}
    measured = {
        "measures": note.get("measures", {}),
        "muted": round(released.audio.muted, 3),
        "start_given": start_given,
    }
    flags = {"escalations": note.get("escalations", [])}
    for kind, product, schema, body in (
        (WTF, released.transcript.transcriber, "wtf/1", words),
        ("summary", "case note", f"{VENDOR}/note/1", summary),
        ("report", "escalations", f"{VENDOR}/escalations/1", flags),
        ("report", "measures", f"{VENDOR}/measures/1", measured),
    ):
        yield {
            "type": kind,
            "dialog": 0,
            "vendor": VENDOR,
            "product": f"{VENDOR} {released.release}: {product}",
            "schema": schema,
            "mediatype": "application/json",
            "encoding": "json",
            "body": body,
        }


def _start(metadata: Mapping[str, str], received: float) -> tuple[str, bool]:
    """Return when the call began, and whether that was told; without a zone it is UTC."""
    told = metadata.get("started_at", "")
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        return _utc(received), False
    return _utc((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()), True


def _whole(seconds: float) -> float:
    return float(int(seconds))


def _utc(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    return text.replace("+00:00", "Z")
