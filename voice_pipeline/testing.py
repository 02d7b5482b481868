"""Shipped fakes and contract suites: what every adapter of a port must do, ours and yours.

A contract is a function that takes a way to build the adapter and raises AssertionError with a
sentence that says what is wrong. It needs no test framework and no network.

    from voice_pipeline.testing import transcriber_contract

    def test_parakeet() -> None:
        transcriber_contract(lambda: create(Options()))
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np

from redaction.records import Word
from voice_pipeline.domain import Ref, Samples, Segment, SegmentSpeech
from voice_pipeline.ports import (
    Connector,
    Embedder,
    Parcel,
    Progress,
    Transcriber,
    TranscriberTraits,
)

RATE = 16000  # Hz


class ScriptedTranscriber:
    """Says what a script says: words per channel, with times; for tests of what comes after.

    A segment gets the words of its channel that start inside it.
    """

    name = "scripted"
    made_by = "scripted 1"

    def __init__(
        self,
        script: Mapping[int, Sequence[Word]],
        *,
        language: str = "en",
        language_confidence: float | None = None,
        traits: TranscriberTraits | None = None,
        marks: Sequence[str] = (),
    ) -> None:
        self._script = script
        self._language = language
        self._language_confidence = language_confidence
        self._marks = tuple(marks)
        self.traits = traits or TranscriberTraits(
            languages=frozenset({"en"}),
            detects_language=False,
            word_confidence=True,
            sends_audio_away=False,
            expectation="Says what its script says.",
        )
        self.batches: list[int] = []  # how many segments each call brought
        self.asked: list[str | None] = []  # the language of each call

    def transcribe(
        self, segments: Sequence[Segment], *, language: str | None, progress: Progress
    ) -> list[SegmentSpeech]:
        """Give each segment the words of the script that start inside it."""
        self.batches.append(len(segments))
        self.asked.append(language)
        progress(1.0)
        return [
            SegmentSpeech(
                self._inside(segment),
                language or self._language,
                self._language_confidence,
                self._marks,
            )
            for segment in segments
        ]

    def _inside(self, segment: Segment) -> tuple[Word, ...]:
        end = segment.offset + len(segment.samples) / RATE
        return tuple(
            word
            for word in self._script.get(segment.channel, ())
            if word.start is not None and segment.offset <= word.start < end
        )


class MemoryShelf:
    """A shelf that keeps blobs in memory, unsealed: for tests and evaluations."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, call: str, kind: str, data: bytes) -> Ref[Any]:
        ref: Ref[Any] = Ref(call, kind, hashlib.sha256(data).hexdigest())
        self._blobs[ref.sha256] = data
        return ref

    @contextmanager
    def open(self, ref: Ref[Any]) -> Iterator[BinaryIO]:
        """Open a blob for reading."""
        yield io.BytesIO(self._blobs[ref.sha256])

    @contextmanager
    def create(self, call: str, kind: str) -> Iterator[_MemoryWriter]:
        """Start a new blob; nothing is kept if the block ends with an error."""
        writer = _MemoryWriter()
        yield writer
        writer.ref = self.put(call, kind, writer.buffer.getvalue())


class _MemoryWriter:
    def __init__(self) -> None:
        self.buffer = io.BytesIO()
        self.ref: Ref[Any]

    def write(self, data: bytes, /) -> int:
        return self.buffer.write(data)


