"""The transcriber that asks a server: raw audio goes where it was allowed to, and nowhere else."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asr_server import AsrServer
from command import load, only_folder, run
from recordings import say, wav

from voice_pipeline import adapters
from voice_pipeline.config import secret
from voice_pipeline.domain import Samples, Segment, SegmentSpeech
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.ports import Transcriber
from voice_pipeline.testing import transcriber_contract
from voice_pipeline.transcribers.openai import is_loopback

RATE = 16000


def build(server: AsrServer | str, **options: Any) -> Transcriber:
    address = server if isinstance(server, str) else server.base_url
    options = {"base_url": address, "model": "whisper-x", "longest_wait": 0.05, **options}
    built: Transcriber = adapters.load("transcribers", "openai").build(
        options, offer={"secret": secret}
    )
    return built


def noise(seconds: float, seed: int = 0) -> Samples:
    sound = np.random.default_rng(seed).normal(0, 0.1, int(seconds * RATE))
    return np.asarray(sound, np.float32)


def hear(
    transcriber: Transcriber, *segments: Segment, language: str | None = "en"
) -> list[SegmentSpeech]:
    return transcriber.transcribe(segments, language=language, progress=lambda share: None)


ONE = Segment("call", 0, 10.0, noise(2.0))


# ---------------------------------------------------------------- what is sent and heard


def test_it_keeps_the_contract() -> None:
    """Order, times, batch independence: as every engine, over a real socket."""
    with AsrServer() as server:
        transcriber_contract(lambda: build(server), noise(3.0))


@pytest.mark.parametrize("behaviour", ["good", "words_in_segments"])
def test_words_come_on_the_recordings_clock(behaviour: str) -> None:
    """Words beside the segments (OpenAI) or inside them (Whisper servers), with native times."""
    with AsrServer(behaviour) as server:
        [heard] = hear(build(server), ONE)
    assert [(w.text, w.start, w.end) for w in heard.words] == [
        ("hello", 10.0, 10.4), ("please", 10.5, 10.9),
        ("thanks", 11.0, 11.4), ("hello", 11.5, 11.9),
    ]  # fmt: skip
    assert {w.confidence for w in heard.words} == {None}


def test_the_request_is_what_the_protocol_says() -> None:
    """One WAV in memory, verbose JSON, word times; nothing about this machine or this call."""
    with AsrServer() as server:
        hear(build(server), ONE)
        hear(build(server), ONE, language=None)
    first, second = server.forms
    assert first["model"] == "whisper-x"
    assert first["response_format"] == "verbose_json"
    assert first["timestamp_granularities[]"] == ["word", "segment"]
    assert first["language"] == "en"
    assert "language" not in second
    assert first["filename"] == "segment.wav"
    assert len(first["file"]) == 44 + 2 * len(ONE.samples)
    private = {n for n in server.headers[0] if n.startswith(("x-stainless", "openai-"))}
    assert private <= {"x-stainless-raw-response"}


def test_the_language_is_asked_for_or_detected() -> None:
    """Without a language the server's answer names it, as a code."""
    with AsrServer() as server:
        assert hear(build(server), ONE, language=None)[0].language == "en"
    with AsrServer(change=lambda found: found.update(language="spanish")) as server:
        assert hear(build(server), ONE, language=None)[0].language == "es"
    with AsrServer(change=lambda found: found.update(language="?")) as server:
        assert hear(build(server), ONE, language=None)[0].language == "und"


