"""vCon: a transcript among the analyses of a conversation, or its text dialog.

Shape: IETF drafts vcon-vcon-core (analysis, dialog, parties) and howe-vcon-wtf-extension (World
Transcription Format). An analysis may also hold a vendor's own answer: the other readers are asked.
Refuses signed and encrypted vCons (what they hold must be checked and unwrapped by their owner),
and files with several transcripts, of which one would have to be guessed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from redaction.records import Word
from voice_pipeline.errors import BadInput
from voice_pipeline.transcripts._content import Content
from voice_pipeline.transcripts._records import Said, Utterance, VendorTranscript, runs, with_text
from voice_pipeline.transcripts._values import mapping, mappings, number, share, string, words

FORMAT = "vCon"
TYPES = frozenset({"transcript", "wtf_transcription", "wtf-transcription"})
LARGEST_BODY = 32 * 2**20  # characters


def detect(content: Content) -> bool:
    """Return whether it is a vCon (plain, signed or encrypted), or a bare WTF body."""
    document = mapping(content.document)
    if _is_world(document):
        return True
    plain = "vcon" in document and ("dialog" in document or "analysis" in document)
    signed = "payload" in document and "signatures" in document
    return plain or signed or ("ciphertext" in document and "recipients" in document)


def read(content: Content) -> VendorTranscript:
    """Return the one transcript that a vCon holds."""
    document = mapping(content.document)
    if _is_world(document):
        return _world(document)
    if "vcon" not in document:
        raise BadInput(
            "a signed or encrypted vCon; check its signature and hand in the unsigned form",
            code="transcript_unknown",
        )
    dialogs = mappings(document.get("dialog"))
    parties = mappings(document.get("parties"))
    recordings = [place for place, one in enumerate(dialogs) if one.get("type") == "recording"]
    kept = [
        one
        for one in mappings(document.get("analysis"))
        if string(one.get("type")).lower() in TYPES
    ]
    if len(kept) > 1:
        raise BadInput(
            f"the vCon holds {len(kept)} transcripts; keep the one of this recording",
            code="transcript_unknown",
        )
    found = _analysis(kept[0]) if kept else _texts(dialogs)
    duration = found.duration
    if duration is None and len(recordings) == 1:
        duration = number(dialogs[recordings[0]].get("duration"))
    named = tuple(replace(one, speaker=_role(one.speaker, parties)) for one in found.utterances)
    via = "" if found.format == FORMAT else f" ({found.format})"
    return replace(found, format=f"{FORMAT}{via}", utterances=named, duration=duration)


def _analysis(analysis: Mapping[str, Any]) -> VendorTranscript:
    body = _body(analysis)
    document = mapping(body)
    if _is_world(document):
        return _world(document)
    if isinstance(body, str):  # text alone: nothing says when
        return VendorTranscript(FORMAT, (Utterance(words(body)),))
    from voice_pipeline.transcripts import read_content  # it asks this reader, too

    if detect(Content("", body)):
        raise BadInput("a vCon inside a vCon is not read", code="transcript_unknown")
    return read_content(Content("", body))


def _is_world(document: Mapping[str, Any]) -> bool:
    return isinstance(document.get("transcript"), dict) and "segments" in document


def _body(analysis: Mapping[str, Any]) -> Any:
    body = analysis.get("body")
    if not isinstance(body, str):
        return body
    encoding = string(analysis.get("encoding")).lower()
    try:
        if encoding == "base64url":
            body = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode("utf-8")
        return json.loads(body) if encoding == "json" or body[:1] in ("{", "[") else body
    except (ValueError, RecursionError, binascii.Error):
        raise BadInput(
            "the body of the vCon's transcript cannot be read; export it again",
            code="transcript_damaged",
        ) from None


def _world(body: Mapping[str, Any]) -> VendorTranscript:
    """Return a World Transcription Format body: segments that point at words."""
    facts = mapping(body.get("transcript"))
    listed = mappings(body.get("words"))
    used: set[int] = set()
    found = []
    for segment in mappings(body.get("segments")):
        places = [
            place
            for place in (
                segment.get("words") or () if isinstance(segment.get("words"), list) else ()
            )
            if isinstance(place, int) and 0 <= place < len(listed) and place not in used
        ]
        used.update(places)
        said = tuple(_joined(listed[place] for place in places))
        one = Utterance(
            said or words(segment.get("text")),
            number(segment.get("start")),
            number(segment.get("end")),
            string(segment.get("speaker")),
        )
        found.append(with_text(one, segment.get("text")))
    rest = [item for place, item in enumerate(listed) if place not in used]
    if rest and not used:  # the segments point at no word: theirs are the words' own times
        spoken = runs(
            Said(word, string(item.get("speaker"))) for item in rest for word in _joined([item])
        )
        found = spoken if not found else _shared(found, [w for one in spoken for w in one.words])
    elif rest:
        found += runs(Said(w, string(i.get("speaker"))) for i in rest for w in _joined([i]))
    return VendorTranscript(
        FORMAT, tuple(found), string(facts.get("language")), number(facts.get("duration"))
    )


def _shared(segments: Sequence[Utterance], said: Sequence[Word]) -> list[Utterance]:
    """Give each segment the words that begin before it ends; its text stays as a form."""
    found, left = [], list(said)
    for place, one in enumerate(segments):
        last = place == len(segments) - 1
        count = 0
        while count < len(left) and (
            last or one.end is None or (left[count].start or 0.0) < one.end
        ):
            count += 1
        own, left = tuple(left[:count]), left[count:]
        found.append(replace(one, words=own, forms=(one.words,)) if own else one)
    return found


def _joined(items: Any) -> Iterator[Word]:
    """Yield words; punctuation that stands alone is put to the word before it."""
    held: Word | None = None
    for item in items:
        if item.get("is_punctuation") is True and held is not None:
            held = replace(held, text=f"{held.text}{string(item.get('text')).strip()}")
            continue
        start, end = number(item.get("start")), number(item.get("end"))
        for word in words(item.get("text"), start, end, share(item.get("confidence"))):
            if held is not None:
                yield held
            held = word
    if held is not None:
        yield held


def _texts(dialogs: Sequence[Mapping[str, Any]]) -> VendorTranscript:
    """Return text dialogs, timed from the start of the one recording beside them."""
    begun = [_moment(one.get("start")) for one in dialogs if one.get("type") == "recording"]
    origin = begun[0] if len(begun) == 1 else None
    found = []
    for one in dialogs:
        if one.get("type") != "text" or not isinstance(one.get("body"), str):
            continue
        at, length = _moment(one.get("start")), number(one.get("duration"))
        start = at - origin if at is not None and origin is not None else None
        end = start + length if start is not None and length is not None else None
        party = one.get("parties")
        party = party[0] if isinstance(party, list) and party else party
        found.append(Utterance(words(one.get("body")), start, end, string(party)))
    if not found:
        raise BadInput(
            "the vCon holds no transcript: no analysis of type transcript, no text dialog",
            code="transcript_unknown",
        )
    return VendorTranscript(FORMAT, tuple(found))


def _moment(value: Any) -> float | None:
    """Return an RFC 3339 date-time as seconds since the epoch; None where it is none."""
    try:
        moment = datetime.fromisoformat(string(value))
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _role(speaker: str, parties: Sequence[Mapping[str, Any]]) -> str:
    """Return the role of a party that a speaker's number names, where the vCon tells it."""
    if speaker.isdecimal() and len(speaker) < 4 and int(speaker) < len(parties):
        return string(parties[int(speaker)].get("role")) or speaker
    return speaker
