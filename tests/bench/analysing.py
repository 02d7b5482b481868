"""How long the offline note and the rules take, by length of call, beside reading it once."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from calls import dialogues, transcript

from voice_pipeline.analysts.offline import OfflineAnalyst
from voice_pipeline.policy.load import load_pack
from voice_pipeline.spoken.conversation import Conversation
from voice_pipeline.stages.review import note_for

WORDS_A_MINUTE = 150
MINUTES = (10, 60, 180)
ROUNDS = 5


def analysing() -> dict[str, Any]:
    """Processor seconds of one call of 10, 60 and 180 minutes: the best of five."""
    pack = load_pack()
    analyst = OfflineAnalyst(pack)
    lines = [line for call in dialogues() for line in call["turns"]]
    found: dict[str, Any] = {}
    for minutes in MINUTES:
        draw, said, words = random.Random(0), [], 0
        while words < minutes * WORDS_A_MINUTE:
            said.append(draw.choice(lines))
            words += len(said[-1].split()) - 1
        call = transcript(said)
        note_for(call, {}, analyst, pack)  # models and phrases are read once a process
        seconds = _best(lambda call=call: note_for(call, {}, analyst, pack))
        read = _best(lambda call=call: Conversation(call))
        found[f"{minutes} minutes"] = {
            "words": words,
            "note and rules, s": round(seconds, 3),
            "note alone, s": round(_best(lambda call=call: analyst.analyse(call, {})), 3),
            "times splitting it into words": round(seconds / read, 1),
        }
    return found


def _best(do: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        do()
        times.append(time.process_time() - begun)
    return min(times)
