"""A transcript made elsewhere on its recording: placed, doubted, redacted as one of ours is."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import vendor_files
from command import SAMPLES
from recordings import wav
from vendor_files import ALL, CALL, DURATION

from redaction import load_policy
from redaction.records import Finding, Turn, Word
from redaction.redactor import Redactor
from redaction.windows import accounted, extent, windows
from voice_pipeline.audio import activity
from voice_pipeline.diarizers import channels, clustering
from voice_pipeline.domain import Heard, Received, Recording, Transcript
from voice_pipeline.errors import BadInput
from voice_pipeline.stages.adopt import adopt
from voice_pipeline.stages.fit import fit
from voice_pipeline.stages.given_turns import adopt_turns
from voice_pipeline.stages.ingest import ingest
from voice_pipeline.stages.likely import reads_like
from voice_pipeline.stages.redact import redact
from voice_pipeline.stages.understanding import UNDERSTOOD_FLOOR
from voice_pipeline.testing import MemoryShelf
from voice_pipeline.transcripts import Utterance, VendorTranscript, iso

RATE = 8000


def sound(lines: Sequence[tuple[int, float, float]], *, mono: bool = False) -> bytes:
    """A recording in which somebody makes noise exactly then."""
    rng = np.random.default_rng(3)
    samples = rng.normal(0, 8, (2, int(DURATION * RATE)))
    for channel, start, end in lines:
        a, b = int(start * RATE), int(end * RATE)
        samples[channel, a:b] += rng.normal(0, 3000, b - a)
    if mono:
        samples = samples.sum(axis=0, keepdims=True)
    return wav(samples.clip(-32000, 32000).astype(np.int16), RATE)


SPOKEN = [(line[1], line[2], line[3]) for line in CALL]


class Handed:
    """One recording with a transcript, as the stages meet it."""

    def __init__(self, text: str, audio: bytes | None = None, **facts: Any) -> None:
        self.shelf = MemoryShelf()
        audio = sound(SPOKEN) if audio is None else audio
        ref = self.shelf.put("call", "Audio", audio)
        words = self.shelf.put("call", "ImportedTranscript", text.encode())
        received = Received("call", "call.wav", ref.sha256, len(audio), ref, {}, transcript=words)
        self.recording: Recording = dataclasses.replace(ingest(received, shelf=self.shelf), **facts)

    def heard(self) -> Heard:
        return adopt(self.recording, shelf=self.shelf)

    def said(self) -> Transcript:
        heard = self.heard()
        voices = clustering.create(clustering.Options())
        sides = channels.create(channels.Options())
        diarizer = voices if self.recording.channels == 1 else sides
        return adopt_turns(self.recording, heard, diarizer=diarizer, shelf=self.shelf)


def codes(heard: Heard | Transcript) -> set[str]:
    return {warning.code for warning in heard.warnings}


def changed(name: str, **values: Any) -> str:
    return json.dumps({**json.loads(ALL[name]()), **values})


# ---------------------------------------------------------------- on the recording


@pytest.mark.parametrize("name", ALL)
def test_every_format_becomes_the_same_call(name: str) -> None:
    """Six turns of agent and customer by turns, each on the channel where it was said."""
    said = Handed(ALL[name](), language="en").said()
    assert [turn.channel for turn in said.turns] == [line[1] for line in CALL]
    assert [turn.speaker for turn in said.turns] == ["agent", "customer"] * 3
    # the customer says little but a number, which WhisperX does not time: held, not passed off
    understood = all(share >= UNDERSTOOD_FLOOR for share in said.understood)
    assert understood == (name != "whisperx")
    assert "transcript_mismatch" not in codes(said)
    assert said.diarizer == "imported"
    for turn, line in zip(said.turns, CALL, strict=True):
        assert extent(turn) == pytest.approx((line[2], line[3]), abs=0.01)


@pytest.mark.parametrize("name", ALL)
def test_the_number_is_muted_whatever_the_form(name: str) -> None:
    """The card number is found and every second in which it is said is silent."""
    said = Handed(ALL[name](), language="en").said()
    found = redact(said, redactor=Redactor(load_policy("balanced")))
    assert any(f.label == "CARD_NUMBER" and f.turn == 3 for f in found.findings)
    muted = [w for w in found.windows if w.start <= 8.5 and w.end >= 13.5]
    assert any(1 in w.channels or not w.channels for w in muted)


def test_cues_mute_the_whole_turn() -> None:
    """Without word times a finding mutes its turn, and no more than that: nothing is guessed."""
    said = Handed(ALL["webvtt"]()).said()
    found = redact(said, redactor=Redactor(load_policy("balanced")))
    assert "span_without_time" in found.warnings
    (window,) = [w for w in found.windows if w.start < 10 < w.end]
    assert window.start <= 7.5
    assert window.end >= 13.5
    assert window.channels == ()  # the file names no channels: muting reaches all
    assert not any(w.start < 1.5 < w.end for w in found.windows)  # the greeting is heard


def test_word_times_mute_less_than_cues() -> None:
    """Channels and word times from the file are used: the other side stays audible."""
    said = Handed(ALL["amazon_channels"]()).said()
    assert said.separate
    assert not Handed(ALL["webvtt"]()).said().separate


def test_forms_are_searched_together() -> None:
    """A number that only one form shows is gone from the shown words as well."""
    said = Handed(ALL["contact_lens"]().replace("4532 1111 2222 3334", "it")).said()
    other = tuple(Word(w, None, None) for w in CALL[3][4].split())
    turns = list(said.turns)
    turns[3] = dataclasses.replace(turns[3], forms=(other,))
    found = Redactor(load_policy("balanced")).find(turns)
    assert [f.turn for f in found if f.label == "CARD_NUMBER"] == [3]


# ---------------------------------------------------------------- times that cannot be


BROKEN = {
    "past the end": (500.0, 501.0),
    "negative": (-4.0, -3.0),
    "reversed": (9.0, 8.0),
    "no number": (math.nan, 8.0),
    "without end": (8.0, None),
    "beside its own turn": (2.0, 2.2),
}


@pytest.mark.parametrize("name", BROKEN)
def test_times_that_cannot_be_are_none(name: str) -> None:
    """A word whose time is not to be trusted has none, and its finding mutes the whole turn."""
    words = tuple(
        Word(w, *(BROKEN[name] if w == "two" else (start, end)))
        for w, start, end in vendor_files.timed(CALL[3])
    )
    one = Utterance(words, 7.5, 13.5, "customer", 1)
    handed = Handed(ALL["own"]())
    with handed.shelf.open(handed.recording.audio) as file:
        active = activity(file, handed.recording)
    (turn,) = fit(VendorTranscript("x", (one,)), handed.recording, active).turns
    assert {(w.start, w.end) for w in turn.words if w.text == "two"} == {(None, None)}
    assert all(w.start is not None for w in turn.words if w.text != "two")
    finding = Finding("CARD_NUMBER", 0, 5, 9, 1.0, "numbers", "card", "why")
    muted = windows([turn], [finding], DURATION, 2, separate=True)
    assert any(w.start <= 7.5 and w.end >= 13.5 for w in muted)


def test_overlapping_turns_are_kept() -> None:
    """People talk at the same time: both turns stay, and both are covered."""
    document = json.loads(ALL["own"]())
    document["turns"][1] |= {"start": 0.6, "end": 2.4, "words": []}
    said = Handed(json.dumps(document)).said()
    assert len(said.turns) == 6


def test_a_turn_that_accounts_for_too_little_is_not_heard() -> None:
    """Three words in ten seconds of speech are no transcript of it: the stretch is muted."""
    stretch = [(0.0, 10.0)]
    few = Turn(
        "agent", tuple(Word(w, None, None) for w in "thank you bye".split()), 0, (), 0.0, 10.0
    )
    many = dataclasses.replace(few, words=few.words * 3)
    assert accounted(few, stretch) == ()
    assert accounted(many, stretch) == ((0.0, 10.0),)
    assert [w.reason for w in windows([few], [], 10.0, 1, active=[stretch])] == ["unheard_speech"]
    assert windows([many], [], 10.0, 1, active=[stretch]) == ()


def test_a_turn_with_some_times_accounts_for_those_only() -> None:
    """Where other words have times, an untimed one is not known to fill the gap: it is muted."""
    words = (Word("my", 0.0, 0.4), Word("pin", None, None), Word("okay", 8.0, 8.4))
    turn = Turn("agent", words, 0, (), 0.0, 8.4)
    assert accounted(turn, [(0.0, 8.4)]) == ()
    assert extent(turn) == (0.0, 8.4)


# ---------------------------------------------------------------- another call


def test_speech_that_is_not_covered_is_not_understood() -> None:
    """A transcript of half a call is held, and what it leaves out is muted."""
    document = json.loads(ALL["own"]())
    document["turns"] = document["turns"][:3]
    said = Handed(json.dumps(document)).said()
    assert said.understood[1] < UNDERSTOOD_FLOOR
    found = redact(said, redactor=Redactor(load_policy("balanced")))
    assert any(w.start <= 8.0 and w.end >= 13.0 for w in found.windows)


@pytest.mark.parametrize("name", ["own", "webvtt", "contact_lens", "amazon_channels"])
def test_a_transcript_of_another_call_is_noticed(name: str) -> None:
    """Words said when nobody speaks, and silence where they do: another call."""
    shifted = [(1, 0.5, 4.0), (0, 4.5, 8.0), (1, 8.5, 9.5), (0, 10.0, 13.0), (1, 14.0, 18.0)]
    assert "transcript_mismatch" in codes(Handed(ALL[name](), sound(shifted)).heard())


@pytest.mark.parametrize("name", ["deepgram", "openai_verbose"])
def test_another_length_is_another_call(name: str) -> None:
    """The length of audio that a file says it is of must be the recording's."""
    text = ALL[name]().replace(f'"duration": {DURATION}', '"duration": 61.0')
    heard = Handed(text).heard()
    assert "transcript_mismatch" in codes(heard)
    assert "61 s" in next(w.detail for w in heard.warnings if w.code == "transcript_mismatch")


