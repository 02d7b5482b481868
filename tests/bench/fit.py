"""How often a transcript of another call is noticed, and one's own taken for another's.

Every sample call with the transcript of every sample call: exact times and times shaken by 0.2 s,
as words or as cues, with channels, with speakers alone, with neither. The baseline is what lengths
and coverage alone show.

python tests/bench/fit.py
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT)

from redaction.records import Word  # noqa: E402
from voice_pipeline.audio import activity  # noqa: E402
from voice_pipeline.domain import Received, Recording  # noqa: E402
from voice_pipeline.stages.fit import fit  # noqa: E402
from voice_pipeline.stages.ingest import ingest  # noqa: E402
from voice_pipeline.testing import MemoryShelf  # noqa: E402
from voice_pipeline.transcripts import Utterance, VendorTranscript  # noqa: E402

SHAKE = 0.2  # seconds, standard deviation
LIKE = 0.1  # of the length: calls that lengths cannot tell apart
Turns = Sequence[dict[str, Any]]


def utterances(turns: Turns, *, words: bool, told: str, shake: bool) -> VendorTranscript:
    rng = np.random.default_rng(1)
    found = []
    for turn in turns:
        start, end = turn["start"], turn["end"]
        if shake:
            start = max(0.0, start + rng.normal(0, SHAKE))
            end = max(start + 0.3, end + rng.normal(0, SHAKE))
        texts = turn["text"].split()
        step = (end - start) / len(texts)
        spoken = tuple(
            Word(text, start + i * step, start + (i + 1) * step)
            if words
            else Word(text, None, None)
            for i, text in enumerate(texts)
        )
        found.append(
            Utterance(
                spoken,
                None if words else start,
                None if words else end,
                turn["speaker"] if told != "nothing" else "",
                turn["channel"] if told == "channels" else None,
            )
        )
    return VendorTranscript("bench", tuple(found))


def main() -> None:
    calls: dict[str, tuple[Recording, Any, Turns]] = {}
    for line in (ROOT / "samples" / "truth.jsonl").read_text("utf-8").splitlines():
        call = json.loads(line)
        data = (ROOT / "samples" / "audio" / Path(call["file"]).name).read_bytes()
        shelf = MemoryShelf()
        ref = shelf.put("call", "Audio", data)
        recording = ingest(Received("call", "call", ref.sha256, len(data), ref, {}), shelf=shelf)
        calls[call["id"]] = (recording, activity(io.BytesIO(data), recording), call["turns"])
    print("| times of | file tells | own held (exact, shaken) | others noticed | of like length |")
    print("| --- | --- | --- | --- | --- |")
    for words in (True, False):
        for told in ("channels", "speakers", "nothing"):
            own, noticed, simply, others, like, like_noticed = [0, 0], 0, 0, 0, 0, 0
            for mine, (recording, active, turns) in calls.items():
                for shake in (False, True):
                    text = utterances(turns, words=words, told=told, shake=shake)
                    own[shake] += bool(_mismatch(text, recording, active))
                for other, (theirs, _, said) in calls.items():
                    if other == mine:
                        continue
                    text = utterances(said, words=words, told=told, shake=False)
                    why = _mismatch(text, recording, active)
                    others += 1
                    noticed += bool(why)
                    simply += bool(why) and "agreement" not in why
                    if abs(theirs.duration - recording.duration) <= LIKE * recording.duration:
                        like += 1
                        like_noticed += bool(why)
            print(
                f"| {'words' if words else 'cues'} | {told} | {own[0]}, {own[1]} of {len(calls)} "
                f"| {noticed} of {others} (baseline {simply}) | {like_noticed} of {like} |"
            )


def _mismatch(text: VendorTranscript, recording: Recording, active: Any) -> str:
    warnings = fit(text, recording, active).warnings
    return next((w.detail for w in warnings if w.code == "transcript_mismatch"), "")


if __name__ == "__main__":
    main()
