"""Engines: the contract that every one keeps, and what is particular to each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_whisper
from hypothesis import given
from hypothesis import strategies as st
from recordings import say

from redaction.records import Word
from voice_pipeline import adapters
from voice_pipeline.domain import Samples, Segment
from voice_pipeline.errors import Misconfigured
from voice_pipeline.ports import Transcriber
from voice_pipeline.testing import ScriptedTranscriber, transcriber_contract
from voice_pipeline.transcribers import auto, faster_whisper, pocketsphinx
from voice_pipeline.transcribers._hallucination import doubt_loops, doubt_outside, loops

SENTENCE = "I have been waiting for my parcel since last Thursday."


def ignore(share: float) -> None:
    """Take progress and do nothing."""


@pytest.fixture(scope="session")
def speech() -> Samples:
    return say("rms", SENTENCE).astype(np.float32) / np.float32(32768)


@pytest.fixture(scope="session")
def sphinx() -> Transcriber:
    built: Transcriber = adapters.load("transcribers", "pocketsphinx").build()
    return built


@pytest.fixture
def whisper(tmp_path: Path) -> Callable[..., Transcriber]:
    """Build the real adapter on a tiny model that says what it is told."""

    def make(says: str = tiny_whisper.GREETING, vad: bool = True, **model: Any) -> Transcriber:
        folder = tiny_whisper.build(tmp_path / "tiny", says, **model)
        options = {"model": str(folder), "device": "cpu", "compute_type": "float32", "vad": vad}
        built: Transcriber = adapters.load("transcribers", "faster-whisper").build(options)
        return built

    return make


# ---------------------------------------------------------------- the contract


def test_pocketsphinx_keeps_the_contract(sphinx: Transcriber, speech: Samples) -> None:
    """The download-free engine keeps the contract, order and batch independence included."""
    transcriber_contract(lambda: sphinx, speech[:24000])


def test_whisper_keeps_the_contract(whisper: Callable[..., Transcriber], speech: Samples) -> None:
    """The Whisper adapter keeps the contract on the real library."""
    transcriber_contract(whisper, speech)


def test_the_scripted_one_keeps_the_contract(speech: Samples) -> None:
    """The shipped fake is a transcriber like any other."""
    transcriber_contract(lambda: ScriptedTranscriber({}))


def test_the_contract_finds_faults() -> None:
    """A contract that passes everything is worth nothing: wrong times are found."""

    class Liar(ScriptedTranscriber):
        def _inside(self, segment: Segment) -> tuple[Word, ...]:
            return (Word("hello", 0.0, 0.1, 0.9),)  # times from the start of the segment

    with pytest.raises(AssertionError, match="start of the recording"):
        transcriber_contract(lambda: Liar({}))


# ---------------------------------------------------------------- pocketsphinx


def test_pocketsphinx_hears_english(sphinx: Transcriber, speech: Samples) -> None:
    """A clear sentence comes out nearly right, in time, with confidences."""
    [heard] = sphinx.transcribe([Segment("c", 0, 5.0, speech)], language="en", progress=ignore)
    words = [word.text for word in heard.words]
    assert len(set(words) & set(SENTENCE.lower().strip(".").split())) >= 8
    assert not any(mark in word for word in words for mark in "<[(+")
    assert 5.0 < heard.words[0].start < heard.words[-1].end < 5.0 + len(speech) / 16000


def test_telephone_adaptation_is_used_on_telephone_only(speech: Samples) -> None:
    """The adaptation changes what is heard on narrow-band segments, and nothing else."""
    plain = adapters.load("transcribers", "pocketsphinx").build({"adaptation": False})
    adapted = adapters.load("transcribers", "pocketsphinx").build()
    assert plain.made_by != adapted.made_by
    segments = [Segment("c", 0, 0.0, speech), Segment("c", 0, 0.0, speech, "telephone")]
    before = plain.transcribe(segments, language="en", progress=ignore)
    after = adapted.transcribe(segments, language="en", progress=ignore)
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_pocketsphinx_refuses_other_languages(sphinx: Transcriber) -> None:
    """An engine that knows English only says so instead of guessing."""
    with pytest.raises(Misconfigured) as caught:
        sphinx.transcribe([], language="de", progress=ignore)
    assert caught.value.code == "language_unsupported"


def test_guessed_profanity_is_masked() -> None:
    """Profanity counts as said only where it was heard clearly; else its time stays, masked."""
    clear = tuple(Word(text, i, i + 1, 0.995) for i, text in enumerate(("this", "is", "shit")))
    unsure = (*clear[:2], Word("shit", 2, 3, 0.7))
    assert pocketsphinx.mask_unlikely(clear) == clear
    assert pocketsphinx.mask_unlikely(unsure)[2] == Word("[unclear]", 2, 3, 0.0)
    names = (Word("hitchcock", 0, 1, 0.1), Word("dickens", 1, 2, 0.1))
    assert pocketsphinx.mask_unlikely(names) == names


def test_pocketsphinx_never_touches_an_audio_device() -> None:
    """sounddevice is installed beside pocketsphinx and needs PortAudio: it is never imported."""
    code = (
        "import sys, numpy as np\n"
        "from voice_pipeline import adapters\n"
        "from voice_pipeline.domain import Segment\n"
        "t = adapters.load('transcribers', 'pocketsphinx').build()\n"
        "t.transcribe([Segment('c', 0, 0.0, np.zeros(16000, np.float32))], language='en',"
        " progress=lambda share: None)\n"
        "assert 'sounddevice' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------- faster-whisper


def test_whisper_words_lie_in_the_recording(
    whisper: Callable[..., Transcriber], speech: Samples
) -> None:
    """Segments of several calls share a batch, and each gets its own times back."""
    segments = [Segment("a", 0, 3.0, speech), Segment("b", 1, 100.0, speech)]
    first, second = whisper().transcribe(segments, language="en", progress=ignore)
    assert [word.text for word in first.words] == tiny_whisper.GREETING.split()
    assert 3.0 <= first.words[0].start < first.words[0].end == first.words[1].start
    assert first.words[2].start - first.words[1].start == pytest.approx(0.24, abs=0.05)
    for a, b in zip(first.words, second.words, strict=True):
        assert b.start - a.start == pytest.approx(97.0, abs=0.002)


def test_whisper_detects_the_language(whisper: Callable[..., Transcriber], speech: Samples) -> None:
    """Without a language the model is asked, once a call."""
    transcriber = whisper(language="de")
    assert transcriber.traits.detects_language
    [heard] = transcriber.transcribe([Segment("a", 0, 0.0, speech)], language=None, progress=ignore)
    assert heard.language == "de"
    assert heard.language_confidence == pytest.approx(1.0, abs=0.01)


def test_an_english_model_says_so(whisper: Callable[..., Transcriber], speech: Samples) -> None:
    """An English-only model declares it, and refuses other languages."""
    transcriber = whisper(multilingual=False)
    assert transcriber.traits.languages == {"en"}
    assert not transcriber.traits.detects_language
    with pytest.raises(Misconfigured):
        transcriber.transcribe([Segment("a", 0, 0.0, speech)], language="fr", progress=ignore)


def test_nothing_is_written_where_nobody_speaks(whisper: Callable[..., Transcriber]) -> None:
    """Whisper invents text in silence; a segment without speech is never shown to it."""
    [heard] = whisper().transcribe(
        [Segment("a", 0, 0.0, np.zeros(48000, np.float32))], language="en", progress=ignore
    )
    assert heard.words == ()
    assert heard.marks == ("no_speech",)


def test_words_outside_speech_lose_their_confidence(
    whisper: Callable[..., Transcriber], speech: Samples
) -> None:
    """Words that the model puts where nobody speaks stay readable, without confidence."""
    late = np.concatenate([np.zeros(2 * 16000, np.float32), speech])
    [heard] = whisper().transcribe([Segment("a", 0, 10.0, late)], language="en", progress=ignore)
    assert "words_in_silence" in heard.marks
    assert heard.words[0].confidence == 0.0
    assert heard.words[-1].confidence > 0.9


def test_a_loop_is_marked(whisper: Callable[..., Transcriber], speech: Samples) -> None:
    """A phrase said over and over keeps its first time's confidence alone."""
    [heard] = whisper("please hold on " * 6 + "goodbye").transcribe(
        [Segment("a", 0, 0.0, np.concatenate([speech] * 3))], language="en", progress=ignore
    )
    assert "repetition" in heard.marks
    sure = [word.text for word in heard.words if word.confidence]
    assert sure[:3] == ["please", "hold", "on"]
    assert sure.count("please") == 1