def transcriber_contract(
    make: Callable[[], Transcriber], speech: Samples | None = None, language: str = "en"
) -> None:
    """Check a transcriber against its port.

    Args:
        make: builds the adapter; called once.
        speech: 16 kHz mono of somebody speaking, a second or more. Without it only what holds for
            silence and noise is checked.
        language: ISO 639-1 of that speech.

    Raises:
        AssertionError: the adapter breaks the contract; the message says where.
    """
    transcriber = make()
    traits = transcriber.traits
    assert transcriber.name, "name is empty"
    assert transcriber.made_by, "made_by must name engine, version and model"
    assert traits.expectation.strip(), "traits.expectation must be a sentence for the result page"
    assert traits.languages is None or language in traits.languages, "traits.languages lacks it"
    _calibration_rises(traits)
    clips = _clips(speech)

    def hear(segments: Sequence[Segment], asked: str | None = language) -> list[SegmentSpeech]:
        shares: list[float] = []
        heard = transcriber.transcribe(segments, language=asked, progress=shares.append)
        assert len(heard) == len(segments), "one result a segment, in the same order"
        assert all(0.0 <= share <= 1.0 for share in shares), "progress is a share, 0..1"
        assert all(a <= b for a, b in pairwise(shares)), "progress never goes back"
        return heard

    assert hear([]) == [], "no segments, no results"
    heard = hear(clips)
    for segment, result in zip(clips, heard, strict=True):
        _fits(segment, result, traits)
        assert result.language == language, "the result must name the language asked for"
    assert hear(list(reversed(clips)))[::-1] == heard, (
        "a segment's result depends on the segments before it"
    )
    assert [hear([clip])[0] for clip in clips] == heard, (
        "a segment's result depends on what it was batched with"
    )
    _moves_with_its_offset(clips, hear)
    if speech is not None:
        assert any(result.words for result in heard), "nothing was heard in speech"
    if traits.detects_language:
        for result in hear(clips, None):
            sure = result.language_confidence
            assert result.language, "a detected language must be named"
            assert sure is None or 0.0 <= sure <= 1.0, "language_confidence is 0..1"


def parcel(key: str, call: str = "contract", **other: Any) -> Parcel:
    """Return a parcel with an invented note, as a connector gets it; `other` are its fields."""
    note = {"call_id": call, "reason": {"text": "ünïcode \u202e and \n lines", "evidence": []}}
    given: dict[str, Any] = {
        "number": 1, "event": "call.note.created", "note": note, "metadata": {},
        "at": "2026-01-05T10:00:00+00:00",
        "fields": {"subject": f"Call {call}", "text": "The caller's parcel is late. \u202e <b>"},
    }  # fmt: skip
    return Parcel(key=key, call=call, **given | other)


def connector_contract(
    make: Callable[[], Connector], fields: Mapping[str, str] | None = None
) -> None:
    """Check that a connector writes once per key, whatever happens around it.

    Args:
        make: builds the connector anew on the same, empty target; a new one stands for a new
            process after a crash.
        fields: of the parcels, where the target takes no others than its own.

    Raises:
        AssertionError: with the promise that was broken.
    """
    mapped = {} if fields is None else {"fields": fields}
    first = make()
    one, two, four = (parcel(f"contract-{n}", f"call-{n}", **mapped) for n in (1, 2, 4))
    assert first.name, "a connector has a name"
    assert all(check.good for check in first.check()), "a good target passes its own check"
    assert first.preview(one), "what would be sent can be shown"
    assert first.find(one) is None, "nothing was written yet, and a preview writes nothing"
    receipt = first.deliver(one)
    assert receipt.key == "contract-1", "the receipt names the key"
    assert receipt.external_id, "the receipt names the record in the target"
    again, retried = make(), replace(one, first_try=False)
    if first.traits.searchable:
        assert again.find(retried) == receipt, "a written key is found by another process"
    assert again.deliver(retried) == receipt, "the same key again is the same record"
    other = again.deliver(two)
    assert other.external_id != receipt.external_id, "another call is another record"
    if first.traits.updates:
        later = replace(
            one, key="contract-3", number=2, event="call.note.updated", record=receipt.external_id
        )
        assert again.find(later) is None, "a later revision is not yet there"
        newer = again.deliver(later)
        assert newer.external_id == receipt.external_id, "a later revision changes the same record"
        found = make().deliver(replace(later, first_try=False))
        assert found.external_id == newer.external_id, "and is written once"
    assert make().find(four) is None, "what was not written is not there"


