"""What the pipeline asks of its parts: Protocols, and the traits that each part declares.

The core checks traits before the first call, so 'needs word times, engine has none' stops at
start-up. Every port has a contract suite and a fake in `voice_pipeline.testing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Generic, Literal, Protocol, TypeVar, overload

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


@dataclass(frozen=True, slots=True)
class Parcel:
    """One revision of a call's note on its way to one target: redacted, allowed, looked through."""

    key: str  # idempotency key: of call, target and revision
    call: str  # id of the call; names the record in the target
    number: int  # of the revision at this target, from 1
    event: str  # call.note.created | call.note.updated
    note: Mapping[str, Any]  # the fields of note.json that may leave
    fields: Mapping[str, str]  # what the mapping made of them; names are the target's
    metadata: Mapping[str, str]  # of the call, redacted: call_ref, customer_ref, queue, ...
    at: str  # ISO 8601, UTC: when this revision was made; the same however often it is sent
    record: str | None = None  # the call's record in the target, known from an earlier revision
    customer: str | None = None  # the customer's record in the target, as matched
    link: str | None = None  # leads a person back to the evidence
    first_try: bool = True  # False: an earlier attempt may have reached the target
    test: bool = False  # made by `targets test`, marked as such and taken away again


@dataclass(frozen=True, slots=True)
class Match:
    """What a target knows of the customer whom a call is about."""

    found: Literal["one", "none", "several"]
    how: str  # by what it was looked for, in plain words; no value
    customer: str | None = None  # the customer's record, where there is one
    known: Mapping[str, str] = field(default_factory=dict)  # values to compare with what was said


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as a connector would send it, for people to read; secrets are left out."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that `targets test` looked at."""

    what: str  # credentials, scope, field, record ...
    good: bool
    detail: str  # what is wrong and what to do; empty when good


@dataclass(frozen=True, slots=True)
class ConnectorTraits:
    """What a connector can do, so that whoever sends knows what it must see to itself."""

    idempotent: bool = False  # the target makes one record of a key, however often it comes
    # It can be asked for a key. Where it cannot and is not idempotent, an answer that was lost on
    # its way may mean a second message: fit for alerts, not for records.
    searchable: bool = True
    updates: bool = True  # a later revision changes the call's record instead of making another
    matches: bool = False  # it can look for the customer
    limits: Mapping[str, int] = field(default_factory=dict)  # characters that a field takes
    mapping: Mapping[str, str] = field(default_factory=dict)  # field to template, if none is given
    scopes: tuple[str, ...] = ()  # the least rights that its credentials need
    live: bool = True  # False: not run against the live service


class Connector(Protocol):
    """A CRM, or what stands for one. Writes a parcel once, whatever happens on the way.

    One object is used by several threads. `connectors/_http.py` has what talks to servers.
    """

    @property
    def name(self) -> str: ...

    @property
    def traits(self) -> ConnectorTraits: ...

    def find(self, parcel: Parcel) -> Receipt | None:
        """Return the receipt of an earlier write of this parcel's key, if the target has one.

        Where `traits.searchable` is False it cannot be asked, and None means nothing.

        Raises:
            Retryable, Misconfigured: as `deliver`.
        """

    def deliver(self, parcel: Parcel) -> Receipt:
        """Write the parcel; a key written before gives the same receipt.

        Where `parcel.first_try` is False and the target is not idempotent, it is looked for first.

        Raises:
            Retryable: the target did not answer or asked to wait. Its code says whether the whole
                target is away (`target_unreachable`, `target_busy`) or this write may have got
                through (`no_answer`, `target_failed`, `bad_answer`).
            Permanent: the target refuses the parcel (code `target_refused`).
            Misconfigured: credentials or settings are wrong: nothing can be delivered there.
        """

    def match(self, parcel: Parcel) -> Match:
        """Look for the customer of the call; read-only. Called only where `traits.matches`."""

    def preview(self, parcel: Parcel) -> Sequence[Outgoing]:
        """Return exactly what `deliver` would send, without sending anything."""

    def check(self) -> Sequence[Checked]:
        """Look at credentials, rights and fields in the target; changes nothing there."""

    def remove(self, receipt: Receipt) -> None:
        """Take a test's record away again.

        Raises:
            Permanent: the target cannot (code `not_removed`); the message names the record.
        """

    def close(self) -> None:
        """Let go of connections."""


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