def test_utterances_past_the_end_are_another_call() -> None:
    """Times that a recording does not have."""
    document = json.loads(ALL["contact_lens"]())
    for turn in document["Transcript"][3:]:
        turn["BeginOffsetMillis"] += 100_000
        turn["EndOffsetMillis"] += 100_000
    heard = Handed(json.dumps(document)).heard()
    assert {"transcript_mismatch", "transcript_times"} <= codes(heard)


def test_more_words_than_a_call_can_hold_are_refused() -> None:
    """A book handed in as a transcript ends before anything is searched."""
    text = json.dumps({"segments": [{"start": 0, "end": 1, "text": "word " * 100_000}]})
    with pytest.raises(BadInput) as caught:
        Handed(text).heard()
    assert caught.value.code == "transcript_mismatch"


def test_an_empty_transcript_of_speech_is_not_understood() -> None:
    """No words for a call in which people speak: nothing was understood of it."""
    heard = Handed(json.dumps({"segments": [{"start": 0, "end": 1, "text": ""}]})).heard()
    assert [speech.understood for speech in heard.speech] == [0.0, 0.0]


def test_silence_with_no_words_is_no_speech() -> None:
    """Nobody speaks and the transcript says so: done, not held."""
    handed = Handed("WEBVTT\n", sound([]))
    heard = handed.heard()
    assert [speech.understood for speech in heard.speech] == [1.0, 1.0]
    assert "no_speech" in codes(heard) | {w.code for w in handed.recording.warnings}


