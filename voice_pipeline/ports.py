"""What the pipeline asks of its parts: Protocols, and the traits that each part declares.

The core checks traits before the first call, so 'needs word times, engine has none' stops at
start-up. Every port has a contract suite and a fake in `voice_pipeline.testing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO, Generic, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.domain import (
    CaseNote,
    Heard,
    Receipt,
    Recording,
    RedactedTranscript,
    Ref,
    Segment,
    SegmentSpeech,
    SpeakerSpan,
)

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
T = TypeVar("T")
F_co = TypeVar("F_co", bound=Callable[..., Any], covariant=True)

Progress = Callable[[float], None]  # called with the finished share, 0..1
Vectors = NDArray[np.float32]  # shape (texts, dimension), each row of unit length, or zero


# ---------------------------------------------------------------- speech


@dataclass(frozen=True, slots=True)
class TranscriberTraits:
    """What an engine can do, and what its users should expect of it."""

    languages: frozenset[str] | None  # ISO 639-1; None: many, decided by the model
    detects_language: bool
    word_confidence: bool
    sends_audio_away: bool  # leaves this machine
    expectation: str  # one sentence for the result page
    # (mean word confidence, share of right words), rising: measured for this engine and model.
    # Empty: not measured; confidence is then taken as that share
    calibration: tuple[tuple[float, float], ...] = ()
    takes_hints: bool = False  # listens for `Segment.hints`; else words are mended afterwards


class Transcriber(Protocol):
    """Hears words. Segments in, one result a segment out, in the same order."""

    @property
    def name(self) -> str: ...

    @property
    def made_by(self) -> str:
        """Engine, version and model, as every result names it."""

    @property
    def traits(self) -> TranscriberTraits: ...

    def transcribe(
        self, segments: Sequence[Segment], *, language: str | None, progress: Progress
    ) -> list[SegmentSpeech]:
        """Transcribe segments of any number of calls and channels.

        Args:
            segments: 16 kHz mono stretches of speech; may be empty.
            language: ISO 639-1, or None to detect (only if traits.detects_language).
            progress: called with the finished share, 0..1.

        Returns:
            One result per segment; word times are native to the engine, never interpolated, and
            counted from the start of the recording.

        Raises:
            Misconfigured: the model is missing or does not load.
            Retryable: the engine ran out of a resource.
        """


class Diarizer(Protocol):
    """Tells speakers apart."""

    @property
    def name(self) -> str: ...

    def diarize(
        self, recording: Recording, heard: Heard, audio: AbstractContextManager[BinaryIO]
    ) -> tuple[SpeakerSpan, ...]:
        """Return who speaks when; `audio` opens the recording's bytes, for those who need them."""


# ---------------------------------------------------------------- analysis and delivery


class Analyst(Protocol):
    """Turns a redacted transcript into a case note whose every claim quotes a turn."""

    @property
    def name(self) -> str: ...

    @property
    def made_by(self) -> str: ...

    def analyse(self, transcript: RedactedTranscript, metadata: Mapping[str, str]) -> CaseNote: ...


class Embedder(Protocol):
    """Turns redacted texts into vectors whose cosine says how alike they are."""

    @property
    def name(self) -> str: ...

    @property
    def made_by(self) -> str:
        """Model, hash and dimension. Kept beside every stored vector; two are never mixed."""

    @property
    def dimension(self) -> int: ...

    def __hash__(self) -> int:
        """What is fitted with it is kept by it."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row a text, shape (texts, dimension), unit length; zeros for an empty text.

        Raises:
            Retryable: the model did not answer this time.
            Permanent: its answer cannot be used.
            Misconfigured: the model is missing, damaged or of another kind.
        """


def unit_rows(vectors: Vectors) -> Vectors:
    """Return the rows at unit length; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


class Connector(Protocol):
    """A CRM, or what stands for one. Writes once per key."""

    @property
    def name(self) -> str: ...

    def find(self, key: str) -> Receipt | None:
        """Return the receipt of an earlier write with this key, if the target has one."""

    def deliver(self, key: str, payload: Mapping[str, Any]) -> Receipt:
        """Write the payload under the key; a key written before returns the same receipt.

        Raises:
            Retryable: the target did not answer or asked to wait.
            Permanent: the target refused the payload.
            Misconfigured: credentials or settings are wrong.
        """


# ---------------------------------------------------------------- where things are kept


class BlobWriter(Protocol):
    """A blob being written; `ref` exists after the `with` block has ended without an error."""

    def write(self, data: bytes, /) -> int: ...

    @property
    def ref(self) -> Ref[Any]: ...


class Shelf(Protocol):
    """Where a call's bytes are kept, sealed with the call's own key."""

    def open(self, ref: Ref[Any]) -> AbstractContextManager[BinaryIO]:
        """Open a blob for reading; seekable, decrypted piece by piece.

        Raises:
            Permanent: the blob is gone (code `erased`) or was tampered with (code `damaged_blob`).
        """

    def create(self, call: str, kind: str) -> AbstractContextManager[BlobWriter]:
        """Start a new blob; nothing is kept if the block ends with an error."""


# ---------------------------------------------------------------- running


@dataclass(frozen=True, slots=True)
class Stage(Generic[F_co]):
    """One verb of the pipeline with everything it needs already bound."""

    name: str
    do: F_co
    version: str  # changes whenever the same input may give another result
    lane: str = "cpu"  # which kind of worker runs it: cpu, gpu, llm, crm


class Run(Protocol):
    """Runs stages for one call: durably, once each, resuming where it stopped."""

    @overload
    def step(self, stage: Stage[Callable[[A], T]], a: Ref[A], /) -> Ref[T]: ...
    @overload
    def step(self, stage: Stage[Callable[[A, B], T]], a: Ref[A], b: Ref[B], /) -> Ref[T]: ...
    @overload
    def step(
        self, stage: Stage[Callable[[A, B, C], T]], a: Ref[A], b: Ref[B], c: Ref[C], /
    ) -> Ref[T]: ...
    @overload
    def step(
        self,
        stage: Stage[Callable[[A, B, C, D], T]],
        a: Ref[A],
        b: Ref[B],
        c: Ref[C],
        d: Ref[D],
        /,
    ) -> Ref[T]: ...

    def look(self, ref: Ref[T], /) -> T:
        """Read a small record that is not raw."""

    def forget(self, *refs: Ref[Any]) -> None:
        """Destroy records whose life ends here. Doing it twice is fine."""

    def deliver(self, note: Ref[CaseNote], /) -> None:
        """Start one delivery per target; does not wait for them."""
