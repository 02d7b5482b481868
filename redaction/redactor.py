"""Find personal data in a conversation: every recognizer, in order, over one table of atoms.

Decides what wins where findings overlap (coverage is never lost), and which actions keep a value.
Refuses nothing a transcript may hold; cost is linear in its words.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from redaction import answers, classify, dates, internet, names, places, towns
from redaction.again import names_again, numbers_again, streets_again
from redaction.dialogue import Dialogue, find_all, head, said_in
from redaction.forms import find_forms
from redaction.guessed import guess
from redaction.language import Phrases, load_language
from redaction.mangled import mend
from redaction.model import file_sha256, load_names
from redaction.numbers import CORRECTION, MAX_GAP, is_digit, scan
from redaction.pieces import join_pieces
from redaction.policy import Policy
from redaction.recognizers import build_plugged, identity
from redaction.records import Finding, Turn
from redaction.scene import Scene, Span
from redaction.tokens import DIGITS, EMAIL, Pieces, atoms_of, normalise

WRITTEN_DIGITS = 6  # fewer are no card, SSN or IBAN
LOOK_AHEAD = 2  # turns in which a number may still be called by its kind
PLACES = ("ADDRESS", "POSTCODE")
OWN_NAME = "the agent's own first name, kept by policy"
AGENTS = ("agent", "advisor", "adviser", "representative", "operator", "rep", "assistant")
CUSTOMERS = ("customer", "caller", "client", "user", "member", "patient")


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a conversation showed. Neither part holds a value."""

    findings: tuple[Finding, ...]  # sorted by (turn, first), not overlapping
    suppressed: tuple[Finding, ...]  # recognised and left to stand; `reason` says why


