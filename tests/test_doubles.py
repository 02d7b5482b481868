"""The model server's double speaks the protocol: the official client is the judge."""

from __future__ import annotations

import json

import openai
import pytest

from voice_pipeline.doubles import BEHAVIOURS, ModelServer

TURNS = [
    {"turn": 0, "speaker": "agent", "text": "hello how can i help"},
    {"turn": 1, "speaker": "customer", "text": "i want to cancel my plan"},
]
ASK = [{"role": "user", "content": json.dumps({"turns": TURNS})}]


def client(server: ModelServer, key: str = "x") -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0, timeout=5.0)


def test_streamed_and_whole_answers_say_the_same() -> None:
    """Pieces joined are the whole; usage comes where it is asked for."""
    with ModelServer() as server:
        ask = client(server).chat.completions
        whole = ask.create(model="m", messages=ASK)  # type: ignore[arg-type]
        pieces = list(
            ask.create(
                model="m",
                messages=ASK,  # type: ignore[arg-type]
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    content = whole.choices[0].message.content
    assert content and json.loads(content)["reason"][0]["evidence"][0]["turn"] == 1
    assert "".join(p.choices[0].delta.content or "" for p in pieces if p.choices) == content
    assert pieces[-1].usage == whole.usage


def test_embeddings_share_what_the_words_share() -> None:
    """The same text is the same vector on every machine; both encodings give it."""
    texts = ["cancel my plan", "cancel the plan", "where is my parcel"]
    with ModelServer() as server:
        ask = client(server).embeddings
        packed = ask.create(model="m", input=texts)
        plain = ask.create(model="m", input=texts[0], encoding_format="float", dimensions=64)
    first, near, far = (item.embedding for item in packed.data)
    assert first == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert _dot(first, first) == pytest.approx(1.0, abs=1e-5)
    assert _dot(first, near) > _dot(first, far)


def _dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_models_are_listed_and_keys_asked_for() -> None:
    """As servers do."""
    with ModelServer(key="right", model="tiny") as server:
        assert [model.id for model in client(server, "right").models.list()] == ["tiny"]
        with pytest.raises(openai.AuthenticationError):
            client(server, "wrong").chat.completions.create(
                model="m",
                messages=ASK,  # type: ignore[arg-type]
            )


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        ("rate_limited", openai.RateLimitError),
        ("error", openai.InternalServerError),
        ("no_model", openai.NotFoundError),
        ("truncated", openai.APIConnectionError),
    ],
)
def test_failures_are_those_that_the_client_knows(behaviour: str, error: type[Exception]) -> None:
    """A failure is the protocol's own, not an accident of the double."""
    with ModelServer(behaviour) as server, pytest.raises(error):
        client(server).chat.completions.create(model="m", messages=ASK)  # type: ignore[arg-type]


def test_a_script_is_played_in_order_and_its_last_line_stays() -> None:
    """One failure, then health, without a second server."""
    with ModelServer(["error", "good"]) as server:
        ask = client(server).chat.completions
        with pytest.raises(openai.InternalServerError):
            ask.create(model="m", messages=ASK)  # type: ignore[arg-type]
        for _ in range(2):
            assert ask.create(model="m", messages=ASK).choices  # type: ignore[arg-type]
        assert len(server.chats) == 3
    with pytest.raises(ValueError, match="no behaviour"):
        ModelServer("brilliant")
    assert all(BEHAVIOURS.values())
