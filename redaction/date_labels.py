"""Which dates are personal: birthdays, expiry dates, dates that answer a security question.

Decides by what was asked or named; any other date is DATE_TIME, which policies keep by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from redaction.dates import OLD_YEAR, Date
from redaction.dialogue import Cue
from redaction.labels import REFERENCE
from redaction.language import Language
from redaction.policy import Policy
from redaction.scene import Scene
from redaction.tokens import DIGITS, Atom

ASIDE = 12  # words of a turn that asks about the date just given
BEGAN = frozenset({"since", "purchased", "bought", "opened", "built"})
EXPIRES = range(24, 45)  # years of this century in which a card may run out
CARD_DIGITS = 12  # of a run beside which a month and year are an expiry date


class Evidence(Protocol):
    """What is known of a turn's cues."""

    def near(self, first: int, last: int) -> list[Cue]: ...


def label_dates(
    scene: Scene, dates: Sequence[Date], policy: Policy, lang: Language, evidence: Evidence
) -> None:
    for date in dates:
        topic = ""
        distance = 99
        for cue in evidence.near(date.first, date.last):
            if cue.topic in (
                "DOB",
                "CARD_EXPIRY",
                "SECURITY_ANSWER",
                "SORT_CODE",
                REFERENCE,
                "EVENT",
            ):
                gap = date.first - cue.last if cue.last <= date.first else cue.first - date.last + 4
                if 0 <= gap < min(distance, 15):
                    topic, distance = cue.topic, gap
        sort_code = scene.waiting("SORT_CODE")
        if not topic and sort_code is not None and sort_code.asked and not sort_code.answered:
            topic = "SORT_CODE" if scene.atoms[date.first].kind == DIGITS else ""
        if not topic and (item := scene.waiting("DOB", "CARD_EXPIRY", "SECURITY_ANSWER")):
            lone = len(dates) == 1
            again = scene.turn - item.answered_at <= 1 and len(scene.atoms) <= ASIDE
            fresh = item.answered < 4 or _bare_date(scene, date, lang) or (
                again and not scene.heading.cues
            )  # fmt: skip
            if (item.asked or lone) and fresh:
                topic = item.topic
        if topic == "SORT_CODE":  # 09-01-27
            if scene.atoms[date.first].kind == DIGITS:
                scene.add(date.first, date.last, topic, 0.8, "numbers", "sort_code.cue",
                          "a number behind words that name this kind of value")  # fmt: skip
        elif topic in ("DOB", "CARD_EXPIRY", "SECURITY_ANSWER"):
            first = date.first
            if topic == "DOB" and first and scene.atoms[first - 1].text == "the":
                first -= 1
            scene.add(
                first, date.last, topic, 0.9, "dates", f"{topic.lower()}.asked",
                "a date where this kind of date is asked for or named",
            )  # fmt: skip
            scene.answered(topic, 8 if date.full else 4)
        elif _of_card(scene, date, lang):
            scene.add(
                date.first, date.last, "CARD_EXPIRY", 0.7, "dates", "card_expiry.card",
                "a month and a year to come while a card is talked about",
            )  # fmt: skip
        elif (
            date.full and date.year is not None and date.year <= OLD_YEAR and policy.on("date.old")
        ):
            if not _since(scene.atoms, date.first):
                scene.add(
                    date.first, date.last, "DOB", 0.5, "dates", "date.old",
                    "a full date long ago",
                )  # fmt: skip
        elif not date.lone:
            scene.add(
                date.first, date.last, "DATE_TIME", 0.5, "dates", "date", "a date without context"
            )


def _of_card(scene: Scene, date: Date, lang: Language) -> bool:
    """Whether a month with a number of EXPIRES stands where a card is talked about."""
    if not lang.has("months", scene.atoms[date.first].text):
        return False
    run = scene.run_before(date.last)
    card = any(run.digits >= CARD_DIGITS for run in scene.runs) or any(
        item.topic.startswith("CARD_") and (item.asked or item.answered) for item in scene.open
    )
    return card and run is not None and run.text[-2:].isdigit() and (
        int(run.text[-2:]) in EXPIRES and len(run.text) in (2, 4)
    )  # fmt: skip


def _bare_date(scene: Scene, date: Date, lang: Language) -> bool:
    """Whether a turn says a date and nothing else."""
    return all(
        date.first <= i < date.last or atom.text in lang.words["leads"]
        for i, atom in enumerate(scene.atoms)
    )


def _since(atoms: Sequence[Atom], at: int) -> bool:
    """Whether an old date is when something was bought or began, not a birthday."""
    return any(atom.text in BEGAN for atom in atoms[max(0, at - 5) : at])
