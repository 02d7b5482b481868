"""A vendor's transcript with all its fields: nothing raw stays in any of them."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redaction import Redactor, load_policy
from redaction.jsonl import redact_lines, redact_record
from redaction.tokens import normalise

REDACTOR = Redactor(load_policy("balanced"))
NAMES = "zero one two three four five six seven eight nine".split()
CARD = "4532991088764242"
SPOKEN = " ".join(NAMES[int(char)] for char in CARD)
WRITTEN = "4532 9910 8876 4242"


def redacted(record: dict[str, Any]) -> dict[str, Any]:
    before = json.dumps(record)
    out = redact_record(record, REDACTOR)
    assert json.dumps(record) == before, "the input is left alone"
    return out


def turn(text: str, **fields: Any) -> dict[str, Any]:
    return {"speaker": "customer", "text": text, **fields}


def of_words(text: str, start: float = 0.0) -> list[dict[str, Any]]:
    return [
        {"word": word.strip(".,?").lower(), "punctuated_word": word, "start": start + at,
         "end": start + at + 0.9, "confidence": 0.9}
        for at, word in enumerate(text.split())
    ]  # fmt: skip


VENDOR = {
    "id": "call-1",
    "title": f"Dorothy Whitcombe pays with {WRITTEN}",
    "metadata": {"team": "cards", "customer_ref": "CUST-88213344", "note": "ring Whitcombe back"},
    "transcript": "May I have your name? Dorothy Whitcombe. And the card number? "
    f"Sure, it's {WRITTEN}. And the three digits? 309.",
    "words": of_words(f"Sure, it's {WRITTEN}."),
    "sentiment": "neutral",
    "duration": 12.5,
    "turns": [
        turn("may i have your name", speaker="AGENT"),
        turn("dorothy whitcombe", display="Dorothy Whitcombe.", entities=[
            {"type": "person", "text": "Dorothy Whitcombe"}]),
        turn("and the card number", speaker="AGENT", tags=["payment", "card"]),
        turn(
            f"sure it's {SPOKEN}", written=f"Sure, it's {WRITTEN}.", words=of_words(
                f"Sure, it's {WRITTEN}."),
            alternates=[{"confidence": 0.4, "text": f"sure it's {SPOKEN.replace('two', 'too')}"}],
            timestamp="00:00:12.4", number=int(CARD),
        ),
        turn("and the three digits on the back", speaker="AGENT"),
        turn("three oh nine", itn="309", norm="309", value=None, sentiment="neutral", items=[
            {"type": "pronunciation", "start_time": "1.0", "end_time": "1.4",
             "alternatives": [{"confidence": "0.9", "content": word}]}
            for word in ("three", "oh", "nine")]),
    ],
}  # fmt: skip


def test_a_vendors_transcript_is_clean_in_every_field() -> None:
    """Card, card code and name are gone from text, words, alternates, title and metadata alike."""
    out = redacted(VENDOR)
    text = json.dumps(out).lower()
    assert "whitcombe" not in text
    assert "dorothy" not in text
    for raw in ("4532", "9910", "8876", "4242", "309", "four", "nine", CARD):
        assert raw not in text, raw
    # three digits is what the agent asks for; it stays
    assert out["turns"][4]["text"] == "and the three digits on the back"


def test_what_is_harmless_stays_as_it_was() -> None:
    """Ids, references, times, labels and numbers that say nothing personal are echoed."""
    out = redacted(VENDOR)
    assert out["id"] == "call-1"
    assert out["metadata"]["customer_ref"] == "CUST-88213344"
    assert out["metadata"]["team"] == "cards"
    assert (out["sentiment"], out["duration"]) == ("neutral", 12.5)
    assert out["turns"][2]["tags"] == ["payment", "card"]
    assert out["turns"][3]["timestamp"] == "00:00:12.4"
    assert out["turns"][5]["value"] is None
    assert out["turns"][5]["sentiment"] == "neutral"
    assert [t["speaker"] for t in out["turns"]] == [t["speaker"] for t in VENDOR["turns"]]  # type: ignore[attr-defined]


def test_a_finding_is_one_item_of_a_word_list() -> None:
    """Words under a finding become one placeholder from the first's start to the last's end."""
    words = redacted(VENDOR)["turns"][3]["words"]
    assert [item["word"] for item in words] == ["sure", "it's", "[CARD_NUMBER]"]
    assert words[2] == {"word": "[CARD_NUMBER]", "start": 2.0, "end": 5.9, "confidence": 0.9}
    assert words[0]["punctuated_word"] == "Sure,"


def test_written_only_and_lexical_only() -> None:
    """What one form shows is gone from the text too, and counted among its spans."""
    out = redacted({"id": 1, "text": "so it reads for tea to and such thanks",
                    "written": f"So it reads {WRITTEN} thanks?"})  # fmt: skip
    assert out["text"] == "so it reads [CARD_NUMBER] thanks"
    assert out["written"] == "So it reads [CARD_NUMBER] thanks?"
    assert [span["label"] for span in out["spans"]] == ["CARD_NUMBER"]


def test_a_field_answers_no_question_of_the_call() -> None:
    """A field behind the last question is not taken for its answer."""
    asked = {"speaker": "agent", "text": "can i have your card number and your name please"}
    out = redacted({"id": 1, "topic": "billing", "length": "125", "turns": [asked]})
    assert (out["topic"], out["length"]) == ("billing", "125")


def test_records_without_other_fields_are_as_before() -> None:
    """The plain record of the contract comes back with nothing added but spans."""
    out = redacted({"id": 1, "text": "my pin is two two nine one"})
    assert set(out) == {"id", "text", "spans"}


ODD_FIELDS = [
    {"words": []}, {"words": [{}]}, {"words": [None, 3]}, {"words": "four one"},
    {"alternates": None}, {"alternates": [[["x"]]]}, {"written": ""}, {"lexical": 5},
    {"": ""}, {"words": [{"word": 4}]},
    {"words": [{"word": "a b"}, {"word": ""}]}, {"x": float("nan")}, {"x": 10**400},
    {"items": [{"alternatives": []}]}, {"speaker": 5}, {"words": {"word": {"word": "x"}}},
]  # fmt: skip


@pytest.mark.parametrize("fields", ODD_FIELDS)
def test_odd_fields_are_taken(fields: dict[str, Any]) -> None:
    """Empty, nested and mistyped fields never stop a line."""
    redact_record({"id": 1, "turns": [turn("my pin is two two nine one", **fields)]}, REDACTOR)
    redact_record({"id": 1, "text": "my pin is two two nine one", **fields}, REDACTOR)
    redact_record({"id": 1, "turns": [turn("two two nine one")], **fields}, REDACTOR)


def test_a_deep_field_is_a_bad_line() -> None:
    """A record nested too deeply is an error record, and the next line is done."""
    deep = '{"id":1,"text":"a","x":' + "[" * 900 + "]" * 900 + "}"
    out, err = io.StringIO(), io.StringIO()
    redact_lines([deep, '{"id":2,"text":"b"}'], out, err, REDACTOR)
    assert [json.loads(line)["id"] for line in out.getvalue().splitlines()] == [1, 2]


HOLDERS = [
    lambda form: {"written": f"Sure, it's {form}."}, lambda form: {"lexical": f"sure it's {form}"},
    lambda form: {"alternates": [f"sure it's {form}", f"sir its {form}"]},
    lambda form: {"alternatives": [{"transcript": f"sure it's {form}", "words": of_words(form)}]},
    lambda form: {"words": of_words(f"sure it's {form}")}, lambda form: {"tokens": form.split()},
    lambda form: {"anything": {"deep": [f"sure it's {form}"]}}, lambda form: {"value": form},
    lambda form: {"items": [{"start_time": "1", "alternatives": [{"content": word}]}
                            for word in form.split()]},
    lambda form: {f"key {form}": 1}, lambda form: {"title": f"pays with card number {form}"},
    lambda form: {"customer_id": form}, lambda form: {"unknown": [{"w": w} for w in form.split()]},
]  # fmt: skip


def forms_of(digits: str) -> list[str]:
    fours = [digits[at : at + 4] for at in range(0, 16, 4)]
    spoken = [NAMES[int(char)] for char in digits]
    return [digits, " ".join(fours), "-".join(fours), " ".join(digits), " ".join(spoken)]


@settings(max_examples=250, deadline=None)
@given(
    st.text("0123456789", min_size=16, max_size=16).filter(lambda text: text[0] in "3456"),
    st.integers(0, 4),
    st.integers(0, 4),
    st.lists(st.sampled_from(range(len(HOLDERS))), min_size=1, max_size=3, unique=True),
    st.sampled_from(["turn", "call", "text"]),
)
def test_a_planted_card_never_survives_in_any_field(
    digits: str, said: int, held: int, holders: list[int], place: str
) -> None:
    """A card in the text and in fields beside or around it, in any form, is gone from the line."""
    fields: dict[str, Any] = {}
    for holder in holders:
        fields.update(HOLDERS[holder](forms_of(digits)[held]))
    text = f"sure it's {forms_of(digits)[said]}"
    asked = {"speaker": "agent", "text": "what is the card number please"}
    if place == "turn":
        record = {"id": "c", "turns": [asked, turn(text, **fields)]}
    elif place == "call":
        record = {"id": "c", "turns": [asked, turn(text)], **fields}
    else:
        record = {"id": "c", "text": f"my card number is {forms_of(digits)[said]}", **fields}
    out = redacted(record)
    del out["spans"]
    left = json.dumps(_without_times(out), ensure_ascii=False).lower()
    spoken = set(normalise(left).replace('"', " ").replace(",", " ").split()) & set(NAMES)
    assert not spoken, left
    assert sum(char.isdigit() for char in left) <= 3, left


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        times = ("start", "end", "confidence", "start_time")
        return {k: _without_times(v) for k, v in value.items() if k not in times}
    if isinstance(value, list):
        return [_without_times(item) for item in value]
    return value
