"""The transcribe stage: every channel, the right language, and how much was understood."""

from __future__ import annotations

import dataclasses
import io
import json
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import conversation

from redaction.records import Word
from voice_pipeline import codec
from voice_pipeline.domain import Heard, Received, Recording, Segment
from voice_pipeline.metrics import asr
from voice_pipeline.ports import Progress, TranscriberTraits
from voice_pipeline.stages import transcribe as stage
from voice_pipeline.stages.ingest import ingest
from voice_pipeline.stages.transcribe import batches, transcribe
from voice_pipeline.stages.understanding import UNDERSTOOD_FLOOR, estimate
from voice_pipeline.testing import MemoryShelf, ScriptedTranscriber
from voice_pipeline.transcribers.pocketsphinx import CALIBRATION

DATA = Path(__file__).parents[2] / "shared" / "data" / "speech"


def as_wav(samples: Any, rate: int = 16000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(samples.T).astype("<i2").tobytes())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def call() -> tuple[bytes, list[tuple[int, float, float]]]:
    """A short two-sided call and who speaks when."""
    samples, turns = conversation(pairs=2)
    return as_wav(samples), turns


@pytest.fixture
def hear(call: tuple[bytes, Any]) -> Callable[..., Heard]:
    """Run ingest and transcribe on bytes with an engine."""

    def run(
        transcriber: ScriptedTranscriber,
        data: bytes | None = None,
        progress: Progress = lambda share: None,
        **changes: Any,
    ) -> Heard:
        data = call[0] if data is None else data
        shelf = MemoryShelf()
        ref = shelf.put("call", "Audio", data)
        recording = ingest(
            Received("call", "call.wav", ref.sha256, len(data), ref, {}), shelf=shelf
        )
        changed: Recording = dataclasses.replace(recording, **changes)
        return transcribe(changed, transcriber=transcriber, shelf=shelf, progress=progress)

    return run


def script(turns: Sequence[tuple[int, float, float]]) -> dict[int, list[Word]]:
    """Words of 0.3 s all through the turns."""
    words: dict[int, list[Word]] = {0: [], 1: []}
    for channel, start, end in turns:
        at = start + 0.05
        while at + 0.3 < end:
            words[channel].append(Word("parcel", at, at + 0.3, 0.95))
            at += 0.3
    return words


def engine(languages: set[str] | None, *, detects: bool = False) -> TranscriberTraits:
    known = None if languages is None else frozenset(languages)
    return TranscriberTraits(known, detects, True, False, "a test engine")


def codes(heard: Heard) -> set[str]:
    return {warning.code for warning in heard.warnings}


# ---------------------------------------------------------------- the stage


def test_every_channel_has_its_speech(call: Any, hear: Callable[..., Heard]) -> None:
    """Words go to their channel, in time order, with where somebody speaks."""
    words = script(call[1])
    heard = hear(ScriptedTranscriber(words), language="en")
    assert [speech.channel for speech in heard.speech] == [0, 1]
    for speech in heard.speech:
        assert list(speech.words) == words[speech.channel]
        assert speech.understood > UNDERSTOOD_FLOOR
        for word in speech.words:
            assert any(start <= word.start < end for start, end in speech.active)
    assert codes(heard) == {"heard_by"}
    assert heard.transcriber == "scripted 1"


def test_times_that_are_no_number_are_none(call: Any, hear: Callable[..., Heard]) -> None:
    """An engine that answers NaN gives words without times: the record can be kept and muted."""
    words = {1: [Word("four", float("nan"), 1.0), Word("one", 1.0, float("inf"))]}

    class Broken(ScriptedTranscriber):
        def _inside(self, segment: Any) -> tuple[Word, ...]:
            return tuple(words.get(segment.channel, ()))

    heard = hear(Broken({}), language="en")
    assert {(word.start, word.end) for word in heard.speech[1].words} == {(None, None)}
    assert codec.decode(codec.encode(heard)) == heard


