"""What a number is: evidence from the words around it, the open questions and its shape.

Decides label and score of every run. A checksum names a label and raises the score; it is never a
condition. Refuses to redact what counts, costs or measures something, unless it is long.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from redaction.date_labels import CARD_DIGITS, label_dates
from redaction.dates import Date
from redaction.dialogue import Cue
from redaction.labels import REFERENCE
from redaction.language import Language
from redaction.numbers import Run, is_quantity
from redaction.policy import Policy
from redaction.scene import Scene
from redaction.shapes import (
    ACCOUNT,
    FITS,
    LENGTHS,
    SHAPES,
    TOO_LONG,
    by_length,
    fit,
    is_card,
    shape_label,
)
from redaction.tokens import DIGITS, Atom

WORDY = frozenset({"PERSON", "EMAIL", "ADDRESS"})  # a number answers them only on its own
LOCAL = frozenset({"AMOUNT", "EVENT", REFERENCE})  # never opened by a mention elsewhere
# weights: how much a cue is worth, before shape; tuned on tests/pii/dev
CUE_BEFORE, CUE_AFTER, ASKED, MENTIONED = 6.0, 3.5, 4.0, 3.0
AGE_COST, DISTANCE_COST, ANSWERED_COST = 0.3, 0.12, 2.5
ENOUGH = 0.5  # weight a label needs
CUE_REACH = 30  # atoms between a cue and its value in the same turn
CUE_AFTER_REACH = 6
WHOLE_NUMBER = 10  # digits that are no reference because one is named behind them
ROW = 0.75  # share of words for one digit: fewer are a row of times or sizes, no number of its own
LONG_KIND = 6  # characters: of so long a kind two digits among other words are no piece
TELLING_ROW = 0.4  # ... where the length says what it is
SSN_LENGTH = 9
UK_LENGTH = 11  # digits of a British telephone number
WHOLE_WRITTEN = 7  # digits written in one piece, without a comma or a currency: no sum
SUM_WORDS = 4  # number words of a sum: "eleven hundred and twenty"
# digits of a value that stands among other words; fewer are an age, a count, a temperature
LEAST_AMONG_WORDS = {"DOB": 3, "POSTCODE": 4, "IP_ADDRESS": 3, "EMAIL": 3, "IBAN": 4}
READ_BACK = 4  # first digits by which a read-back is known
HEXADECIMAL = "0X"  # a number that computers show
# tax forms of the United States and the United Kingdom, and what they are called by
FORMS = frozenset({"1099", "1040", "1098", "P60", "P45", "P11D", "W2", "W4", "W9", "SA100"})
FORM_TOPICS = frozenset({"", "TAX_ID", "SSN", "NATIONAL_INSURANCE"})  # talked about beside them
LONG, LOCAL_REACH = 7, 8  # digits of a long number; atoms between it and such a word
CARD_LOCAL_REACH = 3  # ... where it is as long as a card number
COUNTED, LEAST_COUNTED = "12345678910", 9  # somebody counts to ten
SPELLED = 5  # digits said one by one that are no amount
SINGLY = 3  # digits said one by one that make an answer an identifier
CARD_REACH = 3  # atoms between a card number and an expiry or code said right behind it
CARD_AHEAD = 20  # ... and where the digits are said one by one
ADDRESS_REACH = 3
SHORT = frozenset({"CARD_CVV", "PIN", "DOB", "CARD_EXPIRY"})  # any short number looks like one
SHORT_WAIT = 2  # turns for a correction or read-back of these
NEAR, NEAR_LENGTH = 5.0, 5  # a bare "account" or "order" right before a number this long


def label_runs(scene: Scene, dates: Sequence[Date], policy: Policy, lang: Language,
               following: Sequence[str], kept: set[str]) -> list[Run]:  # fmt: skip
    """Add a span for every run that is personal data.

    Args:
        scene: the turn.
        dates: the dates of the turn; runs inside one are part of it.
        policy: digit counts that are redacted.
        lang: the language pack.
        following: topics that the next turns name ("and that's your card number?").
        kept: references that the call has named so far; added to here.

    Returns:
        Runs that stay unlabelled, for evidence from the rest of the call.
    """
    left: list[Run] = []
    evidence = _Evidence(scene, lang)
    label_dates(scene, dates, policy, lang, evidence)
    dated = bytearray(len(scene.atoms))
    for date in dates:
        dated[date.first : date.last] = b"\1" * (date.last - date.first)
    for run in scene.runs:
        if any(dated[run.first : run.last]):
            continue
        if run.text in kept and not is_card(run):
            scene.keep_reference(run, 0.6, "repeated")
            continue
        if scene.taken(run.first, run.last):
            continue
        if not run.digits:
            _label_letters(scene, run, lang, evidence)
            continue
        if _time_or_day(scene, run, lang):
            continue
        topic, weight, rule = _topic(scene, run, following, lang, evidence)
        if _impersonal(scene, run, topic):
            scene.keep(run.first, run.last, REFERENCE, 0.5, "numbers", "reference.form",
                       "a tax form, a code of a computer or counting")  # fmt: skip
            continue
        if not _redact(scene, run, topic, rule, policy, lang, evidence.bare):
            if topic == REFERENCE and len(run.text) >= NEAR_LENGTH - 1:
                kept.add(run.text)
            if topic == REFERENCE:
                scene.keep_reference(run, min(0.99, 0.5 + weight / 16), rule)
            if topic not in LOCAL:
                left.append(run)
            continue
        label, score, rule = _decide(scene, run, topic, weight, rule, lang)
        if label == "PHONE" and run.first and scene.atoms[run.first - 1].text == "plus":
            run.first -= 1
        if label == "PHONE" and run.first > 1 and _says(scene, run.first - 2, ("area", "code")):
            run.first -= 2
        scene.add(run.first, run.last, label, score, "numbers", rule, _reason(rule), value=run.text)
        scene.answered(label, len(run.text), run.text)
        if label.startswith("CARD_") and (label != "CARD_NUMBER" or run.digits >= CARD_DIGITS):
            evidence.card_end = run.last
    for span in scene.spans:
        if span.label == "CARD_EXPIRY" and span.first > 1:  # "three of twenty nine"
            month = scene.run_before(span.first - 1)
            if month is not None and scene.atoms[span.first - 1].text in ("of", "slash"):
                span.first = month.first
    return left


def _time_or_day(scene: Scene, run: Run, lang: Language) -> bool:
    """Whether a run is a time of day ("two fourteen p m") or half of "the twenty fourth"."""
    if run.digits <= 4 and run.text.endswith(("AM", "PM")) and run.letters == 2:
        return True
    after = scene.atoms[run.last].text if run.last < len(scene.atoms) else ""
    return run.values == 1 and after in lang.ordinals and scene.atoms[run.first].text in lang.tens


def _impersonal(scene: Scene, run: Run, topic: str) -> bool:
    """Whether a run is a tax form, a code of a computer or counting, and no answer."""
    before = scene.atoms[run.first - 1].text if run.first else ""
    if run.text in FORMS and before in ("a", "the", "your", "my", "form"):
        return topic in FORM_TOPICS
    counted = run.values >= LEAST_COUNTED and COUNTED.startswith(run.text)
    return not topic and (counted or run.text.startswith(HEXADECIMAL))


def _far(scene: Scene, cue: Cue, run: Run) -> bool:
    """Whether words that name a sum or a reference stand too far off for a long number."""
    reach = CARD_LOCAL_REACH if run.digits >= CARD_DIGITS else LOCAL_REACH
    return run.first - cue.last > reach or any(
        scene.atoms[at].stop for at in range(max(0, cue.last - 1), run.first)
    )


def _says(scene: Scene, at: int, words: Sequence[str]) -> bool:
    return all(atom.text == word for atom, word in zip(scene.atoms[at:], words, strict=False))


class _Evidence:
    """What a turn's runs share: where its cues stand, and whether it is all numbers."""

    def __init__(self, scene: Scene, lang: Language) -> None:
        self.bare = is_bare(scene, lang)
        self.card_end: int | None = None  # where the last card number of the turn ended
        self.cues = scene.heading.cues
        self.starts = [cue.first for cue in self.cues]
        self.runs = [run.first for run in scene.runs]
        self.words = frozenset(i for cue in self.cues for i in range(cue.first, cue.last))

    def near(self, first: int, last: int) -> list[Cue]:
        """Return the cues that stand near enough to say something about these atoms."""
        low = bisect_left(self.starts, first - CUE_REACH - 8)
        high = bisect_left(self.starts, last + CUE_AFTER_REACH + 5)
        return self.cues[low:high]


