"""Evaluations of speech: alignments, who said what, folders of any kind, and their bad lines."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import conversation, wav

from redaction.records import Word
from voice_pipeline.domain import SpeakerSpan
from voice_pipeline.errors import BadInput
from voice_pipeline.metrics import asr, diarization
from voice_pipeline.metrics.alignment import align, distance, match
from voice_pipeline.metrics.truth import TrueTurn, load_calls
from voice_pipeline.testing import ScriptedTranscriber

letters = st.lists(st.sampled_from("abcd"), max_size=9)

# ---------------------------------------------------------------- alignment


@settings(max_examples=300, deadline=None)
@given(letters, letters)
def test_alignments_agree_with_jiwer(truth: list[str], found: list[str]) -> None:
    """The fewest changes, and counts that add up to them, as the field's own tool finds them."""
    jiwer = pytest.importorskip("jiwer")
    aligned = align(truth, found)
    assert aligned.wrong == distance(truth, found)
    assert len(aligned.right) + aligned.substituted + aligned.deleted == len(truth)
    assert len(aligned.right) + aligned.substituted + aligned.inserted == len(found)
    if truth and found:
        other = jiwer.process_words(" ".join(truth), " ".join(found))
        assert aligned.wrong == other.substitutions + other.deletions + other.insertions


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from("ABC"), letters, max_size=3),
    st.dictionaries(st.sampled_from("xyz"), letters, max_size=3),
)
def test_speakers_are_paired_as_suits_best(
    truth: dict[str, list[str]], found: dict[str, list[str]]
) -> None:
    """No other pairing of speakers has fewer wrong words: all are tried."""
    wrong, pairs = match(truth, found)
    size = max(len(truth), len(found))
    true = [*truth.values(), *[[]] * (size - len(truth))]
    heard = [*found.values(), *[[]] * (size - len(found))]
    least = min(
        sum(distance(a, b) for a, b in zip(true, order, strict=True))
        for order in permutations(heard)
    )
    assert wrong == least
    assert set(pairs) <= set(truth)
    assert len(set(pairs.values())) == len(pairs)


# ---------------------------------------------------------------- truth


BAD_LINES = {
    "[1]": "an object",
    '{"id": 3}': "`id`",
    '{"id": "a", "turns": {}}': "lists",
    '{"id": "a", "turns": ["x"]}': "turn 0 is no object",
    '{"id": "a", "turns": [{"text": 3}]}': "turn 0: `text`",
    '{"id": "a", "turns": [{"channel": -1}]}': "turn 0: `channel`",
    '{"id": "a", "turns": [{"start": 1}]}': "turn 0: `start` and `end`",
    '{"id": "a", "turns": [{"start": NaN, "end": 2}]}': "turn 0: `start` and `end`",
    '{"id": "a", "turns": [{"start": true, "end": 2}]}': "turn 0: `start` and `end`",
    '{"id": "a", "turns": [{"start": 3, "end": 2}]}': "turn 0 ends before it starts",
    '{"id": "a", "file": 3}': "`file`",
    '{"id": "a", "metadata": []}': None,
    '{"id": "a", "metadata": [1]}': "`metadata`",
    '{"id": "a", "pii": [{"turn": "0"}]}': "`pii`",
    '{"id": "a", "turns": [{"text": "Rachel Stone"': "not JSON",
    '{"id": "ok"}': "was there before",
    "[" * 100_000: "nested too deeply",
}


@pytest.mark.parametrize(("line", "fault"), BAD_LINES.items(), ids=range(len(BAD_LINES)))
def test_bad_lines_are_named_and_not_quoted(tmp_path: Path, line: str, fault: str | None) -> None:
    """A line that does not read stops the evaluation: file, line and fault, never its content."""
    (tmp_path / "truth.jsonl").write_text('{"id": "ok", "turns": []}\n\n' + line + "\n")
    if fault is None:
        assert len(load_calls(tmp_path)) == 2
        return
    with pytest.raises(BadInput) as refused:
        load_calls(tmp_path)
    assert "truth.jsonl:3: " in str(refused.value)
    assert fault in str(refused.value)
    assert "Rachel" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe"])
def test_an_empty_truth_is_refused(tmp_path: Path, content: bytes) -> None:
    """No calls, no figures."""
    (tmp_path / "truth.jsonl").write_bytes(content)
    with pytest.raises(BadInput):
        load_calls(tmp_path)
    with pytest.raises(BadInput, match="no such folder"):
        load_calls(tmp_path / "elsewhere")


