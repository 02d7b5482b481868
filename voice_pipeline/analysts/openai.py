"""A language model behind any OpenAI-compatible server fills in the note; code checks every word.

Only redacted turns reach it. It adds statements to the offline note and can take nothing from it:
request type, route and flags are not its to decide. Where it does not answer, or what it answers
does not hold, the offline note goes out with the code `analyst_fallback:...`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline import __version__, adapters
from voice_pipeline.analysts._chat import Answer, Asked, ChatServer, Limits
from voice_pipeline.analysts._merge import TRUSTED, Merger
from voice_pipeline.analysts._pacing import Refused
from voice_pipeline.analysts._reading import Reader
from voice_pipeline.analysts._reply import SCHEMA_VERSION, Reply, Unfit, read, schema
from voice_pipeline.analysts._room import ROOM
from voice_pipeline.analysts._windows import fingerprint, message, windows
from voice_pipeline.claims import verify
from voice_pipeline.domain import CallOutcome, CaseNote, RedactedTranscript
from voice_pipeline.errors import Misconfigured
from voice_pipeline.policy.load import load_pack
from voice_pipeline.policy.pack import Pack, Prompt
from voice_pipeline.ports import Analyst
from voice_pipeline.spoken.conversation import Conversation
from voice_pipeline.spoken.dates import call_day
from voice_pipeline.spoken.support import grammar_share

LEAST_GRAMMAR = 0.2  # share of English grammar in statements about an English call
# What CONTRACTS names where no note is made; codes of ours that it does not name count as these.
_ABSTAINS = {"access": "server", "invalid": "server"}


class Options(BaseModel):
    """Settings of the analyst that asks a language model."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    # address of the server's API, for example http://127.0.0.1:8000/v1
    base_url: str = ""
    model: str = ""  # as the server calls it
    # where the key is: env:NAME, file:PATH, or none for a server that asks for none
    api_key: str = ""
    allow_http: bool = False  # plain http to another machine: for networks that nobody else is on
    ca_file: Path | None = None  # certificate authority of a server of your own
    timeout: float = Field(60.0, gt=0, le=600)  # seconds for one attempt
    retries: int = Field(2, ge=0, le=10)
    longest_wait: float = Field(30.0, ge=0, le=600)  # seconds between attempts, whoever asks for it
    concurrency: int = Field(4, ge=1, le=256)  # requests at once, in this process
    breaker_failures: int = Field(5, ge=1)  # in a row, then the server is left alone ...
    breaker_seconds: float = Field(60.0, gt=0)  # ... for this long
    max_tokens: int = Field(2000, ge=64)  # of one answer
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: float | None = Field(0.0, ge=0, le=2)  # None: the server's own
    seed: int | None = 0
    window_tokens: int = Field(12_000, ge=200)  # of the call in one request
    tokens_per_day: int | None = Field(None, ge=1)  # in and out, UTC days
    # a SQLite file that counts them for all processes; None: each process counts its own
    budget_file: Path | None = None
    price_in: float | None = Field(None, ge=0)  # per 1,000 tokens, in your currency
    price_out: float | None = Field(None, ge=0)
    # what to do where the model gives no note: the offline note, or none with a code
    on_failure: Literal["offline", "abstain"] = "offline"

    # from the composition root
    pack: Pack | None = None
    secret: Callable[[str], str] | None = None  # reads an api_key reference
    offline: Callable[[], Analyst] | None = None  # builds the analyst below


def create(options: Options) -> OpenAIAnalyst:
    """Build the analyst; no request is made before the first call.

    Raises:
        Misconfigured: address, model or key is missing or cannot be used, or the pack has no
            prompts. No message holds the key.
    """
    for name, example in (
        ("base_url", "http://127.0.0.1:8000/v1"),
        ("model", "the name that the server lists under /models"),
        ("api_key", "env:NAME_OF_THE_VARIABLE, file:PATH, or none"),
    ):
        if not getattr(options, name).strip():
            raise Misconfigured(
                f"the analyst openai needs {name}: set it under [analyst.options] of the "
                f"configuration file, for example {example}"
            )
    _check_address(options)
    key = _key(options)
    pack = options.pack or load_pack()
    prompts = {name: pack.prompt(name) for name in ("note", "repair")}
    missing = [name for name, prompt in prompts.items() if prompt is None]
    if missing:
        raise Misconfigured(
            f"the policy pack {pack.id} has no prompt {' and '.join(missing)}; "
            "copy prompts/ of the shipped pack into it",
            code="policy_pack",
        )
    offline = options.offline or (
        lambda: adapters.load("analysts", "offline").build(offer={"pack": pack})
    )
    server = ChatServer(
        options.base_url.rstrip("/"),
        key,
        Asked(
            options.model,
            options.temperature,
            options.seed,
            options.max_tokens,
            options.max_tokens_name,
        ),
        Limits(
            options.timeout,
            options.retries,
            options.longest_wait,
            options.concurrency,
            options.breaker_failures,
            options.breaker_seconds,
            options.tokens_per_day,
            options.budget_file,
        ),
        ca_file=options.ca_file,
    )
    note, repair = prompts["note"], prompts["repair"]
    assert note is not None and repair is not None
    return OpenAIAnalyst(options, pack, offline(), server, note, repair)


