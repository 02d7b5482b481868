"""Redact, replace, mute, verify: one call through the real store, codec and audio."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from recordings import encode, wav

from redaction import Redactor, load_policy
from redaction.log import Signer, verify_bytes
from voice_pipeline import codec
from voice_pipeline.audio import blocks
from voice_pipeline.domain import (
    Finding,
    Received,
    Recording,
    RedactedAudio,
    RedactedTranscript,
    Redaction,
    Ref,
    Transcript,
    Turn,
    Verification,
    Window,
    Word,
)
from voice_pipeline.errors import Permanent, Retryable
from voice_pipeline.stages.attest import Released, attest
from voice_pipeline.stages.ingest import ingest
from voice_pipeline.stages.mute import mute
from voice_pipeline.stages.redact import redact
from voice_pipeline.stages.replace import replace
from voice_pipeline.stages.verify import verify
from voice_pipeline.store import Store

REDACTOR = Redactor(load_policy("balanced"))
RATE = 8000
FLOOR = 0.6
NOW = "2026-01-02T03:04:05Z"
LEFT = Released("folder", "0" * 64, "1" * 64, "2026-01-02T03:04:06Z")
Lines = Sequence[tuple[str, str]]

CARD = (
    ("agent", "thanks for calling can I take the long card number please"),
    ("customer", "sure it's four one one one one one one one one one one one one one one one"),
    ("agent", "and the three digits on the back please"),
    ("customer", "nine eight seven"),
    ("agent", "thank you that is all gone through now goodbye"),
)
PLAIN = (
    ("agent", "thanks for calling how can I help you today"),
    ("customer", "the kettle arrived broken and I would like another one"),
    ("agent", "I am sorry about that I will send another one today"),
)


class Call:
    """A synthetic call on a real shelf: noise where somebody speaks, words with times."""

    def __init__(self, folder: Path, lines: Lines, *, container: str = "wav") -> None:
        self.store = Store(folder)
        self.store.open_call("c1")
        step, at, turns = 0.35, 0.5, []
        active: tuple[list[tuple[float, float]], ...] = ([], [])
        for speaker, text in lines:
            side, words = int(speaker == "customer"), text.split()
            made = tuple(
                Word(w, at + step * n, at + step * n + 0.3, 0.9) for n, w in enumerate(words)
            )
            turns.append(Turn(speaker, made, side))
            active[side].append((at, at + step * len(words)))
            at += step * len(words) + 0.4
        samples = np.random.default_rng(1).integers(-900, 900, (2, round((at + 0.5) * RATE)))
        samples[:, : RATE // 4] = 1  # so that no unmuted sample is zero by chance alone
        self.samples = np.where(samples == 0, 1, samples).astype(np.int16)
        data = (
            wav(self.samples, RATE) if container == "wav"
            else encode(self.samples, RATE, container, {"mp3": "mp3"}[container])
        )  # fmt: skip
        self.recording = self.keep(data)
        self.transcript = Transcript(
            call="c1", language="en", turns=tuple(turns), transcriber="t", diarizer="d",
            understood=(0.9, 0.9), confidence=(0.9, 0.9),
            active=tuple(tuple(side) for side in active), duration=self.recording.duration,
            channels=2, separate=True, audio=self.recording.audio,
        )  # fmt: skip

    def keep(self, data: bytes) -> Recording:
        with self.store.shelf.create("c1", "Audio") as blob:
            blob.write(data)
        received = Received("c1", "call.wav", blob.ref.sha256, len(data), blob.ref, {})
        return ingest(received, shelf=self.store.shelf)

    def run(self, transcript: Transcript | None = None) -> Results:
        said = transcript or self.transcript
        found = redact(said, redactor=REDACTOR)
        return self.check(said, found, replace(said, found), self.mute(found))

    def mute(self, found: Redaction) -> RedactedAudio:
        return mute(self.recording, found, shelf=self.store.shelf)

    def check(
        self, said: Transcript, found: Redaction, text: RedactedTranscript, audio: RedactedAudio
    ) -> Results:
        verdict = verify(
            said, found, text, audio, redactor=REDACTOR, shelf=self.store.shelf, floor=FLOOR
        )
        return Results(found, text, audio, verdict)

    def heard(self, audio: RedactedAudio) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
        assert audio.blob is not None
        with self.store.shelf.open(audio.blob) as file:
            return np.concatenate(list(blocks(file)), axis=1)


@dataclasses.dataclass(frozen=True)
class Results:
    found: Redaction
    text: RedactedTranscript
    audio: RedactedAudio
    verdict: Verification

    @property
    def codes(self) -> set[str]:
        return {reason.code for reason in self.verdict.reasons}


@pytest.fixture
def card(tmp_path: Path) -> Call:
    return Call(tmp_path, CARD)


def test_a_card_call_passes_with_nothing_of_the_card_left(card: Call) -> None:
    """No digit in the text, silence where they were said, everything else as it was."""
    results = card.run()
    assert results.codes == set()
    assert results.verdict.passed
    assert results.verdict.destroy_recording
    text = " ".join(turn.text for turn in results.text.turns)
    assert "[CARD_NUMBER]" in text
    assert "[CARD_CVV]" in text
    for digit in ("four", "one", "nine", "eight", "seven"):
        assert digit not in text.split()
    heard = card.heard(results.audio)
    assert heard.shape == card.samples.shape
    for turn in (card.transcript.turns[1], card.transcript.turns[3]):
        for word in turn.words[2 if turn.text.startswith("sure") else 0 :]:
            span = slice(round((word.start or 0) * RATE), round((word.end or 0) * RATE))
            assert not heard[:, span].any()
    silent = heard == 0
    assert np.array_equal(heard[~silent], card.samples[~silent])
    assert results.audio.muted == pytest.approx(silent.sum() / RATE, abs=0.01)
    assert results.text.confidence == pytest.approx(0.9)
    assert results.verdict.transcript_sha256
    assert results.audio.blob is not None
    assert results.verdict.audio_sha256 == results.audio.blob.sha256


def test_a_lossy_recording_is_compared_as_decoded(tmp_path: Path) -> None:
    """An mp3 decodes the same twice, so its check is as exact as any other."""
    results = Call(tmp_path, CARD, container="mp3").run()
    assert results.verdict.passed, results.verdict.checks


def test_a_plain_call_passes_unmuted(tmp_path: Path) -> None:
    """A call without personal data keeps every word and every sample."""
    call = Call(tmp_path, PLAIN)
    results = call.run()
    assert results.verdict.passed
    assert not results.verdict.destroy_recording
    assert results.found.findings == ()
    assert [turn.text for turn in results.text.turns] == [text for _, text in PLAIN]
    assert np.array_equal(call.heard(results.audio), call.samples)


def test_records_survive_the_codec(card: Call) -> None:
    """What the stages make can be kept and read back exactly."""
    results = card.run()
    for record in (card.transcript, results.found, results.text, results.audio, results.verdict):
        assert codec.decode(codec.encode(record)) == record


def test_one_audible_sample_holds_the_call(card: Call) -> None:
    """Audio muted by one finding less than was found is not released."""
    results = card.run()
    less = dataclasses.replace(results.found, windows=results.found.windows[1:])
    again = card.check(card.transcript, results.found, results.text, card.mute(less))
    assert again.codes == {"audio_mismatch"}
    shifted = tuple(dataclasses.replace(w, start=w.start + 1 / RATE) for w in results.found.windows)
    moved = card.mute(dataclasses.replace(results.found, windows=shifted))
    assert not card.check(card.transcript, results.found, results.text, moved).verdict.passed


def test_windows_that_miss_a_finding_hold_the_call(card: Call) -> None:
    """The windows are checked against the findings, not only the audio against the windows."""
    results = card.run()
    less = dataclasses.replace(results.found, windows=())
    again = card.check(card.transcript, less, results.text, card.mute(less))
    assert again.codes == {"uncovered_finding"}


def test_text_that_still_holds_a_number_is_held(card: Call) -> None:
    """A second look at the redacted text finds what the first one left."""
    results = card.run()
    less = dataclasses.replace(results.found, findings=())
    text = replace(card.transcript, less)
    again = card.check(card.transcript, less, text, card.mute(less))
    assert "residual_personal_data" in again.codes
    assert "text_mismatch" in card.check(card.transcript, results.found, text, results.audio).codes


def test_a_copy_of_a_redacted_number_is_held(tmp_path: Path) -> None:
    """A number that was redacted once and stands elsewhere untouched holds the call."""
    lines = (*PLAIN, ("customer", "two two four four six six eight eight"), *PLAIN[:1],
             ("customer", "two two four four six six eight eight"))  # fmt: skip
    call = Call(tmp_path, lines)
    one = Finding("ACCOUNT_NUMBER", 3, 0, 8, 0.9, "numbers", "test", "planted")
    found = dataclasses.replace(redact(call.transcript, redactor=REDACTOR), findings=(one,))
    results = call.check(call.transcript, found, replace(call.transcript, found), call.mute(found))
    assert "residual_personal_data" in results.codes


class Suspicious:
    """Finds a card code in the last turn: in the call only, or in the turn alone as well."""

    policy = REDACTOR.policy

    def __init__(self, *, alone: bool) -> None:
        self.alone = alone

    def find(self, turns: Sequence[Turn]) -> tuple[Finding, ...]:
        if len(turns) == 1 and not self.alone:
            return ()
        return (Finding("CARD_CVV", len(turns) - 1, 0, 2, 0.9, "numbers", "asked", ""),)


@pytest.mark.parametrize("alone", [False, True])
def test_a_leftover_number_shows_in_its_turn_alone(tmp_path: Path, alone: bool) -> None:
    """A price that looks like a late answer, once the answer is gone, does not hold a call."""
    call = Call(tmp_path, PLAIN)
    results = call.run()
    verdict = verify(
        call.transcript, results.found, results.text, results.audio,
        redactor=Suspicious(alone=alone), shelf=call.store.shelf, floor=FLOOR,
    )  # fmt: skip
    assert [reason.code for reason in verdict.reasons] == ["residual_personal_data"] * alone


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"understood": (0.9, 0.2)}, "low_understanding"),
        ({"understood": (0.9, float("nan"))}, "low_understanding"),
        ({"understood": ()}, "low_understanding"),
        ({"language": "de"}, "language_unsupported"),
        ({"audio": None}, "unverified"),
        ({"audio": Ref("c1", "Audio", "0" * 64)}, "unverified"),
        ({"duration": 1.0}, "words_past_end"),
    ],
)
def test_what_cannot_be_trusted_is_held(card: Call, change: dict[str, object], code: str) -> None:
    """Bad hearing, unknown languages, missing audio and clocks that do not fit hold the call."""
    said = dataclasses.replace(card.transcript, **change)  # type: ignore[arg-type]
    found = redact(said, redactor=REDACTOR)
    results = card.check(said, found, replace(said, found), card.mute(found))
    assert not results.verdict.passed
    assert code in results.codes


def test_an_untimed_finding_mutes_its_turn_and_warns(card: Call) -> None:
    """Without word times everything that may be the finding is silent, and the result says so."""
    turn = card.transcript.turns[1]
    bare = dataclasses.replace(turn, words=tuple(Word(w.text, None, None) for w in turn.words))
    turns = (card.transcript.turns[0], bare, *card.transcript.turns[2:])
    results = card.run(dataclasses.replace(card.transcript, turns=turns))
    assert results.verdict.passed, results.verdict.checks
    assert "span_without_time" in {warning.code for warning in results.text.warnings}
    heard = card.heard(results.audio)
    start, end = turn.words[0].start or 0, turn.words[-1].end or 0
    assert not heard[:, round(start * RATE) : round(end * RATE)].any()


def test_numbers_that_were_asked_for_and_not_heard_are_muted(tmp_path: Path) -> None:
    """An answer that became other words is silent; too many of them hold the call."""
    mumbled = (
        ("agent", "can I take the long card number please"),
        ("customer", "for wonder wonder won tooth rather"),
        ("agent", "thank you that has gone through for you"),
    )
    call = Call(tmp_path, mumbled)
    unheard = dataclasses.replace(
        redact(call.transcript, redactor=REDACTOR), findings=()
    )  # as if nothing was recognised
    assert "open_question" in {w.reason for w in unheard.windows}
    answer = call.transcript.turns[1]
    assert any(
        w.start <= (answer.words[0].start or 0) and (answer.words[-1].end or 0) <= w.end
        and w.channels == () for w in unheard.windows
    )  # fmt: skip
    many = dataclasses.replace(unheard, warnings=("unanswered_number_question",) * 3)
    text, audio = replace(call.transcript, many), call.mute(many)
    codes = call.check(call.transcript, many, text, audio).codes
    assert "unanswered_number_question" in codes


def test_speech_without_words_is_silent(tmp_path: Path) -> None:
    """What nobody understood was not checked, so nobody hears it."""
    call = Call(tmp_path, PLAIN)
    active = (call.transcript.active[0], (*call.transcript.active[1], (0.6, 2.6)))
    results = call.run(dataclasses.replace(call.transcript, active=active))
    assert results.verdict.passed
    heard = call.heard(results.audio)
    assert not heard[1, round(0.6 * RATE) : round(2.6 * RATE)].any()
    assert np.array_equal(heard[0], call.samples[0])


def test_a_card_code_that_was_only_asked_for_destroys_the_recording(tmp_path: Path) -> None:
    """Asked for is enough: whatever was answered may be the code."""
    lines = (*PLAIN, ("agent", "what is the security code on the back"), ("customer", "hold on"))
    call = Call(tmp_path, lines)
    assert call.run().verdict.destroy_recording


def test_key_tones_are_muted_as_card_data(tmp_path: Path) -> None:
    """Pressed keys go silent on every channel, and the recording may not stay."""
    call = Call(tmp_path, PLAIN)
    at = np.arange(RATE // 5) / RATE
    tone = 9000 * (np.sin(2 * np.pi * 770 * at) + np.sin(2 * np.pi * 1336 * at))
    samples = call.samples.copy()
    samples[1, 4 * RATE : 4 * RATE + len(tone)] = tone.astype(np.int16)
    call.samples = samples
    call.recording = call.keep(wav(samples, RATE))
    call.transcript = dataclasses.replace(call.transcript, audio=call.recording.audio)
    results = call.run()
    assert results.verdict.passed, results.verdict.checks
    assert results.audio.key_entries == 1
    assert results.verdict.destroy_recording
    assert not call.heard(results.audio)[:, int(3.7 * RATE) : int(4.5 * RATE)].any()


def test_silence_passes(tmp_path: Path) -> None:
    """A call on which nobody speaks has nothing to redact and nothing to hold."""
    call = Call(tmp_path, ())
    said = dataclasses.replace(
        call.transcript, turns=(), active=((), ()), understood=(0.0, 0.0), confidence=(0.0, 0.0),
        language="xx",
    )  # fmt: skip
    results = call.run(said)
    assert results.verdict.passed, results.verdict.reasons
    assert results.text.turns == ()


def test_a_recording_that_cannot_be_muted_raises_ours(card: Call) -> None:
    """A recording whose key is gone is a permanent fault, not silence taken for muted audio."""
    found = redact(card.transcript, redactor=REDACTOR)
    gone = dataclasses.replace(card.recording, audio=Ref("c1", "Audio", "1" * 64))
    with pytest.raises((Permanent, Retryable)):
        mute(gone, found, shelf=card.store.shelf)


def test_reasons_and_logs_hold_no_content(card: Call) -> None:
    """Verification and the signed log name kinds and places, never a word of the call."""
    results = card.run()
    signer = Signer.from_seed(card.store.signing_seed())
    log = attest(
        card.recording, results.found, results.verdict, signer=signer, time=NOW,
        released=[LEFT],
    )  # fmt: skip
    verdict = verify_bytes(log, signer.fingerprint)
    assert verdict.ok
    assert verdict.signer_checked
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events[:2] == ["call_started", "policy_applied"]
    assert events[-5:] == ["verification", "erased", "erased", "released_to", "head"]
    written = log.decode() + codec.encode(results.verdict).decode()
    for secret in ("four one one", "nine eight", "41111111", "seven"):
        assert secret not in written
    held = dataclasses.replace(results.verdict, passed=False)
    log = attest(card.recording, results.found, held, signer=signer, time=NOW,
                 released=[LEFT])  # fmt: skip
    assert b"released_to" not in log


def test_windows_beyond_the_channels_are_no_fault(card: Call) -> None:
    """A window on a channel that the file lacks mutes nothing and breaks nothing."""
    found = redact(card.transcript, redactor=REDACTOR)
    more = dataclasses.replace(found, windows=(*found.windows, Window(0, 1, (7,), "finding")))
    assert card.mute(more).muted == pytest.approx(card.mute(found).muted)