# ---------------------------------------------------------------- language


@pytest.mark.parametrize(
    ("text", "facts", "language", "assumed"),
    [
        (changed("contact_lens", LanguageCode="es-US"), {}, "es", False),
        (changed("contact_lens", LanguageCode="es-US"), {"language": "en"}, "es", False),
        (changed("openai_verbose", language="spanish"), {}, "es", False),
        (changed("openai_verbose", language="klingon"), {}, "und", False),
        (ALL["srt"](), {}, "en", True),
        (ALL["srt"](), {"language": "en"}, "en", False),
        (ALL["srt"](), {"metadata": {"language": "de"}}, "de", False),
        (ALL["webvtt"](), {}, "en", False),
    ],
)
def test_the_language_is_the_files_else_the_operators(
    text: str, facts: dict[str, Any], language: str, assumed: bool
) -> None:
    """File, then --language, then metadata, then English with a warning."""
    heard = Handed(text, **facts).heard()
    assert {speech.language for speech in heard.speech} == {language}
    assert ("language_assumed" in codes(heard)) == assumed


FOREIGN = {
    "de": "guten tag ich rufe an weil meine karte nicht mehr geht und ich hätte gern eine neue",
    "es": "hola buenos días llamo porque he perdido mi tarjeta y quiero una nueva por favor",
    "fr": "bonjour je vous appelle parce que j'ai perdu ma carte et je voudrais une nouvelle",
    "it": "buongiorno chiamo perché ho perso la mia carta e vorrei averne una nuova grazie",
    "pt": "bom dia estou ligando porque perdi o meu cartão e queria um novo por favor",
    "nl": "goedemiddag ik bel omdat ik mijn pas kwijt ben en graag een nieuwe wil hebben",
    "pl": "dzień dobry dzwonię bo zgubiłem kartę i chciałbym dostać nową proszę bardzo",
    "sv": "hej jag ringer för att jag har tappat mitt kort och vill ha ett nytt tack",
    "da": "hej jeg ringer fordi jeg har mistet mit kort og gerne vil have et nyt tak",
}


