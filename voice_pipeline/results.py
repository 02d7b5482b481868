"""The result folder of a call: every file a reader gets, made from kept records.

Writes a folder whole or not at all, replaces an older one of the same call, and puts nothing raw
into it: it is handed redacted records only. A held call gets its reasons and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_pipeline.codec import plain
from voice_pipeline.domain import (
    CaseNote,
    Escalations,
    Recording,
    RedactedAudio,
    RedactedTranscript,
    RedactedTurn,
    Redaction,
    Status,
    Verification,
    Warning,
)
from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.note import note_json, note_page, note_warnings
from voice_pipeline.ports import Shelf
from voice_pipeline.vcon import Released, VconFile, redacted_vcon

VCON = "call.vcon.json"


@dataclass(frozen=True, slots=True)
class CallResult:
    """All that is known of a finished call; the released parts are None for a held one."""

    call: str
    status: Status
    recording: Recording
    redaction: Redaction
    verification: Verification
    transcript: RedactedTranscript | None
    audio: RedactedAudio | None
    note: CaseNote | None
    escalations: Escalations | None
    versions: Mapping[str, Any]
    timings: Mapping[str, float]  # seconds a stage
    log: bytes | None  # the signed redaction log
    transcript_sha256: str | None  # of the released record, as it is kept
    received_at: float  # seconds since the epoch
    verified_at: float  # when its redaction was verified

    @property
    def warnings(self) -> tuple[Warning, ...]:
        """Every warning once, in the order in which the stages met them."""
        return warnings_of(
            self.recording, self.redaction, self.verification, self.transcript, self.note
        )


def warnings_of(
    recording: Recording,
    redaction: Redaction,
    verification: Verification,
    transcript: RedactedTranscript | None,
    note: CaseNote | None,
) -> tuple[Warning, ...]:
    """Return every warning of a finished call once, in the order in which the stages met them."""
    found = [*recording.warnings]
    if transcript is not None:
        found += transcript.warnings
    found += verification.reasons
    found += [Warning(code) for code in redaction.warnings]
    if note is not None:
        found += note_warnings(note)
    return tuple({(w.code, w.detail): w for w in found}.values())


def result_json(result: CallResult) -> dict[str, Any]:
    """Return `result.json`."""
    return {
        "call_id": result.call,
        "source": {
            "name": result.recording.name,
            "sha256": result.recording.sha256,
            "duration": round(result.recording.duration, 3),
            "channels": result.recording.channels,
        },
        "status": result.status,
        "warnings": [{"code": w.code, "detail": w.detail} for w in result.warnings],
        "transcriber": (
            result.transcript.transcriber if result.transcript else result.versions["transcriber"]
        ),
        "diarizer": result.transcript.diarizer if result.transcript else None,
        "analyst": result.versions["analyst"],
        "versions": dict(result.versions),
        "timings": dict(result.timings),
        "metadata": dict(result.recording.metadata),
        "redaction": {
            "profile": result.redaction.profile,
            "policy_sha256": result.redaction.policy_sha256,
            "findings": len(result.redaction.findings),
            "verified": result.verification.passed,
        },
        "absent": [],
    }


def transcript_json(transcript: RedactedTranscript) -> dict[str, Any]:
    """Return `transcript.json`."""
    return {
        "call_id": transcript.call,
        "language": transcript.language,
        "turns": [
            {
                "turn": turn.turn,
                "speaker": turn.speaker,
                "channel": turn.channel,
                "start": turn.start,
                "end": turn.end,
                "text": turn.text,
                "words": [plain(word) for word in turn.words],
            }
            for turn in transcript.turns
        ],
    }


def captions(transcript: RedactedTranscript) -> str:
    """Return `transcript.vtt`: WebVTT, one cue a turn that has times, a voice tag a speaker."""
    cues = ["WEBVTT", ""]
    for turn in transcript.turns:
        if turn.start is None or turn.end is None or turn.end <= turn.start:
            continue
        text = turn.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        cues += [f"{_clock(turn.start)} --> {_clock(turn.end)}", f"<v {turn.speaker}>{text}", ""]
    return "\n".join(cues)


def held_note(result: CallResult) -> dict[str, Any]:
    """Return the `note.json` of a held call: why, and nothing of what was said."""
    return {
        "call_id": result.call,
        "status": "held",
        "reasons": [plain(reason) for reason in result.verification.reasons],
    }


def vcon_file(result: CallResult, shelf: Shelf, *, audio_url: str | None = None) -> VconFile:
    """Return `call.vcon.json`, unsigned.

    Args:
        result: of a released call.
        shelf: where the muted audio is.
        audio_url: where readers get the muted audio; None: it is inline.

    Raises:
        BadInput: the call is held (code `held`), or as `redacted_vcon`.
    """
    blob = result.audio.blob if result.audio is not None else None
    if result.transcript is None or result.audio is None or blob is None or result.note is None:
        raise BadInput(f"call {result.call} is held: nothing of it leaves", code="held")
    released = Released(
        recording=result.recording,
        verification=result.verification,
        transcript=result.transcript,
        transcript_sha256=result.transcript_sha256 or "",
        audio=result.audio,
        note=note_json(result.note),
        log=result.log or b"",
        sound=lambda: shelf.open(blob),
        received_at=result.received_at,
        verified_at=result.verified_at,
        release=str(result.versions["voice_pipeline"]),
    )
    return redacted_vcon(released, audio_url=audio_url)


def write_results(out: Path, result: CallResult, shelf: Shelf) -> Path:
    """Write `out/<call_id>/` and return it.

    Raises:
        Misconfigured: the folder cannot be written; the results are kept and can be written again.
    """
    folder, part = out / result.call, out / f".{result.call}.{os.getpid()}.part"
    try:
        part.mkdir(parents=True, exist_ok=True)
        for name, data in _files(result):
            (part / name).write_bytes(data)
        if result.note is not None and result.transcript is not None:
            with (part / VCON).open("wb") as target:
                target.writelines(vcon_file(result, shelf).pieces())
        if result.audio is not None and result.audio.blob is not None:
            with (
                shelf.open(result.audio.blob) as source,
                (part / "audio.redacted.flac").open("wb") as target,
            ):
                shutil.copyfileobj(source, target)
        if folder.exists():
            older = out / f".{result.call}.{os.getpid()}.old"
            folder.rename(older)
            part.rename(folder)
            shutil.rmtree(older)
        else:
            part.rename(folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise Misconfigured(
            f"{folder}: results cannot be written ({error.strerror or type(error).__name__}); "
            "they are kept: make room or name another --out and run the same command again",
            code="output",
        ) from error
    return folder


def _files(result: CallResult) -> Iterator[tuple[str, bytes]]:
    yield "result.json", _json(result_json(result))
    if result.log is not None:
        yield "redaction_log.jsonl", result.log
    if result.note is None or result.transcript is None:
        yield "note.json", _json(held_note(result))
        return
    yield "note.json", _json(note_json(result.note))
    page = note_page(result.note, result.transcript, result.recording, result.warnings)
    yield "note.md", page.encode()
    yield "transcript.json", _json(transcript_json(result.transcript))
    yield "transcript.vtt", captions(result.transcript).encode()


def _json(document: Any) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


def _clock(seconds: float) -> str:
    whole = round(seconds * 1000)
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


__all__ = [
    "CallResult",
    "RedactedTurn",
    "captions",
    "held_note",
    "result_json",
    "transcript_json",
    "vcon_file",
    "warnings_of",
    "write_results",
]
