"""Hears through a server that speaks OpenAI's `/v1/audio/transcriptions`: speaches, vLLM, OpenAI.

Each segment is one request; word times are the server's own. Refuses to send raw audio to another
machine unless that machine's name was allowed, and a server that times no words. It follows no
redirect, asks no proxy, and no error repeats what was sent or answered.
"""

from __future__ import annotations

import io
import ipaddress
import json
import time
import wave
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from redaction.records import Word
from voice_pipeline.domain import Samples, Segment, SegmentSpeech
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.ports import Progress, TranscriberTraits
from voice_pipeline.transcribers._hallucination import (
    LOW_LOGPROB,
    doubt_loops,
    is_not_speech,
    loops,
)
from voice_pipeline.transcripts import UNKNOWN, Content, iso
from voice_pipeline.transcripts._values import mapping, mappings, number
from voice_pipeline.transcripts.whisper import read as read_whisper

RATE = 16000  # Hz
SHORTEST = 0.1  # seconds; servers refuse less
LARGEST_ANSWER = 4 * 2**20  # bytes; 30 s of speech with word times are some 20,000
SLACK = 0.25  # seconds that a word may lie past the end of its segment; further out it has no time
FIRST_WAIT = 0.5  # seconds before the second attempt; doubled each time
# Headers that say what this machine is or whose; nobody needs them to transcribe.
PRIVATE_HEADERS = ("x-stainless-", "openai-")
NEEDED_HEADER = "x-stainless-raw-response"  # the client's own mark that we read the answer


class Options(BaseModel):
    """What an operator may set."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    base_url: str = Field("", description="the API's address, such as http://127.0.0.1:8000/v1")
    model: str = Field("", description="as the server calls it")
    api_key: str = Field(
        "none", description="where the key is: env:NAME, file:PATH, or none for a server without"
    )
    allow_raw_audio_to: str = Field(
        "", description="the host of base_url: raw, unredacted audio may be sent there"
    )
    allow_http: bool = Field(False, description="plain http to another machine")
    timeout: float = Field(120.0, gt=0, le=3600, description="seconds for one segment, in all")
    retries: int = Field(3, ge=0, le=10, description="further attempts for a segment")
    longest_wait: float = Field(30.0, ge=0, le=600, description="seconds between two attempts")
    concurrency: int = Field(4, ge=1, le=64, description="segments under way at once")

    secret: Callable[[str], str] | None = None  # reads a reference; from the composition root


def create(options: Options) -> OpenAITranscriber:
    """Build the adapter; nothing is sent before the first call.

    Raises:
        Misconfigured: address, model or key is missing, or raw audio may not go there (code
            `raw_audio_not_allowed`). No message holds the key.
    """
    for name, example in (("base_url", "http://127.0.0.1:8000/v1"), ("model", "whisper-1")):
        if not getattr(options, name).strip():
            raise Misconfigured(
                f"the transcriber openai needs {name}: set it under [transcriber.options] of the "
                f"configuration file, for example {example}"
            )
    address = urlsplit(options.base_url)
    host = address.hostname or ""
    if address.scheme not in ("http", "https") or not host or address.username:
        raise Misconfigured(
            "base_url of the transcriber openai is no address like https://host/v1 "
            "(keys belong into api_key)"
        )
    if not is_loopback(host):
        if options.allow_raw_audio_to.strip().lower() != host:
            raise Misconfigured(
                f"the transcriber openai would send raw, unredacted audio to {host}; if that is "
                f'allowed, set allow_raw_audio_to = "{host}"',
                code="raw_audio_not_allowed",
            )
        if address.scheme == "http" and not options.allow_http:
            raise Misconfigured(
                f"raw audio would go to {host} in the clear; use https, or set allow_http = true "
                "for a network that nobody else is on",
                code="raw_audio_not_allowed",
            )
    return OpenAITranscriber(options, host)


def is_loopback(host: str) -> bool:
    """Return whether a host name means this machine, without asking anybody."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class OpenAITranscriber:
    """The adapter. Safe for several threads."""

    name = "openai"

    def __init__(self, options: Options, host: str) -> None:
        self._options, self._host = options, host
        self._client = _client(options, _key(options))
        away = not is_loopback(host)
        self.traits = TranscriberTraits(
            languages=None,
            detects_language=True,
            word_confidence=False,
            sends_audio_away=away,
            expectation=f"Heard by {options.model} at {host}"
            + (": the raw audio left this machine." if away else "."),
        )

    @property
    def made_by(self) -> str:
        return f"{self._options.model} at {self._host}"

    def transcribe(
        self, segments: Sequence[Segment], *, language: str | None, progress: Progress
    ) -> list[SegmentSpeech]:
        """Transcribe segments, a few at once; see `ports.Transcriber`.

        Raises:
            Retryable: the server did not answer in time, is busy or broken, or its answer broke off
                (`unavailable`).
            Misconfigured: it refuses the key or the model, is no such server, or times no words
                (`no_word_times`).
            Permanent: it refuses the audio (`failed`).
        """
        heard: list[SegmentSpeech] = []
        with ThreadPoolExecutor(self._options.concurrency) as pool:
            waiting = [pool.submit(self._hear, segment, language) for segment in segments]
            try:
                for done in waiting:
                    heard.append(done.result())
                    progress(len(heard) / len(segments))
            except PipelineError:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return heard

    def _hear(self, segment: Segment, language: str | None) -> SegmentSpeech:
        if len(segment.samples) < SHORTEST * RATE:
            return SegmentSpeech((), language or "en", marks=("too_short",))
        audio = as_wav(segment.samples)
        attempt = 0
        while True:
            try:
                return _understood(self._ask(audio, language), segment, language)
            except _Again as again:
                if attempt == self._options.retries:
                    raise Retryable(f"{self._host}: {again}; try again later") from None
                wait = again.after if again.after is not None else FIRST_WAIT * 2**attempt
                time.sleep(min(wait, self._options.longest_wait))
                attempt += 1

    def _ask(self, audio: bytes, language: str | None) -> Any:
        """Send one segment and return the answer's JSON."""
        import httpx2
        import openai

        started = time.monotonic()
        try:
            with self._client.audio.transcriptions.with_streaming_response.create(
                file=("segment.wav", audio, "audio/wav"),
                model=self._options.model,
                response_format="verbose_json",
                timestamp_granularities=["word", "segment"],
                temperature=0.0,
                **({} if language is None else {"language": language}),
            ) as response:
                body = bytearray()
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > LARGEST_ANSWER:
                        raise self._no_such_server("its answer is larger than any transcript")
                    if time.monotonic() - started > self._options.timeout:
                        raise _Again("its answer took too long")
            return json.loads(bytes(body))
        except openai.APITimeoutError:
            raise _Again("no answer in time") from None
        except openai.APIStatusError as error:
            raise self._refused(error.status_code, error.response.headers) from None
        except (openai.APIConnectionError, httpx2.HTTPError):
            raise _Again("the connection failed or broke off") from None
        except (ValueError, RecursionError):
            raise _Again("its answer is no JSON") from None

    def _refused(self, status: int, headers: Any) -> Exception:
        """Translate a status; the body, which may repeat what was said, is not read."""
        if status in (408, 409, 425, 429) or status >= 500:
            return _Again(f"it answered {status}", number(headers.get("retry-after")))
        if status in (401, 403):
            return Misconfigured(f"{self._host} refuses the key ({status}); check api_key")
        if status in (404, 405) or status < 400:
            return self._no_such_server(f"it answered {status}")
        return Permanent(f"{self._host} refuses this audio or these settings ({status})")

    def _no_such_server(self, why: str) -> Misconfigured:
        return Misconfigured(
            f"{self._host} does not transcribe with model {self._options.model}: {why}; "
            "check base_url (it ends in /v1) and model"
        )