def test_a_silent_side_has_a_speech_too(call: Any, hear: Callable[..., Heard]) -> None:
    """A channel on which nobody speaks is there, empty, and understood: nothing was missed."""
    samples, _ = conversation(pairs=1)
    samples = np.stack([samples[0], np.zeros_like(samples[0])])
    heard = hear(ScriptedTranscriber({}), data=as_wav(samples))
    assert len(heard.speech) == 2
    assert heard.speech[1].active == ()
    assert heard.speech[1].understood == 1.0
    assert heard.speech[0].understood == 0.0  # speech, and no word of it


def test_silence_is_no_speech(hear: Callable[..., Heard]) -> None:
    """Silence is not badly understood speech; one warning says so, here or at ingest."""
    transcriber = ScriptedTranscriber({})
    heard = hear(transcriber, data=as_wav(np.zeros((1, 48000))), warnings=())
    assert "no_speech" in codes(heard)
    assert "no_speech" not in codes(hear(transcriber, data=as_wav(np.zeros((1, 48000)))))
    assert transcriber.batches == []


def test_language_is_what_was_asked_for(hear: Callable[..., Heard]) -> None:
    """Asked, then detected, then metadata, then assumed; only the last one warns."""
    plain = ScriptedTranscriber({}, traits=engine({"en", "de"}))
    detecting = ScriptedTranscriber(
        {}, language="de", language_confidence=0.9, traits=engine(None, detects=True)
    )
    unsure = ScriptedTranscriber(
        {}, language="de", language_confidence=0.3, traits=engine(None, detects=True)
    )
    asked = hear(plain, language="de-AT")
    assert (asked.speech[0].language, plain.asked[-1]) == ("de", "de")
    assert "language_assumed" not in codes(asked)
    found = hear(detecting, metadata={"language": "fr"})
    assert (found.speech[0].language, detecting.asked[-1]) == ("de", None)
    assert "language_assumed" not in codes(found)
    assert "language_assumed" in codes(hear(unsure))
    named = hear(plain, metadata={"language": "de"})
    assert named.speech[0].language == "de"
    assert "language_assumed" not in codes(named)
    assumed = hear(plain)
    assert assumed.speech[0].language == "en"
    assert "language_assumed" in codes(assumed)


def test_an_unknown_language_is_not_guessed_at(hear: Callable[..., Heard]) -> None:
    """The engine is not even asked; the speech stands there, none of it understood."""
    transcriber = ScriptedTranscriber({})
    heard = hear(transcriber, language="nl")
    assert "language_unsupported" in codes(heard)
    assert transcriber.batches == []
    assert all(speech.active and speech.understood == 0.0 for speech in heard.speech)
    assert {speech.language for speech in heard.speech} == {"nl"}


