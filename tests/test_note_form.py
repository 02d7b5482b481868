"""What stands in a note beside facts and promises, and what a pack may ask of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from calls import transcript

from redaction.records import Word
from voice_pipeline.analysts.offline import OfflineAnalyst
from voice_pipeline.domain import CaseNote, RedactedTranscript, RedactedTurn
from voice_pipeline.policy.check import check
from voice_pipeline.policy.load import DEFAULT, load_pack

Edit = Callable[[str], str]


def analysed(lines: Sequence[str], pack: Path | None = None, **metadata: str) -> CaseNote:
    return OfflineAnalyst(load_pack(pack)).analyse(transcript(lines), metadata)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Edit], Path]:
    """A copy of the default pack whose note.yaml was edited."""

    def make(edit: Edit) -> Path:
        folder = tmp_path / "pack"
        shutil.copytree(DEFAULT, folder)
        path = folder / "note.yaml"
        path.write_text(edit(path.read_text("utf-8")), "utf-8")
        return folder

    return make


LEAVING = [
    "agent: hello retention team how can i help",
    "customer: hi i'd like to cancel my contract please",
    "agent: may i ask why",
    "customer: because it has gone up to forty two pounds and i hardly use it",
    "agent: i can offer you twenty nine pounds for a year",
    "customer: okay when does it end then",
    "agent: i'm not sure i would have to ask the contracts team",
    "customer: okay and i also want to change my address please",
    "agent: i have cancelled the contract for you and changed the address",
    "customer: thank you bye",
]


def test_a_note_says_why_somebody_leaves_what_stayed_open_and_what_else_they_wanted() -> None:
    """Each with the turn in which it was said."""
    note = analysed(LEAVING)
    assert note.request_type.label == "cancellation"
    assert note.cancellation_reason and note.cancellation_reason.evidence[0].turn == 3
    assert [claim.evidence[0].turn for claim in note.open_questions] == [5]
    assert [(other.label, other.evidence[0].turn) for other in note.also] == [("account_change", 7)]
    assert note.missing_information == ()
    assert [part.id for part in note.sections] == ["offer"]
    assert note.unverified == ()


def test_nobody_who_stays_has_a_reason_to_leave() -> None:
    """A reason is looked for only where somebody leaves, or says so."""
    note = analysed(
        [
            "agent: good morning how can i help",
            "customer: my bill has gone up because of the new meter what does it cost now",
            "agent: it costs thirty pounds a month",
            "customer: okay thank you",
        ]
    )
    assert note.cancellation_reason is None and note.open_questions == ()


CORRECTED = [
    "agent: good morning furniture store how can i help",
    "customer: hello i would like the sofa delivered on tuesday please",
    "agent: on tuesday of course",
    "customer: no sorry i mean on thursday",
    "agent: thursday it is i have booked that for you",
    "customer: lovely thank you bye",
]


def test_the_last_version_counts_and_the_first_stays_in_view() -> None:
    """Both stand among the facts, the first with a mark; the summary says what corrects it."""
    texts = [fact.text for fact in analysed(CORRECTED).facts]
    assert any(text.startswith("When: on thursday") for text in texts)
    note = analysed(
        [
            CORRECTED[0],
            "customer: hello i ordered a sofa for three hundred pounds",
            "agent: i see",
            "customer: no sorry i mean four hundred pounds and it has not come",
            "agent: i have sent a message to the depot and will call you tomorrow",
            "customer: okay bye",
        ]
    )
    texts = [fact.text for fact in note.facts]
    assert any(text.startswith("Corrected later: three hundred pounds") for text in texts)
    assert any(text.startswith("Amount: four hundred pounds") for text in texts)
    top = note.summary[0]
    assert "Corrected: no sorry i mean four hundred pounds" in top.text
    assert [quote.turn for quote in top.evidence] == [1, 3]
    assert note.unverified == ()


@pytest.mark.parametrize("turn", ["no", ", no,", "sorry", "no wait"])
def test_a_reference_that_is_put_right_at_once(turn: str) -> None:
    """`double four seven, no, double four eight`: the second counts, the first stays marked."""
    found = analysed(
        [
            "agent: parcels direct how can i help you today",
            "customer: hello my parcel has not arrived and i need it",
            "agent: what is the order number please",
            f"customer: it is double four seven {turn} double four eight".replace(" ,", ","),
            "agent: thank you i have opened a trace and will call you tomorrow",
        ]
    )
    texts = [claim.text.partition(". ")[0] for claim in found.facts]
    assert "Corrected later: double four seven" in texts
    assert "Reference: double four eight" in texts
    assert "Reference: double four seven" not in texts


def test_a_denied_statement_is_marked_too() -> None:
    """The parcel arrived, or it never did: both are kept, the last one counts."""
    note = analysed(
        [
            "agent: hello how can i help",
            "customer: it is about a refund for some shoes that i sent",
            "agent: did the parcel arrive",
            "customer: the brown parcel arrived yesterday morning",
            "agent: i see it at the depot",
            "customer: the brown parcel never arrived yesterday morning",
            "agent: i have noted that and will call you tomorrow",
            "customer: fine bye",
        ]
    )
    texts = [fact.text for fact in note.facts]
    assert any(t.startswith("Corrected later:") and "never" not in t for t in texts)
    assert any("never arrived" in t and not t.startswith("Corrected later:") for t in texts)


@pytest.mark.parametrize(
    ("first", "last", "moods"),
    [
        ("i am furious about this it is a disgrace", "thank you you've been brilliant",
         ("negative", "positive")),
        ("i am not happy about my bill at all", "fine bye then to you", ("negative", "neutral")),
        ("i would like to change my address please", "okay bye then to you",
         ("neutral", "neutral")),
        ("hello no complaints i just want my balance", "perfect that's lovely",
         ("positive", "positive")),
    ],
)  # fmt: skip
def test_moods_come_from_words_with_negation(first: str, last: str, moods: tuple[str, str]) -> None:
    """Start and end, each with the quote that says so; nothing is read into silence."""
    note = analysed(
        ["agent: hello", f"customer: {first}", "agent: let me look", "customer: it is about june",
         "agent: i have changed that for you now", "customer: that is what i wanted to hear",
         "agent: anything else", f"customer: {last}"]
    )  # fmt: skip
    assert note.mood_start and note.mood_end
    assert (note.mood_start.value, note.mood_end.value) == moods
    assert all((mood.value == "neutral") != bool(mood.evidence)
               for mood in (note.mood_start, note.mood_end))  # fmt: skip


def test_praise_of_a_call_that_helped_nobody_is_not_taken_at_its_word() -> None:
    """`brilliant` after `there is nothing i can do` is irony or courtesy."""
    note = analysed(
        ["agent: hello", "customer: my internet is still not working since monday",
         "agent: there is nothing i can do from here",
         "customer: so it still does not work brilliant"]
    )  # fmt: skip
    assert note.outcome.value == "unresolved"
    assert note.mood_end and note.mood_end.value != "positive"


def test_a_pack_switches_sentiment_off(edited: Callable[[Edit], Path]) -> None:
    """Where it may not be, it is not worked out, and the note says that it was off."""
    pack = edited(lambda text: text.replace("sentiment: on", "sentiment: off"))
    note = analysed(["agent: hello", "customer: i am furious about this bill it is wrong"], pack)
    assert note.mood_start is None and note.mood_end is None
    assert note.provenance["sentiment"] == "off"


@pytest.mark.parametrize(("length", "most"), [("short", 2), ("normal", 3), ("long", 3)])
def test_a_pack_sets_the_length(edited: Callable[[Edit], Path], length: str, most: int) -> None:
    """Never more than three statements on top, whatever the length."""
    lines = [*LEAVING[:-1], *(f"customer: the meter in room {n} says it is broken again today"
                              for n in range(30)), LEAVING[-1]]  # fmt: skip
    pack = edited(lambda text: text.replace("length: normal", f"length: {length}"))
    note = analysed(lines, pack)
    assert len(note.summary) <= most
    limit = {"short": 5, "normal": 12, "long": 40}[length]
    assert len(note.facts) <= limit
    assert note.provenance["length"] == length


def test_a_pack_without_note_yaml_has_the_defaults(edited: Callable[[Edit], Path]) -> None:
    """Older packs go on working."""
    folder = edited(lambda text: text)
    (folder / "note.yaml").unlink()
    assert check(folder) == []
    assert load_pack(folder).note.length == "normal" and load_pack(folder).note.sections == ()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.replace("length: normal", "length: tiny"), "length"),
        (lambda t: t.replace("request_types: [fraud]", "request_types: [frauds]"),
         "no request type is called frauds"),
        (lambda t: t.replace("  - id: offer", "  - id: equipment"), "equipment is defined twice"),
        (lambda t: t.replace("    kinds: [amounts]\n", ""), "neither by kind nor by phrase"),
        (lambda t: t + "colour: red\n", "unknown key"),
    ],
)  # fmt: skip
def test_a_faulty_note_form_is_named_with_its_line(
    edited: Callable[[Edit], Path], edit: Edit, message: str
) -> None:
    """`policy check` says FILE:LINE: what."""
    faults = [str(fault) for fault in check(edited(edit))]
    assert any("note.yaml:" in fault and message in fault for fault in faults), faults


def test_own_sections_pick_by_phrase_by_kind_and_by_both(edited: Callable[[Edit], Path]) -> None:
    """An organisation's own part of the note, quoted; an empty one is left out."""
    own = """
  - {id: meter, title: Meter, phrases: [meter], most: 1}
  - {id: sums, title: Sums, kinds: [amounts]}
  - {id: meter_sums, title: Sums of meters, kinds: [amounts], phrases: [meter]}
  - {id: never, title: Never, phrases: [zebra]}
"""
    note = analysed(
        ["agent: hello how can i help", "customer: my new meter cost ninety pounds to fit",
         "agent: i see and the bill",
         "customer: the bill says forty pounds and the meter is broken",
         "agent: i have refunded the forty pounds for you", "customer: thank you bye"],
        edited(lambda text: text + own),
    )  # fmt: skip
    found = {part.id: [claim.evidence[0].turn for claim in part.claims] for part in note.sections}
    assert found["meter"] == [1]
    assert found["sums"] == [1, 3]  # the refund is of the same sum
    assert found["meter_sums"] == [1, 3]
    assert "never" not in found


