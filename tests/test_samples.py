"""The sample calls keep what they promise: truth that fits the audio, and a rebuild that agrees."""

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

SAMPLES = Path(__file__).parents[1] / "samples"
CALLS: list[dict[str, Any]] = [
    json.loads(line) for line in (SAMPLES / "truth.jsonl").read_text("utf-8").splitlines()
]
EXPECTED_FLAGS = {
    "complaint", "cancellation", "refund_over_limit", "vulnerable_customer", "privacy_request",
    "fraud", "legal_threat", "callback_promised", "unresolved", "instruction_like_speech",
}  # fmt: skip
MAX_BYTES = 12_000_000
FLITE, FESTIVAL = shutil.which("flite"), shutil.which("text2wave")

each_call = pytest.mark.parametrize("call", CALLS, ids=[call["id"] for call in CALLS])


@cache
def probe(file: str) -> tuple[str, int, int, float]:
    """Return codec, rate in Hz, channels and decoded seconds of a sample."""
    av = pytest.importorskip("av")
    with av.open(str(SAMPLES / file)) as opened:
        stream = opened.streams.audio[0]
        samples = sum(frame.samples for frame in opened.decode(stream))
        codec = stream.codec_context
        return codec.name, codec.sample_rate, codec.channels, samples / codec.sample_rate


def script_of(call: dict[str, Any]) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(
        (SAMPLES / "scripts" / f"{call['id']}.yaml").read_text("utf-8")
    )
    return loaded


def overlap(call: dict[str, Any]) -> float:
    """Return the longest time in seconds that two turns of a call sound at once."""
    turns = call["turns"]
    return max(
        min(a["end"], b["end"]) - b["start"] for n, a in enumerate(turns) for b in turns[n + 1 :]
    )


def test_there_is_a_call_for_every_script_and_no_stray_audio() -> None:
    """Scripts, truth and audio files name the same calls, and there are at least twelve."""
    ids = [call["id"] for call in CALLS]
    assert len(ids) >= 12
    assert ids == sorted(path.stem for path in (SAMPLES / "scripts").glob("*.yaml"))
    assert ids == sorted(path.stem for path in (SAMPLES / "audio").iterdir())


@each_call
def test_personal_data_lies_where_truth_says(call: dict[str, Any]) -> None:
    """Every span covers exactly the words that the script marks with that label, in order."""
    marked = [
        (number, label, words)
        for number, turn in enumerate(script_of(call)["turns"])
        for label, words in re.findall(
            r"\[([A-Z_]+):([^\]]+)\]", " ".join((turn.get("agent") or turn["customer"]).split())
        )
    ]
    texts = [turn["text"] for turn in call["turns"]]
    assert marked == [
        (span["turn"], span["label"], texts[span["turn"]][span["start"] : span["end"]])
        for span in call["pii"]
    ]
    assert not any("[" in text or "]" in text for text in texts)


@each_call
def test_truth_uses_the_words_of_the_contracts(call: dict[str, Any]) -> None:
    """Labels, flags, request type, outcome and expectation are known words, and none twice."""
    words = yaml.safe_load((SAMPLES / "vocabulary.yaml").read_text("utf-8"))
    assert {span["label"] for span in call["pii"]} <= set(words["labels"])
    assert set(call["flags"]) <= set(words["flags"])
    assert len(set(call["flags"])) == len(call["flags"])
    assert call["request_type"] in words["request_types"]
    assert call["outcome"] in words["outcomes"]
    assert call["expected"] in words["expected"]
    assert call["marked"] == "synthetic, all personal data invented"


@each_call
def test_turns_fit_the_recording(call: dict[str, Any]) -> None:
    """Turns start in order inside the recording, speakers keep their channel, both are heard."""
    turns, (_, _, channels, duration) = call["turns"], probe(call["file"])
    assert 30 <= duration <= 150
    assert [turn["turn"] for turn in turns] == list(range(len(turns)))
    assert [turn["start"] for turn in turns] == sorted(turn["start"] for turn in turns)
    assert all(0 <= turn["start"] < turn["end"] <= duration for turn in turns)
    assert {turn["speaker"] for turn in turns} == {"agent", "customer"}
    used = {(turn["speaker"], turn["channel"]) for turn in turns}
    assert len(used) == 2
    assert len({channel for _, channel in used}) == channels


@each_call
def test_facts_are_spoken_and_forbidden_values_are_personal(call: dict[str, Any]) -> None:
    """A fact's keywords are lower case and one is spoken; every personal number is forbidden."""
    said = " ".join(turn["text"] for turn in call["turns"]).lower()
    for fact in call["facts"]:
        assert fact["any"] and all(words == words.lower() for words in fact["any"])
        assert any(words in said for words in fact["any"])
    for span in call["pii"]:
        value = call["turns"][span["turn"]]["text"][span["start"] : span["end"]].strip(" .,")
        assert value.lower() in call["must_not"] or len(value) <= 4
    for promise in call["commitments"]:
        assert promise["who"] in {"agent", "customer"}
        assert promise["due_text"].lower() in said


