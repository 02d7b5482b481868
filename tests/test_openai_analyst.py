"""The analyst behind a server: verified or offline, whatever the server does, and never silent."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

import pytest
from calls import transcript
from served import DAY, LOST_PARCEL, asked, built, code, offline

from voice_pipeline.building import build_analyst
from voice_pipeline.config import Part
from voice_pipeline.doubles import BEHAVIOURS, ModelServer, extractive
from voice_pipeline.note import note_json, note_page, note_warnings
from voice_pipeline.policy.load import load_pack
from voice_pipeline.stages.review import note_for

# ---------------------------------------------------------------- what a good answer becomes


def test_the_note_says_what_made_it() -> None:
    """Prompt, schema, model as served, parameters, tokens, cost, time and input, all by name."""
    with ModelServer() as server:
        note = asked(server, price_in=0.5, price_out=1.0)
    made = note.provenance
    prompt = load_pack().prompt("note")
    assert prompt and made["prompt"] == {
        "id": "note", "version": prompt.version, "sha256": prompt.sha256
    }  # fmt: skip
    assert made["model_served"] == ["m"]
    assert made["format"] == "json_schema"
    assert made["parameters"]["temperature"] == 0.0
    assert made["tokens"]["counted_by"] == "server"
    tokens = made["tokens"]
    assert made["cost"] == pytest.approx(tokens["prompt"] * 0.0005 + tokens["completion"] * 0.001)
    assert made["latency"] > 0
    assert len(made["input_sha256"]) == 64
    assert made["claims"]["given"] == made["claims"]["held"] > 0


def test_offline_and_model_give_the_same_schema() -> None:
    """The console and the CRM cannot tell the difference but for the provenance."""

    def agrees(turns: Any) -> dict[str, Any]:
        return extractive(turns) | {"request_type": "delivery_problem"}

    pack = load_pack()
    with ModelServer(writer=agrees) as server:
        notes = [
            note_json(note_for(transcript(LOST_PARCEL), DAY, analyst, pack))
            for analyst in (built(server), build_analyst(Part(use="offline"), pack))
        ]
    shapes = [_shape({k: v for k, v in note.items() if k != "provenance"}) for note in notes]
    assert set(shapes[0]) == set(shapes[1])
    for key in shapes[0]:
        assert shapes[0][key] == shapes[1][key], key
    assert "provenance" in notes[0] and "provenance" in notes[1]


def _shape(value: Any) -> Any:
    """Return the keys of a JSON value, recursively; a list is what its items are."""
    if isinstance(value, Mapping):
        return {key: _shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shape(inner) for inner in value[:1]]
    return type(value).__name__


def test_everything_the_rules_look_at_stays() -> None:
    """A model that says little takes no promise, fact or measure away from the offline note."""

    def terse(turns: Any) -> dict[str, Any]:
        said = extractive(turns)
        return extractive([]) | {"reason": said["reason"], "request_type": "delivery_problem"}

    base = offline()
    with ModelServer(writer=terse) as server:
        note = asked(server)
    assert code(note) is None
    assert note.request_type == base.request_type
    assert note.commitments == base.commitments
    assert note.actions == base.actions
    assert note.outcome == base.outcome
    assert note.measures == base.measures


def test_a_model_that_sees_another_request_hands_the_decision_to_a_person() -> None:
    """Agreement of rules and model is the only confidence that means something."""
    base = offline()
    with ModelServer() as server:  # proposes `other`
        note = asked(server)
    assert base.request_type.decision == "auto"
    assert (note.request_type.label, note.request_type.decision) == ("delivery_problem", "human")
    assert note.provenance["claims"]["agreement"]["request_type"] is False


def test_words_beyond_the_quote_give_way_to_the_quote() -> None:
    """A paraphrase that cannot be checked is not shown; what it cites is."""
    texts = {
        "The parcel has not arrived": "Customer: The parcel has not arrived",
        "The shipment did not arrive because of a thief": None,
        "The parcel will not arrive": None,
        "Agent says the parcel has not arrived": None,
    }
    for text, shown in texts.items():
        quote = [{"turn": 1, "quote": "my parcel has not arrived"}]
        with ModelServer(writer=_facts({"text": text, "evidence": quote})) as server:
            note = asked(server)
        fact = next(
            (f.text for f in note.facts if f.evidence[0].turn == 1 and not f.text.startswith("W")),
            None,
        )
        whole = "Customer: hello my parcel has not arrived and i need it for friday"
        assert fact == (shown or whole), text


def test_a_statement_of_the_contrary_is_unverified() -> None:
    """`has arrived` is not what `has not arrived` says, and nothing is shown in its place."""
    quote = [{"turn": 1, "quote": "my parcel has not arrived"}]
    with ModelServer(writer=_facts({"text": "The parcel has arrived", "evidence": quote})) as at:
        note = asked(at)
    assert [(claim.text, claim.why) for claim in note.unverified] == [
        ("The parcel has arrived", "negation")
    ]


def _facts(*items: dict[str, Any]) -> Any:
    def write(turns: Any) -> dict[str, Any]:
        said = extractive(turns)
        return said | {"facts": list(items)}

    return write


def test_a_quote_is_widened_to_its_sentence() -> None:
    """`promise a refund` out of `i can not promise a refund` is no promise."""
    lines = [*LOST_PARCEL[:6], "agent: i can not promise a refund of ninety dollars today"]

    def cuts(turns: Any) -> dict[str, Any]:
        evidence = [{"turn": 6, "quote": "promise a refund of ninety dollars"}]
        return extractive(turns) | {
            "commitments": [
                {"who": "agent", "what": "a refund of ninety dollars", "due_text": "",
                 "evidence": evidence}
            ]
        }  # fmt: skip

    with ModelServer(writer=cuts) as server:
        note = asked(server, lines)
    assert not any("refund" in claim.text for claim in note.commitments)
    assert [claim.why for claim in note.unverified] == ["no_promise"]


def test_due_dates_are_worked_out_in_code() -> None:
    """The model copies the words; the calendar is ours."""

    def dated(turns: Any) -> dict[str, Any]:
        evidence = [{"turn": 8, "quote": "we will send you a letter on monday"}]
        promise = {"who": "agent", "what": "send you a letter", "due_text": "on monday"}
        return extractive(turns) | {"commitments": [promise | {"evidence": evidence}]}

    lines = [*LOST_PARCEL, "agent: we will send you a letter on monday"]
    with ModelServer(writer=dated) as server:
        note = asked(server, lines)
    found = {claim.due_text: claim.due for claim in note.commitments}
    assert str(found["on monday"]) == "2026-11-30"


def test_a_concern_adds_a_flag_and_clears_none() -> None:
    """With a quote that stands there a person looks; without one nothing happens."""

    def worried(turns: Any) -> dict[str, Any]:
        return extractive(turns) | {
            "request_type": "delivery_problem",
            "concerns": [
                {"category": "fraud", "evidence": [{"turn": 1, "quote": "has not arrived"}]},
                {"category": "legal_threat", "evidence": [{"turn": 1, "quote": "i will sue"}]},
                {"category": "made_up", "evidence": [{"turn": 1, "quote": "has not arrived"}]},
            ],
        }

    pack = load_pack()
    calm = note_for(transcript(LOST_PARCEL), DAY, build_analyst(Part(use="offline"), pack), pack)
    with ModelServer(writer=worried) as server:
        note = note_for(transcript(LOST_PARCEL), DAY, built(server), pack)
    added = {flag.category: flag for flag in note.escalations if flag not in calm.escalations}
    assert {flag.category for flag in calm.escalations} < {f.category for f in note.escalations}
    assert set(added) == {"fraud"}
    assert added["fraud"].rule == "model_suggestion"
    assert note.route and calm.route and note.route.queue == calm.route.queue


# ---------------------------------------------------------------- what a bad server leads to

FALLS_BACK = {
    "rate_limited": "quota", "error": "server", "unauthorized": "access", "no_model": "access",
    "redirect": "server", "hang": "server", "drip": "server", "truncated": "server",
    "html": "server", "huge": "server", "broken_envelope": "server", "invalid_json": "invalid",
    "wrong_shape": "invalid", "refusal": "invalid", "length": "invalid", "empty": "invalid",
    "other_language": "language", "other_call": "unverified",
}  # fmt: skip


@pytest.mark.parametrize("behaviour", FALLS_BACK)
def test_without_a_good_answer_the_offline_note_goes_out_with_a_code(behaviour: str) -> None:
    """Nothing of a bad answer is in the note, and the reader is told."""
    with ModelServer(["good", behaviour]) as server:
        note = asked(server, timeout=0.6)
    base = offline()
    assert code(note) == f"analyst_fallback:{FALLS_BACK[behaviour]}"
    assert note.status == "done"
    assert {k: v for k, v in note_json(note).items() if k != "provenance"} == {
        k: v for k, v in note_json(base).items() if k != "provenance"
    }
    (warning,) = note_warnings(note)
    assert warning.code == code(note) and warning.detail
    assert "dental" not in json.dumps(note_json(note))


@pytest.mark.parametrize("behaviour", sorted(set(BEHAVIOURS) - set(FALLS_BACK)))
def test_what_a_server_may_do_differently_is_no_failure(behaviour: str) -> None:
    """Other formats, no or wrong counts, slowness: the note is the model's."""
    with ModelServer(behaviour, delay=0.1) as server:
        note = asked(server)
    assert code(note) is None
    formats = {"schema_ignored": "json_object", "schema_rejected": "json_object"}
    formats |= {"formats_rejected": "text"}
    assert note.provenance["format"] == formats.get(behaviour, "json_schema")
    counted = "estimate" if behaviour in ("wrong_usage", "no_usage") else "server"
    assert note.provenance["tokens"]["counted_by"] == counted
    assert 0 < note.provenance["tokens"]["completion"] < 10_000
    assert "<" not in str(note.provenance["model_served"])