def _topic(
    scene: Scene, run: Run, following: Sequence[str], lang: Language, evidence: _Evidence
) -> tuple[str, float, str]:
    """Return the best topic for a run, its weight, and where the evidence stands."""
    best: tuple[float, str, str] = (0.0, "", "")
    reach = CARD_AHEAD if run.digits == 3 and run.digits > run.values - 1 > 0 else CARD_REACH
    if evidence.card_end is not None and 0 <= run.first - evidence.card_end <= reach:
        topic = {3: "CARD_CVV", 4: "CARD_EXPIRY", 6: "CARD_EXPIRY"}.get(run.digits, "")
        if topic and not run.letters:
            best = (MENTIONED, topic, "after_card")
    waits = any((item.asked or item.answered) and item.topic not in LOCAL for item in scene.open)
    singly = run.singles == run.values and not run.scaled  # "nine four double oh"
    spelled = singly and run.digits >= (SINGLY if waits else SPELLED)
    for cue in evidence.near(run.first, run.last):
        gap = run.first - cue.last
        if spelled and cue.topic in ("AMOUNT", "EVENT"):
            continue  # nobody says a price or a day digit by digit
        if (
            cue.topic in LOCAL
            and evidence.card_end is not None
            and (cue.last <= evidence.card_end <= run.first)
        ):
            continue  # "pay my bill with the visa ... the back says ..."
        if cue.topic in LOCAL and run.digits >= LONG and _far(scene, cue, run):
            continue  # "a lot of bother. four nine two nine ..."
        if cue.topic == "ADDRESS" and gap > ADDRESS_REACH and not run.letters:
            continue  # a street address has its own grammar; a bare number must stand close
        if 0 <= gap <= CUE_REACH:
            starts = evidence.runs
            between = bisect_left(starts, run.first) - bisect_left(starts, cue.last)
            starts = evidence.starts
            later = bisect_left(starts, run.first) - bisect_left(starts, cue.last)
            weight = CUE_BEFORE - DISTANCE_COST * gap - later - 0.5 * between
            if cue.topic in ("DOB", "CARD_EXPIRY") and scene.taken(cue.last, run.first):
                weight += TOO_LONG  # a date has answered it
            rule = "cue"
        elif cue.topic == REFERENCE and run.digits >= WHOLE_NUMBER:
            continue  # "five one two ... one seven three, extension four"
        elif cue.first >= run.last and cue.first - run.last <= CUE_AFTER_REACH:
            weight, rule = CUE_AFTER - 0.3 * (cue.first - run.last), "cue_after"
        else:
            continue
        best = max(best, (weight + fit(cue.topic, run), cue.topic, rule))
    for back in (run.first - 1, run.first - 2):
        if back >= 0 and not scene.atoms[back].stop and back not in evidence.words:
            topic = lang.near.get(scene.atoms[back].text, "")
            if topic and run.digits + run.letters >= NEAR_LENGTH:
                best = max(best, (NEAR + fit(topic, run), topic, "cue"))
    bare = evidence.bare
    for item in scene.open:
        if item.topic in LOCAL and not (item.asked and scene.answers(item)):
            continue  # only what the other side asked for
        if item.topic in LOCAL and spelled and item.topic != REFERENCE:
            continue
        if item.topic in WORDY and not run.letters and not bare:
            continue
        if item.implied and (not bare or run.letters or fit(item.topic, run) < FITS):
            continue
        echo = run.digits >= READ_BACK and run.text[:READ_BACK] in item.heard
        whole = item.answered >= SHAPES[item.topic].low
        if whole and fit(item.topic, run) < FITS and not (bare or echo):
            continue
        if (
            item.answered
            and item.topic in SHORT
            and (
                scene.turn - item.answered_at > SHORT_WAIT
                or (not scene.answers(item) and item.topic != "DOB" and run.text not in item.heard)
            )
        ):
            continue  # over, or a number of the asker's own that reads nothing back
        age = scene.turn - item.turn
        weight = (ASKED if item.asked else MENTIONED) - AGE_COST * age
        if item.answered >= SHAPES[item.topic].low:
            weight -= ANSWERED_COST
        rule = "asked" if item.asked else "mentioned"
        best = max(best, (weight + fit(item.topic, run), item.topic, rule))
    if best[0] < ENOUGH and run.digits >= 4:
        for topic in following:
            if topic not in LOCAL and fit(topic, run) >= FITS:
                best = max(best, (2.0, topic, "named_later"))
    return best[1], best[0], best[2]