class _Failed(Exception):
    """No note of the model's; `code` and `detail` say why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class OpenAIAnalyst:
    """Asks the model, checks what it says, and joins it with the offline note."""

    name = "openai"

    def __init__(
        self,
        options: Options,
        pack: Pack,
        offline: Analyst,
        server: ChatServer,
        prompt: Prompt,
        repair: Prompt,
    ) -> None:
        self._options, self._pack, self._offline = options, pack, offline
        self.server, self._prompt, self._repair = server, prompt, repair
        kinds = pack.taxonomy.request_types
        self._labels = [kind.label for kind in kinds]
        self._categories = sorted({rule.category for rule in pack.rules})
        self._schema = schema(self._labels, self._categories)
        self._system = Template(prompt.text).substitute(
            request_types="; ".join(f"{kind.label} ({kind.title})" for kind in kinds),
            categories=", ".join(self._categories),
            faults="",
        )

    @property
    def made_by(self) -> str:
        prompt = f"prompt {self._prompt.id} {self._prompt.version} {self._prompt.sha256[:8]}"
        return (
            f"openai {self._options.model}, {prompt}, schema {SCHEMA_VERSION}, "
            f"over {self._offline.made_by}"
        )

    def analyse(self, transcript: RedactedTranscript, metadata: Mapping[str, str]) -> CaseNote:
        """Return a verified note; the model's where it holds, else the offline one with a code."""
        base = self._offline.analyse(transcript, metadata)
        if base.status != "done":
            return base  # too little was said: nothing is sent
        answers: list[Answer] = []
        repairs = 0
        try:
            replies: list[Reply] = []
            for window in windows(transcript, self._options.window_tokens):
                reply, asked = self._reply(message(window), answers)
                replies.append(reply)
                repairs += asked
            note, claims = self._joined(base, replies, transcript, metadata)
        except _Failed as failed:
            return self._without(base, failed, transcript, answers)
        made = self._provenance(transcript, answers) | {"repairs": repairs, "claims": claims}
        return replace(
            note, provenance={**base.provenance, **made, "method": "language model, verified"}
        )

    # ------------------------------------------------------------ asking

    def _reply(self, turns: str, answers: list[Answer]) -> tuple[Reply, int]:
        """Return the reply about one window and how many repairs it took: one at most."""
        messages = [
            {"role": "system", "content": self._system},
            {"role": "user", "content": turns},
        ]
        try:
            try:
                return self._asked(messages, answers), 0
            except Unfit as unfit:
                faults = Template(self._repair.text).substitute(
                    faults="; ".join(unfit.faults), request_types="", categories=""
                )
                # the turns come last again: they alone are what a server may take for the call
                messages[0] = {"role": "system", "content": f"{self._system}\n\n{faults}"}
                return self._asked(messages, answers), 1
        except Unfit as unfit:
            # its sentences may repeat keys that the model made up
            detail = "the model's answer fits the form in neither of two attempts"
            raise _Failed("invalid", detail) from unfit
        except Refused as refused:
            raise _Failed(refused.code, refused.detail) from refused

    def _asked(self, messages: list[dict[str, str]], answers: list[Answer]) -> Reply:
        answer = self.server.ask(messages, self._schema)
        answers.append(answer)
        return read(answer.content)

    # ------------------------------------------------------------ judging

    def _joined(
        self,
        base: CaseNote,
        replies: list[Reply],
        transcript: RedactedTranscript,
        metadata: Mapping[str, str],
    ) -> tuple[CaseNote, dict[str, Any]]:
        call = Conversation(transcript)
        today = call_day(metadata.get("started_at"))
        hostile = Reader(call, self._pack, today).hostile()
        merger = Merger(
            call,
            hostile,
            today,
            frozenset(self._categories),
            frozenset(self._labels),
            ROOM[self._pack.note.length],
        )
        note = merger.note(base, replies)
        tally = merger.tally
        if not tally.given:
            raise _Failed("invalid", "the model states nothing about a call that has a content")
        english = grammar_share(tally.texts) if transcript.language == "en" else None
        if english is not None and english < LEAST_GRAMMAR:
            raise _Failed("language", "the model's statements are not in the language of the call")
        if tally.share < TRUSTED:
            # It may be about another call: nothing of it is shown, not even as unverified.
            detail = f"{tally.given - tally.held} of the model's {tally.given} statements fail"
            raise _Failed("unverified", detail)
        claims = {
            "given": tally.given,
            "held": tally.held,
            "shown_as_quotes": tally.quoted,
            "agreement": merger.agrees(base, replies),
        }
        return verify(note, transcript), claims

    def _without(
        self,
        base: CaseNote,
        failed: _Failed,
        transcript: RedactedTranscript,
        answers: list[Answer],
    ) -> CaseNote:
        made = {
            **base.provenance,
            "fallback": {
                "code": f"analyst_fallback:{failed.code}",
                "detail": failed.detail,
                "asked": self._provenance(transcript, answers),
            },
        }
        if self._options.on_failure == "offline":
            return replace(base, provenance=made)
        return replace(
            base,
            status=f"no_summary:{_ABSTAINS.get(failed.code, failed.code)}",
            reason=None,
            summary=(),
            facts=(),
            actions=(),
            commitments=(),
            outcome=CallOutcome("unclear", ()),
            open_questions=(),
            cancellation_reason=None,
            sections=(),
            provenance=made,
        )

    def _provenance(self, transcript: RedactedTranscript, answers: list[Answer]) -> dict[str, Any]:
        """Return what made the answers: enough to ask the same again, and nothing that was said."""
        options = self._options
        prompt = sum(answer.prompt_tokens for answer in answers)
        completion = sum(answer.completion_tokens for answer in answers)
        priced = options.price_in is not None and options.price_out is not None
        cost = prompt / 1000 * (options.price_in or 0) + completion / 1000 * (
            options.price_out or 0
        )
        return {
            "analyst": self.made_by,
            "model": options.model,
            "model_served": sorted({answer.model for answer in answers}),
            "prompt": {
                "id": self._prompt.id,
                "version": self._prompt.version,
                "sha256": self._prompt.sha256,
            },
            "schema_version": SCHEMA_VERSION,
            "format": self.server.known_mode,
            "parameters": {
                "temperature": options.temperature,
                "seed": options.seed,
                "max_tokens": options.max_tokens,
                "window_tokens": options.window_tokens,
            },
            "requests": len(answers),
            "attempts": sum(answer.attempts for answer in answers),
            "tokens": {
                "prompt": prompt,
                "completion": completion,
                "counted_by": (
                    "server" if all(answer.reported for answer in answers) else "estimate"
                ),
            },
            "cost": round(cost, 6) if priced else None,
            "latency": round(sum(answer.latency for answer in answers), 3),
            "input_sha256": fingerprint(transcript),
            "release": __version__,
        }


def _check_address(options: Options) -> None:
    parts = urlsplit(options.base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Misconfigured("base_url of the analyst openai is no http or https address")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Misconfigured(
            "base_url of the analyst openai holds more than an address; the key goes to api_key"
        )
    if parts.scheme == "http" and not options.allow_http and not _is_here(parts.hostname):
        raise Misconfigured(
            "base_url of the analyst openai is plain http to another machine; use https, or set "
            "allow_http = true where nobody else is on that network"
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(options: Options) -> str:
    """Return the key that `api_key` points at; a key written out is refused unread."""
    reference = options.api_key.strip()
    if reference == "none":
        return "none"
    kind, colon, place = reference.partition(":")
    if kind not in ("env", "file") or not colon or not place:
        raise Misconfigured(
            "api_key of the analyst openai says where the key is: env:NAME or file:PATH; "
            "a key itself has no place in a configuration file"
        )
    if options.secret is None:
        raise Misconfigured("nothing here can read keys; hand `secret` to the analyst's options")
    return options.secret(reference)
