"""Words that nobody said: they are left out or marked, whatever engine gives them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import line_sounds
import numpy as np
import pytest
import tiny_whisper
from hypothesis import given
from hypothesis import strategies as st
from recordings import AGENT, CUSTOMER, Int16, say, wav

from redaction.records import Word
from voice_pipeline.domain import Heard, LineSound, Received, music_seconds
from voice_pipeline.ports import Transcriber, TranscriberTraits
from voice_pipeline.stages.doubt import about_sounds, about_words, without_inventions
from voice_pipeline.stages.ingest import ingest
from voice_pipeline.stages.transcribe import transcribe
from voice_pipeline.testing import MemoryShelf, ScriptedTranscriber
from voice_pipeline.transcribers import faster_whisper

RATE = line_sounds.RATE


def hear(samples: Int16, transcriber: Transcriber, rate: int = RATE, **given: Any) -> Heard:
    data = wav(samples, rate)
    shelf = MemoryShelf()
    ref = shelf.put("call", "Audio", data)
    recording = ingest(Received("call", "a.wav", ref.sha256, len(data), ref, {}), shelf=shelf)
    changed = dataclasses.replace(recording, language="en")
    return transcribe(changed, transcriber=transcriber, shelf=shelf, **given)


def words_of(heard: Heard) -> list[str]:
    return [word.text for speech in heard.speech for word in speech.words]


def codes(heard: Heard) -> set[str]:
    return {warning.code for warning in heard.warnings}


def everywhere(seconds: float, text: str = "thanks") -> list[Word]:
    """Return what an engine gives that writes text into anything it is fed."""
    return [Word(text, at * 0.4, at * 0.4 + 0.3, 0.99) for at in range(round(seconds / 0.4))]


@pytest.fixture(scope="module")
def inventor(tmp_path_factory: pytest.TempPathFactory) -> Transcriber:
    """faster-whisper on a checkpoint that writes the same words whatever it hears, unguarded."""
    folder = tiny_whisper.build(tmp_path_factory.mktemp("model") / "tiny")
    return faster_whisper.create(faster_whisper.Options(model=str(folder), vad=False))


SOUNDS = {**line_sounds.SILENCES, **line_sounds.TONES, **line_sounds.MUSIC}


@pytest.mark.parametrize("name", list(SOUNDS))
def test_whisper_invents_nothing_where_nobody_speaks(name: str, inventor: Transcriber) -> None:
    """A model that hears words in everything gives none for silence, noise, tones and music."""
    heard = hear(line_sounds.telephone(SOUNDS[name](20.0, 31), 31)[None], inventor)
    assert words_of(heard) == []


def test_the_inventor_is_one(inventor: Transcriber) -> None:
    """The same model gives its words where somebody speaks: the test above is not empty."""
    assert words_of(hear(say("rms", AGENT[0], RATE)[None], inventor))


@pytest.mark.parametrize("name", ["wind and handling", "crackle", "drums"])
def test_sound_without_a_voice_is_not_listened_to(name: str) -> None:
    """What stands out of the noise without a voice costs no engine time, and is not understood."""
    samples = line_sounds.telephone(SOUNDS[name](10.0, 3), 3)[None]
    scripted = ScriptedTranscriber({0: everywhere(10.0)})
    heard = hear(samples, scripted)
    assert words_of(heard) == []
    assert scripted.batches == []
    assert heard.speech[0].understood == 0.0  # nobody knows that nothing was said there


def test_words_beside_a_voice_are_left_out_and_counted() -> None:
    """An engine that fills the pauses around one sentence is not believed, and it is said."""
    said = say("rms", AGENT[0], RATE)
    wind = line_sounds.ulaw(line_sounds.gusts(8.0, 3))
    call = np.concatenate([wind, said, wind])
    scripted = ScriptedTranscriber({0: everywhere(len(call) / RATE)})
    heard = hear(call[None], scripted)
    start, end = len(wind) / RATE, (len(wind) + len(said)) / RATE
    assert words_of(heard)
    assert all(start - 1 < (word.start or 0) < end + 1 for word in heard.speech[0].words)
    (warning,) = [w for w in heard.warnings if w.code == "invented_words"]
    assert warning.detail.split()[0].isdigit()


def test_a_call_of_music_alone_is_no_speech() -> None:
    """Hold music needs no understanding: the call is not held, and its length is told."""
    music = line_sounds.arpeggio(30.0, 8)
    music[: 12 * RATE] *= 0.01  # it swells, so that it stands out
    heard = hear(line_sounds.telephone(music)[None], ScriptedTranscriber({}))
    assert heard.speech[0].active
    assert {"no_speech", "hold_music"} <= codes(heard)
    assert heard.speech[0].understood == 1.0
    assert music_seconds(heard.sounds) > 24


def test_words_of_a_silent_side_are_left_out() -> None:
    """An engine that hears the other side's words in a side's noise floor is not believed."""
    said = say("rms", AGENT[0], RATE)
    quiet = line_sounds.ulaw(line_sounds.hiss(len(said) / RATE, -50.0))[: len(said)]
    scripted = ScriptedTranscriber({0: everywhere(len(said) / RATE), 1: everywhere(3.0)})
    heard = hear(np.stack([said, quiet]), scripted)
    assert heard.speech[0].words
    assert heard.speech[1].words == ()


def test_a_word_that_was_expected_needs_a_voice_under_it() -> None:
    """Engines put hotwords into sound without speech: near a voice is not enough for those."""
    voiced = [(1.0, 2.0)]
    after = Word("Kestrel", 2.1, 2.5, 0.9)
    assert without_inventions([after], voiced) == (after,)
    assert without_inventions([after], voiced, ["Kestrel Router"]) == ()
    under = Word("kestrel", 1.4, 1.9, 0.9)
    assert without_inventions([under], voiced, ["Kestrel Router"]) == (under,)


def test_where_nobody_looked_nothing_is_left_out() -> None:
    """A segment made by someone else carries no voices: its words stay."""
    words = [Word("hello", 0.0, 0.5, 0.5), Word("there", None, None)]
    assert without_inventions(words, None) == tuple(words)
    assert without_inventions(words, [(0.2, 0.4)]) == tuple(words)
    assert without_inventions(words, []) == ()


TIMES = st.tuples(st.floats(0, 30), st.floats(0, 2)).map(lambda t: (t[0], t[0] + t[1]))


@given(st.lists(TIMES, max_size=30), st.lists(TIMES, max_size=8))
def test_leaving_out_keeps_order_and_all_that_has_a_voice(
    places: list[tuple[float, float]], voiced: list[tuple[float, float]]
) -> None:
    """What stays is a subsequence, and holds every word that overlaps a voice."""
    words = [Word(f"w{i}", a, b, 0.5) for i, (a, b) in enumerate(places)]
    kept = without_inventions(words, voiced)
    assert list(kept) == [word for word in words if word in kept]
    for word in words:
        if any(word.start < b and word.end > a for a, b in voiced):  # type: ignore[operator]
            assert word in kept


def loudness(said: Any, word: Word) -> float:
    """Return the RMS of what lies under a word, range 0..1."""
    part = said[round((word.start or 0) * RATE) : round((word.end or 0) * RATE)]
    return float(np.sqrt(np.mean(np.square(part))))


@pytest.mark.parametrize("voice", ["rms", "slt", "awb", "kal16"])
@pytest.mark.parametrize("noise", [-90.0, -37.0])
def test_said_words_stay(voice: str, noise: float) -> None:
    """Of speech, clean or with noise 15 dB below it, at most one word in fifty is doubted away."""
    said = np.concatenate([say(voice, line, RATE) for line in (*AGENT, *CUSTOMER)]) / 32768
    wave = line_sounds.level(said, -22.0) + line_sounds.hiss(len(said) / RATE, noise)[: len(said)]
    script = [word for word in everywhere(len(said) / RATE) if loudness(said, word) > 0.02]
    heard = hear(line_sounds.ulaw(wave)[None], ScriptedTranscriber({0: script}))
    fed = [w for w in script if any(a <= (w.start or 0) < b for a, b in heard.speech[0].active)]
    assert len(words_of(heard)) >= 0.98 * len(fed) > 20


class Doubting(ScriptedTranscriber):
    """Marks every segment."""

    def __init__(self, marks: Sequence[str]) -> None:
        super().__init__({0: everywhere(5.0, "hello")}, marks=marks)


def test_marks_of_an_engine_reach_the_reader() -> None:
    """What an engine doubts is said in the result, once, with how often."""
    heard = hear(say("rms", AGENT[0], RATE)[None], Doubting(["repetition", "low_logprob"]))
    (warning,) = [w for w in heard.warnings if w.code == "doubtful_words"]
    assert "repeats itself (1)" in warning.detail
    assert "guesses (1)" in warning.detail
    assert "doubtful_words" not in codes(hear(say("rms", AGENT[0], RATE)[None], Doubting([])))


def test_warnings_name_places_and_never_words() -> None:
    """Music is told with channel and seconds, at most five stretches one by one."""
    music = [LineSound("music", 1, float(at), at + 10.0) for at in range(0, 140, 20)]
    (warning,) = about_sounds(music)
    assert warning.code == "hold_music"
    assert "Music for 70 s: channel 1 0-10 s" in warning.detail
    assert "2 more" in warning.detail
    assert about_sounds([]) == about_words(0, []) == []
    assert about_words(0, ["no_speech"]) == []


def test_music_on_both_sides_counts_once() -> None:
    """Hold time is time: two channels with the same music are not twice as long on hold."""
    both = [LineSound("music", 0, 0.0, 10.0), LineSound("music", 1, 5.0, 12.0)]
    assert music_seconds([*both, LineSound("tone", 0, 20.0, 30.0)]) == 12.0


def test_engines_without_confidence_are_doubted_too() -> None:
    """The sound decides, not what an engine believes."""
    traits = TranscriberTraits(frozenset({"en"}), False, False, False, "none")
    scripted = ScriptedTranscriber({0: everywhere(10.0)}, traits=traits)
    heard = hear(line_sounds.telephone(line_sounds.gusts(10.0, 5), 5)[None], scripted)
    assert words_of(heard) == []


def test_customers_are_heard_over_the_line() -> None:
    """A telephone's band and noise take no word of a caller away."""
    said = np.concatenate([say("slt", line, RATE) for line in CUSTOMER]) / 32768
    call = line_sounds.telephone(line_sounds.level(said, -30.0))[None]
    script = everywhere(len(said) / RATE)
    heard = hear(call, ScriptedTranscriber({0: script}))
    assert "invented_words" not in codes(heard)


def test_evaluation_counts_what_is_invented_where_nobody_speaks(tmp_path: Path) -> None:
    """A recording without a turn is silence from end to end: every word there is invented."""
    pytest.importorskip("jiwer")
    from voice_pipeline.metrics import asr

    said = say("rms", AGENT[0], RATE)
    (tmp_path / "quiet.wav").write_bytes(wav(said[None], RATE))
    (tmp_path / "truth.jsonl").write_text(
        json.dumps({"id": "quiet", "file": "quiet.wav", "turns": []}) + "\n"
    )
    words = everywhere(len(said) / RATE)
    report = asr.evaluate(tmp_path, transcriber=ScriptedTranscriber({0: words}))
    (figure,) = [figure for figure in report.figures if figure.name == "invented_per_minute"]
    assert figure.n == round(len(said) / RATE)
    assert figure.value > 60
    silent = asr.evaluate(tmp_path, transcriber=ScriptedTranscriber({}))
    (figure,) = [figure for figure in silent.figures if figure.name == "invented_per_minute"]
    assert figure.value == 0.0
