"""Taking recordings in: which files are calls, what they are called, and what was said of them.

Decides the call id (content and channel settings), refuses what is not audio before anything is
kept, and redacts names and metadata before they are written anywhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from redaction import stamps
from voice_pipeline import audio
from voice_pipeline.codec import encode
from voice_pipeline.domain import Received, Ref
from voice_pipeline.errors import BadInput
from voice_pipeline.phones import KEY
from voice_pipeline.store import Store

BLOCK = 1 << 20  # bytes
AUDIO_SUFFIXES = frozenset(
    [
        ".wav",
        ".wave",
        ".mp3",
        ".mp2",
        ".ogg",
        ".oga",
        ".opus",
        ".m4a",
        ".mp4",
        ".aac",
        ".flac",
        ".webm",
        ".mkv",
        ".mov",
        ".avi",
        ".gsm",
        ".amr",
        ".au",
        ".aif",
        ".aiff",
        ".wma",
        ".3gp",
        ".caf",
        ".g722",
        ".ulaw",
        ".alaw",
    ]
)
VCON_SUFFIX = ".vcon"
KNOWN_METADATA = frozenset(
    [
        "call_ref",
        "agent",
        "team",
        "queue",
        "customer_ref",
        "started_at",
        "direction",
        "language",
        "refund_limit",
        "historical",
        "vcon_ref",
    ]
)

# Returns a text without its personal data; `strict` keeps identifiers but not payment data.
Scrub = Callable[[str, bool], str]
AgentChannel = Literal["auto", "left", "right"]


class Source(Protocol):
    """A recording that can be opened again: a file, or what another file held."""

    @property
    def name(self) -> str:
        """Base name, as handed in."""

    def open(self, mode: Literal["rb"]) -> BinaryIO: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk over the named paths met."""

    files: tuple[Path, ...]
    skipped: int  # not audio, inside a folder
    faults: tuple[tuple[Path, BadInput], ...]


def find_recordings(
    paths: Sequence[Path], leave_out: Path | None = None, *, vcons: bool = True
) -> Found:
    """Return the recordings among `paths`: named files as they are, folders walked.

    Args:
        paths: files and folders.
        leave_out: a folder that is not walked, because results are written there.
        vcons: whether NAME.vcon inside a folder is a recording, too.

    Inside a folder a file counts when its name or its content says audio; the rest is skipped
    and counted. Hidden files and folders are left alone.
    """
    files: list[Path] = []
    faults: list[tuple[Path, BadInput]] = []
    skipped = 0
    for path in paths:
        if not path.exists():
            fault = BadInput("no such file or folder; check the path", code="not_found")
            faults.append((path, fault))
        elif path.is_dir():
            inside = sorted(
                p
                for p in path.rglob("*")
                if p.is_file() and not _hidden(p, path) and not _inside(p, leave_out)
            )
            suffixes = AUDIO_SUFFIXES | {VCON_SUFFIX} if vcons else AUDIO_SUFFIXES
            calls = [p for p in inside if p.suffix.lower() in suffixes or _is_audio(p)]
            skipped += len(inside) - len(calls)
            files += calls
            if not calls:
                fault = BadInput("no audio in this folder; name one that has", code="no_audio")
                faults.append((path, fault))
        else:
            files.append(path)
    return Found(tuple(dict.fromkeys(files)), skipped, tuple(faults))


def parse_metadata(pairs: Sequence[str]) -> dict[str, str]:
    """Read K=V pairs.

    Raises:
        BadInput: a pair has no `=`, or a known key has a value of the wrong form.
    """
    metadata: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise BadInput("--meta takes KEY=VALUE, for example --meta queue=billing", code="meta")
        metadata[key.strip().lower()] = value
    return check_metadata(metadata, "--meta ")


def check_metadata(metadata: Mapping[str, str], where: str = "metadata: ") -> dict[str, str]:
    """Return metadata whose keys and values have a form that can be used.

    Args:
        metadata: at most 100 keys; values of at most 2,000 characters.
        where: how messages name the place of a fault.

    Raises:
        BadInput: a key, or the value of a known key, has the wrong form (code `meta`).
    """
    if len(metadata) > 100:
        raise BadInput(f"{where}more than 100 keys", code="meta")
    for key, value in metadata.items():
        if not re.fullmatch(r"[a-z][a-z0-9_.-]{0,63}", key):
            raise BadInput(
                f"{where}a key is a letter and then letters, digits, _ . or -", code="meta"
            )
        if len(value) > 2000:
            raise BadInput(f"{where}{key}: longer than 2,000 characters", code="meta")
        _check_value(key, value, where)
    return {key: value.strip() for key, value in metadata.items()}


def _check_value(key: str, value: str, where: str) -> None:
    if key == "started_at":
        try:
            datetime.fromisoformat(value.strip())
        except ValueError:
            raise BadInput(
                f"{where}started_at: not an ISO date or date-time, for example 2026-11-23T09:30",
                code="meta",
            ) from None
    if key == "refund_limit" and not re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
        raise BadInput(f"{where}refund_limit: not a number, for example 150", code="meta")
    if key == "historical" and value.strip() not in ("true", "false"):
        raise BadInput(f"{where}historical: true or false", code="meta")
    if key == "language" and not re.fullmatch(r"\s*[A-Za-z]{2}\s*", value):
        raise BadInput(f"{where}language: not an ISO 639-1 code, for example en", code="meta")


