"""What must hold for any input: nothing planted survives, nothing raises, cost stays linear."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from redaction import Redactor, Turn, Word, load_policy, replace
from redaction.jsonl import redact_record, redact_texts
from redaction.language import load_language
from redaction.tokens import normalise, tokenize, turns_of

REDACTOR = Redactor(load_policy("balanced"))
NAMES = "zero one two three four five six seven eight nine".split()
LEADS = ("my card number is", "the number on the card is", "sure it's card number", "card number")


@st.composite
def spoken_cards(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Draw a card number in a random spoken or written form, and its words."""
    digits = draw(st.lists(st.integers(0, 9), min_size=15, max_size=16))
    words: list[str] = []
    at = 0
    while at < len(digits):
        run = 1
        while at + run < len(digits) and run < 3 and digits[at + run] == digits[at]:
            run += 1
        if run > 1 and draw(st.booleans()):
            words += [{2: "double", 3: "triple"}[run], NAMES[digits[at]]]
            at += run
            continue
        name = NAMES[digits[at]]
        if digits[at] == 0:
            name = draw(st.sampled_from(["zero", "oh", "nought"]))
        elif draw(st.integers(0, 9)) == 0:
            name = str(digits[at])
        words.append(name)
        at += 1
        if draw(st.integers(0, 7)) == 0 and at < len(digits):
            words.append(draw(st.sampled_from(["uh", "um", "and", "then"])))
    return draw(st.sampled_from(LEADS)), words


TRAILING = "zero zero 1 2 zero 1 zero 1 zero 1 uh zero 1 zero 1 uh oh"
LEADING = "oh and oh 4 one one one one one one one one one one one one one"


@settings(max_examples=150, deadline=None)
@given(spoken_cards(), st.booleans())
@example(card=("my card number is", TRAILING.split()), asked=False)
@example(card=("my card number is", LEADING.split()), asked=False)
def test_a_planted_card_never_survives(card: tuple[str, list[str]], asked: bool) -> None:
    """A card number in any spoken form is gone from the text, said with a lead or when asked."""
    lead, words = card
    if asked:
        said = [("agent", "what is the card number please"), ("customer", " ".join(words))]
    else:
        said = [("customer", f"{lead} {' '.join(words)}")]
    turns = turns_of(said)
    left = replace(turns, REDACTOR.find(turns))[-1]
    assert [w.text for w in left][-1] == "[CARD_NUMBER]"
    assert not {w.text for w in left} & {*NAMES, "oh", "double", "triple", "nought"}
    assert not any(char.isdigit() for w in left for char in w.text)


ODD = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("0123456789 \t\n\u200b\u200e\u202e\u0000\u00ad\ufeff４٣②🙂️⃣@.-'’İß"),
        st.sampled_from(list("aeiou twelve double my name is at dot com ")),
    ),
    max_size=120,
)


@settings(max_examples=250, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["agent", "customer", "", "S1"]), ODD), max_size=5))
@example(said=[("agent", "MAIL"), ("customer", "@")])
def test_no_text_raises_and_spans_stay_inside(said: list[tuple[str, str]]) -> None:
    """Any text is taken, and every span lies inside its turn, sorted and without overlap."""
    texts, spans = redact_texts(said, REDACTOR)
    assert len(texts) == len(said)
    last = (-1, 0)
    for span in spans:
        assert 0 <= span["start"] < span["end"] <= len(said[span["turn"]][1])
        assert (span["turn"], span["start"]) >= last
        last = (span["turn"], span["end"])


PACK = load_language("en")
TELLING = sorted(
    {
        word
        for phrases in (PACK.topics, PACK.short_topics, *PACK.lists.values())
        for readings in phrases.values()
        for words, _ in readings
        for word in words
    }
    | {
        word
        for name in ("street_types", "directions", "state_codes", "titles", "months", "nato",
                     "letter_case", "units_after", "joiners", "corrections", "email_marks")
        for word in PACK.words[name]
    }
    | {*PACK.units, *PACK.teens, *PACK.tens, *PACK.scales, *PACK.repeats, *PACK.homophones}
    | {*PACK.ordinals, "juniper", "boise", "okafor", "sw1a", "83702", "4111", "6:13", "$45", "b"}
)  # fmt: skip