class Redactor:
    """Finds personal data under one policy. Holds no state between calls."""

    def __init__(
        self, policy: Policy, recognizers: Sequence[Any] = (), names: Path | None = None
    ) -> None:
        """Prepare a redactor.

        Args:
            policy: what to find; see `load_policy`.
            recognizers: Presidio `EntityRecognizer`s whose findings are added to ours and to
                those of the policy's own `recognizers`.
            names: file of a names model, loaded when it is first needed; None: rules alone.

        Raises:
            ValueError: a recognizer of the policy cannot be built, or there is no such file.
        """
        self.policy = policy
        self.recognizers = (*build_plugged(policy.recognizers, policy.language), *recognizers)
        self.names = names if policy.names_model else None
        parts = [identity(one) for one in self.recognizers]
        parts += [file_sha256(self.names)] if self.names else []
        self.sha256 = policy.sha256  # names what is applied: policy, model and recognizers
        if parts:
            named = json.dumps([policy.sha256, *parts]).encode()
            self.sha256 = hashlib.sha256(named).hexdigest()
        self._lang = load_language(policy.language)
        self._custom = [
            (item, [re.compile(item.pattern, re.IGNORECASE)] if item.pattern else
             [re.compile(r"\b" + r"\W+".join(map(re.escape, normalise(p).split())) + r"\b", re.I)
              for p in item.phrases if p.strip()])
            for item in policy.custom
        ]  # fmt: skip

    @property
    def detectors(self) -> tuple[str, ...]:
        """What finds beside our own rules, with versions."""
        found = []
        if self.policy.presidio or self.recognizers:
            found.append(f"presidio-analyzer {version('presidio-analyzer')}")
        if self.names:
            found.append(f"{self.names.name} {file_sha256(self.names)}")
        return (*found, *map(identity, self.recognizers))

    def find(self, turns: Sequence[Turn]) -> tuple[Finding, ...]:
        """Find personal data.

        Args:
            turns: one conversation in order; one turn for a plain text.

        Returns:
            Findings sorted by (turn, first), not overlapping. `start` and `end` come from the
            words' times where all of them are known. Where turns have other forms, what was
            found in any of them is among the findings.
        """
        return self.look(turns).findings

    def look(self, turns: Sequence[Turn]) -> Look:
        """Find personal data, and say what was recognised and is kept; see `find`."""
        if any(turn.forms for turn in turns):
            found = find_forms(self.find, turns)[0]
            shown = [replace(turn, forms=()) for turn in turns]
            return Look(found, apart(self.look(shown).suppressed, found))
        scenes = self._scenes(turns)
        left = self._listen(scenes)
        join_pieces(scenes, left, self.policy, self._lang)
        if self.policy.on("mangled"):
            mend(scenes, left, self._lang)
        if self.names:
            weak = self.policy.on("name.model.word") or self.policy.on("address.model.weak")
            model = load_names(self.names, self._lang.vocabulary.words)
            guess(scenes, model, self.policy.names_model, self._lang, weak=weak)
        numbers_again(scenes, left)
        internet.follow(scenes, self._lang)
        streets_again(scenes, self.policy, self._lang)
        if self.policy.on("name.followed"):
            names_again(scenes, self.policy, self._lang)
        self._others(scenes, turns)
        findings: list[Finding] = []
        suppressed: list[Finding] = []
        own = self._own_names(scenes)
        for scene in scenes:
            turn = turns[scene.turn]
            findings += self._merge(scene, turn, own)
            suppressed += _left_to_stand(scene, turn)
        return Look(tuple(findings), apart(suppressed, findings))

    def _scenes(self, turns: Sequence[Turn]) -> list[Scene]:
        seen: Pieces = {}
        opening = self._lang.lists["agent_openings"]
        guessed = ""
        scenes = []
        for index, turn in enumerate(turns):
            atoms = atoms_of(turn.words, seen, self._lang.vocabulary)
            name = turn.speaker.casefold()
            agent = name.startswith(AGENTS)
            if not agent and not name.startswith(CUSTOMERS):
                if not guessed and index < 6 and find_all(atoms, opening):
                    guessed = turn.speaker
                agent = bool(guessed) and turn.speaker == guessed
            said = said_in(atoms)
            heading = head(atoms, said, self._lang)
            heading.cues = [
                cue for cue in heading.cues
                if cue.last > cue.first + 1 or not is_digit(atoms, cue.first, self._lang)
            ]  # fmt: skip
            barred = {i for cue in heading.cues for i in range(cue.first, cue.last)}
            barred.update(
                i for date in dates.written_dates(atoms) for i in range(date.first, date.last)
            )
            runs = scan(atoms, self._lang, frozenset(barred))
            scenes.append(Scene(index, turn.speaker, agent, atoms, runs, heading, said))
        return scenes

    def _listen(self, scenes: Sequence[Scene]) -> list[tuple[Scene, Any]]:
        """Go through the call once with the open questions in mind."""
        policy, lang = self.policy, self._lang
        dialogue = Dialogue()
        left = []
        kept: set[str] = set()
        for index, scene in enumerate(scenes):
            dialogue.expire(scene.turn)
            scene.open = list(dialogue.open)
            scene.asked = index > 0 and scenes[index - 1].heading.asks
            following = [
                cue.topic
                for later in scenes[index + 1 : index + 1 + (LOOK_AHEAD if scene.runs else 0)]
                for cue in later.heading.cues
            ]
            internet.label_internet(scene, lang)
            email = scene.waiting("EMAIL")
            if (
                email is not None
                and email.asked
                and scene.answers(email)
                and not any(span.label == "EMAIL" for span in scene.spans)
            ):
                internet.answer_email(scene, lang)
            address = scene.waiting("ADDRESS")
            here = any(cue.topic == "ADDRESS" for cue in scene.heading.cues)
            places.label_places(scene, lang, here or (address is not None and address.asked))
            asked = address is not None and address.asked and scene.answers(address)
            if asked and address is not None and not any(s.label == "ADDRESS" for s in scene.spans):
                fresh = scene.turn - max(address.turn, address.answered_at) <= 2
                other = any(cue.topic not in PLACES for cue in scene.heading.cues)
                if (fresh or not address.answered) and not other:
                    places.answer_place(scene, lang, fresh)
            if address is not None and address.asked:
                towns.town_piece(scene, lang)
            if any(span.label == "ADDRESS" for span in scene.spans):
                scene.answered("ADDRESS", 8)
            found = []
            if scene.runs or not scene.lacks(lang.words["months"]):
                found = dates.find_dates(scene.atoms, scene.runs, lang)
            found += dates.written_dates(scene.atoms)
            if scene.runs or found:
                left += [
                    (scene, run)
                    for run in classify.label_runs(scene, found, policy, lang, following, kept)
                ]
            places.grow(scene, lang)
            dates.answer_date(scene, lang)
            answers.label_secrets(scene, lang, policy.on("secret.unparsed"))
            names.label_names(scene, lang, policy.on("name.listed"))
            person = scene.waiting("PERSON")
            if (
                person is not None
                and person.asked
                and not person.answered
                and scene.answers(person)
            ):
                names.answer_name(scene, lang)
            dialogue.imply(scene.turn, scene.speaker)
            dialogue.hear(scene.turn, scene.speaker, scene.heading, bool(scene.runs))
        return left

    def _others(self, scenes: Sequence[Scene], turns: Sequence[Turn]) -> None:
        """Add Presidio's findings and the organisation's own."""
        if not (self.policy.presidio or self.recognizers or self._custom):
            return
        if self.recognizers or self._custom:
            wanted = list(range(len(turns)))
        else:
            wanted = [scene.turn for scene in scenes if _written(scene)]
        if not wanted:
            return
        texts, starts = [], []
        for index in wanted:
            offsets, position, parts = [], 0, []
            for word in turns[index].words:
                text = normalise(word.text)
                offsets.append((position, position + len(text)))
                parts.append(text)
                position += len(text) + 1
            texts.append(" ".join(parts))
            starts.append(offsets)
        found: list[list[tuple[int, int, str, float, str]]] = [[] for _ in texts]
        if self.policy.presidio or self.recognizers:
            from redaction.written import find_written

            found = find_written(texts, self.recognizers)
        for at, text in enumerate(texts):
            for item, patterns in self._custom:
                for pattern in patterns:
                    found[at].extend(
                        (hit.start(), hit.end(), item.label, item.score, f"custom.{item.id}")
                        for hit in pattern.finditer(text)
                    )
            for start, end, label, score, rule in found[at]:
                first = bisect_right(starts[at], start, key=lambda place: place[1])
                last = bisect_left(starts[at], end, key=lambda place: place[0]) - 1
                if first <= last:
                    self._add_words(scenes[wanted[at]], first, last, label, score, rule)

    def _add_words(
        self, scene: Scene, first: int, last: int, label: str, score: float, rule: str
    ) -> None:
        begin = bisect_left(scene.atoms, first, key=lambda atom: atom.word)
        end = bisect_right(scene.atoms, last, key=lambda atom: atom.word)
        if begin < end:
            detector = "custom" if rule.startswith("custom.") else "presidio"
            scene.add(begin, end, label, score, detector, rule,
                      "a written form with a fixed pattern")  # fmt: skip

    def _own_names(self, scenes: Sequence[Scene]) -> set[str]:
        """Cut the agent's own first name out of the findings; return it."""
        if self.policy.agent_first_name != "keep":
            return set()
        own: set[str] = set()
        leads = self._lang.lists["own_name_leads"]
        for scene in scenes:
            if scene.agent:
                for span in list(scene.spans):
                    if name := _own_name(scene, span, leads):
                        own.add(name)
        return own

    def _merge(self, scene: Scene, turn: Turn, own: set[str]) -> list[Finding]:
        if not scene.spans:
            return []
        spans = []
        for span in scene.spans:
            if why := self._why_kept(scene, span, own):
                scene.keep(span.first, span.last, span.label, span.score, span.detector, span.rule,
                           why)  # fmt: skip
            elif span.first < span.last:
                spans.append(span)
        places_: list[tuple[int, int, Span]] = sorted(
            ((scene.atoms[s.first].word, scene.atoms[s.last - 1].word + 1, s) for s in spans),
            key=lambda item: (item[0], -item[1]),
        )
        merged: list[tuple[int, int, Span]] = []
        for first, last, span in places_:
            if merged and first < merged[-1][1]:
                a, b, other = merged[-1]
                best = max((other, span), key=lambda s: (s.score, s.last - s.first))
                merged[-1] = (a, max(b, last), best)
            elif merged and self._corrects(scene, merged[-1][2], span):
                merged[-1] = (merged[-1][0], last, merged[-1][2])
            else:
                merged.append((first, last, span))
        return [_finding(scene.turn, first, last, span, turn) for first, last, span in merged]

    def _corrects(self, scene: Scene, one: Span, two: Span) -> bool:
        """Whether two pieces of a number have nothing but a correction between them."""
        between = scene.atoms[one.last : two.first]
        joiners, corrections = self._lang.words["joiners"], self._lang.words["corrections"]
        return (
            one.label == two.label
            and one.detector == two.detector == "numbers"
            and 0 < len(between) <= MAX_GAP
            and all(atom.text in joiners or atom.text in corrections for atom in between)
            and any(atom.text in CORRECTION for atom in between)
        )

    def _why_kept(self, scene: Scene, span: Span, own: set[str]) -> str:
        """Why a span is no finding; empty where it is one."""
        policy = self.policy
        if policy.action(span.label) == "keep":
            return "the policy keeps this kind"
        if not policy.on(span.rule):
            return "the policy switched this rule off"
        if span.score < policy.threshold:
            return "the score is below the policy's threshold"
        if (
            span.label == "PERSON"
            and span.last == span.first + 1
            and scene.atoms[span.first].text.removesuffix("'s") in own
        ):
            return OWN_NAME
        return ""


