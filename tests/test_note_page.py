"""The page of a call: flags first, every statement cited, nothing a caller says is markdown."""

from __future__ import annotations

from collections.abc import Sequence

from calls import transcript
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.analysts.offline import OfflineAnalyst
from voice_pipeline.domain import Warning
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