def test_so_many_at_once_and_no_more() -> None:
    """Segments go out side by side, within the limit, and come back in order."""
    segments = [Segment("call", 0, float(i), noise(0.5 + i % 3, i)) for i in range(12)]
    shares: list[float] = []
    with AsrServer() as server:
        heard = build(server, concurrency=3).transcribe(
            segments, language="en", progress=shares.append
        )
        assert 2 <= server.busiest <= 3
    assert [len(h.words) for h in heard] == [len(s.samples) * 2 // RATE for s in segments]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_doubts_of_the_server_are_kept() -> None:
    """Text where nobody spoke is dropped, loops lose their confidence, guesses are marked."""

    def silent(found: Any) -> None:
        found["segments"][0].update(no_speech_prob=0.9, avg_logprob=-1.5)

    def unsure(found: Any) -> None:
        found["segments"][0].update(avg_logprob=-1.2)

    def looping(found: Any) -> None:
        for place, word in enumerate(found["words"]):
            word["word"] = ("very", "good")[place % 2]

    for change, mark in (
        (silent, "hallucination"),
        (unsure, "low_logprob"),
        (looping, "repetition"),
    ):
        with AsrServer(change=change) as server:
            [heard] = hear(build(server), Segment("call", 0, 0.0, noise(8.0)))
        assert mark in heard.marks
        assert bool(heard.words) == (mark != "hallucination")


def test_times_outside_the_segment_are_none() -> None:
    """A word that the server puts where no sound was has no time: its finding mutes the turn."""

    def late(found: Any) -> None:
        found["words"][-1].update(start=55.0, end=56.0)
        found["words"][0].update(start=1.0, end=0.5)

    with AsrServer(change=late) as server:
        [heard] = hear(build(server), ONE)
    assert [w.start is None for w in heard.words] == [True, False, False, True]


# ---------------------------------------------------------------- servers that fail


@pytest.mark.parametrize(
    ("behaviour", "kind", "code"),
    [
        ("status:429", Retryable, "unavailable"),
        ("status:500", Retryable, "unavailable"),
        ("status:503", Retryable, "unavailable"),
        ("slow", Retryable, "unavailable"),
        ("drip", Retryable, "unavailable"),
        ("truncated", Retryable, "unavailable"),
        ("html", Retryable, "unavailable"),
        ("broken", Retryable, "unavailable"),
        ("status:401", Misconfigured, "misconfigured"),
        ("status:403", Misconfigured, "misconfigured"),
        ("status:404", Misconfigured, "misconfigured"),
        ("status:400", Permanent, "failed"),
        ("status:413", Permanent, "failed"),
        ("shape", Misconfigured, "misconfigured"),
        ("huge", Misconfigured, "misconfigured"),
        ("no_words", Misconfigured, "no_word_times"),
    ],
)
def test_failures_have_their_class(behaviour: str, kind: type[PipelineError], code: str) -> None:
    """Retry, give up or change settings: decided by class; no message repeats what was answered."""
    with AsrServer(behaviour) as server, pytest.raises(PipelineError) as caught:
        hear(build(server, retries=1, timeout=0.5), ONE)
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert "four five" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert len(server.forms) == (2 if kind is Retryable else 1)


def test_a_passing_failure_passes() -> None:
    """Busy, broken, cut, then well: the caller sees the words alone."""
    with AsrServer("status:429", "status:502", "truncated", "good") as server:
        [heard] = hear(build(server), ONE)
    assert len(heard.words) == 4
    assert len(server.forms) == 4


def test_a_server_that_is_not_there() -> None:
    """Nobody listens on the port: retryable, and said so."""
    with AsrServer() as server:
        address = server.base_url
    with pytest.raises(Retryable, match="connection"):
        hear(build(address, retries=0), ONE)


# ---------------------------------------------------------------- where raw audio may go


def test_raw_audio_stays_unless_its_way_is_named() -> None:
    """Off by default; on only for the very host that is named; never in the clear by accident."""
    away = "https://asr.example/v1"
    for options in ({}, {"allow_raw_audio_to": "other.example"}, {"allow_raw_audio_to": "*"}):
        with pytest.raises(Misconfigured, match=r"asr\.example") as caught:
            build(away, **options)
        assert caught.value.code == "raw_audio_not_allowed"
    with pytest.raises(Misconfigured, match="in the clear"):
        build("http://asr.example/v1", allow_raw_audio_to="asr.example")
    allowed = build(away, allow_raw_audio_to="ASR.example")
    assert allowed.traits.sends_audio_away
    assert "left this machine" in allowed.traits.expectation
    assert "asr.example" in allowed.made_by


@pytest.mark.parametrize(
    ("host", "here"),
    [("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True),
     ("localhost.example", False), ("10.0.0.1", False), ("0.0.0.0", False),
     ("127.0.0.1.nip", False)],
)  # fmt: skip
def test_only_this_machine_is_loopback(host: str, here: bool) -> None:
    """Names that look like this machine are others."""
    assert is_loopback(host) == here


def test_a_redirect_takes_no_audio_along() -> None:
    """A server that sends the request elsewhere is misconfigured; the other one gets nothing."""
    with (
        AsrServer() as other,
        AsrServer(f"redirect:{other.base_url}/audio/transcriptions") as server,
    ):
        with pytest.raises(Misconfigured):
            hear(build(server), ONE)
        assert other.forms == []


def test_no_proxy_gets_the_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment is another machine: it is not asked."""
    with AsrServer() as proxy, AsrServer() as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.base_url.removesuffix("/v1"))
        hear(build(server), ONE)
        assert proxy.forms == []
        assert len(server.forms) == 1


# ---------------------------------------------------------------- the key


def test_keys_come_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a variable or a file; never from the options, and never in a message."""
    monkeypatch.setenv("ASR_KEY", "sk-canary-1")
    (tmp_path / "key").write_text("sk-canary-2\n")
    with AsrServer() as server:
        for reference in ("env:ASR_KEY", f"file:{tmp_path / 'key'}"):
            hear(build(server, api_key=reference), ONE)
        sent = [headers["authorization"] for headers in server.headers]
        assert sent == ["Bearer sk-canary-1", "Bearer sk-canary-2"]
        for wrong in ("sk-canary-3", "env:NOT_SET", f"file:{tmp_path / 'no'}"):
            with pytest.raises(Misconfigured) as caught:
                build(server, api_key=wrong)
            assert "canary" not in str(caught.value)
    with AsrServer("status:401") as server, pytest.raises(Misconfigured) as caught:
        hear(build(server, api_key="env:ASR_KEY"), ONE)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"base_url": ""}, {"model": " "}, {"base_url": "ftp://x/v1"}, {"base_url": "nonsense"},
     {"base_url": "http://user:pass@127.0.0.1/v1"}],
)  # fmt: skip
def test_settings_that_cannot_be(options: dict[str, Any]) -> None:
    """What is missing or wrong is said before the first call."""
    with pytest.raises(Misconfigured):
        build("http://127.0.0.1:1/v1", **options)


