"""Transcripts made elsewhere: read by what stands in them, never by what they are called.

The folder is the registry: one file a format, with `FORMAT`, `detect(content)` and `read(content)`,
so adding one means adding one file. Refuses what no reader knows, with a list of those there are.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Protocol, cast

from voice_pipeline.errors import BadInput
from voice_pipeline.transcripts._content import LARGEST, Content, open_content, too_large
from voice_pipeline.transcripts._language import UNKNOWN, iso
from voice_pipeline.transcripts._records import Utterance, VendorTranscript, with_alternates

__all__ = [
    "LARGEST",
    "UNKNOWN",
    "Content",
    "Reader",
    "Utterance",
    "VendorTranscript",
    "check",
    "iso",
    "read",
    "read_content",
    "readers",
    "too_large",
    "with_alternates",
]


class Reader(Protocol):
    """One format: a module of this folder."""

    @property
    def FORMAT(self) -> str: ...  # noqa: N802 - a constant of a module

    def detect(self, content: Content) -> bool:
        """Return whether the content is of this format; must not raise."""

    def read(self, content: Content) -> VendorTranscript:
        """Return what stands in it.

        Raises:
            BadInput: it is of this format, but no transcript of a call can be had from it.
        """


@cache
def readers() -> tuple[Reader, ...]:
    """Return every reader there is, by name."""
    return tuple(
        cast(Reader, importlib.import_module(f"{__name__}.{module.name}"))
        for module in pkgutil.iter_modules(__path__)
        if not module.name.startswith("_")
    )


def read(data: bytes) -> VendorTranscript:
    """Return what stands in the bytes of a transcript.

    Raises:
        BadInput: `empty_file`, `transcript_too_large`, `transcript_damaged`, `transcript_unknown`.
    """
    return read_content(open_content(data))


def read_content(content: Content) -> VendorTranscript:
    """Return what stands in content that has been opened; see `read`."""
    for reader in readers():
        if reader.detect(content):
            return reader.read(content)
    known = ", ".join(sorted(reader.FORMAT for reader in readers()))
    raise BadInput(
        f"not a transcript of a format that is known here ({known}); export it as one of them",
        code="transcript_unknown",
    )


def check(data: bytes) -> str:
    """Return the name of the format of a transcript that can be read; raises as `read` does."""
    return read(data).format