def _redact(
    scene: Scene, run: Run, topic: str, rule: str, policy: Policy, lang: Language, bare: bool
) -> bool:
    quantity = is_quantity(scene.atoms, run, lang)
    if is_card(run) and not (topic == REFERENCE and _listed(scene, run)):
        return True
    if topic in LOCAL and _phone(scene.atoms, run):
        return True
    if topic in ("AMOUNT", "EVENT"):
        whole = run.last == run.first + 1 and scene.atoms[run.first].kind == DIGITS
        return run.digits >= (WHOLE_WRITTEN if whole else WHOLE_NUMBER)
    house = bare and rule == "asked" and run.digits <= 3
    if topic == "ADDRESS" and run.scaled and not run.letters and not house:
        return False  # "three thousand"; a house number of hundreds has its street
    if topic == REFERENCE:
        return policy.references == "redact"
    if (quantity and (run.scaled or run.digits < 9)) or (run.scaled and rule == "cue_after"):
        return False
    if shape_label(run):
        return True
    if topic and _too_little(run, topic, bare):
        return False
    if topic:
        if run.digits >= policy.digits_with_context or run.letters:
            return not (run.digits < 2 and not run.mixed and not bare)
        return bare and rule == "asked"
    if bare and scene.asked and run.values >= SINGLY and policy.on("digits.asked"):
        waits = any(item.topic in LOCAL for item in scene.open)
        if not waits and run.singles == run.values and not run.scaled:
            return True  # digit by digit in answer to a question: an identifier
    if _spread(scene.atoms, run):
        return False
    toll_free = run.values >= 7 and run.text.startswith(("0", "18", "80"))  # "oh eight hundred ..."
    return run.digits >= policy.digits_without_context and (not run.scaled or toll_free)


