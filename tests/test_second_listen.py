"""The second listen: other ears over the muted audio, with a control that a deaf one fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from recordings import wav
from test_redact_stages import CARD, FLOOR, PLAIN, RATE, REDACTOR, Call, Lines

from voice_pipeline.domain import Segment, SegmentSpeech, Verification, Word
from voice_pipeline.ports import Progress
from voice_pipeline.stages.redact import redact
from voice_pipeline.stages.replace import replace
from voice_pipeline.stages.second_listen import SecondListener, choose_control, cut
from voice_pipeline.stages.verify import verify
from voice_pipeline.testing import ScriptedTranscriber


class Ears(ScriptedTranscriber):
    """Hears the words of a script wherever their sound is there: nothing where it is muted."""

    def transcribe(
        self, segments: Sequence[Segment], *, language: str | None, progress: Progress
    ) -> list[SegmentSpeech]:
        heard = super().transcribe(segments, language=language, progress=progress)
        return [
            dataclasses.replace(
                speech, words=tuple(word for word in speech.words if _sounds(word, segment))
            )
            for speech, segment in zip(heard, segments, strict=True)
        ]


def _sounds(word: Word, segment: Segment) -> bool:
    first, last = (round(((at or 0.0) - segment.offset) * 16000) for at in (word.start, word.end))
    piece = segment.samples[max(0, first) : max(0, last)]
    return len(piece) > 0 and float(np.mean(np.abs(piece) > 1e-4)) > 0.8


def script(call: Call) -> dict[int, list[Word]]:
    turns = call.transcript.turns
    return {side: [w for t in turns if t.channel == side for w in t.words] for side in (0, 1)}


def listened(
    call: Call,
    ears: ScriptedTranscriber,
    when_deaf: Literal["note", "hold"] = "hold",
    *,
    less: bool = False,
) -> Verification:
    """Run the call with a second listener; `less` leaves the last window of the redaction out."""
    found = redact(call.transcript, redactor=REDACTOR)
    if less:
        found = dataclasses.replace(found, findings=(), windows=())
    text, audio = replace(call.transcript, found), call.mute(found)
    if less:  # as if the first hearing had not heard the numbers at all
        turns = tuple(
            dataclasses.replace(turn, words=turn.words[:1] if turn.turn in (1, 3) else turn.words)
            for turn in text.turns
        )
        text = dataclasses.replace(text, turns=turns)
    return verify(
        call.transcript, found, text, audio, redactor=REDACTOR, shelf=call.store.shelf,
        floor=FLOOR, listener=SecondListener(ears, when_deaf),
    )  # fmt: skip


def voice(length: int) -> NDArray[np.int16]:
    """Return what sounds like somebody's voice: a buzz whose pitch never stands still."""
    at = np.arange(length) / RATE
    phase = 2 * np.pi * np.cumsum(130 + 40 * np.sin(2 * np.pi * 2.5 * at)) / RATE
    buzz = sum(np.cos(k * phase) / k for k in range(1, 20))
    return np.round(2500 * buzz + 200 * np.sign(np.sin(1000 * at))).astype(np.int16)


def spoken(folder: Path, lines: Lines) -> Call:
    """Return a call that is quiet where nobody speaks, so that there is something to hear."""
    call = Call(folder, lines)
    samples = np.sign(call.samples)
    for side, active in enumerate(call.transcript.active):
        for start, end in active:
            where = slice(round(start * RATE), round(end * RATE))
            samples[side, where] = voice(where.stop - where.start)
    call.recording = call.keep(wav(samples, RATE))
    call.transcript = dataclasses.replace(call.transcript, audio=call.recording.audio)
    return call


@pytest.fixture
def card(tmp_path: Path) -> Call:
    return spoken(tmp_path, CARD)


def test_good_ears_that_hear_no_number_pass(card: Call) -> None:
    """The control is recognised, the muted audio holds no digit: the log says both."""
    verdict = listened(card, Ears(script(card)))
    assert verdict.passed, verdict.reasons
    assert "0 numbers heard" in verdict.checks["second_listen"]
    assert "by scripted 1" in verdict.checks["second_listen"]