def apart(some: Sequence[Finding], others: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return those of `some` that share no word with any of `others` nor with one another."""
    taken = {(f.turn, place) for f in others for place in range(f.first, f.last)}
    left = []
    for finding in sorted(some, key=lambda f: (f.turn, f.first, -f.last)):
        words = {(finding.turn, place) for place in range(finding.first, finding.last)}
        if not words & taken:
            left.append(finding)
            taken |= words
    return tuple(left)


def _left_to_stand(scene: Scene, turn: Turn) -> list[Finding]:
    return [
        _finding(scene.turn, scene.atoms[s.first].word, scene.atoms[s.last - 1].word + 1, s, turn)
        for s in scene.kept
        if s.first < s.last
    ]


def _written(scene: Scene) -> bool:
    """Whether a written form of a fixed pattern can stand in a turn: digits enough, or an @."""
    digits = 0
    for atom in scene.atoms:
        if atom.kind == EMAIL:
            return True
        if atom.kind == DIGITS:
            digits += len(atom.text)
    return digits >= WRITTEN_DIGITS


def _own_name(scene: Scene, span: Span, leads: Phrases) -> str:
    """Return the first name that an agent gives as his own, and leave the rest in the span."""
    if span.label != "PERSON" or span.rule not in (
        "name.lead", "name.is", "name.speaking", "name.model",
    ):  # fmt: skip
        return ""
    before = [atom.text for atom in scene.atoms[max(0, span.first - 3) : span.first]]
    after = scene.atoms[span.last].text if span.last < len(scene.atoms) else ""
    if before[-2:] in (["speaking", "with"], ["speaking", "to"]):
        return ""  # "am I speaking with ..."
    if "my" in before and "name" not in before and "name's" not in before:
        return ""
    if (
        not {"my", "i'm", "this", "am", "speaking"} & set(before)
        and after not in ("speaking", "here")
        and not any(last == span.first for _, last in find_all(scene.atoms, leads, scene.said))
    ):
        return ""
    if after == "speaking":  # "Northgate Pharmacy, Dwayne speaking"
        commas = [at for at in range(span.first, span.last - 1) if scene.atoms[at].comma]
        span.first = commas[-1] + 1 if commas else span.first
    name = scene.atoms[span.first].text
    if span.last - span.first > 1:
        scene.keep(span.first, span.first + 1, span.label, span.score, span.detector, span.rule,
                   OWN_NAME)  # fmt: skip
        span.first += 1
    return name


def _finding(turn: int, first: int, last: int, span: Span, said: Turn) -> Finding:
    words = said.words[first:last]
    start = end = None
    if all(word.start is not None and word.end is not None for word in words):
        start = min(word.start for word in words if word.start is not None)
        end = max(word.end for word in words if word.end is not None)
    return Finding(
        span.label, turn, first, last, round(span.score, 3), span.detector, span.rule, span.reason,
        start, end, span.group,
    )  # fmt: skip
