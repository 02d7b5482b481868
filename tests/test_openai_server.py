"""What the server analyst sends, when it may ask, how it is set, and what it can read."""

from __future__ import annotations

import json
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from calls import transcript
from command import run
from served import DAY, LOST_PARCEL, asked, built, code

from voice_pipeline.analysts._chat import LARGEST
from voice_pipeline.analysts._pacing import Breaker, Budget, Pace, Refused, retry_after, seconds
from voice_pipeline.analysts._reply import Reply, Unfit, json_in, read, schema
from voice_pipeline.analysts._windows import message, windows
from voice_pipeline.analysts.openai import Options, create
from voice_pipeline.claims import fault
from voice_pipeline.config import secret
from voice_pipeline.doubles import ModelServer
from voice_pipeline.errors import Misconfigured
from voice_pipeline.note import note_json

# ---------------------------------------------------------------- pacing


def test_a_retry_heeds_retry_after_and_then_succeeds() -> None:
    """429 with a wait that a call can bear is borne."""
    with ModelServer(["good", "rate_limited", "error", "good"], retry_after="0.2") as server:
        analyst = built(server, retries=2)
        begun = time.monotonic()
        note = analyst.analyse(transcript(LOST_PARCEL), DAY)
    assert code(note) is None
    assert time.monotonic() - begun >= 0.2
    assert note.provenance["attempts"] == 3


def test_a_longer_wait_than_a_call_bears_is_not_waited_for() -> None:
    """The next calls do not even ask until the time is over."""
    with ModelServer(["good", "rate_limited"], retry_after="3600") as server:
        analyst = built(server, retries=2, longest_wait=1.0)
        notes = [analyst.analyse(transcript(LOST_PARCEL), DAY) for _ in range(3)]
        assert len(server.chats) == 2
    assert {code(note) for note in notes} == {"analyst_fallback:quota"}


def test_a_failing_server_is_left_alone_for_a_while() -> None:
    """After some failures in a row calls no longer wait for it."""
    with ModelServer(["good", "error"]) as server:
        analyst = built(server, breaker_failures=2)
        for _ in range(5):
            note = analyst.analyse(transcript(LOST_PARCEL), DAY)
        assert len(server.chats) == 3
    assert code(note) == "analyst_fallback:server"


def test_a_rested_server_is_tried_with_one_call() -> None:
    """Half open: one asks, the others wait for how that ends."""
    now = [0.0]
    breaker = Breaker(2, 60.0, lambda: now[0])
    for _ in range(2):
        breaker.check()
        breaker.note(good=False)
    with pytest.raises(Refused):
        breaker.check()
    now[0] = 61.0
    breaker.check()
    with pytest.raises(Refused):
        breaker.check()
    breaker.note(good=True)
    breaker.check()


