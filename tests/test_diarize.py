"""Words to turns, voices to speakers, speakers to roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import AGENT, CUSTOMER, Int16, OneBlob, conversation, noise, recording, say, wav

from redaction.records import Turn, Word
from voice_pipeline.audio import activity
from voice_pipeline.building import build_diarizers
from voice_pipeline.config import Part, Settings
from voice_pipeline.diarizers import _listening, channels, clustering
from voice_pipeline.domain import Heard, Recording, Ref, SpeakerSpan, Speech, Transcript
from voice_pipeline.errors import Misconfigured
from voice_pipeline.metrics import diarization
from voice_pipeline.stages.diarize import diarize
from voice_pipeline.stages.name_speakers import name_speakers

STEREO = Recording(
    "call", "0" * 64, "call.wav", Ref("call", "Audio", "0" * 64), 2, 8000, 60.0, "pcm_s16le",
    {}, "auto", "auto", (-25.0, -25.0), None, 4000.0,
)  # fmt: skip


class Scripted:
    """A diarizer that says what it is told to say."""

    name = "scripted"

    def __init__(self, spans: tuple[SpeakerSpan, ...]) -> None:
        self._spans = spans

    def diarize(self, recording: Any, heard: Any, audio: Any) -> tuple[SpeakerSpan, ...]:
        return self._spans


def spoken(text: str, start: float, pace: float = 0.3) -> tuple[Word, ...]:
    return tuple(
        Word(word, start + at * pace, start + at * pace + 0.25, 0.9)
        for at, word in enumerate(text.split())
    )


def speech(channel: int, *words: Word) -> Speech:
    times = [(w.start, w.end) for w in words if w.start is not None and w.end is not None]
    active = ((times[0][0], times[-1][1]),) if times else ()
    return Speech(channel, words, "en", "test", active, 1.0, 0.9)


def run(
    heard: Heard, facts: Recording = STEREO, spans: tuple[SpeakerSpan, ...] | None = None
) -> Transcript:
    tells = channels.create(channels.Options()) if spans is None else Scripted(spans)
    return diarize(facts, heard, diarizer=tells, shelf=OneBlob(b""))


def facts(**changes: Any) -> Recording:
    from dataclasses import replace

    return replace(STEREO, **changes)


def warned(transcript: Transcript) -> list[str]:
    return [warning.code for warning in transcript.warnings]


CALL = (
    speech(0, *spoken("thank you for calling how can i help", 1.0), *spoken("certainly", 9.0)),
    speech(1, *spoken("hello i want to ask about my bill", 4.0)),
)


# ---------------------------------------------------------------- turns

word_times = st.one_of(
    st.none(), st.tuples(st.floats(0, 50, allow_nan=False), st.floats(0, 2, allow_nan=False))
)


@st.composite
def heard_calls(draw: st.DrawFn) -> tuple[Heard, tuple[SpeakerSpan, ...]]:
    said = []
    for channel in range(draw(st.integers(1, 2))):
        times = draw(st.lists(word_times, max_size=12))
        placed = iter(sorted(t for t in times if t is not None))
        words = []
        for number, time in enumerate(times):
            start, length = next(placed) if time is not None else (None, 0.0)
            end = None if start is None else start + length
            words.append(Word(f"w{channel}.{number}", start, end))
        said.append(speech(channel, *words))
    spans = draw(
        st.lists(
            st.builds(
                lambda who, at, length, channel: SpeakerSpan(who, at, at + length, channel),
                st.integers(0, 2), st.floats(0, 50), st.floats(0, 9), st.sampled_from((None, 0, 1)),
            ),
            max_size=8,
        )
    )  # fmt: skip
    return Heard(tuple(said), "test"), tuple(spans)


@settings(max_examples=200, deadline=None)
@given(heard_calls())
def test_turns_partition_the_words(call: tuple[Heard, tuple[SpeakerSpan, ...]]) -> None:
    """Whatever is heard and whoever is said to speak, no word is lost, doubled or reordered."""
    heard, spans = call
    turns = run(heard, spans=spans).turns
    for said in heard.speech:
        kept = [word for turn in turns if turn.channel == said.channel for word in turn.words]
        assert sorted(w.text for w in kept) == sorted(w.text for w in said.words)
    assert sum(len(turn.words) for turn in turns) == sum(len(s.words) for s in heard.speech)
    assert all(turn.words for turn in turns)
    starts = [w.start for t in turns for w in t.words[:1] if w.start is not None]
    assert starts == sorted(starts)


def test_a_turn_ends_at_a_pause_and_not_before() -> None:
    """More than 1.2 s of silence begin a new turn; the half second in a card number does not."""
    words = (*spoken("four one one one", 1.0), *spoken("two two", 2.7), *spoken("hello", 6.0))
    turns = run(Heard((speech(0, *words),), "test")).turns
    assert [turn.text for turn in turns] == ["four one one one two two", "hello"]


def test_an_answer_in_a_pause_comes_between() -> None:
    """What the other side says in a short pause stands where it was said."""
    agent = speech(0, *spoken("your number please", 1.0), *spoken("thank you", 2.9))
    customer = speech(1, *spoken("four", 2.2))
    turns = run(Heard((agent, customer), "test")).turns
    assert [turn.text for turn in turns] == ["your number please", "four", "thank you"]


def test_overlaps_are_kept() -> None:
    """People who speak at the same time are both quoted whole."""
    agent = speech(0, *spoken("let me check that for you now", 1.0))
    customer = speech(1, *spoken("yes", 1.5))
    turns = run(Heard((agent, customer), "test")).turns
    assert [turn.text for turn in turns] == ["let me check that for you now", "yes"]


def test_a_word_that_is_nobodys_stays_unknown() -> None:
    """A word between two speakers without a time is not given to either by guessing."""
    words = (*spoken("hello there", 0.0), Word("maybe", None, None), *spoken("good bye", 5.0))
    spans = (SpeakerSpan(0, 0.0, 1.0), SpeakerSpan(1, 5.0, 6.0))
    turns = run(
        Heard((speech(0, *words),), "test"), facts(channels=1, levels=(-25.0,)), spans
    ).turns
    assert [(turn.text, turn.speaker == "unknown") for turn in turns] == [
        ("hello there", False), ("maybe", True), ("good bye", False),
    ]  # fmt: skip


def test_facts_for_redaction_travel_along() -> None:
    """The transcript says what muting needs: length, channels, and whether they are separate."""
    found = run(Heard(CALL, "test"))
    assert (found.duration, found.channels, found.separate) == (60.0, 2, True)
    assert not run(Heard(CALL, "test"), facts(bleed=-30.0)).separate
    assert not run(Heard(CALL, "test"), facts(codec="opus")).separate
    assert len(found.active) == len(found.understood) == 2


# ---------------------------------------------------------------- roles


def test_roles_follow_what_is_said() -> None:
    """Who thanks for calling is the agent, who wants something the customer."""
    found = run(Heard(CALL, "test"))
    assert [turn.speaker for turn in found.turns] == ["agent", "customer", "agent"]
    assert warned(found) == []


def test_swapped_channels_are_said() -> None:
    """An agent on the right channel is recognized, with a warning that says how sure that is."""
    swapped = tuple(speech(1 - part.channel, *part.words) for part in CALL)
    found = run(Heard(swapped, "test"))
    assert [turn.speaker for turn in found.turns] == ["agent", "customer", "agent"]
    assert warned(found) == ["swapped_channels"]
    assert "% sure" in found.warnings[0].detail


@pytest.mark.parametrize(("side", "first"), [("left", "agent"), ("right", "customer")])
def test_a_known_agent_channel_is_obeyed(side: Any, first: str) -> None:
    """What the operator says about channels is not argued with."""
    found = run(Heard(CALL, "test"), facts(agent_channel=side))
    assert found.turns[0].speaker == first
    assert warned(found) == []


def test_uncertain_roles_keep_the_convention() -> None:
    """Where nothing shows who the agent is, the left channel is, and the result says so."""
    quiet = (speech(0, *spoken("yes", 3.0)), speech(1, *spoken("no", 1.0)))
    found = run(Heard(quiet, "test"), facts(metadata={"direction": "outbound"}))
    assert {turn.channel: turn.speaker for turn in found.turns} == {0: "agent", 1: "customer"}
    assert warned(found) == ["roles_uncertain"]


def test_a_transfer_keeps_the_customer() -> None:
    """Two agents one after the other are agent and agent_2, in the order in which they speak."""
    said = (
        (0, "thank you for calling how can i help"),
        (1, "i want to ask about my bill it is too high"),
        (0, "one moment please i will transfer you"),
        (2, "hello thank you for holding how may i help"),
        (1, "my bill is wrong i was charged twice"),
        (2, "i can see the charge is there anything else i can do"),
    )
    turns = [Turn("", spoken(text, 0.0)) for _, text in said]
    cast = name_speakers(turns, [number for number, _ in said], outbound=False)
    assert cast.names == {0: "agent", 1: "customer", 2: "agent_2"}
    assert cast.sure > 0.9


@pytest.mark.parametrize(("left", "warning"), [(True, []), (False, ["swapped_channels"])])
def test_whoever_shares_a_channel_with_the_agent_is_an_agent(left: bool, warning: Any) -> None:
    """Several voices on each side: agents on one, customers on the other; a third is unknown."""
    agents, customers = (0, 1) if left else (1, 0)
    heard = Heard(
        (
            speech(
                agents,
                *spoken("thank you for calling how can i help", 1.0),
                *spoken("yes", 20.0),
                *spoken("no", 30.0),
            ),
            speech(customers, *spoken("i want my money back", 6.0), *spoken("yes please", 25.0)),
        ),
        "test",
    )
    spans = (
        SpeakerSpan(0, 1.0, 4.0, agents), SpeakerSpan(1, 20.0, 21.0, agents),
        SpeakerSpan(2, 30.0, 31.0, agents), SpeakerSpan(3, 6.0, 8.0, customers),
        SpeakerSpan(4, 25.0, 26.0, customers),
    )  # fmt: skip
    found = run(heard, spans=spans)
    assert [turn.speaker for turn in found.turns] == [
        "agent", "customer", "agent_2", "customer_2", "unknown",
    ]  # fmt: skip
    assert warned(found) == warning


def test_announcements_are_nobody() -> None:
    """A recorded announcement is not the agent."""
    said = spoken("your call is important to us please hold", 0.0)
    found = run(Heard((speech(0, *said, *spoken("thank you for calling", 8.0)),), "test"))
    assert [turn.speaker for turn in found.turns] == ["system", "agent"]


def test_a_call_without_words_has_no_turns() -> None:
    """Silence has no speakers, and the recording is not even opened."""
    found = run(Heard((speech(0), speech(1)), "test"))
    assert found.turns == ()


@pytest.mark.parametrize("dropped", [0.0, 0.2])
def test_roles_on_the_samples(dropped: float) -> None:
    """On no sample call is the customer taken for the agent, even with a fifth of words lost."""
    path = Path(__file__).parents[1] / "samples" / "truth.jsonl"
    if not path.is_file():
        pytest.skip("samples/truth.jsonl is missing")
    lose = np.random.default_rng(5)
    sure = 0
    calls = [json.loads(line) for line in path.read_text().splitlines()]
    for call in calls:
        turns, numbers = [], []
        for turn in call["turns"]:
            words = [Word(w, None, None) for w in turn["text"].split() if lose.random() >= dropped]
            turns.append(Turn("", tuple(words)))
            numbers.append(0 if turn["speaker"].startswith("agent") else 1)
        cast = name_speakers(turns, numbers, outbound=False)
        assert cast.sure < 0.8 or cast.names[0] == "agent", call["id"]
        sure += cast.sure >= 0.8
    assert sure >= 0.8 * len(calls)


# ---------------------------------------------------------------- voices


def mixed(
    voices: tuple[str, str], rate: int = 8000
) -> tuple[bytes, list[tuple[int, float, float]]]:
    call, turns = conversation(voices, rate)
    sound = call.sum(axis=0) + noise(call.shape[1], -60)
    return wav(sound.clip(-32768, 32767).astype(np.int16)[None], rate), turns


def cluster(data: bytes, **options: Any) -> tuple[SpeakerSpan, ...]:
    tells = clustering.create(clustering.Options(**options))
    return tells.diarize(recording(data), Heard((), "none"), OneBlob(data).open(STEREO.audio))


@pytest.mark.parametrize("voices", [("rms", "slt"), ("awb", "slt"), ("rms", "awb")])
def test_two_voices_are_told_apart(voices: tuple[str, str]) -> None:
    """On one telephone channel at least nine tenths of the speech go to the right person."""
    data, turns = mixed(voices)
    spans = cluster(data)
    right = wrong = 0.0
    for side, start, end in turns:
        for span in spans:
            shared = max(0.0, min(end, span.end) - max(start, span.start))
            right += shared * (span.speaker == side)
            wrong += shared * (span.speaker != side)
    assert right / (right + wrong) > 0.9
    assert spans[0].speaker == 0


def test_one_voice_is_one_speaker() -> None:
    """A voicemail is not split into two people."""
    gap = np.zeros(4000, np.int16)
    lines = [part for line in (*AGENT, *CUSTOMER) for part in (say("slt", line, 8000), gap)]
    sound = np.concatenate(lines)
    data = wav((sound + noise(len(sound))).clip(-32768, 32767).astype(np.int16)[None], 8000)
    assert {span.speaker for span in cluster(data)} == {0}


def three(rate: int = 8000) -> tuple[Int16, list[tuple[int, float, float]]]:
    """A call on which a second agent takes over halfway: rms, then awb, with slt."""
    first, early = conversation(("rms", "slt"), rate)
    second, late = conversation(("awb", "slt"), rate)
    turns = [*early]
    after = first.shape[1] / rate
    turns += [(2 if side == 0 else 1, start + after, end + after) for side, start, end in late]
    sound = np.concatenate([first, second], axis=1)
    return sound, turns


def right_share(spans: tuple[SpeakerSpan, ...], turns: list[tuple[int, float, float]]) -> float:
    shared = np.zeros((9, 9))
    for side, start, end in turns:
        for span in spans:
            shared[side, span.speaker] += max(0.0, min(end, span.end) - max(start, span.start))
    return float(shared.max(axis=1).sum() / shared.sum())


def test_three_voices_are_told_apart() -> None:
    """Somebody to whom a call is handed is a third speaker."""
    sound, turns = three()
    mixture = sound.sum(axis=0) + noise(sound.shape[1], -60)
    spans = cluster(wav(mixture.clip(-32768, 32767).astype(np.int16)[None], 8000))
    assert {span.speaker for span in spans} == {0, 1, 2}
    assert right_share(spans, turns) > 0.9
    assert len({span.speaker for span in cluster(wav(sound[:1], 8000), most=1)}) == 1


def test_three_people_on_two_channels() -> None:
    """With `most = 2`, a second agent on the agents' channel is somebody else; by default not."""
    sound, turns = three()
    data = wav(sound, 8000)
    facts = recording(data)
    with OneBlob(data).open(facts.audio) as file:
        active = activity(file, facts)
    heard = Heard(
        tuple(Speech(c, (), "en", "test", spans, 1.0, 1.0) for c, spans in enumerate(active)), "t"
    )
    found = {}
    for most in (1, 2):
        tells = channels.create(channels.Options(most=most))
        found[most] = tells.diarize(facts, heard, OneBlob(data).open(facts.audio))
    assert {(s.channel, s.speaker) for s in found[1]} == {(0, 0), (1, 1)}
    assert {(s.channel, s.speaker) for s in found[2]} == {(0, 0), (0, 1), (1, 2)}
    assert right_share(found[2], turns) > 0.9