@pytest.mark.parametrize("code", FOREIGN)
def test_a_foreign_text_is_not_taken_for_english(code: str) -> None:
    """Whatever the file or the operator says: rules for English are not used on it."""
    assert not reads_like("en", FOREIGN[code].split())
    document = json.loads(ALL["own"]())
    for turn in document["turns"]:
        turn["words"], turn["text"] = [], FOREIGN[code]
    heard = Handed(json.dumps(document)).heard()
    assert {speech.language for speech in heard.speech} == {"und"}


def test_english_calls_read_like_english() -> None:
    """Every sample call does, each side of it as well."""
    for line in (SAMPLES / "truth.jsonl").read_text().splitlines():
        turns = json.loads(line)["turns"]
        for speaker in ("agent", "customer"):
            words = [w for t in turns if t["speaker"] == speaker for w in t["text"].split()]
            assert reads_like("en", words)


def test_language_codes() -> None:
    """Codes and names in all their spellings."""
    given = ["en-GB", "en_US", "English", "eng", "auto", "", "xx-1", "tlh-whatever", "42"]
    assert [iso(one) for one in given] == ["en", "en", "en", "en", "", "", "xx", "tlh", "und"]


# ---------------------------------------------------------------- speakers


def test_no_speakers_on_one_channel_are_told_apart_by_voice() -> None:
    """A mono recording with a transcript of nobody in particular goes to our diarizer."""
    said = Handed(ALL["openai_verbose"](), sound(SPOKEN, mono=True), language="en").said()
    assert said.diarizer == "clustering"
    assert sum(len(turn.words) for turn in said.turns) == sum(len(a[4].split()) for a in CALL)


def test_names_of_people_go_no_further() -> None:
    """A voice tag with a person's name names no speaker of ours."""
    text = ALL["webvtt"]().replace("Customer", "Mary Jones").replace("Agent", "Paul Young")
    said = Handed(text).said()
    assert {turn.speaker for turn in said.turns} <= {"agent", "customer", "unknown"}
    assert "Mary" not in {turn.speaker for turn in said.turns}


def test_the_operator_outranks_the_file_on_sides() -> None:
    """--agent-channel says who is where, also against the file's words."""
    said = Handed(ALL["own"](), agent_channel="right").said()
    assert {turn.speaker for turn in said.turns if turn.channel == 1} == {"agent"}


def test_two_hearings_of_one_sound_are_one() -> None:
    """Dual mono transcribed twice: nobody is quoted twice, and both hearings are searched."""
    rng = np.random.default_rng(5)
    one = rng.normal(0, 8, int(DURATION * RATE))
    for _, start, end in SPOKEN:
        stretch = slice(int(start * RATE), int(end * RATE))
        one[stretch] += rng.normal(0, 3000, len(one[stretch]))
    audio = wav(np.stack([one, one]).clip(-32000, 32000).astype(np.int16), RATE)
    document = json.loads(ALL["deepgram"]())
    words = [
        {"word": w, "start": s, "end": e, "confidence": 0.9}
        for a in CALL
        for w, s, e in vendor_files.timed(a)
    ]
    other = [{**w, "word": {"mary": "marie"}.get(w["word"], w["word"])} for w in words]
    document["results"]["channels"] = [{"alternatives": [{"words": x}]} for x in (words, other)]
    handed = Handed(json.dumps(document), audio, language="en")
    assert "dual_mono" in {w.code for w in handed.recording.warnings}
    said = handed.said()
    assert sum(len(turn.words) for turn in said.turns) == len(words)
    assert any("marie" in [w.text for w in form] for t in said.turns for form in t.forms)