def _phone(atoms: Sequence[Atom], run: Run) -> bool:
    """Whether a run has the shape of a telephone number, whatever was asked for.

    Written in three, three and four digits (North American Numbering Plan), or eleven digits that
    begin as mobile numbers of the United Kingdom do.
    """
    groups = [len(atom.text) for atom in atoms[run.first : run.last] if atom.kind == DIGITS]
    mobile = run.digits == UK_LENGTH and run.text.startswith("07")
    return not run.letters and (groups == [3, 3, 4] or mobile)


def _listed(scene: Scene, run: Run) -> bool:
    """Whether a run is several written numbers in a row: "invoice 2024-00871 and 2024-00893"."""
    inside = scene.atoms[run.first : run.last]
    return any(atom.text == "and" for atom in inside) and any(a.kind == DIGITS for a in inside)


def _spread(atoms: Sequence[Atom], run: Run) -> bool:
    """Whether a spoken run is rather a row of times or sizes: "ten thirty eleven thirty twelve"."""
    written = any(atom.kind == DIGITS for atom in atoms[run.first : run.last])
    share = TELLING_ROW if run.digits == SSN_LENGTH or run.digits >= CARD_DIGITS else ROW
    return not written and run.singles < share * run.values and not run.scaled


def _too_little(run: Run, topic: str, bare: bool) -> bool:
    """Whether a number among other words is too short, or said too much like a sum, for a kind."""
    if run.letters:
        return False
    if run.scaled and run.values <= SUM_WORDS and topic not in ("ADDRESS", "DOB", "CARD_NUMBER"):
        return not (bare and topic in SHORT)  # "eleven hundred and twenty"
    least = LEAST_AMONG_WORDS.get(topic, 3 if SHAPES[topic].low >= LONG_KIND else 0)
    return not bare and run.digits < least


