"""The muted file: no container survives, options are obeyed, the log declares every change."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from pathlib import Path

import av
import numpy as np
import pytest
from recordings import encode, wav
from test_redact_stages import CARD, FLOOR, PLAIN, RATE, REDACTOR, Call

from redaction.log import Signer
from redaction.windows import WIDE_PAD
from voice_pipeline.domain import Redaction, Transcript, Turn, Window, Word
from voice_pipeline.stages.attest import attest
from voice_pipeline.stages.mute import Cut, mute
from voice_pipeline.stages.redact import redact
from voice_pipeline.stages.replace import replace
from voice_pipeline.stages.verify import verify

SECRET = b"4111 1111 1111 1111"


def muted_bytes(call: Call, found: Redaction, cut: Cut = Cut()) -> bytes:  # noqa: B008
    made = mute(call.recording, found, shelf=call.store.shelf, cut=cut)
    assert made.blob is not None
    with call.store.shelf.open(made.blob) as file:
        return file.read()


def chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)


def riff_with_everything(samples: np.ndarray) -> bytes:
    """A wave file with the chunks that recorders and editors leave: notes, labels, XML, paths."""
    plain = wav(samples, RATE)
    listed = b"INFO" + chunk(b"ICMT", SECRET) + chunk(b"INAM", b"Ann Lee " + SECRET)
    labels = b"adtl" + chunk(b"labl", (1).to_bytes(4, "little") + SECRET)
    before = chunk(b"bext", SECRET.ljust(602, b"\0")) + chunk(b"LIST", listed)
    before += chunk(b"JUNK", SECRET * 3)
    behind = chunk(b"LIST", labels) + chunk(b"iXML", b"<n>" + SECRET + b"</n>")
    behind += chunk(b"id3 ", b"ID3\3\0\0\0\0\0\0" + SECRET) + chunk(b"zzzz", SECRET)
    at = plain.index(b"data")
    body = b"WAVE" + plain[12:at] + before + plain[at:] + behind
    return b"RIFF" + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize("container", ["wav", "mp3", "flac", "ogg", "m4a"])
def test_tags_and_extra_chunks_are_dropped(tmp_path: Path, container: str) -> None:
    """Whatever the recording's container carries beside the audio is not in the muted file."""
    call = Call(tmp_path, PLAIN)
    if container == "wav":
        data = riff_with_everything(call.samples)
    else:
        data = tagged(call.samples, container)
    assert SECRET in data
    call.recording = call.keep(data)
    call.transcript = dataclasses.replace(
        call.transcript, audio=call.recording.audio, duration=call.recording.duration
    )
    found = redact(call.transcript, redactor=REDACTOR)
    out = muted_bytes(call, found)
    assert SECRET not in out
    assert b"Ann Lee" not in out
    # the marker, one STREAMINFO block that says it is the last, then audio frames
    assert out[:4] == b"fLaC"
    assert out[4] == 0x80
    assert int.from_bytes(out[5:8], "big") == 34
    assert out[42:44] in (b"\xff\xf8", b"\xff\xf9")
    with av.open(io.BytesIO(out)) as opened:
        assert not opened.metadata
        assert not opened.streams.audio[0].metadata
        assert len(opened.streams) == 1
    assert call.run().verdict.passed