def test_a_number_that_the_first_hearing_missed_holds_the_call(card: Call) -> None:
    """The words were not in the first transcript, their sound is there: a second one hears it."""
    verdict = listened(card, Ears(script(card)), less=True)
    codes = {reason.code for reason in verdict.reasons}
    assert "second_listen_heard" in codes
    assert "CARD_NUMBER" in " ".join(reason.detail for reason in verdict.reasons)
    assert "four one" not in str(verdict)


def test_deaf_ears_do_not_count_as_a_pass(card: Call) -> None:
    """A recognizer that hears nothing, or something else, is noted as deaf, or holds the call."""
    noise = [Word("the", 0.1 * n, 0.1 * n + 0.05, 0.9) for n in range(400)]
    for ears in (ScriptedTranscriber({}), ScriptedTranscriber({0: noise, 1: noise})):
        noted = listened(card, ears, "note")
        assert noted.passed
        assert noted.checks["second_listen"].startswith("deaf")
        held = listened(card, ears, "hold")
        assert [reason.code for reason in held.reasons] == ["second_listen_deaf"]


def test_numbers_that_the_text_holds_are_not_new(tmp_path: Path) -> None:
    """An order number that was judged to be none of our business stays so when heard again."""
    lines = (*PLAIN, ("customer", "my order number is one two three four five six"))
    call = spoken(tmp_path, lines)
    verdict = listened(call, Ears(script(call)))
    assert verdict.passed, verdict.reasons


def test_nobody_listens_unless_asked(card: Call) -> None:
    """Off by default: the check is not in the log."""
    assert "second_listen" not in card.run().verdict.checks


def test_a_call_without_words_has_nothing_to_hear(tmp_path: Path) -> None:
    """No control can be chosen where the first hearing heard nothing; the log says so."""
    assert choose_control(()) is None
    call = Call(tmp_path, ())
    call.transcript = dataclasses.replace(call.transcript, turns=(), active=((), ()))
    verdict = listened(call, ScriptedTranscriber({}))
    assert verdict.checks["second_listen"].startswith("nothing to listen to")


def cues(call: Call, *, timed: bool = True) -> Call:
    """Take the times of the words away; each turn keeps its own, or loses them, too."""
    turns = []
    for turn in call.transcript.turns:
        times = [at for word in turn.words for at in (word.start, word.end) if at is not None]
        words = tuple(Word(word.text, None, None, word.confidence) for word in turn.words)
        own = (min(times), max(times)) if timed else (None, None)
        turns.append(dataclasses.replace(turn, words=words, start=own[0], end=own[1]))
    call.transcript = dataclasses.replace(call.transcript, turns=tuple(turns))
    return call


def test_turns_without_word_times_are_a_control_as_a_whole(tmp_path: Path) -> None:
    """A transcript of cues is listened to again as well, and what it holds is not new."""
    lines = (*PLAIN, ("customer", "my order number is one two three four five six"))
    call = spoken(tmp_path, lines)
    ears = Ears(script(call))
    verdict = listened(cues(call), ears)
    assert verdict.passed, verdict.reasons
    assert "0 numbers heard" in verdict.checks["second_listen"]


def test_no_times_at_all_are_deaf(tmp_path: Path) -> None:
    """Where nothing can serve as a control, silence proves nothing: `hold` holds."""
    call = spoken(tmp_path, PLAIN)
    ears = Ears(script(call))
    held = listened(cues(call, timed=False), ears)
    assert "second_listen_deaf" in {reason.code for reason in held.reasons}


def test_turns_of_the_second_hearing_part_at_pauses() -> None:
    """Words more than a pause apart are different turns; words without times stay together."""
    words = (Word("a", 0.0, 0.3), Word("b", 0.5, 0.8), Word("c", 3.0, 3.3), Word("d", None, None))
    assert [turn.text for turn in cut(words, 1)] == ["a b", "c d"]
