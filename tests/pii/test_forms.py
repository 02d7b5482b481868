"""Both forms of a transcript: what one form shows is gone from all, in words and in time."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redaction import Finding, Redactor, Turn, Word, load_policy, replace
from redaction.forms import align, find_forms, merge
from voice_pipeline.codec import decode, encode
from voice_pipeline.domain import Transcript

REDACTOR = Redactor(load_policy("balanced"))
NAMES = "zero one two three four five six seven eight nine".split()


def untimed(text: str) -> tuple[Word, ...]:
    return tuple(Word(word, None, None) for word in text.split())


def timed(*words: tuple[str, float, float]) -> tuple[Word, ...]:
    return tuple(Word(*word) for word in words)


def shown(turn: Turn, form: int = 0) -> str:
    """Return the text of one form of a turn with what was found in any form replaced."""
    findings = find_forms(REDACTOR.find, [turn])[form]
    words = turn.words if form == 0 else turn.forms[form - 1]
    return " ".join(word.text for word in replace([Turn("", words)], findings)[0])


def test_what_only_the_other_form_shows_is_found() -> None:
    """Digits garbled in one form are found by the other, between the words that both have."""
    turn = Turn(
        "customer",
        untimed("hello so the thing reads for tea to and more thanks a lot"),
        forms=(untimed("Hello, so the thing reads 4532 9910 8876 4242. Thanks a lot!"),),
    )
    assert shown(turn) == "hello so the thing reads [CARD_NUMBER] thanks a lot"
    assert shown(turn, 1) == "Hello, so the thing reads [CARD_NUMBER] Thanks a lot!"
    assert REDACTOR.find([turn]) == find_forms(REDACTOR.find, [turn])[0]


def test_what_the_shown_form_shows_is_gone_from_the_others() -> None:
    """A spoken card is found in the lexical form and goes from a written form that hides it."""
    spoken = " ".join(NAMES[int(char)] for char in "4532991088764242")
    turn = Turn(
        "customer",
        untimed(f"my card number is {spoken} right"),
        forms=(untimed("My card number is $45.32, 99, 10:88, 76 and 42/42, right?"),),
    )
    assert shown(turn) == "my card number is [CARD_NUMBER] right"
    assert shown(turn, 1) == "My card number is [CARD_NUMBER] right?"


def test_forms_are_joined_in_time() -> None:
    """With word times on both sides a finding covers every word that sounds at that time."""
    words = timed(("it", 0, 0.2), ("four", 0.3, 0.6), ("garbled", 0.6, 2.9), ("right", 3.0, 3.2))
    written = timed(("It's", 0, 0.2), ("4532991088764242.", 0.3, 2.8), ("Right", 3.0, 3.2))
    turn = Turn("customer", words, forms=(written,))
    (finding,) = REDACTOR.find([turn])
    assert (finding.first, finding.last) == (1, 3)
    assert (finding.start, finding.end) == (0.3, 2.9)


def test_what_cannot_be_placed_takes_the_whole_turn() -> None:
    """A finding where the other form has no words at all leaves none of them standing."""
    turn = Turn(
        "customer", untimed("my card is thanks"),
        forms=(untimed("my card is 4532 9910 8876 4242 thanks"),),
    )  # fmt: skip
    (finding,) = REDACTOR.find([turn])
    assert (finding.first, finding.last) == (0, 4)
    silent = Turn("customer", timed(("hm", 0, 1)), forms=(timed(("4532991088764242", 5, 9)),))
    (finding,) = REDACTOR.find([silent])
    assert (finding.first, finding.last) == (0, 1)


def test_a_question_heard_in_one_form_holds_for_all() -> None:
    """The agent's question is garbled in the shown form; the answer is still a secret."""
    turns = [
        Turn("agent", untimed("and the tree did gets on the bag"),
             forms=(untimed("And the three digits on the back?"),)),
        Turn("customer", untimed("tree oh nine")),
    ]  # fmt: skip
    assert REDACTOR.find(turns[1:]) == ()
    assert [f.turn for f in REDACTOR.find(turns)][-1] == 1