def test_a_long_segment_is_heard_in_pieces(
    whisper: Callable[..., Transcriber], speech: Samples
) -> None:
    """A segment of more than 30 s loses nothing: every piece is decoded."""
    long = np.tile(speech, 1 + 40 * 16000 // len(speech))[: 40 * 16000]
    [heard] = whisper().transcribe([Segment("a", 0, 0.0, long)], language="en", progress=ignore)
    assert [word.text for word in heard.words].count("thank") == 2
    assert heard.words[-1].end > 30.0


def test_whisper_is_never_fetched(tmp_path: Path) -> None:
    """A name without files is an error that says how to get them, not a download."""
    load = adapters.load("transcribers", "faster_whisper").build
    for options in (
        {"models_dir": tmp_path},
        {"model": "small", "models_dir": tmp_path},
        {"model": str(tmp_path / "nowhere")},
        {"model": str(tmp_path)},
    ):
        with pytest.raises(Misconfigured) as caught:
            load(options)
        assert "models pull" in caught.value.message or "model" in caught.value.message
    with pytest.raises(Misconfigured, match="models pull"):
        load({"model": "small", "models_dir": tmp_path})


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    """Where the operator pinned hashes, other bytes do not load."""
    folder = tiny_whisper.build(tmp_path / "mine")
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  model.bin\n")
    with pytest.raises(Misconfigured, match="SHA256SUMS"):
        faster_whisper.create(faster_whisper.Options(model=str(folder)))


def test_an_unreadable_model_is_misconfigured(tmp_path: Path, speech: Samples) -> None:
    """Broken weights are the operator's problem, named as such."""
    folder = tiny_whisper.build(tmp_path / "mine")
    (folder / "model.bin").write_bytes(b"nonsense")
    transcriber = faster_whisper.create(faster_whisper.Options(model=str(folder), device="cpu"))
    with pytest.raises(Misconfigured, match="does not load"):
        transcriber.transcribe([Segment("a", 0, 0.0, speech)], language="en", progress=ignore)


# ---------------------------------------------------------------- doubts


def test_repeated_digits_are_no_loop() -> None:
    """Card numbers repeat digits; only phrases, or a word many times over, are loops."""
    assert loops("four one one one one one one one two".split()) == []
    assert loops("no no no no".split()) == []
    assert loops(["so"] * 8) == [(1, 8)]
    assert loops("thanks for watching thanks for watching thanks for watching".split()) == [(3, 9)]


@given(st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=40))
def test_doubt_never_loses_a_word(texts: list[str]) -> None:
    """Doubting changes confidences alone: every word and time stays."""
    words = tuple(Word(text, float(i), i + 0.5, 0.9) for i, text in enumerate(texts))
    for doubted in (doubt_loops(words), doubt_outside(words, [(3.0, 9.0)])):
        assert [(w.text, w.start, w.end) for w in doubted] == [
            (w.text, w.start, w.end) for w in words
        ]