@pytest.mark.parametrize("people", [2, 3, 4])
def test_a_given_number_of_people_is_obeyed(people: int) -> None:
    """Whoever knows how many speak is believed, even about one voice."""
    data, _ = mixed(("rms", "slt"))
    assert len({span.speaker for span in cluster(data, speakers=people)}) == people


def test_long_recordings_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound only every second frame of speech is kept, or fewer, and it still works."""
    data, turns = mixed(("rms", "slt"))
    whole = cluster(data)
    monkeypatch.setattr(_listening, "MOST_FRAMES", 900)
    thinned = cluster(data)
    assert right_share(thinned, turns) > 0.9
    assert sum(s.end - s.start for s in thinned) == pytest.approx(
        sum(s.end - s.start for s in whole), rel=0.05
    )


@pytest.mark.parametrize("kind", ["one sample", "direct current", "96 kHz", "clicks", "a tone"])
def test_odd_recordings_end_in_spans_or_nothing(kind: str) -> None:
    """Whatever the sound, spans lie inside the recording and nothing breaks."""
    rate = 96000 if kind == "96 kHz" else 8000
    t = np.arange(rate * 12) / rate
    sounds = {
        "one sample": np.full(1, 9000),
        "direct current": np.full(rate * 5, 9000),
        "96 kHz": 6000 * np.sin(2 * np.pi * 300 * t) * (np.sin(2 * np.pi * 3 * t) > 0),
        "clicks": np.where(np.arange(rate * 12) % 4000 < 40, 20000, 0),
        "a tone": 6000 * np.sin(2 * np.pi * 440 * t) * (t % 2 < 1),
    }
    data = wav(sounds[kind].astype(np.int16)[None], rate)
    length = len(sounds[kind]) / rate
    for span in cluster(data):
        assert 0 <= span.start < span.end <= length + 0.02


def test_auto_passes_options_on_to_both(tmp_path: Path) -> None:
    """Under `auto`, each of the two diarizers has its own table; anything else is refused."""
    settings = Settings(data=tmp_path)
    with pytest.raises(Misconfigured, match="`channels` and `clustering`"):
        build_diarizers(settings, Part(use="auto", options={"speakers": 2}))
    with pytest.raises(Misconfigured, match="speakers"):
        build_diarizers(settings, Part(use="auto", options={"clustering": {"speakers": 9}}))
    chosen = build_diarizers(settings, Part(use="auto", options={"clustering": {"speakers": 1}}))
    data, _ = mixed(("rms", "slt"))
    facts = recording(data)
    spans = chosen(facts).diarize(facts, Heard((), "none"), OneBlob(data).open(facts.audio))
    assert {span.speaker for span in spans} == {0}


def test_telling_apart_is_deterministic() -> None:
    """The same recording gives the same speakers."""
    data, _ = mixed(("rms", "slt"))
    assert cluster(data) == cluster(data)


def test_silence_has_no_speakers() -> None:
    """Nobody speaks in silence."""
    assert cluster(wav(np.zeros((1, 80000), np.int16), 8000)) == ()


def test_the_error_rate_is_measured_beside_a_baseline(tmp_path: Path) -> None:
    """The evaluation mixes calls to mono and reports both error rates with n and intervals."""
    pytest.importorskip("pyannote.metrics")
    call, turns = conversation(("rms", "slt"), 8000)
    (tmp_path / "a.wav").write_bytes(wav(call, 8000))
    named = [
        {"speaker": ("agent", "customer")[side], "start": start, "end": end, "channel": side}
        for side, start, end in turns
    ]
    (tmp_path / "truth.jsonl").write_text(json.dumps({"id": "a", "file": "a.wav", "turns": named}))
    report = diarization.evaluate(tmp_path)
    rates = {figure.name: figure for figure in report.figures}
    ours = rates["DER clustering, collar 0.25 s"]
    assert ours.value < 0.1 < rates["DER one speaker, collar 0.25 s"].value
    assert (ours.n, ours.unit) == (1, "calls")


def test_the_real_telephone_call_is_better_than_one_speaker(tmp_path: Path) -> None:
    """On half a minute of a real call clustering is no worse than calling everybody one person."""
    pytest.importorskip("pyannote.metrics")
    speech_data = Path(__file__).parents[2] / "shared/data/speech"
    if not speech_data.is_dir():
        pytest.skip("shared data is not here")
    name = "telephone_two_speakers"
    rows = [line.split() for line in (speech_data / f"{name}.rttm").read_text().splitlines()]
    turns = [
        {"speaker": row[7], "start": float(row[3]), "end": float(row[3]) + float(row[4])}
        for row in rows
    ]
    (tmp_path / f"{name}.wav").write_bytes((speech_data / f"{name}.wav").read_bytes())
    line = json.dumps({"id": name, "file": f"{name}.wav", "turns": turns})
    (tmp_path / "truth.jsonl").write_text(line)
    rates = {figure.name: figure.value for figure in diarization.evaluate(tmp_path).figures}
    assert rates["DER clustering, no collar"] <= rates["DER one speaker, no collar"]