def started_on(metadata: Mapping[str, str]) -> date | None:
    """Return the day of the call, where the metadata tells it."""
    text = metadata.get("started_at")
    return datetime.fromisoformat(text).date() if text else None


def identify(
    path: Source, agent_channel: AgentChannel, language: str, transcript: bytes | None = None
) -> tuple[str, str]:
    """Return (call id, sha256 of the bytes): the same file with the same settings is one call.

    With another transcript that was made elsewhere it is another call.

    Raises:
        BadInput: the file is empty, unreadable, or not audio.
    """
    digest = hashlib.sha256()
    with _open(path) as file:
        audio.probe(file)
        file.seek(0)
        while block := file.read(BLOCK):
            digest.update(block)
    sha = digest.hexdigest()
    content = f"{sha}\n{agent_channel}\n{language}"
    if transcript is not None:
        content += f"\n{hashlib.sha256(transcript).hexdigest()}"
    return hashlib.sha256(content.encode()).hexdigest()[:20], sha


def receive(
    store: Store,
    path: Source,
    call: str,
    sha256: str,
    *,
    metadata: Mapping[str, str],
    agent_channel: AgentChannel,
    language: str,
    scrub: Scrub,
    transcript: bytes | None = None,
) -> Ref[Received]:
    """Seal a recording's bytes, and those of its transcript, and return the `Received` record.

    Raises:
        BadInput: the file vanished, or changed since it was identified.
    """
    store.open_call(call)
    with _open(path) as file, store.shelf.create(call, "Audio") as writer:
        size = 0
        while block := file.read(BLOCK):
            size += writer.write(block)
    if writer.ref.sha256 != sha256:
        store.shelf.delete(writer.ref)
        raise BadInput("the file changed while it was read; try again", code="file_changed")
    return record_received(
        store,
        writer.ref,
        path.name,
        size,
        metadata=metadata,
        agent_channel=agent_channel,
        language=language,
        scrub=scrub,
        transcript=transcript,
    )


def record_received(
    store: Store,
    audio: Ref[Any],
    name: str,
    size: int,
    *,
    metadata: Mapping[str, str],
    agent_channel: AgentChannel,
    language: str,
    scrub: Scrub,
    transcript: bytes | None = None,
) -> Ref[Received]:
    """Keep the `Received` record of a recording whose bytes are sealed, and return its name."""
    record = received_record(
        audio,
        name,
        size,
        metadata=metadata,
        agent_channel=agent_channel,
        language=language,
        scrub=scrub,
        transcript=(
            None
            if transcript is None
            else store.shelf.put(audio.call, "ImportedTranscript", transcript)
        ),
    )
    ref = store.shelf.put(audio.call, "Received", encode(record))
    store.set_received(ref)
    return ref


def received_record(
    audio: Ref[Any],
    name: str,
    size: int,
    *,
    metadata: Mapping[str, str],
    agent_channel: AgentChannel,
    language: str,
    scrub: Scrub,
    transcript: Ref[Any] | None = None,
) -> Received:
    """Return what is kept of how a recording was handed in, without personal data.

    Args:
        audio: the sealed bytes.
        name: the file's base name, as handed in.
        size: bytes.
        transcript: made elsewhere; sealed.
    """
    return Received(
        call=audio.call,
        name=scrub_name(name, scrub),
        sha256=audio.sha256,
        size=size,
        audio=audio,
        metadata={k: _without_data(k, v, scrub) for k, v in sorted(metadata.items())},
        agent_channel=agent_channel,
        language=language,
        transcript=transcript,
    )


def _without_data(key: str, value: str, scrub: Scrub) -> str:
    if key == "phone_key" and KEY.fullmatch(value):
        return value  # a hash in letters
    return scrub(value, key in KNOWN_METADATA)


def scrub_name(name: str, scrub: Scrub) -> str:
    """Return a file's base name without personal data and without control characters.

    Dates, times and counters that recorders write stay, so that a call can be found again.
    """
    stem, dot, suffix = name.rpartition(".")
    stem, suffix = (stem, f".{suffix}") if dot and stem else (name, "")
    plain = "".join(c if c.isprintable() else " " for c in stem)
    pieces = (piece if stamp else _scrubbed(piece, scrub) for piece, stamp in stamps.split(plain))
    return "".join(pieces) + suffix


def _scrubbed(text: str, scrub: Scrub) -> str:
    words = re.sub(r"[_\-.+]+", " ", text)
    clean = scrub(words, False)
    return text if clean == words else clean


def _open(path: Source) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(
            f"cannot be read ({error.strerror or type(error).__name__}); "
            "check that it exists and that you may read it",
            code="unreadable",
        ) from error


def _is_audio(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            audio.probe(file)
    except (BadInput, OSError):
        return False
    return True


def _inside(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
