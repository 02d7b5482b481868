"""The phrases by which the offline analyst finds what to quote: data in `cues.yaml`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from voice_pipeline.policy.pack import PhraseText
from voice_pipeline.policy.source import read, validated

Phrases = tuple[PhraseText, ...]


class Cues(BaseModel):
    """What `cues.yaml` holds; its comments say what each list is for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    need: Phrases
    waited: Phrases
    problem: Phrases
    stated: Phrases
    begun: Phrases
    done: Phrases
    promised: Phrases
    customer_promised: Phrases
    no_promise: str
    solved: Phrases
    thanked: Phrases
    unsolved: Phrases
    polite_no: Phrases
    impossible: Phrases
    pending: Phrases
    settled: Phrases
    unanswered: Phrases
    further: Phrases
    asks_for: Phrases
    leaving: Phrases
    corrected: Phrases
    hold: Phrases
    glad: Phrases
    upset: Phrases


@lru_cache(maxsize=1)
def cues() -> Cues:
    source = read(Path(__file__).with_name("cues.yaml"))
    return validated(source, Cues, source.data)
