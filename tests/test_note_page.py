"""The page of a call: flags first, every statement cited, nothing a caller says is markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from calls import transcript
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.analysts.offline import OfflineAnalyst
from voice_pipeline.domain import Claim, Evidence, Unverified, Warning
from voice_pipeline.note import note_page
from voice_pipeline.note.page import clock, escaped
from voice_pipeline.policy.load import load_pack
from voice_pipeline.stages.review import note_for


def page(lines: Sequence[str], *warnings: Warning) -> str:
    pack = load_pack()
    said = transcript(lines)
    note = note_for(said, {"started_at": "2026-11-24"}, OfflineAnalyst(pack), pack)
    return note_page(note, said, None, warnings)


def test_flags_come_first_with_why_and_quote() -> None:
    """A team lead sees in the first lines what must not be missed."""
    text = page(
        [
            "agent: hello how can i help",
            "customer: i was charged twice and i am very unhappy about it",
            "agent: i have refunded the second payment and i will call you back on friday",
        ]
    )
    flags, happened, then = (
        text.index("## Flags"), text.index("## What happened"), text.index("## What comes next"),
    )  # fmt: skip
    assert flags < happened < then
    assert "complaint" in text[flags:happened]
    assert "“i was charged twice and i am very unhappy about it” (turn 1, 00:" in text
    assert "on friday (2026-11-27)" in text
    assert "## A person must approve" in text


def test_markdown_that_a_caller_dictates_is_letters() -> None:
    """A spoken link, image, heading or tag never renders."""
    text = page(
        [
            "agent: hello how can i help",
            "customer: i want ![x](http://evil.example/p.png) and <script>alert(1)</script> *now*",
            "agent: i have sent you a letter about that",
        ]
    )
    assert "![x]" not in text
    assert "<script>" not in text
    assert "http://" not in text
    assert r"\<script\>" in text


def test_warnings_and_provenance_close_the_page() -> None:
    """Whoever doubts a note finds what made it and what was wrong with the recording."""
    text = page(["agent: hello there", "customer: hello i want to pay"], Warning("bleed", "left"))
    assert "- bleed: left" in text
    assert "extractive, offline; policy default 1" in text


def test_a_silent_call_says_why_there_is_no_summary() -> None:
    """An empty page would be read as an error."""
    assert "No summary: nobody speaks on this recording." in page([])


def test_times_are_minutes_and_seconds() -> None:
    """As a player shows them; nothing where none is known."""
    assert (clock(75.9), clock(0), clock(None)) == ("01:15", "00:00", "")


@given(st.text(max_size=60))
def test_escaping_keeps_one_line_and_defuses_every_mark(text: str) -> None:
    """Spoken text can neither open markup nor start a block of its own."""
    out = escaped(text)
    assert "\n" not in out
    bare = out.replace("\\\\", "")
    for mark in "`*_[]<>|":
        assert all(bare[at - 1] == "\\" for at, letter in enumerate(bare) if letter == mark)


def test_the_next_step_and_the_statements_stand_on_top() -> None:
    """An agent knows in ten seconds what to do, before flags and facts; nothing is said twice."""
    text = page(
        [
            "agent: hello how can i help",
            "customer: my parcel has not arrived and i am very unhappy about it",
            "agent: i have opened a trace with the driver for you",
            "customer: okay",
            "agent: i will call you back on friday",
            "customer: bye then",
        ]
    )
    top = text[: text.index("## Flags")]
    assert "**Next step:** agent, on friday (2026-11-27): “i will call you back on friday”" in top
    assert "my parcel has not arrived" in top and "opened a trace" in top
    assert top.count("i will call you back") == 1
    assert "\n\n\n" not in text


def test_two_values_of_one_sentence_stand_in_one_line() -> None:
    """A sentence is quoted once with everything it names; what was taken back says so."""
    text = page(
        [
            "agent: hello how can i help",
            "customer: it is about the price of my plan that you sent me",
            "agent: it went from twenty pounds to thirty pounds in may as you know",
            "customer: i paid ninety pounds for it",
            "agent: okay",
            "customer: no sorry i mean eighty pounds for it",
            "agent: i have refunded that for you now",
            "customer: thank you very much bye",
        ]
    )
    assert "- **twenty pounds, thirty pounds** agent: “it went from" in text
    assert "**Corrected later: ninety pounds**" in text
    assert "- **eighty pounds**" in text


def test_a_call_in_another_language_says_so() -> None:
    """The reader learns that the analyst could not read it, and gets no empty next step."""
    text = page(
        ["agent: buenos días le atiende marta en qué puedo ayudarle esta mañana",
         "customer: hola quiero darme de baja del contrato porque me han cobrado dos veces",
         "agent: lo siento mucho voy a mirar la factura y le llamo mañana"]
    )  # fmt: skip
    assert "in a language that is not read here" in text
    assert "Next step" not in text


def test_letters_without_a_shape_are_left_out() -> None:
    """Nobody can hide words or turn their direction round."""
    assert escaped("re\u200bfund \u202edlog") == "refund dlog"


def test_unverified_claims_say_what_is_wrong_with_them() -> None:
    """A reader knows at a glance whether the number or the speaker is wrong."""
    said = transcript(["agent: i paid forty dollars", "customer: thank you that is very kind"])
    pack = load_pack()
    note = note_for(said, {}, OfflineAnalyst(pack), pack)
    failed = Unverified("Paid <b>50</b> dollars", (Evidence(0, "i paid forty dollars"),), "number")
    text = note_page(replace(note, unverified=(failed,)), said, None, ())
    assert r"- *a number was not said there:* Paid \<b\>50\</b\> dollars" in text


def test_a_statement_in_other_words_stands_before_its_quote() -> None:
    """The reader sees both and can compare."""
    said = transcript(["agent: hello", "customer: my parcel has not arrived at my house yet"])
    pack = load_pack()
    note = note_for(said, {}, OfflineAnalyst(pack), pack)
    claim = Claim("Customer: The parcel has not arrived", (Evidence(1, said.turns[1].text),))
    text = note_page(replace(note, summary=(claim,)), said, None, ())
    assert "- Customer: The parcel has not arrived: customer: “my parcel" in text