class _Again(Exception):
    """This attempt failed; another may not."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after if after is not None and after >= 0 else None


def as_wav(samples: Samples) -> bytes:
    """Return 16 kHz mono samples as a WAV file, in memory."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        pcm = np.clip(np.rint(samples * 32767), -32768, 32767).astype("<i2")
        file.writeframes(pcm.tobytes())
    return buffer.getvalue()


def _understood(answer: Any, segment: Segment, language: str | None) -> SegmentSpeech:
    """Translate an answer; times become those of the recording."""
    document = mapping(answer)
    if not isinstance(document.get("text"), str):
        raise Misconfigured(
            "the server does not answer in verbose_json; the transcriber openai needs one that does"
        )
    said = read_whisper(Content("", document))
    words = [word for one in said.utterances for word in one.words]
    spoken = language or iso(said.language) or UNKNOWN
    if any(word.start is None or word.end is None for word in words) or (
        document["text"].strip() and not words
    ):
        raise Misconfigured(
            "the server gives no word times, and what has no time cannot be muted; use a server or "
            "model that does (timestamp_granularities = word)",
            code="no_word_times",
        )
    pieces = mappings(document.get("segments"))
    marks = set()
    doubts = [
        (number(p.get("no_speech_prob")) or 0.0, number(p.get("avg_logprob")) or 0.0)
        for p in pieces
    ]
    if doubts and all(is_not_speech(*doubt) for doubt in doubts):
        return SegmentSpeech((), spoken, marks=("hallucination",))
    if any(logprob < LOW_LOGPROB for _, logprob in doubts):
        marks.add("low_logprob")
    placed = tuple(_placed(word, segment) for word in words)
    if loops([word.text for word in placed]):
        placed = doubt_loops(placed)
        marks.add("repetition")
    return SegmentSpeech(placed, spoken, marks=tuple(sorted(marks)))


def _placed(word: Word, segment: Segment) -> Word:
    """Return a word on the recording's clock; without times where they are not in its segment."""
    length = len(segment.samples) / RATE
    start, end = word.start, word.end
    assert start is not None and end is not None
    if not 0 <= start <= end <= length + SLACK:
        return Word(word.text, None, None, word.confidence)
    begin, finish = (round(segment.offset + min(at, length), 3) for at in (start, end))
    return Word(word.text, begin, finish, word.confidence)


def _key(options: Options) -> str:
    reference = options.api_key.strip()
    if reference == "none":
        return "none"
    if not reference.startswith(("env:", "file:")) or options.secret is None:
        raise Misconfigured(
            "api_key of the transcriber openai says where the key is, never the key itself: "
            "env:NAME, file:PATH, or none"
        )
    return options.secret(reference)


def _client(options: Options, key: str) -> Any:
    import openai

    return openai.OpenAI(
        base_url=options.base_url.rstrip("/"),
        api_key=key,
        organization=None,
        project=None,
        max_retries=0,  # ours: they heed headers and count
        timeout=options.timeout,
        http_client=openai.DefaultHttpxClient(
            trust_env=False,
            follow_redirects=False,
            timeout=options.timeout,
            event_hooks={"request": [_without_private]},
        ),
    )


def _without_private(request: Any) -> None:
    for name in [n for n in request.headers if n.lower().startswith(PRIVATE_HEADERS)]:
        if name.lower() != NEEDED_HEADER:
            del request.headers[name]
