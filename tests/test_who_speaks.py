"""Calls on which nobody can tell who speaks: their flags are raised all the same, and say so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from calls import transcript
from command import SAMPLES, run
from recordings import OneBlob
from test_diarize import STEREO, Scripted, speech, spoken, warned

from redaction.records import Redaction
from voice_pipeline.analysts.offline import OfflineAnalyst
from voice_pipeline.domain import (
    ROLES_UNCERTAIN,
    CaseNote,
    Heard,
    RedactedTranscript,
    SpeakerSpan,
    Transcript,
    Warning,
)
from voice_pipeline.metrics.notes import Labelled, labelled, noted
from voice_pipeline.policy.load import load_pack
from voice_pipeline.policy.rules import UNKNOWN_SPEAKER
from voice_pipeline.stages.diarize import diarize
from voice_pipeline.stages.replace import replace as put_in
from voice_pipeline.stages.review import note_for

PARTS = (
    "good morning parcels direct how can i help",
    "my parcel never arrived and i want to make a complaint",
    "i am sorry about that i will call you back tomorrow",
    "this is unacceptable and you will be hearing from my solicitor",
)
SERIOUS = {"complaint", "legal_threat"}
MONO = replace(STEREO, channels=1, levels=(-25.0,))
UNSEEN = Path(__file__).with_name("calls_unseen")


def said_by(*speakers: str) -> RedactedTranscript:
    return transcript([f"{who}: {text}" for who, text in zip(speakers, PARTS, strict=False)])


def note_on(call: RedactedTranscript) -> CaseNote:
    pack = load_pack()
    return note_for(call, {}, OfflineAnalyst(pack), pack)


def reasons(note: CaseNote) -> dict[str, str]:
    """Return the category of every flag with its reason."""
    return {flag.category: flag.why for flag in note.escalations}


def heard(*speakers: int) -> Transcript:
    """Hear the four parts on one channel, each by the voice that a diarizer took it for."""
    words = [word for n, part in enumerate(PARTS) for word in spoken(part, 10.0 * n)]
    spans = tuple(SpeakerSpan(who, 10.0 * n, 10.0 * n + 9) for n, who in enumerate(speakers))
    call = Heard((speech(0, *words),), "test")
    return diarize(MONO, call, diarizer=Scripted(spans), shelf=OneBlob(b""))


def redacted(call: Transcript) -> RedactedTranscript:
    return put_in(call, Redaction((), (), "balanced", "test", "0" * 64))


def calls() -> list[Labelled]:
    lines = (SAMPLES / "truth.jsonl").read_text("utf-8").splitlines()
    for half in ("open", "closed"):
        lines += (UNSEEN / half / "truth.jsonl").read_text("utf-8").splitlines()
    return [labelled(json.loads(line)) for line in lines if line.strip()]


# ---------------------------------------------------------------- flags


def test_whatever_speakers_are_called_their_complaint_is_flagged() -> None:
    """Names that tell nothing, one name for all, no names: no flag of the customer's is lost."""
    names = [
        ["a", "b", "a", "b"],
        ["b", "a", "b", "a"],
        ["speaker_0", "speaker_0", "speaker_0", "speaker_0"],
        ["agent", "agent", "agent", "agent"],
        ["", "unknown", "", "unknown"],
        ["agent", "b", "agent", "c"],
    ]
    lines = [
        {"id": n, "turns": [{"speaker": w, "text": t} for w, t in zip(who, PARTS, strict=True)]}
        for n, who in enumerate(names)
    ]
    done = run("analyse", stdin="\n".join(json.dumps(line) for line in lines))
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    raised = [{flag["category"] for flag in call["escalations"]} for call in found]
    assert all(flags >= SERIOUS for flags in raised), raised
    doubted = [[warning["code"] for warning in call["warnings"]] for call in found]
    assert doubted == [[], [], [ROLES_UNCERTAIN], [ROLES_UNCERTAIN], [], []]


def test_one_voice_for_two_people_loses_no_flag() -> None:
    """A diarizer that takes two people for one: nobody is named, and a person looks."""
    call = heard(0, 0, 0, 0)
    assert {turn.speaker for turn in call.turns} == {"unknown"}
    assert warned(call) == [ROLES_UNCERTAIN]
    note = note_on(redacted(call))
    assert set(reasons(note)) >= SERIOUS
    assert note.review is not None and "low_confidence" in note.review.reasons
    assert note.request_type.decision == "human"


