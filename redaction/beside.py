"""Redact a conversation with every field that stands beside its turns and around it.

Decides that all of them get the same findings: forms of a turn are searched with it, other texts
behind the call, so that a name or number of the call is found in them again. Refuses to let a
question of the call be answered by a field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from redaction.fields import Field, Walk, holds_number
from redaction.forms import align, find_forms, merge, place, view
from redaction.labels import NEVER_AN_IDENTIFIER
from redaction.language import load_language
from redaction.records import Finding, Turn, Word
from redaction.redactor import Redactor
from redaction.rendering import replace as render
from redaction.spans import Token, placeholders, spell
from redaction.tokens import tokenize

SPOKEN = frozenset({"id", "text", "speaker", "turns"})  # never among the other fields
Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Redacted:
    """A conversation and its fields as they may be shown."""

    texts: list[str]
    spans: list[dict[str, Any]]  # turn, start, end, label, score, detector, rule
    beside: list[Fields]
    around: Fields


def fields_of(record: Mapping[str, Any]) -> Fields:
    """Return a record's other fields; the speaker too where it holds a number or an address."""
    fields = {key: value for key, value in record.items() if key not in SPOKEN}
    speaker = record.get("speaker")
    if isinstance(speaker, str) and holds_number(speaker):
        fields["speaker"] = speaker
    return fields


def redact_all(
    items: Sequence[tuple[str, str]], beside: Sequence[Fields], around: Fields, redactor: Redactor
) -> Redacted:
    """Redact (speaker, text) pairs, the fields beside each, and those around all of them."""
    tokens = [tokenize(text) for _, text in items]
    walks = [Walk(text) for _, text in items]
    for walk, fields in zip(walks, beside, strict=True):
        walk.collect(fields)
    whole = Walk(" ".join(text for _, text in items) if around else "")
    whole.collect(around)
    said = [
        Turn(speaker, _words(found), forms=tuple(_words(one.tokens) for one in walk.forms))
        for (speaker, _), found, walk in zip(items, tokens, walks, strict=True)
    ]
    loose = [one for walk in walks for one in walk.texts] + whole.fields
    found = _Found(said, loose, redactor)
    for turn, walk in enumerate(walks):
        for form, one in enumerate(walk.forms, 1):
            _show(one, found.at(form, turn))
        for one in walk.texts:
            here = found.at(0, turn)
            if one.follows and here:
                one.shown = here[0][1]
            else:
                _show(one, found.of(one))
    for one in whole.fields:
        _show(one, found.around(one) if one.form else found.of(one))
    texts, spans = [], []
    for turn, (_, text) in enumerate(items):
        here = found.at(0, turn)
        shown, places = spell(text, tokens[turn], [f for f, _ in here], [name for _, name in here])
        texts.append(shown)
        spans += [
            {
                "turn": turn, "start": start, "end": end, "label": finding.label,
                "score": finding.score, "detector": finding.detector, "rule": finding.rule,
            }
            for (finding, _), (start, end) in zip(here, places, strict=True)
        ]  # fmt: skip
    return Redacted(
        texts,
        spans,
        [walk.show(fields) for walk, fields in zip(walks, beside, strict=True)],
        whole.show(around),
    )


def _words(tokens: Sequence[Token]) -> tuple[Word, ...]:
    return tuple(Word(word, None, None) for word, _, _ in tokens)


def _show(one: Field, found: Sequence[tuple[Finding, str]]) -> None:
    if one.kept:
        found = [item for item in found if item[0].label in NEVER_AN_IDENTIFIER]
    one.found = [(finding.first, finding.last, name) for finding, name in found]
    one.shown, _ = spell(one.text, one.tokens, [f for f, _ in found], [name for _, name in found])


class _Found:
    """The findings of a conversation and its fields, with their placeholders."""

    def __init__(self, said: list[Turn], loose: Sequence[Field], redactor: Redactor) -> None:
        self._said = said
        self._places: dict[str, int] = {}
        turns = list(said)
        # closes every question; no number of the call is named by what comes behind
        changes = load_language(redactor.policy.language).lists["topic_changes"]
        moved_on = next(iter(changes.values()))[0][0]
        barrier = (_words([(word, 0, 0) for word in moved_on]), ())
        for one in loose:
            if one.text not in self._places:
                turns += [Turn("", words) for words in barrier]
                self._places[one.text] = len(turns)
                turns.append(Turn("", _words(one.tokens)))
        self._by_turn: list[dict[int, list[tuple[Finding, str]]]] = []
        for form, findings in enumerate(find_forms(redactor.find, turns)):
            seen = [view(turn, form) for turn in turns]
            names = placeholders(render(seen, findings, redactor.policy), findings)
            here: dict[int, list[tuple[Finding, str]]] = {}
            for finding, name in zip(findings, names, strict=True):
                here.setdefault(finding.turn, []).append((finding, name))
            self._by_turn.append(here)

    def at(self, form: int, turn: int) -> list[tuple[Finding, str]]:
        """Return what was found in one form of a turn."""
        return self._by_turn[form].get(turn, [])

    def of(self, one: Field) -> list[tuple[Finding, str]]:
        """Return what was found in a text of its own."""
        return self.at(0, self._places[one.text])

    def around(self, one: Field) -> list[tuple[Finding, str]]:
        """Return what was found in a form of the whole call, or stands there as in its turns."""
        target = _words(one.tokens)
        source: list[Word] = []
        carried: list[tuple[Finding, str]] = [
            (replace(finding, turn=0), name) for finding, name in self.of(one)
        ]
        found: list[tuple[Finding, str]] = []
        for turn, spoken in enumerate(self._said):
            found += [
                (replace(f, turn=0, first=f.first + len(source), last=f.last + len(source)), name)
                for f, name in self.at(0, turn)
            ]
            source += spoken.words
        anchors = align(source, target)
        for finding, name in found:
            if where := place(finding, source, target, anchors):
                carried.append((replace(finding, first=where[0], last=where[1]), name))
        names = {(f.label, f.first): name for f, name in reversed(carried)}
        merged = merge([finding for finding, _ in carried], [Turn("", target)])
        return [(f, names.get((f.label, f.first), f"[{f.label}]")) for f in merged]
