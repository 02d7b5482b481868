"""Turns texts into vectors through any server with `/v1/embeddings`. Texts leave this machine.

Batches, checks what comes back (count, order, dimension, finite numbers) and normalises it. It
refuses an answer of another model or dimension instead of mixing vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from voice_pipeline.errors import Misconfigured, Permanent, Retryable
from voice_pipeline.ports import Vectors, unit_rows

LONGEST = 8000  # characters of a text that are sent: below the token limit of every known server


class Options(BaseModel):
    """What an operator may set."""

    model_config = ConfigDict(extra="forbid")

    base_url: str = Field(description="the server, up to and including /v1")
    model: str = Field(min_length=1, description="model name, as the server knows it")
    api_key: SecretStr = Field(SecretStr("none"), description="key, where the server wants one")
    dimension: int | None = Field(
        None, ge=1, le=65536, description="ask for this many numbers; default: what the model has"
    )
    batch: int = Field(64, ge=1, le=2048, description="texts in one request")
    timeout: float = Field(30.0, gt=0, le=600, description="seconds one request may take")
    retries: int = Field(2, ge=0, le=10, description="further tries of a request that failed")


def create(options: Options) -> ServerEmbedder:
    return ServerEmbedder(options)


class ServerEmbedder:
    """The adapter."""

    name = "openai"

    def __init__(self, options: Options) -> None:
        self._options = options

    @property
    def made_by(self) -> str:
        return f"openai {self._options.model} {self.dimension}"

    @cached_property
    def dimension(self) -> int:
        """What was asked for, else what the server answers to one word."""
        return self._options.dimension or len(self._ask(["word"])[0])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row a text, shape (texts, dimension), unit length; zeros for an empty text.

        Raises:
            Retryable: the server did not answer, or asked to wait.
            Permanent: it refused the texts, or its answer does not fit.
            Misconfigured: it refused the key or does not know the model.
        """
        said = [place for place, text in enumerate(texts) if text.strip()]
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for start in range(0, len(said), self._options.batch):
            places = said[start : start + self._options.batch]
            found = self._ask([texts[place][:LONGEST] for place in places])
            if any(len(vector) != self.dimension for vector in found):
                raise Permanent(
                    f"the server answered vectors of {len(found[0])} numbers instead of "
                    f"{self.dimension}; another model serves under this name now",
                    code="embedding_mismatch",
                )
            rows[places] = unit_rows(np.array(found, np.float32))
        return rows

    def _ask(self, texts: list[str]) -> list[list[float]]:
        import openai

        asked: dict[str, Any] = {"encoding_format": "float"}
        if self._options.dimension:
            asked["dimensions"] = self._options.dimension
        try:
            answer = self._client.embeddings.create(input=texts, model=self._options.model, **asked)
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise Misconfigured(
                "the embedding server refused the key; check the embedder's api_key"
            ) from error
        except openai.NotFoundError as error:
            raise Misconfigured(
                f"the embedding server has no /embeddings or no model {self._options.model!r}"
            ) from error
        except (
            openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError,
        ) as error:  # fmt: skip
            raise Retryable(
                f"the embedding server did not answer ({type(error).__name__})"
            ) from error
        except openai.APIStatusError as error:
            raise Permanent(
                f"the embedding server refused the request (HTTP {error.status_code})"
            ) from error
        except (openai.OpenAIError, ValueError) as error:  # an answer that is no JSON
            raise _unusable() from error
        return _vectors(answer, len(texts))

    @cached_property
    def _client(self) -> Any:
        import openai

        return openai.OpenAI(
            base_url=self._options.base_url,
            api_key=self._options.api_key.get_secret_value(),
            timeout=self._options.timeout,
            max_retries=self._options.retries,
        )


def _vectors(answer: Any, count: int) -> list[list[float]]:
    """Return the vectors in the order of the texts; the server may answer in any order."""
    data = getattr(answer, "data", None)
    if not isinstance(data, list) or len(data) != count:
        raise _unusable()
    try:
        ordered = sorted(data, key=lambda entry: entry.index)
        found = [[float(number) for number in entry.embedding] for entry in ordered]
    except (AttributeError, TypeError, ValueError):
        raise _unusable() from None
    whole = [entry.index for entry in ordered] == list(range(count))
    if not whole or not all(vector and np.isfinite(vector).all() for vector in found):
        raise _unusable()
    return found


def _unusable() -> Permanent:
    return Permanent(
        "the embedding server's answer is not one finite vector a text; check that base_url ends "
        "in /v1 of an OpenAI-compatible server",
        code="embedding_mismatch",
    )