def test_a_voice_that_says_what_both_say_is_doubted() -> None:
    """Most of a call under one voice, a bit under another: roles are a guess, flags are raised."""
    call = heard(0, 0, 0, 1)
    assert warned(call) == [ROLES_UNCERTAIN]
    assert set(reasons(note_on(redacted(call)))) >= SERIOUS


def test_somebody_alone_who_sounds_like_a_customer_is_one() -> None:
    """A voice message: one voice and a customer's words alone leave no doubt."""
    words = spoken("i want to cancel my policy and i want my money back", 0.0)
    call = diarize(
        MONO,
        Heard((speech(0, *words),), "test"),
        diarizer=Scripted((SpeakerSpan(0, 0.0, 9.0),)),
        shelf=OneBlob(b""),
    )
    assert [turn.speaker for turn in call.turns] == ["customer"]
    assert warned(call) == []


def test_guessed_roles_lose_no_flag_and_the_reason_says_so() -> None:
    """Agent and customer the wrong way round: with the warning flags are raised, and say it."""
    wrong = said_by("customer", "agent", "customer", "agent")
    assert not SERIOUS & set(reasons(note_on(wrong)))
    found = reasons(note_on(replace(wrong, warnings=(Warning(ROLES_UNCERTAIN),))))
    assert set(found) >= {*SERIOUS, "callback_promised"}
    assert all(found[category].endswith(UNKNOWN_SPEAKER) for category in SERIOUS)


def test_a_known_speaker_is_no_unknown_one() -> None:
    """Where the customer is known, the reason has no doubt; an agent's words are the agent's."""
    known = reasons(note_on(said_by("agent", "customer", "agent", "customer")))
    assert not any(UNKNOWN_SPEAKER in why for why in known.values())
    agent = transcript(["agent: you can make a complaint to the ombudsman", "customer: thank you"])
    assert not SERIOUS & set(reasons(note_on(agent)))


def test_announcements_speak_for_nobody() -> None:
    """A recorded `press one to make a complaint` is no complaint on any call."""
    call = transcript(["system: press one to make a complaint", *_small_talk()])
    assert "complaint" not in reasons(note_on(replace(call, warnings=(Warning(ROLES_UNCERTAIN),))))


def _small_talk() -> list[str]:
    return ["agent: how can i help", "customer: what time are you open on saturday please"]


def test_unknown_speakers_lose_no_flag_of_the_known_ones() -> None:
    """On every labelled call: the right flags raised with speakers stay raised without, and with
    the two sides exchanged under the warning. What follows from how the call is summed up
    (`unresolved`, `unclear_intent`) may differ."""
    swapped = {"agent": "customer", "customer": "agent"}
    for one in noted(calls()):
        turns = one.transcript.turns
        right = set(reasons(one.note)) & one.truth.flags - {"unresolved", "unclear_intent"}
        nobody = replace(
            one.transcript, turns=tuple(replace(turn, speaker="unknown") for turn in turns)
        )
        other = replace(
            one.transcript,
            turns=tuple(replace(t, speaker=swapped.get(t.speaker, t.speaker)) for t in turns),
            warnings=(Warning(ROLES_UNCERTAIN),),
        )
        assert right <= set(reasons(note_on(nobody))), one.truth.id
        assert right <= set(reasons(note_on(other))), one.truth.id


# ---------------------------------------------------------------- the note


def test_what_nobody_known_said_is_nobodys() -> None:
    """No statement says that agent or customer said what nobody knows they did."""
    note = note_on(said_by(*["unknown"] * 4))
    claims = [*note.summary, *note.facts, *note.actions, *note.commitments]
    assert note.reason is not None and claims
    for claim in (note.reason, *claims):
        assert not claim.text.startswith(("Agent:", "Customer:", "Caller:"))
    assert [promise.who for promise in note.commitments] == ["unknown"]
    assert "callback_promised" in reasons(note)
    assert note.mood_start is None and not note.open_questions


def test_urgency_hears_whoever_speaks() -> None:
    """Words that make a call urgent count on a call on which roles are a guess."""
    lines = [
        "customer: how can i help",
        "agent: there is a smell of gas in the kitchen",
    ]
    guessed = replace(transcript(lines), warnings=(Warning(ROLES_UNCERTAIN),))
    assert note_on(guessed).urgency in ("high", "urgent")