# ---------------------------------------------------------------- choosing


def test_auto_takes_whisper_only_where_it_is_verified(tmp_path: Path) -> None:
    """A model folder that nobody vouched for is not taken silently."""
    assert auto.choose(None) == "pocketsphinx"
    assert auto.choose(tmp_path) == "pocketsphinx"
    folder = tiny_whisper.build(tmp_path / "whisper-tiny")
    (folder / "vocabulary.txt").write_text("")
    assert auto.choose(tmp_path) == "pocketsphinx"
    pinned = subprocess.run(
        ["sha256sum", *(p.name for p in folder.iterdir())], cwd=folder, capture_output=True
    )
    (folder / "SHA256SUMS").write_bytes(pinned.stdout)
    assert auto.choose(tmp_path) == "faster_whisper"
    built = adapters.load("transcribers", "auto").build(offer={"models_dir": tmp_path})
    assert "whisper-tiny" in built.made_by


def test_adapters_are_found_by_name() -> None:
    """A file's name, a module path, and an error that lists what there is."""
    assert {"pocketsphinx", "faster_whisper", "auto"} <= set(adapters.names("transcribers"))
    assert not any(name.startswith("_") for name in adapters.names("transcribers"))
    found = adapters.load("transcribers", "voice_pipeline.transcribers.pocketsphinx:create")
    assert found.options is pocketsphinx.Options
    for name in ("parrot", "_hallucination", "no.such:thing", "voice_pipeline.domain:create", ""):
        with pytest.raises(Misconfigured):
            adapters.load("transcribers", name)
    with pytest.raises(Misconfigured, match="pocketsphinx"):
        adapters.load("transcribers", "parrot")


def test_unknown_options_are_errors() -> None:
    """A typing mistake in the configuration stops at start-up and names what there is."""
    found = adapters.load("transcribers", "pocketsphinx")
    with pytest.raises(Misconfigured, match="adaptation"):
        found.build({"adaption": True})
    with pytest.raises(Misconfigured, match="profanity"):
        found.build({"profanity": "shout"})
    assert found.build(offer={"models_dir": Path("x")}).name == "pocketsphinx"
