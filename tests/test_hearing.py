"""Whisper over shared batches: nobody's words in another's transcript, and doubts kept.

All of it runs the real library on tiny checkpoints that the tests make. Where a GPU would run out
of memory, or sampling would cure a loop, a thin layer over the real model plays that part alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import tiny_whisper
import tone_whisper
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import say
from tone_whisper import TONES, language_of, said_by, tone
from watched_whisper import adapter, hear, noise, texts, watch

from voice_pipeline.domain import Samples, Segment, SegmentSpeech
from voice_pipeline.errors import Misconfigured, Retryable
from voice_pipeline.transcribers._decoding import Decoder
from voice_pipeline.transcribers._listening import TEMPERATURES
from voice_pipeline.transcribers._windows import (
    WINDOW,
)

RATE = 16000
PLACES = count()


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says which tone it hears."""
    return tone_whisper.build(tmp_path_factory.mktemp("tones"))


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[..., Path]:
    """Build a model of its own, so that watching it disturbs nobody."""
    return lambda *says, **model: tiny_whisper.build(tmp_path / f"m{next(PLACES)}", *says, **model)


# ---------------------------------------------------------------- nobody's words elsewhere


@settings(max_examples=10, deadline=None)
@given(
    calls=st.lists(
        st.lists(
            st.tuples(st.integers(0, 1), st.sampled_from([0.3, 1.0, 2.5, 31.0])),
            min_size=1,
            max_size=3,
        ),
        min_size=2,
        max_size=3,
    ),
    batch=st.integers(1, 6),
    pack=st.booleans(),
    detect=st.booleans(),
)
def test_no_word_lands_in_another_transcript(
    tones: Path,
    calls: list[list[tuple[int, float]]],
    batch: int,
    pack: bool,
    detect: bool,
) -> None:
    """Calls heard at once by one model: each channel holds the words of its own voice alone."""
    whisper = adapter(tones, batch_size=batch, pack=pack, beam_size=1, linger=0.01)
    whisper._engine.batcher.size.most = whisper._engine.batcher.size.now = batch
    heard: dict[int, list[SegmentSpeech]] = {}

    def call(number: int) -> None:
        segments = [
            Segment(f"call{number}", channel, 40.0 * n, tone(2 * number + channel, seconds))
            for n, (channel, seconds) in enumerate(calls[number])
        ]
        heard[number] = hear(whisper, segments, None if detect else "en")

    threads = [threading.Thread(target=call, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number, plan in enumerate(calls):
        for n, ((channel, seconds), speech) in enumerate(zip(plan, heard[number], strict=True)):
            voice = 2 * number + channel
            if pack:  # the model says three words a window; how many are whose is for its times
                assert set(texts(speech)) <= set(said_by(voice))
            else:
                assert texts(speech) == said_by(voice) * (2 if seconds > WINDOW else 1)
            assert speech.language == (language_of(voice) if detect else "en")
            for word in speech.words:
                assert word.start is not None and word.end is not None
                assert 40.0 * n <= word.start <= word.end <= 40.0 * n + seconds


@pytest.mark.parametrize(("beam", "language"), [(1, "en"), (5, None)])
def test_batched_equals_one_by_one(tones: Path, beam: int, language: str | None) -> None:
    """Text, times, confidences and marks do not depend on the batch, nor on its size."""
    segments = [
        Segment(f"call{n % 5}", n % 2, 3.0 * n, tone(n % len(TONES), seconds))
        for n, seconds in enumerate([0.3, 1.0, 29.9, 0.06, 12.0, 3.0, 0.7])
    ]
    whisper = adapter(tones, beam_size=beam)
    size = whisper._engine.batcher.size
    size.most = size.now = 1
    alone = [hear(whisper, [segment], language)[0] for segment in segments]
    for most in (1, 3, 8):
        size.most = size.now = most
        together = hear(whisper, segments, language)
        assert [one.words for one in together] == [one.words for one in alone]
        assert [one.marks for one in together] == [one.marks for one in alone]
    assert all(texts(one) for one in alone)


@pytest.mark.parametrize("compute", ["int8", "float32"])
def test_real_speech_batched_equals_one_by_one(fresh: Callable[..., Path], compute: str) -> None:
    """The same on speech, behind the activity detector, in both number formats of a CPU."""
    speech = say("rms", "I have been waiting for my parcel.").astype(np.float32) / 32768
    whisper = adapter(fresh(), vad=True, compute_type=compute)
    segments = [
        Segment("a", 0, 0.0, speech), Segment("b", 1, 9.0, (speech * 0.3).astype(np.float32)),
        Segment("c", 0, 2.0, noise(2.0)), Segment("a", 1, 2.0, speech[: len(speech) // 2]),
    ]  # fmt: skip
    alone = [hear(whisper, [segment])[0] for segment in segments]
    assert hear(whisper, segments) == alone
    assert texts(alone[0])


# ---------------------------------------------------------------- packing


def test_packed_segments_get_their_own_words(fresh: Callable[..., Path]) -> None:
    """Three short segments are heard in one pass; each keeps its word, at its own time."""
    folder = fresh("one two three", frames=100, early=3)  # a word lasts 2 s: segment and gap
    segments = [Segment("a", 0, 100.0 * n, noise(1.2, n)) for n in range(3)]
    whisper = adapter(folder, pack=True)
    watched = watch(whisper)
    heard = hear(whisper, segments)
    assert watched.encoded == [1]
    assert [texts(one) for one in heard] == [["one"], ["two"], ["three"]]
    for n, one in enumerate(heard):
        assert 100.0 * n <= one.words[0].start < one.words[0].end <= 100.0 * n + 1.2
        assert one.marks == ()
    assert "packed" in whisper.made_by


def test_a_packed_window_in_doubt_is_heard_piece_by_piece(fresh: Callable[..., Path]) -> None:
    """Words in a gap, or a segment left without one: nobody guesses, each is heard alone."""
    folder = fresh("one two three")  # all within the first second: two segments get nothing
    segments = [Segment("a", 0, 100.0 * n, noise(1.2, n)) for n in range(3)]
    packed = adapter(folder, pack=True)
    watched = watch(packed)
    heard = hear(packed, segments)
    assert watched.encoded == [1, 3]
    assert heard == hear(adapter(folder), segments)


# ---------------------------------------------------------------- languages


def test_each_channel_has_its_own_language(tones: Path) -> None:
    """Two languages on one call share a batch; a silent channel takes the call's."""
    segments = [
        Segment("a", 0, 0.0, tone(0, 2.0)), Segment("a", 1, 0.0, tone(1, 2.0)),
        Segment("b", 0, 0.0, tone(3, 2.0)), Segment("b", 1, 0.0, np.zeros(10, np.float32)),
        Segment("c", 0, 0.0, np.zeros(10, np.float32)),
    ]  # fmt: skip
    heard = hear(adapter(tones), segments, None)
    assert [one.language for one in heard] == ["en", "de", "de", "de", "en"]
    assert heard[4].language_confidence == 0.0
    assert [texts(one) for one in heard[:3]] == [said_by(0), said_by(1), said_by(3)]


def test_the_language_costs_no_pass_of_its_own(tones: Path, tmp_path: Path) -> None:
    """The longest window of a channel tells the language while it is decoded."""
    whisper = adapter(tone_whisper.build(tmp_path / "own"))
    watched = watch(whisper)
    segments = [Segment("a", n % 2, 10.0 * n, tone(n % 2, 1.0 + n)) for n in range(6)]
    hear(whisper, segments, None)
    assert sum(watched.encoded) == len(segments)


def test_a_language_without_a_token_is_refused(fresh: Callable[..., Path]) -> None:
    """The library lists languages that this very model cannot be prompted with."""
    whisper = adapter(fresh())
    assert whisper.traits.languages == set(tiny_whisper.LANGUAGES)
    with pytest.raises(Misconfigured) as caught:
        hear(whisper, [], "yue")
    assert caught.value.code == "language_unsupported"


def test_an_english_model_is_never_asked_for_the_language(fresh: Callable[..., Path]) -> None:
    """An English-only checkpoint hears English, whether or not it was said."""
    whisper = adapter(fresh(multilingual=False))
    for language in ("en", None):
        [heard] = hear(whisper, [Segment("a", 0, 0.0, noise(6.0))], language)
        assert texts(heard) == tiny_whisper.GREETING.split()
        assert (heard.language, heard.language_confidence) == ("en", None)


# ---------------------------------------------------------------- doubts


def test_only_what_failed_is_heard_again(fresh: Callable[..., Path]) -> None:
    """A loop is drawn anew from the same encoder pass, and what comes out sound is taken."""
    whisper = adapter(fresh())
    watched = watch(whisper)
    decoder: Decoder = whisper._engine.decoder
    watched.greedy_says = decoder._tokenizer("en").encode(" hold" * 12)
    segments = [Segment("a", 0, 0.0, noise(6.0)), Segment("b", 0, 0.0, noise(6.0, 1))]
    heard = hear(whisper, segments)
    assert watched.encoded == [2]
    assert [s.get("sampling_temperature") for s in watched.settings] == [None, TEMPERATURES[0]]
    for one in heard:
        assert texts(one) == tiny_whisper.GREETING.split()
        assert one.marks == ("resampled",)


def test_what_still_fails_is_marked(fresh: Callable[..., Path]) -> None:
    """A guess stays a guess at every temperature: marked, and the likeliest one is kept."""
    whisper = adapter(fresh(sure=1.2))
    watched = watch(whisper)
    [heard] = hear(whisper, [Segment("a", 0, 0.0, noise(6.0))])
    temperatures = [s.get("sampling_temperature") for s in watched.settings]
    assert temperatures == [None, *TEMPERATURES]
    assert watched.encoded == [1]
    assert heard.marks == ("low_logprob",)
    assert texts(heard) == tiny_whisper.GREETING.split()


def test_a_text_that_repeats_all_over_loses_its_confidence(fresh: Callable[..., Path]) -> None:
    """Where no phrase stands three times in a row, compression tells; no word of it is trusted."""
    says = "hold on please " * 2 + "hold on now please " * 2 + "please hold on " * 2
    says = says + says + says
    [heard] = hear(adapter(fresh(says)), [Segment("a", 0, 0.0, noise(20.0))])
    assert "repetition" in heard.marks
    assert sum(bool(word.confidence) for word in heard.words) <= len(says.split()) // 3


# ---------------------------------------------------------------- memory, models


def test_out_of_memory_goes_on_with_less(fresh: Callable[..., Path]) -> None:
    """The batch shrinks until it fits, nothing is lost, and the next call starts small."""
    whisper = adapter(fresh(), batch_size=16)
    segments = [Segment(f"c{n}", 0, 0.0, noise(1.0 + n, n)) for n in range(12)]
    expected = hear(whisper, segments)
    watched = watch(whisper, fits=3)
    assert hear(whisper, segments) == expected
    assert max(watched.encoded) <= 3
    before = len(watched.encoded)
    hear(whisper, segments)
    assert watched.encoded[before:] == [3] * 4 or max(watched.encoded[before:]) <= 3
    assert whisper._engine.batcher.size.now <= 3


def test_no_memory_at_all_is_retryable(fresh: Callable[..., Path]) -> None:
    """Not even one window fits: the call is to be tried again, others are not harmed."""
    whisper = adapter(fresh())
    watched = watch(whisper, fits=0)
    with pytest.raises(Retryable) as caught:
        hear(whisper, [Segment("a", 0, 0.0, noise(1.0))])
    assert caught.value.code == "no_memory"
    watched.fits = 8
    assert texts(hear(whisper, [Segment("a", 0, 0.0, noise(6.0))])[0])


def test_a_model_is_loaded_once(fresh: Callable[..., Path]) -> None:
    """Adapters with the same weights share them, also when they are built at the same time."""
    folder = fresh()
    adapters = [adapter(folder, beam_size=1 + n % 3) for n in range(8)]
    threads = [threading.Thread(target=lambda a=a: a.traits) for a in adapters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({id(a._engine) for a in adapters}) == 1
    assert adapter(fresh())._engine is not adapters[0]._engine


def test_a_missing_gpu_stops_at_the_start(fresh: Callable[..., Path]) -> None:
    """device = cuda without one, or a number format that is not here: said before any call."""
    import ctranslate2

    if ctranslate2.get_cuda_device_count():
        pytest.skip("there is a GPU here")
    with pytest.raises(Misconfigured) as caught:
        adapter(fresh(), device="cuda")
    assert caught.value.code == "no_cuda"
    with pytest.raises(Misconfigured, match="computes with"):
        adapter(fresh(), compute_type="float16")


@pytest.mark.parametrize("file", ["model.bin", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_half_downloaded_model_is_named(
    fresh: Callable[..., Path], file: str, share: float
) -> None:
    """A file that is cut off is an error that names the folder, never a traceback or a guess."""
    folder = fresh()
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(Misconfigured, match="damaged or cut off") as caught:
        hear(adapter(folder), [Segment("a", 0, 0.0, noise(1.0))])
    assert str(folder) in caught.value.message


def test_a_tokenizer_that_is_none_is_named(fresh: Callable[..., Path]) -> None:
    """Valid JSON that is no tokenizer is the operator's problem as well."""
    folder = fresh()
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(Misconfigured, match="does not load"):
        hear(adapter(folder), [Segment("a", 0, 0.0, noise(1.0))])


def test_wrong_mel_bins_are_named(fresh: Callable[..., Path]) -> None:
    """large-v3 needs its preprocessor_config.json: without it the sound has the wrong shape."""
    folder = fresh()
    (folder / "preprocessor_config.json").write_text('{"feature_size": 128}')
    with pytest.raises(Misconfigured, match="preprocessor_config"):
        hear(adapter(folder), [Segment("a", 0, 0.0, noise(1.0))])


# ---------------------------------------------------------------- bad sound


@pytest.mark.parametrize("vad", [True, False])
@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.zeros(1, np.float32),
        np.zeros(4800, np.float32),
        np.zeros(35 * RATE, np.float32),
        np.full(RATE, np.nan, np.float32),
        np.full(RATE, 0.5, np.float32),
        np.full(RATE, 1e30, np.float32),
        np.array([np.inf, -np.inf, np.nan] * 9000, np.float32),
    ],
    ids=["empty", "one sample", "0.3 s", "35 s", "NaN", "DC", "huge", "mixed"],
)
def test_bad_sound_is_heard_without_harm(
    fresh: Callable[..., Path], samples: Samples, vad: bool
) -> None:
    """No sound breaks the engine, or what is heard beside it; times lie within it."""
    whisper = adapter(fresh(), vad=vad)
    speech = say("rms", "Thank you for calling.").astype(np.float32) / 32768
    good = Segment("good", 0, 0.0, speech)
    bad, heard = hear(whisper, [Segment("bad", 0, 5.0, samples), good])
    assert [heard] == hear(whisper, [good])
    for word in bad.words:
        assert word.start is not None and word.end is not None
        assert 5.0 <= word.start <= word.end <= 5.001 + len(samples) / RATE
        assert 0.0 <= (word.confidence or 0.0) <= 1.0
    if vad:
        assert bad.words == ()
        assert bad.marks == ("no_speech",)
