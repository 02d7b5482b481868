"""The last look: what leaves beside the transcript holds no number that was not verified."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from test_engine import note, recording

from redaction import Redactor, load_policy
from voice_pipeline import domain as d
from voice_pipeline.stages.release import release

REDACTOR = Redactor(load_policy("balanced"))
CARD = "4111 1111 1111 1111"
SPOKEN = "four one one one one one one one one one one one one one one one"
TEXT = "my card is [CARD_NUMBER] and my order number is one oh two four five six"


def judged(change: Callable[[d.CaseNote], d.CaseNote], **facts: Any) -> d.Verification:
    received = d.Received("c", "call.wav", "", 1, d.Ref("c", "Audio", "0"), {})
    call = dataclasses.replace(recording(received), **facts)
    words = tuple(d.Word(word, None, None) for word in TEXT.split())
    turn = d.RedactedTurn(0, "customer", 0, None, None, words)
    verified = d.Verification(True, (), {"text": "fine"}, "a", "b")
    return release(
        call, d.RedactedTranscript("c", "en", (turn,), 1.0), change(note("c")), verified,
        redactor=REDACTOR,
    )  # fmt: skip


def claim(text: str) -> d.Claim:
    return d.Claim(text, (d.Evidence(0, text),))


def test_a_note_in_quotes_of_the_transcript_leaves() -> None:
    """Quotes were verified with the text, an order number among them; nothing is read twice."""
    verdict = judged(lambda n: dataclasses.replace(n, facts=(claim(TEXT), claim(TEXT[11:]))))
    assert verdict.passed
    assert verdict.checks["text"] == "fine"
    assert verdict.checks["payloads"].endswith("0 hold numbers")
    assert (verdict.transcript_sha256, verdict.audio_sha256) == ("a", "b")


@pytest.mark.parametrize(
    "change",
    [
        lambda n: dataclasses.replace(n, summary=(claim(f"The card is {CARD}."),)),
        lambda n: dataclasses.replace(n, facts=(claim(f"my card number is {SPOKEN}"),)),
        lambda n: dataclasses.replace(n, missing_information=(f"expiry of card {CARD}",)),
        lambda n: dataclasses.replace(n, draft=d.Draft(f"We charged {CARD}.", ())),
        lambda n: dataclasses.replace(
            n, escalations=(d.Escalation("r", 1, "fraud", "high", "why", (d.Evidence(0, CARD),),
                                         {"heard": [CARD]}, {}),)
        ),
    ],
)  # fmt: skip
def test_a_number_that_an_analyst_made_up_or_kept_holds_the_call(
    change: Callable[[d.CaseNote], d.CaseNote],
) -> None:
    """A card number anywhere in the note, its draft or its escalations does not leave."""
    verdict = judged(change)
    assert not verdict.passed
    assert [reason.code for reason in verdict.reasons] == ["residual_personal_data"]
    assert "CARD_NUMBER" in verdict.reasons[0].detail
    assert "4111" not in str(verdict)


def test_names_and_metadata_are_read_too() -> None:
    """Payment data holds a call even in metadata; an operator's own reference does not."""
    assert not judged(lambda n: n, name=f"call {CARD}.wav").passed
    assert not judged(lambda n: n, metadata={"customer_ref": f"card number {CARD}"}).passed
    assert judged(lambda n: n, metadata={"customer_ref": "account 12345678"}).passed
    assert judged(lambda n: n, name="rec_20261124093015-1732441815.771.wav").passed


def test_a_call_that_was_held_stays_held() -> None:
    """The last look never clears what an earlier one held."""
    verified = d.Verification(False, (d.Warning("unverified"),), {}, "", "")
    received = d.Received("c", "call.wav", "", 1, d.Ref("c", "Audio", "0"), {})
    again = release(
        recording(received), d.RedactedTranscript("c", "en", (), 1.0), note("c"), verified,
        redactor=REDACTOR,
    )  # fmt: skip
    assert not again.passed
    assert again.reasons == verified.reasons
