"""A call, and a language model's note of it through the server's double."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calls import transcript

from voice_pipeline.analysts.openai import OpenAIAnalyst
from voice_pipeline.building import build_analyst
from voice_pipeline.config import Part
from voice_pipeline.domain import CaseNote
from voice_pipeline.doubles import ModelServer
from voice_pipeline.policy.load import load_pack

LOST_PARCEL = [
    "agent: parcels direct how can i help",
    "customer: hello my parcel has not arrived and i need it for friday",
    "agent: i am sorry do you have the order number",
    "customer: yes it's six three nine five five two",
    "agent: thank you i have opened a trace with the driver",
    "customer: okay when will i hear",
    "agent: i will call you back tomorrow before noon",
    "customer: alright thank you bye",
]
DAY = {"started_at": "2026-11-24"}


def built(server: ModelServer | str, **options: Any) -> OpenAIAnalyst:
    given = {
        "base_url": server if isinstance(server, str) else server.base_url,
        "model": "m",
        "api_key": "none",
        "timeout": 2.0,
        "retries": 0,
    }
    analyst = build_analyst(Part(use="openai", options=given | options), load_pack())
    assert isinstance(analyst, OpenAIAnalyst)
    return analyst


def offline() -> CaseNote:
    return build_analyst(Part(use="offline"), load_pack()).analyse(transcript(LOST_PARCEL), DAY)


def asked(server: ModelServer, lines: Sequence[str] = LOST_PARCEL, **options: Any) -> CaseNote:
    return built(server, **options).analyse(transcript(lines), DAY)


def code(note: CaseNote) -> str | None:
    return note.provenance.get("fallback", {}).get("code")
