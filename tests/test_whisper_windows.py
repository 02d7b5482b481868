"""Windows of Whisper: which pieces share one, and whose a word of it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redaction.records import Word
from voice_pipeline.domain import Segment
from voice_pipeline.transcribers._windows import (
    GAP,
    WINDOW,
    Lane,
    Piece,
    Window,
    cut,
    lay_out,
    place,
)

RATE = 16000


def piece(call: str, channel: int, seconds: float = 1.0, segment: int = 0) -> Piece:
    return Piece(segment, Lane(call, channel), 0.0, np.zeros(round(seconds * RATE), np.float32))


@pytest.mark.parametrize("other", [piece("b", 0), piece("a", 1)])
def test_a_window_holds_one_lane(other: Piece) -> None:
    """A window of two calls, or of two channels, cannot be made; nor an empty or too long one."""
    with pytest.raises(ValueError, match="one channel of one call"):
        Window((piece("a", 0), other))
    with pytest.raises(ValueError, match="one channel of one call"):
        Window(())
    with pytest.raises(ValueError, match="30 s"):
        Window((piece("a", 0, 20.0), piece("a", 0, 10.0)))


SEGMENTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),  # call
        st.integers(0, 1),  # channel
        st.sampled_from([0.04, 0.3, 1.0, 4.0, 14.0, 29.5, 35.0]),  # seconds
    ),
    max_size=14,
)


@given(SEGMENTS, st.booleans())
def test_windows_hold_every_piece_once(plan: list[tuple[str, int, float]], pack: bool) -> None:
    """Packed or not: nothing is lost or doubled, lanes never mix, time order is kept."""
    segments = [
        Segment(call, channel, 10.0 * n, np.full(round(seconds * RATE), n + 1, np.float32))
        for n, (call, channel, seconds) in enumerate(plan)
    ]
    windows = lay_out(cut(segments, [True] * len(segments)), pack=pack)
    for number, segment in enumerate(segments):
        mine = [p for w in windows for p in w.pieces if p.segment == number]
        assert {p.lane for p in mine} <= {Lane(segment.call, segment.channel)}
        total = sum(len(p.samples) for p in mine)
        assert total == (len(segment.samples) if len(segment.samples) >= 800 else 0)
    for window in windows:
        order = [(p.segment, p.start) for p in window.pieces]
        assert order == sorted(order)
        assert window.seconds <= WINDOW
        sound = window.samples()
        for own, start in zip(window.pieces, window.starts(), strict=True):
            at = round(start * RATE)
            assert np.all(sound[at : at + len(own.samples)] == own.segment + 1)
        if pack and len(window.pieces) > 1:
            assert np.count_nonzero(sound == 0) >= (len(window.pieces) - 1) * (GAP * RATE - 1)


def test_a_word_between_two_pieces_is_nobodys() -> None:
    """A word in a gap, or well inside two pieces, is not placed; what hangs over a gap is cut."""
    window = Window((piece("a", 0, 2.0), piece("a", 0, 2.0, 1)))  # 0 to 2 s, and 2.8 to 4.8 s
    good = [Word("mine", 1.0, 2.9, 0.9), Word("yours", 2.9, 4.0, 0.8)]
    mine, yours = place(good, window) or ((), ())
    assert mine == (Word("mine", 1.0, 2.0, 0.9),)
    assert yours[0].start == pytest.approx(0.1) and yours[0].end == pytest.approx(1.2)
    assert place([*good, Word("gap", 2.2, 2.5, 0.9)], window) is None
    assert place([Word("both", 1.5, 3.2, 0.9)], window) is None
    assert place([Word("past", 5.0, 5.2, 0.9)], window) is None


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 3)), max_size=12))
def test_placed_words_lie_in_their_piece(times: list[tuple[float, float]]) -> None:
    """Whatever the model says, a placed word lies within its piece, and none is lost or doubled."""
    window = Window(tuple(piece("a", 0, 2.0, n) for n in range(6)))
    words = [Word(str(n), at, at + length, 0.5) for n, (at, length) in enumerate(times)]
    placed = place(words, window)
    if placed is not None:
        assert sorted(w.text for own in placed for w in own) == sorted(w.text for w in words)
        assert all(0.0 <= w.start <= w.end <= 2.0 for own in placed for w in own)