def tagged(samples: np.ndarray, container: str) -> bytes:
    codec = {"mp3": "libmp3lame", "flac": "flac", "ogg": "libopus", "m4a": "aac"}[container]
    form = {"m4a": "ipod"}.get(container, container)
    plain = av.open(io.BytesIO(encode(samples, RATE, form, codec)))
    target = io.BytesIO()
    with plain, av.open(target, "w", format=form) as out:
        out.metadata["title"] = f"Ann Lee {SECRET.decode()}"
        out.metadata["comment"] = SECRET.decode()
        stream = out.add_stream_from_template(plain.streams.audio[0])
        for packet in plain.demux(plain.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return target.getvalue()


@pytest.mark.parametrize(
    "cut", [Cut("tone"), Cut("silence", 0.01), Cut("tone", 0.02)], ids=["tone", "fade", "both"]
)
def test_a_tone_and_a_fade_are_verified_as_what_they_are(tmp_path: Path, cut: Cut) -> None:
    """Muted with a tone or a fade, the call passes as such, and fails a check for plain silence."""
    call = Call(tmp_path, CARD)
    found = redact(call.transcript, redactor=REDACTOR)
    text, audio = (
        replace(call.transcript, found),
        mute(call.recording, found, shelf=call.store.shelf, cut=cut),
    )
    for expected, passes in ((cut, True), (Cut(), False)):
        verdict = verify(
            call.transcript, found, text, audio,
            redactor=REDACTOR, shelf=call.store.shelf, floor=FLOOR, cut=expected,
        )  # fmt: skip
        assert verdict.passed is passes
    heard, at = call.heard(audio), np.arange(call.samples.shape[1]) / RATE
    outside = np.ones(len(at), dtype=bool)
    for window in audio.windows:
        outside &= (at < window.start - 1 / RATE) | (at > window.end + 1 / RATE)
    assert outside.any()
    assert np.array_equal(heard[:, outside], call.samples[:, outside])
    assert all(w.end <= audio.duration for w in audio.windows)


def test_the_log_declares_key_tones_and_fades(tmp_path: Path) -> None:
    """Every sample that differs from the original lies in a window that the log names."""
    call = Call(tmp_path, PLAIN)
    at = np.arange(RATE // 5) / RATE
    tone = 9000 * (np.sin(2 * np.pi * 770 * at) + np.sin(2 * np.pi * 1336 * at))
    samples = call.samples.copy()
    samples[1, 4 * RATE : 4 * RATE + len(tone)] = tone.astype(np.int16)
    call.recording = call.keep(wav(samples, RATE))
    found = redact(call.transcript, redactor=REDACTOR)
    audio = mute(call.recording, found, shelf=call.store.shelf, cut=Cut(fade=0.01))
    results = call.check(call.transcript, found, replace(call.transcript, found), audio)
    log = attest(
        call.recording, dataclasses.replace(found, windows=audio.windows), results.verdict,
        signer=Signer.from_seed(call.store.signing_seed()), time="2026-01-02T03:04:05Z",
    )  # fmt: skip
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert "redacted" in events
    records = [json.loads(line) for line in log.splitlines()]
    named = np.zeros(samples.shape[1], dtype=bool)
    for record in records:
        if record.get("action") == "mute":
            named[record["start_ms"] * 8 - 8 : record["end_ms"] * 8 + 8] = True
    differs = (call.heard(audio) != samples).any(axis=0)
    assert differs.any()
    assert not (differs & ~named).any()


# ---------------------------------------------------------------- attacks


def broken(kind: str, words: tuple[Word, ...], duration: float) -> tuple[Word, ...]:
    """Return words whose times are wrong in one of the ways in which recognizers get them wrong."""
    bad = {
        "nan": lambda w: Word(w.text, math.nan, w.end),
        "infinite": lambda w: Word(w.text, w.start, math.inf),
        "negative": lambda w: Word(w.text, -1.0, w.end),
        "reversed": lambda w: Word(w.text, w.end, w.start),
        "none": lambda w: Word(w.text, None, None),
        "past the end": lambda w: Word(w.text, duration + 50, duration + 51),
        "overlapping": lambda w: Word(w.text, w.start, (w.end or 0) + 3.0),
        "all at once": lambda w: Word(w.text, words[0].start, words[0].start),
        "huge": lambda w: Word(w.text, 1e300, 1e301),
    }[kind]
    return tuple(bad(word) for word in words)


@pytest.mark.parametrize(
    "kind",
    ["nan", "infinite", "negative", "reversed", "none", "past the end", "overlapping",
     "all at once", "huge"],
)  # fmt: skip
@pytest.mark.parametrize("channels", [1, 2])
def test_wrong_times_are_muted_wider_or_hold_the_call(
    tmp_path: Path, kind: str, channels: int
) -> None:
    """Whatever is wrong with the times of a card number: it is silent, or the call is held."""
    call = Call(tmp_path, CARD)
    samples = call.samples if channels == 2 else call.samples[1:]
    call.recording = call.keep(wav(samples, RATE))
    turn = call.transcript.turns[1]
    said = dataclasses.replace(
        call.transcript,
        turns=tuple(
            dataclasses.replace(
                t,
                words=broken(kind, t.words, call.transcript.duration) if t is turn else t.words,
                channel=t.channel if channels == 2 else 0,
            )
            for t in call.transcript.turns
        ),
        channels=channels,
        separate=channels == 2,
        audio=call.recording.audio,
        understood=(0.9,) * channels,
        active=call.transcript.active[:channels] if channels == 2 else ((),),
    )
    results = call.run(said)
    heard = call.heard(results.audio)
    span = slice(round((turn.words[2].start or 0) * RATE), round((turn.words[-1].end or 0) * RATE))
    assert not results.verdict.passed or not heard[:, span].any()
    assert heard.shape == samples.shape


def test_audio_shorter_than_its_transcript_is_held(tmp_path: Path) -> None:
    """Half of the recording is missing: its findings cannot be where the times say."""
    call = Call(tmp_path, CARD)
    half = call.samples[:, : call.samples.shape[1] // 2]
    call.recording = call.keep(wav(half, RATE))
    said = dataclasses.replace(
        call.transcript, audio=call.recording.audio, duration=call.recording.duration
    )
    results = call.run(said)
    assert "words_past_end" in results.codes
    last = call.recording.duration - WIDE_PAD / 2
    assert not call.heard(results.audio)[:, round(last * RATE) :].any()


def test_every_other_sample_is_the_very_same_in_mu_law(tmp_path: Path) -> None:
    """An 8 kHz mu-law telephone recording, mono: decoded, muted and compared exactly."""
    call = Call(tmp_path, CARD)
    call.recording = call.keep(encode(call.samples[1:], RATE, "wav", "pcm_mulaw"))
    said = dataclasses.replace(
        call.transcript,
        turns=tuple(Turn(t.speaker, t.words, 0) for t in call.transcript.turns),
        channels=1, separate=False, audio=call.recording.audio, understood=(0.9,),
        active=(call.transcript.active[1],),
    )  # fmt: skip
    results = call.run(said)
    assert results.verdict.passed, results.verdict.checks
    assert results.audio.channels == 1
    assert results.audio.rate == RATE


def test_a_call_of_no_length_is_no_fault(tmp_path: Path) -> None:
    """One sample of audio, findings without end: everything is silent and nothing breaks."""
    call = Call(tmp_path, CARD)
    call.recording = call.keep(wav(np.ones((2, 1), dtype=np.int16), RATE))
    said: Transcript = dataclasses.replace(
        call.transcript, audio=call.recording.audio, duration=call.recording.duration
    )
    results = call.run(said)
    assert not results.verdict.passed
    assert not call.heard(results.audio).any()
    empty = mute(
        call.recording,
        dataclasses.replace(results.found, windows=(Window(-5.0, -1.0, (), "finding"),)),
        shelf=call.store.shelf,
    )
    assert empty.muted == 0.0