@pytest.mark.parametrize(
    ("said", "urgency"),
    [
        ("hi my router is broken and there is a smell of gas in the hall", "urgent"),
        ("hi my card was lost and i need it today", "high"),
        ("hi my router is slow but there is no rush and it is not urgent", "normal"),
    ],
)
def test_words_of_the_caller_raise_the_urgency(said: str, urgency: str) -> None:
    """The note names the turn; nothing that is said lowers it."""
    note = analysed(["agent: hello how can i help", f"customer: {said}", "agent: let me look"])
    assert note.urgency == urgency
    assert (note.provenance["urgency_turn"] == 1) == (urgency != "normal")


def timed(*turns: tuple[str, float | None, float | None, str]) -> RedactedTranscript:
    return RedactedTranscript("call", "en", tuple(
        RedactedTurn(n, who, 0, start, end, tuple(Word(w, start, end) for w in text.split()))
        for n, (who, start, end, text) in enumerate(turns)
    ), max((end for _, _, end, _ in turns if end is not None), default=0.0))  # fmt: skip


def test_measures_say_who_talked_waited_interrupted_and_held() -> None:
    """Every figure worked out by hand."""
    measures = OfflineAnalyst(load_pack()).analyse(timed(
        ("agent", 0.0, 4.0, "good morning how can i help you today"),
        ("customer", 5.0, 15.0, "i have a problem with my bill it is far too high again"),
        ("agent", 9.0, 9.5, "mhm"),
        ("customer", 15.5, 20.0, "and nobody has called me back about it"),
        ("agent", 19.0, 22.0, "let me put you on hold for a moment"),
        ("agent", 52.0, 56.0, "thank you for holding i have corrected the bill"),
        ("customer", 57.0, 60.0, "thank you very much bye"),
    ), {}).measures  # fmt: skip
    assert measures["agent_turns"] == 4 and measures["customer_turns"] == 3
    assert measures["agent_talk_share"] == round(11.5 / 29, 3)
    assert measures["customer_talk_share"] == round(17.5 / 29, 3)
    assert measures["longest_silence"] == 30.0
    assert measures["silence_share"] == round((1 + 0.5 + 30 + 1) / 60, 3)
    assert measures["agent_holds"] == 1 and measures["agent_hold_seconds"] == 30.0
    assert measures["agent_interruptions"] == 1 and measures["customer_interruptions"] == 0
    assert measures["interruptions"] == 1
    assert measures["customer_longest_monologue"] == measures["longest_monologue"] == 15.0
    assert measures["customer_words_per_minute"] == round(60 * 26 / 17.5, 1)


