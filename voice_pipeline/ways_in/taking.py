"""Takes one recording, or a vCon of one, that can be read twice: looked at, hashed, admitted.

Decides whether the same bytes are here already. Refuses what is not audio before anything is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from voice_pipeline import audio
from voice_pipeline.errors import BadInput, PipelineError
from voice_pipeline.service import Sender, Service
from voice_pipeline.ways_in.containers import unpack

BLOCK = 1 << 20  # bytes
HISTORICAL = "historical"  # metadata: the times in which something was due are over


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms recordings are taken."""

    sender: Sender = field(default_factory=lambda: Sender(by="local"))
    targets: tuple[str, ...] | None = None  # where notes go; None: as the settings say
    backfill: bool = False  # after live calls, and what is due in them is due no more
    again: bool = False  # take bytes that are here already once more


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a recording."""

    call: str
    known: bool  # its bytes were here before: this is the call that they are


def take(
    service: Service, file: BinaryIO, name: str, metadata: Mapping[str, str], terms: Terms
) -> Taken:
    """Take a recording in. It cannot be lost once this has returned.

    Args:
        file: seekable.
        name: base name, as handed in.

    Raises:
        BadInput: not audio, metadata of the wrong form, or a file that changes meanwhile; a vCon
            that cannot be used.
        Overloaded: there is no room.
    """
    inside = unpack(file, name, service.kit.settings)
    if inside is None:
        return _take(service, file, name, metadata, terms)
    known = {"agent_channel": inside.agent_channel, **inside.metadata, **metadata}
    with inside.open() as recording:
        return _take(service, recording, name, known, terms)


def _take(
    service: Service, file: BinaryIO, name: str, metadata: Mapping[str, str], terms: Terms
) -> Taken:
    audio.probe(file)
    sha = _hash(file)
    if not terms.again:
        known = service.kit.store.register.twin(terms.sender.tenant, sha)
        if known is not None:
            return Taken(known, known=True)
    service.check_room(backfill=terms.backfill)
    file.seek(0)
    arrival, sealed = service.arrival(), hashlib.sha256()
    try:
        while block := file.read(BLOCK):
            sealed.update(block)
            arrival.write(block)
        if sealed.hexdigest() != sha:
            raise BadInput("the file changed while it was read; try again", code="file_changed")
    except (PipelineError, OSError):
        arrival.abandon()
        raise
    row = arrival.finish(
        name,
        historical(metadata) if terms.backfill else metadata,
        terms.sender,
        targets=terms.targets,
        backfill=terms.backfill,
        once=not terms.again,
    )
    return Taken(row.call, known=row.call != arrival.call)


def historical(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata that says of a recording that it is from the past."""
    return {HISTORICAL: "true", **metadata}


def _hash(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()