def test_the_set_covers_formats_flags_and_layouts() -> None:
    """Seven codecs, stereo and mono, 16 and 8 kHz, swapped sides and the first flags all occur."""
    probes = {call["id"]: probe(call["file"]) for call in CALLS}
    codecs = {codec for codec, *_ in probes.values()}
    assert {"pcm_s16le", "flac", "opus", "aac", "pcm_mulaw", "pcm_alaw"} <= codecs
    assert codecs & {"mp3", "mp3float"}
    assert {channels for _, _, channels, _ in probes.values()} == {1, 2}
    assert {16_000, 8_000} <= {rate for _, rate, _, _ in probes.values()}
    assert {flag for call in CALLS for flag in call["flags"]} >= EXPECTED_FLAGS
    assert any(not call["flags"] for call in CALLS)
    stereo = [call for call in CALLS if probes[call["id"]][2] == 2]
    lefts = [
        next(turn["speaker"] for turn in call["turns"] if turn["channel"] == 0) for call in stereo
    ]
    assert lefts.count("customer") == 1
    assert sum(call["expected"] == "understood" for call in CALLS) >= 9
    assert any(overlap(call) > 0.3 for call in stereo)
    assert all(overlap(call) <= 0.3 for call in CALLS if call not in stereo)


def test_the_audio_is_small() -> None:
    """All recordings together stay under twelve megabytes."""
    assert sum(path.stat().st_size for path in (SAMPLES / "audio").iterdir()) < MAX_BYTES


def test_every_recording_says_its_words_where_truth_says() -> None:
    """In a stereo call a channel is at least 20 dB louder during its speaker's turns than outside.

    Codec delay, a swapped channel or a shifted time line would all show here.
    """
    np = pytest.importorskip("numpy")
    av = pytest.importorskip("av")
    for call in (call for call in CALLS if probe(call["file"])[2] == 2):
        _, rate, _, _ = probe(call["file"])
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
        with av.open(str(SAMPLES / call["file"])) as opened:
            frames = [
                part.to_ndarray()
                for frame in opened.decode(audio=0)
                for part in resampler.resample(frame)
            ]
        samples = np.concatenate(frames, axis=1)
        margin = round(0.05 * rate)
        for channel in (0, 1):
            inside = np.zeros(samples.shape[1], dtype=bool)
            near = np.zeros(samples.shape[1], dtype=bool)
            for turn in (turn for turn in call["turns"] if turn["channel"] == channel):
                start, end = round(turn["start"] * rate), round(turn["end"] * rate)
                inside[start:end] = near[max(0, start - margin) : end + margin] = True
            loud, quiet = (np.mean(samples[channel][part] ** 2) for part in (inside, ~near))
            assert 10 * np.log10(loud / quiet) > 20, f"{call['id']} channel {channel}"


@pytest.mark.skipif(not (FLITE and FESTIVAL), reason="flite and festival are not installed")
@pytest.mark.parametrize("call_id", ["branch-hours", "phone-payment"])
def test_a_call_rebuilds_to_the_same_samples(call_id: str) -> None:
    """The generator's own check finds truth and samples of a rebuilt call unchanged."""
    command = [sys.executable, str(SAMPLES / "make.py"), "--only", call_id, "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not FLITE, reason="flite is not installed")
def test_check_reports_a_changed_recording(tmp_path: Path) -> None:
    """A recording that differs from its script makes the check exit 1 and name the file."""
    copy = tmp_path / "samples"
    shutil.copytree(SAMPLES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(copy / "audio" / "phone-payment.wav", copy / "audio" / "branch-hours.wav")
    command = [sys.executable, str(copy / "make.py"), "--only", "branch-hours", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "branch-hours.wav" in done.stderr


@pytest.mark.skipif(not FLITE, reason="flite is not installed")
def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    """A script with a label that the contracts do not know stops the generator by name."""
    copy = tmp_path / "samples"
    shutil.copytree(SAMPLES, copy, ignore=shutil.ignore_patterns("__pycache__", "audio"))
    script = copy / "scripts" / "branch-hours.yaml"
    script.write_text(script.read_text("utf-8").replace("Market Street", "[STREET:Market Street]"))
    command = [sys.executable, str(copy / "make.py"), "--only", "branch-hours"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "unknown label: STREET" in done.stderr
    assert "Traceback" not in done.stderr
