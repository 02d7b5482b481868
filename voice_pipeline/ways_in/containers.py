"""A recording that comes inside a vCon: taken out, checked, with what the vCon knows of it.

Decides whether a file is one. Refuses files whose signature or hash does not hold, and fetches
nothing that the settings do not list. What is taken out stays in memory: it is raw.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from voice_pipeline.config import Settings
from voice_pipeline.errors import BadInput
from voice_pipeline.intake import AgentChannel
from voice_pipeline.vcon import Contained, Linked, Verdict, find_recording, looks_like, opened
from voice_pipeline.vcon.forms import LARGEST, SUFFIXES

SIGNATURE = "vcon_signature"  # metadata: what is known of who signed


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The recording of a vCon; opened like a file."""

    name: str  # base name of the vCon
    data: bytes = field(repr=False)
    metadata: Mapping[str, str]
    agent_channel: AgentChannel

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        assert mode == "rb"
        return io.BytesIO(self.data)


def unpack(file: BinaryIO, name: str, settings: Settings) -> Unpacked | None:
    """Return the recording of a vCon; None where the file is none, and may be audio.

    Args:
        file: seekable; it stands at its beginning afterwards.
        name: base name, as handed in.
        settings: which places may be asked for a recording that lies elsewhere.

    Raises:
        BadInput: a vCon that cannot be used: as `vcon.opened` and `vcon.find_recording`, with a
            signature that does not hold (`vcon_signature`), or with a recording at a place that is
            not listed (`reference`).
        Retryable: the place of the recording does not answer.
    """
    if not looks_like(file, name):
        return None
    data = file.read(LARGEST + 1)
    file.seek(0)
    try:
        found = opened(data)
    except BadInput as error:
        if error.code in ("not_a_vcon", "vcon_damaged") and not name.lower().endswith(SUFFIXES):
            return None  # JSON of another kind; whoever wants audio says so
        raise
    if found.faults:
        raise BadInput(
            f"the signature of the vCon does not hold: {found.faults[0]}; have it sent again",
            code="vcon_signature",
        )
    inside = find_recording(found.document)
    return Unpacked(
        name,
        _content(inside, settings),
        {**inside.metadata, SIGNATURE: _signed(found)},
        inside.agent_channel,
    )


def _content(inside: Contained, settings: Settings) -> bytes:
    if not isinstance(inside.content, Linked):
        return inside.content
    from voice_pipeline.ways_in.reference import References  # its own neighbours take recordings

    references, sink = References(settings), io.BytesIO()
    references.fetch(references.check(inside.content.url), sink.write)
    inside.content.check(sink.getvalue())
    return sink.getvalue()


def _signed(found: Verdict) -> str:
    """Say in words what the signature is worth; a fingerprint would be redacted."""
    return "whole, signer not checked" if found.signatures else "unsigned"