def embedder_contract(make: Callable[[], Embedder]) -> None:
    """Check an embedder against its port.

    Args:
        make: builds the adapter; called twice.

    Raises:
        AssertionError: the adapter breaks the contract; the message says where.
    """
    embedder = make()
    assert embedder.name, "name is empty"
    assert str(embedder.dimension) in embedder.made_by, "made_by must name model and dimension"
    texts = ["where is my parcel", "", "i was billed twice " * 400, "ünïcode \u202e 你好", " \n"]
    rows = embedder.embed(texts)
    assert rows.shape == (len(texts), embedder.dimension), "one row a text, in the same order"
    assert rows.dtype == np.float32, "vectors are float32"
    lengths = np.linalg.norm(rows, axis=1)
    assert np.allclose(lengths, [1, 0, 1, 1, 0], atol=1e-3), "unit length; zeros for empty texts"
    assert embedder.embed([]).shape == (0, embedder.dimension), "no texts, no rows"
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert np.allclose(alone, rows, atol=1e-3), "a vector depends on what it was batched with"
    again = make()
    assert again.made_by == embedder.made_by, "made_by changes between processes"
    assert np.allclose(again.embed(texts), rows, atol=1e-3), "same model, other vectors"


def _calibration_rises(traits: TranscriberTraits) -> None:
    for (x0, y0), (x1, y1) in pairwise(traits.calibration):
        assert x0 < x1 and y0 <= y1, "traits.calibration must rise"
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in traits.calibration), "calibration is 0..1"


def _clips(speech: Samples | None) -> list[Segment]:
    noise = np.random.default_rng(0).normal(0.0, 0.01, 2 * RATE).astype(np.float32)
    clips = [
        Segment("one", 0, 3.25, noise),
        Segment("one", 1, 0.5, np.zeros(RATE, np.float32)),
        Segment("two", 0, 7.0, np.zeros(160, np.float32), "telephone"),
        Segment("two", 1, 8.0, np.zeros(0, np.float32)),
    ]
    if speech is not None:
        clips += [
            Segment("one", 0, 60.0, speech),
            Segment("two", 1, 12.5, speech, "telephone"),
            Segment("three", 0, 0.0, (speech * np.float32(0.3)).astype(np.float32)),
        ]
    return clips


def _fits(segment: Segment, result: SegmentSpeech, traits: TranscriberTraits) -> None:
    end = segment.offset + len(segment.samples) / RATE
    for word in result.words:
        assert word.text.strip() == word.text != "", "a word is not empty and has no space around"
        assert len(word.text.split()) == 1, "a word is one word"
        if word.start is None or word.end is None:
            assert word.start is word.end, "a word has both times or none"
        else:
            assert word.start <= word.end, "a word ends before it starts"
            assert segment.offset - 0.02 <= word.start and word.end <= end + 0.02, (
                "word times must lie in their segment, counted from the start of the recording"
            )
        if traits.word_confidence:
            assert word.confidence is not None and 0.0 <= word.confidence <= 1.0, (
                "traits promise a confidence of 0..1 for every word"
            )
    starts = [word.start for word in result.words if word.start is not None]
    assert all(a <= b for a, b in pairwise(starts)), "words come in time order"


def _moves_with_its_offset(
    clips: Sequence[Segment], hear: Callable[[Sequence[Segment]], list[SegmentSpeech]]
) -> None:
    """A segment said ten seconds later gives the same words ten seconds later."""
    last = clips[-1]
    later = Segment(last.call, last.channel, last.offset + 10.0, last.samples, last.band)
    now, then = hear([last])[0].words, hear([later])[0].words
    assert [word.text for word in now] == [word.text for word in then], "words depend on the offset"
    for a, b in zip(now, then, strict=True):
        assert a.start is None or b.start is None or abs(b.start - a.start - 10.0) < 0.011, (
            "word times are counted from the start of the recording"
        )
