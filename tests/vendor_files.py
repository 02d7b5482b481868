"""Transcripts as vendors write them, made here: shapes from their documentation, all content ours.

One small call in every format: the agent asks, the customer answers with a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

# who, channel, start, end, words as heard, words as written
Line = tuple[str, int, float, float, str, str]
_NUMBER = "four five three two one one one one two two two two three three three four"
CALL: tuple[Line, ...] = (
    ("AGENT", 0, 0.5, 2.5, "thank you for calling how can i help",
     "Thank you for calling, how can I help?"),
    ("CUSTOMER", 1, 3.0, 5.0, "i lost my card my name is mary",
     "I lost my card, my name is Mary."),
    ("AGENT", 0, 5.5, 7.0, "can i take your card number please",
     "Can I take your card number please?"),
    ("CUSTOMER", 1, 7.5, 13.5, f"yes it is {_NUMBER}", "Yes, it is 4532 1111 2222 3334"),
    ("AGENT", 0, 14.0, 16.0, "thank you i have stopped that card now",
     "Thank you, I have stopped that card now."),
    ("CUSTOMER", 1, 16.5, 18.0, "that is all thanks goodbye", "That is all, thanks. Goodbye."),
)  # fmt: skip
DURATION = 18.5


def timed(line: Line) -> list[tuple[str, float, float]]:
    """Words of a line as heard, spread over its time."""
    words = line[4].split()
    step = (line[3] - line[2]) / len(words)
    return [
        (w, round(line[2] + i * step, 3), round(line[2] + (i + 1) * step, 3))
        for i, w in enumerate(words)
    ]


def _item(word: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    return {
        "type": "pronunciation",
        "start_time": f"{start}",
        "end_time": f"{end}",
        "alternatives": [{"confidence": "0.98", "content": word}],
        **more,
    }


STOP = {"type": "punctuation", "alternatives": [{"confidence": "0.0", "content": "."}]}


def amazon_channels() -> str:
    channels = [
        {
            "channel_label": f"ch_{c}",
            "items": [x for a in CALL if a[1] == c for x in [*(_item(*w) for w in timed(a)), STOP]],
        }
        for c in (0, 1)
    ]
    results = {
        "transcripts": [{"transcript": ""}],
        "channel_labels": {"channels": channels, "number_of_channels": 2},
        "items": [],
        "language_code": "en-US",
    }
    return json.dumps({"jobName": "one", "accountId": "0", "results": results})


def amazon_speakers() -> str:
    label = {"AGENT": "spk_0", "CUSTOMER": "spk_1"}
    items = [_item(*w) for a in CALL for w in timed(a)]
    segments = [
        {
            "speaker_label": label[a[0]],
            "start_time": f"{a[2]}",
            "end_time": f"{a[3]}",
            "items": [
                {"start_time": f"{s}", "end_time": f"{e}", "speaker_label": label[a[0]]}
                for _, s, e in timed(a)
            ],
        }
        for a in CALL
    ]
    results = {"items": items, "speaker_labels": {"speakers": 2, "segments": segments}}
    return json.dumps({"jobName": "two", "results": results})


def contact_lens() -> str:
    turns = [
        {
            "Id": str(place),
            "ParticipantId": a[0],
            "Content": a[5],
            "BeginOffsetMillis": int(a[2] * 1000),
            "EndOffsetMillis": int(a[3] * 1000),
            "Sentiment": "NEUTRAL",
        }
        for place, a in enumerate(CALL)
    ]
    return json.dumps(
        {
            "Version": "1.1.0",
            "Channel": "VOICE",
            "LanguageCode": "en-GB",
            "Participants": [
                {"ParticipantId": "AGENT", "ParticipantRole": "AGENT"},
                {"ParticipantId": "CUSTOMER", "ParticipantRole": "CUSTOMER"},
            ],
            "Transcript": turns,
        }
    )


def call_analytics() -> str:
    turns = [
        {
            "Id": str(place),
            "ParticipantRole": a[0],
            "Content": a[5],
            "BeginOffsetMillis": int(a[2] * 1000),
            "EndOffsetMillis": int(a[3] * 1000),
            "Items": [
                {
                    "Type": "pronunciation",
                    "Content": w,
                    "Confidence": "0.9",
                    "BeginOffsetMillis": int(s * 1000),
                    "EndOffsetMillis": int(e * 1000),
                }
                for w, s, e in timed(a)
            ],
        }
        for place, a in enumerate(CALL)
    ]
    return json.dumps({"JobName": "three", "LanguageCode": "en-US", "Transcript": turns})


def whisperx() -> str:
    """WhisperX leaves out the times of what it cannot align: words with digits."""
    segments = []
    for a in CALL:
        times = timed(a)
        words: list[dict[str, Any]] = []
        for place, word in enumerate(a[5].split()):
            plain = any(c.isdigit() for c in word)
            start, end = times[min(place, len(times) - 1)][1:]
            words.append({"word": word, "speaker": f"SPEAKER_0{a[1]}"})
            if not plain:
                words[-1] |= {"start": start, "end": end, "score": 0.9}
        segments.append(
            {
                "start": a[2],
                "end": a[3],
                "text": f" {a[5]}",
                "words": words,
                "speaker": f"SPEAKER_0{a[1]}",
            }
        )
    return json.dumps({"segments": segments, "word_segments": [], "language": "en"})


def openai_verbose() -> str:
    segments = [
        {"id": place, "seek": 0, "start": a[2], "end": a[3], "text": f" {a[5]}", "tokens": [],
         "temperature": 0.0, "avg_logprob": -0.2, "compression_ratio": 1.1, "no_speech_prob": 0.01}
        for place, a in enumerate(CALL)
    ]  # fmt: skip
    words = [{"word": w, "start": s, "end": e} for a in CALL for w, s, e in timed(a)]
    return json.dumps(
        {
            "task": "transcribe",
            "language": "english",
            "duration": DURATION,
            "text": "",
            "segments": segments,
            "words": words,
        }
    )


def deepgram() -> str:
    channels = []
    for c in (0, 1):
        words = [
            {"word": w, "start": s, "end": e, "confidence": 0.97, "punctuated_word": w.capitalize()}
            for a in CALL
            if a[1] == c
            for w, s, e in timed(a)
        ]
        alternative = {"transcript": "", "confidence": 0.97, "words": words}
        channels.append({"alternatives": [alternative], "detected_language": "en"})
    return json.dumps(
        {"metadata": {"duration": DURATION, "channels": 2}, "results": {"channels": channels}}
    )


def _clock(seconds: float, mark: str) -> str:
    return f"00:00:{seconds:06.3f}".replace(".", mark)


def webvtt() -> str:
    cues = ["WEBVTT\nKind: captions\nLanguage: en\n", "NOTE made by hand\n"]
    for place, a in enumerate(CALL):
        cues.append(
            f"{place}\n{_clock(a[2], '.')} --> {_clock(a[3], '.')} align:start\n"
            f"<v.loud {a[0].title()}>{a[5].replace('&', '&amp;')}</v>\n"
        )
    return "\n".join(cues)


def srt() -> str:
    return "\n".join(
        f"{place + 1}\n{_clock(a[2], ',')} --> {_clock(a[3], ',')}\n{a[0].title()}: <i>{a[5]}</i>\n"
        for place, a in enumerate(CALL)
    )


def world() -> dict[str, Any]:
    words, segments = [], []
    for place, a in enumerate(CALL):
        first = len(words)
        for w, s, e in timed(a):
            words.append({"id": len(words), "text": w, "start": s, "end": e, "confidence": 0.9,
                          "speaker": a[1], "is_punctuation": False})  # fmt: skip
        segments.append({"id": place, "start": a[2], "end": a[3], "text": a[5], "speaker": a[1],
                         "confidence": 0.9, "words": list(range(first, len(words)))})  # fmt: skip
    return {
        "transcript": {"text": "", "language": "en-US", "duration": DURATION, "confidence": 0.9},
        "segments": segments,
        "words": words,
        "speakers": {},
        "metadata": {"provider": "none"},
    }


def vcon(body: Any = None, **analysis: Any) -> str:
    one = {
        "type": "wtf_transcription",
        "dialog": 0,
        "vendor": "none",
        "body": world() if body is None else body,
        "encoding": "json",
        **analysis,
    }
    return json.dumps(
        {
            "vcon": "0.4.0",
            "uuid": "018f0000-0000-8000-8000-000000000000",
            "created_at": "2026-11-24T10:00:00Z",
            "parties": [{"name": "A", "role": "agent"}, {"name": "B", "role": "customer"}],
            "dialog": [{"type": "recording", "start": "2026-11-24T10:00:00Z",
                        "duration": DURATION, "parties": [0, 1]}],
            "analysis": [one],
        }
    )  # fmt: skip


def own() -> str:
    turns = [
        {"turn": place, "speaker": a[0].lower(), "channel": a[1], "start": a[2], "end": a[3],
         "text": a[4],
         "words": [{"text": w, "start": s, "end": e, "confidence": 0.9} for w, s, e in timed(a)]}
        for place, a in enumerate(CALL)
    ]  # fmt: skip
    return json.dumps({"call_id": "x", "language": "en", "turns": turns})


ALL: dict[str, Callable[[], str]] = {
    "amazon_channels": amazon_channels,
    "amazon_speakers": amazon_speakers,
    "contact_lens": contact_lens,
    "call_analytics": call_analytics,
    "whisperx": whisperx,
    "openai_verbose": openai_verbose,
    "deepgram": deepgram,
    "webvtt": webvtt,
    "srt": srt,
    "vcon": vcon,
    "own": own,
}