def test_without_times_there_are_no_measures_of_time() -> None:
    """Nothing is guessed: what needs times is absent, not zero."""
    measures = OfflineAnalyst(load_pack()).analyse(timed(
        ("agent", None, None, "good morning how can i help you today"),
        ("customer", None, None, "i have a problem with my bill"),
    ), {}).measures  # fmt: skip
    assert set(measures) == {
        "turns", "words", "agent_turns", "customer_turns", "agent_word_share",
        "customer_word_share", "verified_share",
    }  # fmt: skip


SPANISH = [
    "agent: buenos días le atiende marta en qué puedo ayudarle",
    "customer: hola quiero darme de baja del contrato porque me han cobrado dos veces este mes",
    "agent: lo siento mucho voy a mirar la factura y le llamo mañana por la tarde",
    "customer: muy bien gracias adiós",
]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (SPANISH, "no_summary:language"),
        (["agent: hello there sir", "customer: no"], "no_summary:insufficient_speech"),
        ([f"{'agent' if n % 2 else 'customer'}: no" for n in range(500)],
         "no_summary:insufficient_speech"),
        (["customer: i want a refund of ninety pounds for the broken chair that you sent me"],
         "no_summary:insufficient_speech"),
        (["agent: mhm", "customer: okay", "agent: yeah", "customer: right", "agent: i see"] * 9,
         "no_summary:insufficient_speech"),
    ],
)  # fmt: skip
def test_what_cannot_be_summed_up_is_refused_with_a_code(lines: list[str], status: str) -> None:
    """Another language, three words, one word 500 times, one side, or nods alone."""
    note = analysed(lines)
    assert note.status == status
    assert note.summary == note.facts == note.commitments == note.open_questions == ()
    assert note.mood_start is None and note.sections == ()
    assert note.measures["turns"] == len(lines)


def test_a_call_that_was_recognised_in_another_language_is_not_read() -> None:
    """What the recognizer says of the language is believed."""
    said = transcript(LEAVING)
    german = RedactedTranscript(said.call, "de", said.turns, said.duration)
    note = OfflineAnalyst(load_pack()).analyse(german, {})
    assert note.status == "no_summary:language"
    assert note.provenance["language"] == "de"


def test_a_call_of_three_hours_keeps_a_short_note() -> None:
    """Length of the call does not make the note longer."""
    note = analysed(LEAVING[:-1] + [line for _ in range(250) for line in CORRECTED] + LEAVING[-1:])
    assert note.status == "done"
    assert len(note.summary) <= 3 and len(note.facts) <= 12 and len(note.commitments) <= 6