def test_one_repair_is_asked_for_with_what_was_wrong() -> None:
    """The second answer counts; the turns are sent as data again."""
    with ModelServer(["good", "wrong_shape", "good"]) as server:
        note = asked(server)
        repair = server.chats[-1].json
    assert code(note) is None
    assert note.provenance["repairs"] == 1
    assert "cannot be used" in repair["messages"][0]["content"]
    assert [m["role"] for m in repair["messages"]] == ["system", "user"]


def test_nobody_there_is_a_code_as_well() -> None:
    """A server that is down costs no call."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        note = built(url).analyse(transcript(LOST_PARCEL), DAY)
    assert code(note) == "analyst_fallback:server"


def test_abstaining_says_so_in_the_status() -> None:
    """Whoever wants no offline note gets none, with a code of the contract."""
    expected = {"rate_limited": "quota", "unauthorized": "server", "other_call": "unverified",
                "other_language": "language"}  # fmt: skip
    for behaviour, status in expected.items():
        with ModelServer(["good", behaviour]) as server:
            note = asked(server, on_failure="abstain")
        assert note.status == f"no_summary:{status}"
        assert note.summary == note.facts == note.commitments == ()
        assert "No summary: " in note_page(note, transcript(LOST_PARCEL), None, ())


def test_too_little_speech_is_not_sent() -> None:
    """What cannot be summed up leaves nowhere."""
    with ModelServer() as server:
        note = asked(server, ["agent: hello", "customer: wrong number"])
    assert note.status == "no_summary:insufficient_speech"
    assert server.requests == []