def test_several_forms_and_turns_without_any() -> None:
    """Alternates may be many, and turns without them stay as they are."""
    turns = [
        Turn("agent", untimed("your email please")),
        Turn("customer", untimed("kim at example"), forms=(
            untimed("him at example"), untimed("kim@example.org"), (),
        )),
        Turn("agent", untimed("thank you")),
    ]  # fmt: skip
    found = find_forms(REDACTOR.find, turns)
    assert len(found) == 4
    assert {f.turn for f in found[0]} == {1}
    assert [(f.first, f.last) for f in found[0]] == [(0, 3)]
    assert not [f for f in found[3] if f.turn == 1]


def test_the_record_keeps_its_forms_and_reads_old_ones() -> None:
    """Forms survive the codec, and a record from before them is read as one without."""
    turn = Turn("customer", untimed("a b"), forms=(untimed("A, b."),))
    call = Transcript("c", "en", (turn,), "t", "d", (), (), ())
    assert decode(encode(call)) == call
    old = encode(Transcript("c", "en", (Turn("customer", untimed("a b")),), "t", "d", (), (), ()))
    assert b'"forms":[]' in old
    read = decode(old.replace(b'"forms":[],', b""))
    assert read.turns[0] == Turn("customer", untimed("a b"))


WORDS = st.lists(st.sampled_from("a b c one two 42 thanks".split()), max_size=12)


@settings(max_examples=200, deadline=None)
@given(WORDS, WORDS)
def test_alignment_rises_and_pairs_equal_words(one: list[str], two: list[str]) -> None:
    """Anchors are equal words in the order of both forms."""
    pairs = align(untimed(" ".join(one)), untimed(" ".join(two)))
    assert all(one[i] == two[j] for i, j in pairs)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.floats(0, 1)), max_size=8))
def test_merging_loses_no_coverage(places: list[tuple[int, int, float]]) -> None:
    """Merged findings cover what the findings covered, and nothing twice."""
    found = [Finding("PIN", 0, a, a + n, score, "d", "r", "w") for a, n, score in places]
    merged = merge(found, [Turn("", untimed("w " * 14))])
    covered = [at for f in merged for at in range(f.first, f.last)]
    assert sorted(covered) == sorted({at for f in found for at in range(f.first, f.last)})


TIMES = st.one_of(st.none(), st.floats(), st.floats(-5, 5))
PIECES = st.lists(st.tuples(st.sampled_from(["my", "pin", "is", "four", "4471", ""]), TIMES, TIMES))


@settings(max_examples=150, deadline=None)
@given(PIECES, st.lists(PIECES, max_size=3))
def test_broken_times_in_any_form_do_not_matter(
    words: list[tuple[str, float | None, float | None]],
    forms: list[list[tuple[str, float | None, float | None]]],
) -> None:
    """Missing, reversed, negative and NaN times are taken, and findings stay inside their form."""
    turn = Turn(
        "customer", tuple(Word(*w) for w in words), forms=tuple(timed(*form) for form in forms)  # type: ignore[arg-type]
    )  # fmt: skip
    for form, findings in enumerate(find_forms(REDACTOR.find, [turn])):
        length = len(turn.words if form == 0 else turn.forms[form - 1])
        assert all(0 <= f.first < f.last <= length for f in findings)


@pytest.mark.parametrize("words", [6000])
def test_long_turns_align_quickly(words: int) -> None:
    """Thousands of equal words in both forms are no quadratic trap."""
    draw = random.Random(3)
    one = untimed(" ".join(draw.choice(["one", "two"]) for _ in range(words)))
    two = untimed(" ".join(draw.choice(["one", "two"]) for _ in range(words)))
    assert len(align(one, two)) <= words