@st.composite
def talk(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Draw turns made of the words that the rules look at, capitals and punctuation at random."""
    turns = []
    for _ in range(draw(st.integers(1, 3))):
        words = draw(st.lists(st.sampled_from(TELLING), max_size=20))
        ends = draw(st.lists(st.sampled_from(["", "", "", ",", "."]), min_size=len(words),
                             max_size=len(words)))  # fmt: skip
        cased = draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
        said = [(w.title() if c else w) + e for w, c, e in zip(words, cased, ends, strict=True)]
        turns.append((draw(st.sampled_from(["agent", "customer"])), " ".join(said)))
    return turns


@settings(max_examples=300, deadline=None)
@given(talk())
@example([("customer", "We're at west Juniper Street, Boise, Idaho, eight three seven oh two.")])
def test_no_order_of_telling_words_raises(said: list[tuple[str, str]]) -> None:
    """Words that open questions, streets, numbers and names, in any order and any case."""
    shown, places = redact_texts(said, REDACTOR)
    assert len(shown) == len(said)
    for place in places:
        assert 0 <= place["start"] < place["end"] <= len(said[place["turn"]][1])


@settings(max_examples=100, deadline=None)
@given(ODD)
def test_words_partition_the_text(text: str) -> None:
    """Words stand at their offsets and nothing but white space lies between them."""
    position = 0
    for word, start, end in tokenize(text):
        assert text[start:end] == word
        assert not text[position:start].strip()
        position = end
    assert not text[position:].strip()


TIMES = st.one_of(st.none(), st.floats(), st.floats(-10, 10))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["my", "pin", "is", "four", "two", ""]), TIMES, TIMES)))
def test_broken_times_do_not_matter(words: list[tuple[str, float | None, float | None]]) -> None:
    """Missing, reversed, negative or NaN word times never stop the search or the rendering."""
    turns = (Turn("customer", tuple(Word(*word) for word in words)),)
    replace(turns, REDACTOR.find(turns))


def test_finding_is_deterministic() -> None:
    """The same call gives the same findings, in a new redactor too."""
    turns = turns_of(
        [("agent", "your phone number"), ("customer", "five five five oh one two eight")]
    )
    assert REDACTOR.find(turns) == Redactor(load_policy("balanced")).find(turns)


@pytest.mark.parametrize(
    "text",
    ["5" * 5000, "5 " * 5000, "double " * 5000, "five and " * 4000, "a." * 3000 + "@" * 3000,
     "my name is " * 3000, "twenty " * 5000, "w dot " * 4000, "street " * 5000, "1," * 5000,
     "a@b." * 3000, "capital " * 3000, "s as in " * 3000, "not " * 4000, "the third of " * 3000],
)  # fmt: skip
def test_long_runs_are_taken(text: str) -> None:
    """Thousands of digits, repeats or half-values in one turn are read without failing."""
    REDACTOR.find(turns_of([("customer", text)]))


def steps(act: Callable[[], object]) -> int:
    """Count the lines of our code that run: a cost that does not depend on the machine."""
    count = 0

    def trace(frame: object, event: str, _: object) -> object:
        nonlocal count
        code = frame.f_code.co_filename  # type: ignore[attr-defined]
        if "redaction" not in code:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        act()
    finally:
        sys.settrace(before)
    return count


TALK = [
    "my card number is four one one one one one one one one one one one one one one one",
    "i live at forty two elm street springfield illinois six two seven oh four",
    "my name is dorothy whitcombe and my email is dot w at gmail dot com",
    "it was forty dollars on the third of may and i will call you in three days",
    "it is portal dot a dot org dot a dot org dot a dot org",
    "born on march third nineteen eighty five and the sort code is twenty thirty forty",
]


@pytest.mark.parametrize("one_turn", [False, True])
def test_cost_is_linear(one_turn: bool) -> None:
    """Eight times the words cost at most ten times the steps, in many turns or in one."""
    draw = random.Random(7)
    said = [draw.choice(TALK) for _ in range(30)]

    def cost(times: int) -> int:
        texts = [" ".join(said * times)] if one_turn else said * times
        turns = turns_of([("customer", text) for text in texts])
        return steps(lambda: REDACTOR.find(turns))

    cost(1)
    assert cost(8) <= 10 * cost(1)


def test_normalise_reads_through_marks() -> None:
    """Zero-width marks vanish, full-width and other scripts' digits become ASCII."""
    assert normalise("4\u200b1\u202e２٣") == "4123"


def test_lines_with_all_their_fields_cost_linearly() -> None:
    """The same for JSON lines whose turns have another form, a word list and the whole call."""
    draw = random.Random(8)
    said = [draw.choice(TALK) for _ in range(20)]

    def cost(times: int) -> int:
        turns = [
            {"speaker": "customer", "text": text, "written": text.title(),
             "words": [{"word": word} for word in text.split()]}
            for text in said * times
        ]  # fmt: skip
        record = {"id": 1, "turns": turns, "transcript": " ".join(said * times)}
        return steps(lambda: redact_record(record, REDACTOR))

    cost(1)
    assert cost(8) <= 10 * cost(1)