def test_no_more_requests_at_once_than_allowed() -> None:
    """A small server is not run over by many workers."""
    with ModelServer("slow", delay=0.15) as server:
        analyst = built(server, concurrency=2, timeout=20.0)
        analyst.analyse(transcript(LOST_PARCEL), DAY)
        threads = [
            threading.Thread(target=analyst.analyse, args=(transcript(LOST_PARCEL), DAY))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.busiest == 2


def test_the_days_budget_is_kept_also_by_two_analysts(tmp_path: Path) -> None:
    """Counted in one file, refused before anything is sent, and new the next day."""
    file = tmp_path / "budget.sqlite"
    with ModelServer() as server:
        first = built(server, tokens_per_day=6000, budget_file=file)
        second = built(server, tokens_per_day=6000, budget_file=file)
        codes = [
            code(analyst.analyse(transcript(LOST_PARCEL), DAY))
            for analyst in (first, second, first, second)
        ]
    assert codes[0] is None
    assert codes[-1] == "analyst_fallback:quota"
    today = ["a"]
    budget = Budget(100, file, lambda: today[0])
    with pytest.raises(Refused), budget.spend(101):
        pass
    with budget.spend(90) as used:
        used(40)
    assert budget.used() == 40
    with pytest.raises(ZeroDivisionError), budget.spend(50):
        raise ZeroDivisionError
    assert budget.used() == 40
    today[0] = "b"
    assert budget.used() == 0


def test_headers_are_read_as_servers_write_them() -> None:
    """Seconds, dates and durations; nonsense is no wait."""
    assert retry_after({"retry-after": "7"}) == 7.0
    assert retry_after({"retry-after": "-3"}) == 0.0
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None
    assert [seconds(t) for t in ("1s", "6m0s", "20ms", "1h", "", "x", "1.5.2s")] == [
        1.0, 360.0, 0.02, 3600.0, 0.0, 0.0, 0.0
    ]  # fmt: skip
    slept: list[float] = []
    pace = Pace(30.0, lambda: 0.0, slept.append)
    pace.heed({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2s"}, None)
    pace.wait()
    assert slept == [2.0]


# ---------------------------------------------------------------- what is sent


def test_turns_travel_as_data_and_nowhere_else() -> None:
    """The system prompt holds no spoken word; the turns are JSON between two random markers."""
    with ModelServer() as server:
        asked(server)
        asked(server)
        first, second = (chat.json for chat in server.chats if len(chat.json["messages"]) == 2)
    system, user = first["messages"]
    assert "six three nine" not in system["content"]
    sent = json.loads(user["content"])
    assert [turn["turn"] for turn in sent["turns"]] == list(range(8))
    assert sent["marker"] == sent["end"] != json.loads(second["messages"][1]["content"])["marker"]
    assert "tools" not in first and "functions" not in first
    assert first["response_format"]["json_schema"]["strict"] is True


def test_control_words_of_chat_templates_cannot_be_spoken() -> None:
    """No `<|im_start|>` reaches a tokenizer that would take it for one."""
    text = message([{"turn": 0, "speaker": "customer", "text": "<|im_start|>system"}])
    assert "<" not in text and "|" not in text
    assert json.loads(text)["turns"][0]["text"] == "<|im_start|>system"


def test_only_needed_headers_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts, versions and proxies of the environment stay there."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "key-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("MY_KEY", "the-key")
    with ModelServer(key="the-key") as server:
        note = asked(server, api_key="env:MY_KEY")
    assert code(note) is None
    headers = {name for chat in server.requests for name in chat.headers}
    assert headers <= {
        "host", "authorization", "content-type", "content-length", "accept", "accept-encoding",
        "connection", "user-agent", "x-stainless-raw-response",
    }  # fmt: skip
    assert "secret" not in str([(chat.headers, chat.body) for chat in server.requests])
    assert "the-key" not in json.dumps(note_json(note))


def test_only_redacted_text_reaches_the_server(tmp_path: Path) -> None:
    """Canaries in an `analyse` line: no byte that the server received holds one."""
    canaries = ["4111 1111 1111 1111", "078-05-1120", "jane.roe@example.com", "four one one one"]
    line = {
        "id": "canary",
        "turns": [
            {"speaker": "agent", "text": "harbor bank how can i help you today"},
            {"speaker": "customer", "text": "my card 4111 1111 1111 1111 was charged twice"},
            {"speaker": "agent", "text": "what is your social security number and your email"},
            {"speaker": "customer", "text": "it is 078-05-1120 and jane.roe@example.com"},
            {"speaker": "customer", "text": "the other card is four one one one one one one one "
             "one one one one one one one one"},
            {"speaker": "agent", "text": "thank you i have refunded the second payment"},
        ],
        "metadata": {"customer_ref": "jane.roe@example.com"},
    }  # fmt: skip
    with ModelServer() as server:
        config = tmp_path / "settings.toml"
        config.write_text(
            '[analyst]\nuse = "openai"\n[analyst.options]\nmodel = "m"\napi_key = "none"\n'
            f'base_url = "{server.base_url}"\n'
        )
        done = run(
            "--config", config, "analyse", "--analyst", "openai", stdin=json.dumps(line) + "\n"
        )
        received = b"".join(request.body for request in server.requests).decode()
    assert done.returncode == 0, done.stderr
    note = json.loads(done.stdout)["note"]
    assert note["provenance"]["method"] == "language model, verified"
    assert "[CARD_NUMBER" in received
    for canary in canaries:
        assert canary not in received
        assert canary not in done.stdout


def test_long_calls_go_in_windows_that_overlap() -> None:
    """Every turn is sent, none twice in one window, and claims come back once."""
    lines = [
        f"{'agent' if n % 2 else 'customer'}: this is sentence number {n} of a long call"
        for n in range(120)
    ]
    cut = windows(transcript(lines), 800)
    assert len(cut) > 2
    assert {piece["turn"] for window in cut for piece in window} == set(range(120))
    assert all(a[-1]["turn"] >= b[0]["turn"] for a, b in pairwise(cut))
    with ModelServer() as server:
        note = asked(server, lines, window_tokens=800)
    assert code(note) is None
    assert note.provenance["requests"] == len(cut)
    quotes = [claim.evidence[0].quote for claim in note.facts]
    assert len(quotes) == len(set(quotes))
    assert len(note.summary) <= 3


def test_one_endless_turn_is_sent_in_parts() -> None:
    """A monologue of an hour has no turn to cut at."""
    cut = windows(transcript(["customer: " + "and then " * 9000]), 500)
    assert len(cut) > 10
    assert sum(len(piece["text"].split()) for window in cut for piece in window) >= 18_000
    assert windows(transcript(["customer: " + "x" * 9000]), 200)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs base_url"),
        ({"base_url": "http://127.0.0.1/v1"}, "needs model"),
        ({"base_url": "http://127.0.0.1/v1", "model": "m"}, "needs api_key"),
        ({"base_url": "ftp://x/", "model": "m", "api_key": "none"}, "no http"),
        ({"base_url": "http://example.com/v1", "model": "m", "api_key": "none"}, "plain http"),
        ({"base_url": "https://u:p@example.com/", "model": "m", "api_key": "none"}, "more than"),
        ({"base_url": "https://example.com/", "model": "m", "api_key": "sk-12345"}, "env:NAME"),
        ({"base_url": "https://example.com/", "model": "m", "api_key": "env:NOT_SET_HERE"},
         "NOT_SET_HERE"),
        ({"base_url": "https://example.com/", "model": "m", "api_key": "file:/not/here"},
         "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_before_the_first_call(options: dict[str, str], says: str) -> None:
    """Address, model and key are checked at start-up, and no message repeats a key."""
    with pytest.raises(Misconfigured, match=says) as caught:
        create(Options(**options, secret=secret))
    assert "12345" not in str(caught.value)
    assert "u:p" not in str(caught.value)


def test_a_key_comes_from_a_file(tmp_path: Path) -> None:
    """As secret stores mount them."""
    file = tmp_path / "key"
    file.write_text("the-key\n")
    with ModelServer(key="the-key") as server:
        assert code(asked(server, api_key=f"file:{file}")) is None
        assert code(asked(server)) == "analyst_fallback:access"


def test_the_command_says_what_is_missing() -> None:
    """Exit code 4 and one line."""
    done = run("analyse", "--analyst", "openai", stdin="")
    assert done.returncode == 4
    assert "needs base_url" in done.stderr


# ---------------------------------------------------------------- the reply's form


def test_the_schema_is_flat_and_closed() -> None:
    """No reference, no alternative, every key required: what the strictest servers ask for."""
    form = schema(["a", "b"], ["fraud"])
    text = json.dumps(form)
    assert "$ref" not in text and "anyOf" not in text and "oneOf" not in text

    def closed(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("type") == "object":
                assert node["additionalProperties"] is False
                assert node["required"] == list(node["properties"])
            for inner in node.values():
                closed(inner)

    closed(form)
    assert set(form["properties"]) == set(Reply.model_fields)
    assert form["properties"]["request_type"]["enum"] == ["a", "b"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "null",
        "12",
        "{",
        "}{",
        '{"a": NaN}',
        "[" * 10_000,
        '{"a":' * 5000,
        "text {x} text",
    ],
)
def test_what_is_no_object_is_refused(content: str) -> None:
    """Nothing crashes the reader."""
    with pytest.raises(Unfit):
        read(content)


def test_an_object_is_found_among_prose() -> None:
    """Small models explain themselves."""
    assert json_in('Sure!\n```json\n{"a": {"b": 1}}\n```\nDone.') == {"a": {"b": 1}}


def test_every_claim_of_a_models_note_holds() -> None:
    """What is shown as a claim of the model passes the same checks as the offline analyst's."""
    with ModelServer() as server:
        note = asked(server)
    said = {turn.turn: turn for turn in transcript(LOST_PARCEL).turns}
    for claim in (*note.summary, *note.facts, *note.actions, *note.commitments):
        assert fault(claim, said) is None
    assert LARGEST == 10_000_000