def test_audio_is_found_by_the_calls_id(tmp_path: Path) -> None:
    """Without `file`, a recording named like the call is its recording; two are none."""
    (tmp_path / "truth.jsonl").write_text('{"id": "a"}\n{"id": "b"}\n{"id": "../c"}\n')
    for name in ("a.mp3", "a.txt", "b.wav", "b.flac"):
        (tmp_path / name).write_bytes(b"")
    assert [call.audio and call.audio.name for call in load_calls(tmp_path)] == [
        "a.mp3", None, None,
    ]  # fmt: skip


def test_speakers_and_words_beside_the_audio(tmp_path: Path) -> None:
    """NIST's formats are read: speakers from .rttm, words and speakers from .stm."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.wav").write_bytes(b"")
    (tmp_path / "a.rttm").write_text("SPEAKER a 1 1.5 2 <NA> <NA> kim <NA> <NA>\n")
    (tmp_path / "b.stm").write_text(";; notes\nb 1 lee 0.5 2.5 <O> good morning\n")
    (tmp_path / "b.rttm").write_text("SPEAKER b 1 0.6 1.5 <NA> <NA> lee <NA> <NA>\n")
    (a, b) = load_calls(tmp_path)
    assert a.turns == (TrueTurn("kim", "", None, 1.5, 3.5),)
    assert b.turns == (TrueTurn("lee", "good morning", None, 0.5, 2.5),)
    assert load_calls(tmp_path, speakers=True)[1].turns[0].end == pytest.approx(2.1)
    (tmp_path / "a.rttm").write_text("SPEAKER a 1 x 2 <NA> <NA> kim\n")
    with pytest.raises(BadInput, match=r"a\.rttm:1"):
        load_calls(tmp_path)


# ---------------------------------------------------------------- words and whose


LINES = (
    ("agent", 0, "good morning Ann Lee how can i help"),
    ("customer", 1, "my number is four two seven"),
)


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, dict[int, list[Word]]]:
    """One two-channel call whose turns are where `conversation` puts its first two."""
    call, spoken = conversation(("rms", "slt"), 8000, pairs=1)
    (tmp_path / "one.wav").write_bytes(wav(call, 8000))
    turns: list[dict[str, Any]] = []
    words: dict[int, list[Word]] = {0: [], 1: []}
    for (speaker, channel, text), (_, start, end) in zip(LINES, spoken, strict=True):
        turns.append(
            {"speaker": speaker, "channel": channel, "text": text, "start": start, "end": end}
        )
        step = (end - start) / len(text.split())
        words[channel] = [
            Word(word, start + step * at, start + step * (at + 0.9), 0.9)
            for at, word in enumerate(text.split())
        ]
    pii = [{"turn": 0, "start": 13, "end": 20, "label": "PERSON"}]
    line = {"id": "one", "file": "one.wav", "turns": turns, "pii": pii, "metadata": {"team": "x"}}
    (tmp_path / "truth.jsonl").write_text(json.dumps(line))
    return tmp_path, words


def measured(folder: Path, words: dict[int, list[Word]], **how: Any) -> dict[str, float]:
    report = asr.evaluate(folder, transcriber=ScriptedTranscriber(words), **how)
    return {figure.name: figure.value for figure in report.figures}


def test_a_perfect_transcript_has_no_error(folder: tuple[Path, dict[int, list[Word]]]) -> None:
    """Every rate is there and zero."""
    found = measured(*folder)
    assert [found[n] for n in ("wer", "cer", "digit_wer", "name_wer", "cpwer")] == [0.0] * 5


def test_digits_and_names_are_counted_apart(folder: tuple[Path, dict[int, list[Word]]]) -> None:
    """A wrong digit and a wrong name are shares of digits and of names."""
    place, words = folder
    wrong = {
        channel: [
            Word({"seven": "eleven", "Lee": "lay"}.get(w.text, w.text), w.start, w.end, 0.9)
            for w in own
        ]
        for channel, own in words.items()
    }
    found = measured(place, wrong)
    assert found["digit_wer"] == pytest.approx(1 / 3)
    assert found["name_wer"] == pytest.approx(1 / 2)
    assert found["wer"] == pytest.approx(2 / 14)
    assert 0 < found["cer"] < found["wer"]


def test_words_of_the_wrong_speaker_are_errors(folder: tuple[Path, dict[int, list[Word]]]) -> None:
    """On one channel WER cannot see who spoke; cpWER can."""
    place, words = folder
    together = {0: sorted(words[0] + words[1], key=lambda w: w.start or 0.0)}

    class Everybody:
        name = "everybody"

        def diarize(self, recording: Any, heard: Any, audio: Any) -> tuple[SpeakerSpan, ...]:
            return (SpeakerSpan(0, 0.0, recording.duration),)

    found = measured(place, together, mono=True, diarizer_for=lambda recording: Everybody())
    assert found["wer"] == 0.0
    assert found["cpwer"] == pytest.approx(12 / 14)  # one's words missing, and put in elsewhere


def test_swapped_roles_are_seen_by_role_alone(folder: tuple[Path, dict[int, list[Word]]]) -> None:
    """Speakers told apart but named the wrong way round: cpWER forgives, WER by role does not."""
    place, words = folder
    path = place / "truth.jsonl"
    line = json.loads(path.read_text())
    for turn in line["turns"]:
        turn["speaker"] = {"agent": "customer", "customer": "agent"}[turn["speaker"]]
    path.write_text(json.dumps(line))
    found = measured(place, words)
    assert found["cpwer"] == 0.0
    assert found["role_wer"] > 0.9


def test_truth_without_channels_is_compared_as_a_whole(
    folder: tuple[Path, dict[int, list[Word]]],
) -> None:
    """Truth that names no channels measures a two-channel call by time."""
    place, words = folder
    path = place / "truth.jsonl"
    line = json.loads(path.read_text())
    for turn in line["turns"]:
        del turn["channel"]
    path.write_text(json.dumps(line))
    assert measured(place, words)["wer"] == 0.0


def test_calls_are_sliced_by_what_they_differ_in(
    folder: tuple[Path, dict[int, list[Word]]],
) -> None:
    """Metadata that differs makes a table of its own; what all calls share does not."""
    place, words = folder
    line = json.loads((place / "truth.jsonl").read_text())
    teams = ("x", "x", "y")
    lines = [{**line, "id": str(n), "metadata": {"team": t}} for n, t in enumerate(teams)]
    (place / "truth.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = asr.evaluate(place, transcriber=ScriptedTranscriber(words))
    assert [(row["slice"], row["value"], row["calls"]) for row in report.slices] == [
        ("team", "x", 2), ("team", "y", 1),
    ]  # fmt: skip


def test_one_broken_recording_does_not_stop_the_rest(
    folder: tuple[Path, dict[int, list[Word]]],
) -> None:
    """What cannot be heard is named in the notes, the rest is measured."""
    place, words = folder
    line = json.loads((place / "truth.jsonl").read_text())
    (place / "two.wav").write_bytes(b"RIFFnothing")
    lines = [line, {**line, "id": "two", "file": "two.wav"}, {**line, "id": "3", "file": "no.wav"}]
    (place / "truth.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = asr.evaluate(place, transcriber=ScriptedTranscriber(words))
    assert report.calls == 1
    assert any(note.startswith("two: ") for note in report.notes)
    assert "3: its recording is not there" in report.notes


# ---------------------------------------------------------------- error rates of speakers


def test_the_parts_of_the_error_rate_add_up() -> None:
    """Missed, false alarm and confused are told apart; a collar forgives what is beside edges."""
    pytest.importorskip("pyannote.metrics")
    turns = (TrueTurn("a", "", None, 0.0, 4.0), TrueTurn("b", "", None, 4.0, 8.0))
    spans = (SpeakerSpan(0, 1.0, 5.0), SpeakerSpan(1, 5.0, 9.0))
    errors = diarization.compare(turns, spans, 0.0)
    assert (errors.missed, errors.false_alarm, errors.confused) == (1.0, 1.0, 1.0)
    assert errors.rate == pytest.approx(3 / 8)
    forgiving = diarization.compare(turns, spans, 0.25)
    assert forgiving.confused == pytest.approx(0.75)


def test_overlaps_on_two_channels_are_kept(tmp_path: Path) -> None:
    """Where both speak, a two-channel call has both; mixed to mono, one of them is missed."""
    pytest.importorskip("pyannote.metrics")
    call, spoken = conversation(("rms", "slt"), 8000, pairs=3)
    moved = call.copy()
    late = round((spoken[1][1] - spoken[0][2] + 1.0) * 8000)  # the answers come a second too soon
    moved[1] = 0
    moved[1, : call.shape[1] - late] = call[1, late:]
    (tmp_path / "a.wav").write_bytes(wav(moved, 8000))
    turns = [
        {"speaker": "ab"[side], "start": s - side * late / 8000, "end": e - side * late / 8000}
        for side, s, e in spoken
    ]
    (tmp_path / "truth.jsonl").write_text(json.dumps({"id": "a", "file": "a.wav", "turns": turns}))
    found = {f.name: f.value for f in diarization.evaluate(tmp_path).figures}
    assert found["missed as recorded, collar 0.25 s"] < 0.02
    assert found["missed clustering, collar 0.25 s"] > 0.05
