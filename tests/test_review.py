"""The final note: route, urgency and who must approve, from flags and request type."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from calls import transcript

from voice_pipeline.analysts.offline import OfflineAnalyst
from voice_pipeline.domain import CaseNote
from voice_pipeline.note import note_json
from voice_pipeline.policy.load import load_pack
from voice_pipeline.stages.review import note_for


def finished(lines: Sequence[str], **metadata: str) -> CaseNote:
    pack = load_pack()
    return note_for(transcript(lines), metadata, OfflineAnalyst(pack), pack)


CLEAN = [
    "agent: good morning how can i help",
    "customer: hi what time does the branch on market street open on saturday",
    "agent: we open at nine in the morning on saturdays",
    "customer: lovely thank you very much bye",
]


def test_a_routine_call_needs_nobody() -> None:
    """No flag, no reason, the queue of its request type."""
    note = finished(CLEAN)
    assert note.escalations == ()
    assert note.review and not note.review.required and note.review.reasons == ()
    assert note.route and (note.route.queue, note.route.priority) == ("service", "normal")
    assert note.urgency == "normal"


def test_the_most_severe_flag_decides_the_queue() -> None:
    """Danger to life beats fraud, fraud beats a complaint; everything is raised to urgent."""
    note = finished(
        [
            "agent: hello",
            "customer: somebody hacked my account it is not good enough i want to kill myself",
        ]
    )
    assert note.route and note.route.queue == "safety"
    assert note.urgency == note.route.priority == "urgent"
    assert note.escalations[0].severity == "critical"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("customer: i want a refund of nine hundred dollars", "policy_exception"),
        ("customer: i want a refund of nine hundred dollars", "financial_impact"),
        ("customer: i want to change my address", "account_change"),
        ("customer: this is not good enough i am very unhappy", "complaint"),
        ("customer: my solicitor will write to you", "legal"),
        ("customer: my card number is [CARD_NUMBER]", "sensitive_data"),
        ("customer: um it is about that other thing you know", "unclear_intent"),
    ],
)
def test_each_reason_for_approval_is_given(said: str, reason: str) -> None:
    """A person sees why they are asked."""
    note = finished(["agent: hello how can i help", said, "agent: i see let me have a look"])
    assert note.review and note.review.required
    assert reason in note.review.reasons


def test_an_uncertain_request_goes_to_a_person() -> None:
    """No automatic route without passing both gates."""
    note = finished(
        ["agent: hello what is it about", "customer: well you know the green one thing"]
    )
    assert note.request_type.decision == "human"
    assert note.route and note.route.queue == "triage"


def test_the_note_has_the_published_shape() -> None:
    """Integrations rely on these keys."""
    body = note_json(finished(CLEAN))
    assert set(body) >= {
        "call_id", "status", "request_type", "urgency", "reason", "summary", "facts", "actions",
        "commitments", "outcome", "missing_information", "route", "escalations", "review", "draft",
        "unverified", "measures", "provenance", "next_step", "also", "open_questions",
        "cancellation_reason", "sentiment", "sections",
    }  # fmt: skip
    assert set(body["request_type"]) == {"label", "confidence", "decision"}
    assert set(body["route"]) == {"queue", "owner", "priority", "reasons"}
    assert set(body["outcome"]) == {"value", "evidence"}
    assert body["draft"] is None
    flagged = note_json(
        finished(["agent: hello", "customer: i am very unhappy please call me back by friday",
                  "agent: of course i will call you back on friday"])
    )  # fmt: skip
    (flag, *_) = flagged["escalations"]
    assert set(flag) == {
        "rule", "version", "category", "severity", "why", "evidence", "inputs", "action",
    }  # fmt: skip
    assert set(flag["action"]) == {"queue", "due", "notify"}
    (promise, *_) = flagged["commitments"]
    assert set(promise) == {"text", "evidence", "who", "what", "due", "due_text"}
    assert set(promise["evidence"][0]) == {"turn", "start", "end", "quote"}


def test_no_speech_is_done_with_an_empty_note() -> None:
    """Silence is no failure."""
    body = note_json(finished([]))
    assert body["status"] == "no_summary:no_speech"
    assert body["reason"] is None and body["summary"] == [] and body["escalations"] == []