# ---------------------------------------------------------------- the whole way


def test_process_through_a_server(tmp_path: Path) -> None:
    """From the configuration file to the result: which model, where, and no warning on loopback."""
    rng = np.random.default_rng(2)
    samples = rng.normal(0, 6, (2, 8000 * 12))
    for channel, start, voice in ((0, 1, "rms"), (1, 4, "slt"), (0, 7, "rms")):
        spoken = say(voice, "good morning how can I help you with your order", 8000)[:16000]
        samples[channel, 8000 * start : 8000 * start + len(spoken)] += spoken
    call = tmp_path / "call.wav"
    call.write_bytes(wav(samples.astype(np.int16), 8000))
    with AsrServer() as server:
        settings = tmp_path / "settings.toml"
        settings.write_text(
            '[transcriber]\nuse = "openai"\n[transcriber.options]\n'
            f'base_url = "{server.base_url}"\nmodel = "tiny"\n'
        )
        done = run("--config", settings, "process", call, "--out", tmp_path / "out")
        assert done.returncode == 0, done.stderr
        assert len(server.forms) == 3
    result = load(only_folder(tmp_path / "out"), "result.json")
    assert result["transcriber"] == "tiny at 127.0.0.1"
    assert "audio_left_the_house" not in {w["code"] for w in result["warnings"]}


def test_no_thread_is_left_behind() -> None:
    """A failed call ends its requests."""
    with AsrServer("status:401") as server:
        with pytest.raises(Misconfigured):
            hear(build(server), *[ONE] * 20)
        assert len(server.forms) < 20
    assert not [t for t in threading.enumerate() if t.name.startswith("ThreadPoolExecutor")]