def is_bare(scene: Scene, lang: Language) -> bool:
    """Whether a turn is nothing but numbers and fillers: a piece of an answer."""
    inside = {i for run in scene.runs for i in range(run.first, run.last)}
    leads, joiners = lang.words["leads"], lang.words["joiners"]
    return all(
        i in inside or atom.text in leads or atom.text in joiners
        for i, atom in enumerate(scene.atoms)
    )


def _decide(
    scene: Scene, run: Run, topic: str, weight: float, rule: str, lang: Language
) -> tuple[str, float, str]:
    if is_card(run) and topic not in ("CARD_NUMBER", "PHONE", "ACCOUNT_NUMBER"):
        return "CARD_NUMBER", 0.99, "card.checksum"
    long_phone = topic == "PHONE" and run.digits >= 13
    said = {
        lang.near.get(atom.text) for atom in scene.atoms[max(0, run.first - CUE_REACH) : run.first]
    }
    if topic == "CARD_NUMBER" and run.digits == 4 and topic not in said and ACCOUNT in said:
        return ACCOUNT, 0.7, "account.last_four"
    if topic in LOCAL and _phone(scene.atoms, run):
        return "PHONE", 0.7, "phone.shape"
    if topic and topic not in LOCAL and fit(topic, run) > TOO_LONG and not long_phone:
        score = min(0.99, 0.5 + weight / 16)
        return topic, score, f"{topic.lower()}.{rule}"
    if label := shape_label(run):
        return label, 0.8, f"{label.lower()}.shape"
    n = len(run.text)
    if run.letters:
        return ACCOUNT, 0.5, "code.shape"
    if n >= 12 and "CARD_NUMBER" in said:
        return "CARD_NUMBER", 0.7, "card.length"
    if ACCOUNT in said and n < 13:
        return ACCOUNT, 0.6, "account.length"
    label = by_length(n, False)
    if label == ACCOUNT and n < 7:
        return label, 0.35, "digits.asked" if scene.asked else "number.length"
    score, rule = LENGTHS[label]
    return label, score, rule


def _label_letters(scene: Scene, run: Run, lang: Language, evidence: _Evidence) -> None:
    """Decide about a run of letters alone: a spelled value, or an abbreviation."""
    if any(cue.first < run.last and run.first < cue.last for cue in scene.heading.cues):
        return
    acronyms = lang.lists["acronyms"]
    if run.text[:1] == "A" and run.text[1:].lower() in acronyms:
        return  # "a v p n"
    if run.text.lower() in acronyms or (run.letters < 3 and run.values < 3):
        topic = scene.waiting("PERSON", "EMAIL", "POSTCODE", "USERNAME", "PASSWORD", "VEHICLE_REG")
        if topic is None or not topic.asked or run.text.lower() in acronyms:
            return
    topic_name, _, _ = _topic(scene, run, (), lang, evidence)
    if topic_name in LOCAL or (run.letters < 4 and not topic_name):
        return
    label = topic_name or "PERSON"
    scene.add(
        run.first, run.last, label, 0.8 if topic_name else 0.5, "letters",
        f"{label.lower()}.spelled", "letters spelled one by one", value=run.text,
    )  # fmt: skip


def _reason(rule: str) -> str:
    place = rule.rsplit(".", 1)[-1]
    return {
        "cue": "a number behind words that name this kind of value",
        "cue_after": "a number in front of words that name this kind of value",
        "asked": "a number while a question for it is open",
        "mentioned": "a number shortly after this kind of value was mentioned",
        "after_card": "a short number right behind a card number",
        "named_later": "a number that the next turns call by its kind",
        "checksum": "a number with the length and check digit of a card",
    }.get(place, "a number of this length without a unit")