def test_audio_comes_in_bounded_batches(
    hear: Callable[..., Heard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a call is, the engine gets a bounded piece at a time; progress only rises."""
    monkeypatch.setattr(stage, "BATCH_SECONDS", 5.0)
    transcriber = ScriptedTranscriber({})
    shares: list[float] = []
    hear(transcriber, language="en", progress=shares.append)
    assert len(transcriber.batches) > 1
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@given(st.lists(st.floats(0.01, 30.0), max_size=30), st.floats(1.0, 60.0))
def test_batches_lose_nothing(lengths: list[float], bound: float) -> None:
    """Batches hold all segments in order, each within its bound or a single one."""
    segments = [
        Segment("c", 0, float(i), np.zeros(int(length * 16000), np.float32))
        for i, length in enumerate(lengths)
    ]
    made = list(batches(segments, bound))
    assert [segment.offset for batch in made for segment in batch] == [s.offset for s in segments]
    for batch in made:
        assert len(batch) == 1 or sum(len(s.samples) for s in batch) / 16000 <= bound + 1e-6


# ---------------------------------------------------------------- how much was understood


def fluent(count: int, confidence: float | None, text: str = "parcel") -> list[Word]:
    return [Word(text, i * 0.3, i * 0.3 + 0.28, confidence) for i in range(count)]


def test_fluent_sure_words_are_understood() -> None:
    """Speech filled with words that the engine believes in was understood."""
    assert estimate(fluent(100, 0.95), [(0.0, 30.4)], language="en").share > 0.9


def test_silence_and_nothing_heard_differ() -> None:
    """No speech leaves nothing to understand; speech without words leaves nothing understood."""
    assert estimate([], [], language="en").share == 1.0
    assert estimate([], [(0.0, 10.0)], language="en").share == 0.0


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (fluent(100, 0.4), 30.4),  # the engine doubts them
        (fluent(20, 0.95), 60.0),  # most of the speech became no word
        ([Word("parcel", i * 0.1, i * 0.1 + 0.1, 0.9) for i in range(300)], 30.4),  # too fast
        (fluent(100, 0.95, "the"), 30.4),  # function words alone
        ([Word("parcel", 0.0, 30.0, 0.95)], 30.4),  # one word
    ],
)
def test_implausible_words_are_not(words: list[Word], seconds: float) -> None:
    """Doubt, gaps, speed and emptiness each bring a channel below the floor."""
    assert estimate(words, [(0.0, seconds)], language="en").share < UNDERSTOOD_FLOOR


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0, 2), st.floats(0, 1)), max_size=40),
    st.floats(0, 60),
)
def test_doubt_only_lowers(words: list[tuple[float, float, float]], seconds: float) -> None:
    """The share stays in 0..1, and lower confidence never raises it."""
    sure = [Word("a", start, start + length, conf) for start, length, conf in words]
    doubted = [dataclasses.replace(word, confidence=(word.confidence or 0) / 2) for word in sure]
    spans = [(0.0, seconds)]
    high = estimate(sure, spans, language="en", calibration=CALIBRATION).share
    low = estimate(doubted, spans, language="en", calibration=CALIBRATION).share
    assert 0.0 <= low <= high <= 1.0


# ---------------------------------------------------------------- figures


def test_the_normaliser_keeps_what_differs() -> None:
    """Spelling is forgiven, words are not."""
    assert asr.normalise("Okay, it's 42-B!") == ["ok", "it's", "four", "two", "b"]
    assert asr.normalise("forty two") != asr.normalise("42")
    assert asr.normalise("") == []


def test_evaluate_counts_words_by_call(tmp_path: Path, call: Any) -> None:
    """A perfect engine has no error; one that invents words in silence is found out."""
    turns = [
        {"channel": c, "text": " ".join(["parcel"] * n), "start": s, "end": e}
        for c, s, e in call[1]
        if (n := sum(s <= w.start < e for w in script(call[1])[c]))
    ]
    (tmp_path / "call.wav").write_bytes(call[0])
    (tmp_path / "truth.jsonl").write_text(
        json.dumps({"id": "one", "file": "call.wav", "turns": turns}) + "\n"
    )
    words = script(call[1])
    report = asr.evaluate(tmp_path, transcriber=ScriptedTranscriber(words))
    figures = {figure.name: figure.value for figure in report.figures}
    assert figures["wer"] == 0.0
    assert figures["invented_per_minute"] == 0.0
    worse = asr.evaluate(tmp_path, transcriber=ScriptedTranscriber({0: [], 1: words[1]}))
    assert next(f.value for f in worse.figures if f.name == "wer") > 0.3


@pytest.mark.slow
def test_real_people_on_the_telephone_are_held() -> None:
    """The download-free engine misses most of a real telephone talk, and the estimate knows."""
    if not (DATA / "telephone_two_speakers.wav").is_file():
        pytest.skip("no human speech at hand: shared/data/speech is absent")
    from voice_pipeline import adapters

    report = asr.evaluate(DATA, transcriber=adapters.load("transcribers", "pocketsphinx").build())
    by_call = {row["call"]: row for row in report.rows}
    assert by_call["telephone_two_speakers"]["wer"] > 0.4
    assert not by_call["telephone_two_speakers"]["passes"]
