"""One turn as the recognizers see it, and the span in atoms that they return."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from dataclasses import dataclass, field

from redaction.dialogue import Cue, Heading, Open, Said
from redaction.labels import REFERENCE
from redaction.numbers import Run
from redaction.tokens import Atom


@dataclass(slots=True)
class Span:
    """A finding before it is merged and mapped to words: atoms `first` to `last` (exclusive)."""

    turn: int
    first: int
    last: int
    label: str
    score: float
    detector: str
    rule: str
    reason: str
    group: int = 0
    value: str = ""  # characters of a number, for the call's own memory; never leaves the redactor


@dataclass(slots=True)
class Scene:
    """One turn with everything read from it so far."""

    turn: int
    speaker: str
    agent: bool  # spoken by the agent's side
    atoms: list[Atom]
    runs: list[Run]
    heading: Heading
    said: Said  # for a cheap test first
    spans: list[Span] = field(default_factory=list)
    open: list[Open] = field(default_factory=list)  # questions open when the turn begins
    asked: bool = False  # the turn before asks for something
    kept: list[Span] = field(default_factory=list)  # recognised and left to stand: see reason
    _starts: dict[int, Run] | None = None
    _ends: dict[int, Run] | None = None
    _marks: bytearray = field(default_factory=bytearray)  # atoms under a span

    def add(
        self, first: int, last: int, label: str, score: float, detector: str, rule: str,
        reason: str, value: str = "",
    ) -> None:  # fmt: skip
        if not self._marks:
            self._marks = bytearray(len(self.atoms))
        if label != "DATE_TIME":
            self._marks[first:last] = b"\1" * (last - first)
        self.spans.append(
            Span(self.turn, first, last, label, score, detector, rule, reason, value=value)
        )

    def keep(self, first: int, last: int, label: str, score: float, detector: str, rule: str,
             reason: str) -> None:  # fmt: skip
        """Note what was recognised and is not redacted, for the log."""
        self.kept.append(Span(self.turn, first, last, label, score, detector, rule, reason))

    def keep_reference(self, run: Run, score: float, rule: str) -> None:
        """Note an order, ticket or booking reference that the policy keeps."""
        self.keep(run.first, run.last, REFERENCE, score, "numbers", f"reference.{rule}",
                  "an order, ticket or booking reference, kept by policy")  # fmt: skip

    def lacks(self, words: Collection[str]) -> bool:
        """Whether none of these words is said in the turn."""
        return self.said.texts.isdisjoint(words)

    def run_at(self, first: int) -> Run | None:
        """Return the run that begins at an atom."""
        if self._starts is None:
            self._starts = {run.first: run for run in self.runs}
        return self._starts.get(first)

    def run_before(self, last: int) -> Run | None:
        """Return the run that ends right before an atom."""
        if self._ends is None:
            self._ends = {run.last: run for run in self.runs}
        return self._ends.get(last)

    def runs_in(self, first: int, last: int) -> list[Run]:
        """Return the runs that begin at one of these atoms."""
        low, high = (bisect_left(self.runs, at, key=_first) for at in (first, last))
        return self.runs[low:high]

    def run_over(self, at: int) -> bool:
        """Whether an atom belongs to a run."""
        place = bisect_right(self.runs, at, key=_first) - 1
        return place >= 0 and at < self.runs[place].last

    def cues_before(self, first: int, reach: int) -> list[Cue]:
        """Return the cues that end at most `reach` atoms before an atom, or there."""
        cues = self.heading.cues
        low, high = (bisect_left(cues, at, key=_last) for at in (first - reach, first + 1))
        return cues[low:high]

    def taken(self, first: int, last: int) -> bool:
        """Whether a span found so far overlaps these atoms."""
        return any(self._marks[first:last])

    def covered(self, first: int, last: int) -> bool:
        """Whether spans found so far cover all of these atoms."""
        return bool(self._marks) and all(self._marks[first:last])

    def answered(self, topic: str, length: int, value: str = "") -> None:
        """Note that characters of an open question's answer were heard in this turn."""
        for item in self.open:
            if item.topic == topic:
                if not value or value not in item.heard:  # a read-back adds nothing
                    item.answered += length
                item.heard += value
                item.answered_at = self.turn
                item.turn = max(item.turn, self.turn)

    def answers(self, item: Open) -> bool:
        """Whether this turn's speaker may answer a question: the other side, if sides are known."""
        return not self.speaker or item.speaker != self.speaker

    def waiting(self, *topics: str) -> Open | None:
        """Return the newest question about one of these topics that somebody asked."""
        if not self.open:
            return None
        found = [item for item in self.open if item.topic in topics]
        return max(found, key=lambda item: (item.asked, item.turn), default=None)


def _first(run: Run) -> int:
    return run.first


def _last(cue: Cue) -> int:
    return cue.last
