"""Checks a policy pack: every file, every name, every expression, and every rule's own examples.

A rule's examples are short dialogues; they run through the same code as real calls, so a rule that
does not do what its author shows is a fault like a typo is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from redaction.records import Word
from voice_pipeline.domain import (
    CallOutcome,
    CaseNote,
    RedactedTranscript,
    RedactedTurn,
    RequestType,
)
from voice_pipeline.policy.assemble import Origins, assemble
from voice_pipeline.policy.facts import AFTER_RULES, REFUND_WORDS, gather, types
from voice_pipeline.policy.pack import DRAFT_TEXTS, Example, Pack, Rule
from voice_pipeline.policy.rules import compile_condition, compile_when, slots
from voice_pipeline.policy.source import Fault, Refused
from voice_pipeline.spoken.statements import new_statement, says
from voice_pipeline.spoken.words import comparable

# What an example may say about the note.
_NOTE_FACTS = frozenset(
    {"outcome", "request_type", "request_confidence", "request_decision", "word_confidence"}
)


def check(path: Path) -> list[Fault]:
    """Return everything that is wrong with the pack at `path`; str(fault) is FILE:LINE: what."""
    return faults_of(path.resolve())[1]


def faults_of(folder: Path) -> tuple[Pack | None, list[Fault]]:
    """Assemble a pack and check how its parts fit; None where it cannot even be assembled."""
    try:
        pack, origins = assemble(folder)
    except Refused as refused:
        return None, list(refused.faults)
    faults = [
        *_signal_faults(pack, origins),
        *_routing_faults(pack, origins),
        *_note_faults(pack, origins),
        *_draft_faults(pack, origins),
        *_notify_faults(pack, origins),
    ]
    for rule in pack.rules:
        wrong = list(_rule_faults(pack, origins, rule))
        faults.extend(wrong or _example_faults(pack, origins, rule))
    return pack, faults


def _signal_faults(pack: Pack, origins: Origins) -> Iterator[Fault]:
    ids = {signal.id for signal in pack.signals}
    if REFUND_WORDS not in ids:
        yield origins.fault("file", "pack.yaml", f"no signal is called {REFUND_WORDS}")
    taken = set(types(pack.model_copy(update={"signals": ()}))) | set(AFTER_RULES)
    for signal in pack.signals:
        if signal.id in taken:
            yield origins.fault("signals", signal.id, f"{signal.id} is a computed fact", "id")
        answered = next((other for other in pack.signals if other.id == signal.answers), None)
        if signal.answers and (answered is None or answered.answers):
            message = f"{signal.answers} is no signal that can be answered"
            yield origins.fault("signals", signal.id, message, "answers")


def _routing_faults(pack: Pack, origins: Origins) -> Iterator[Fault]:
    queues = {queue.id for queue in pack.routing.queues}
    labels = [kind.label for kind in pack.taxonomy.request_types]
    for index, kind in enumerate(pack.taxonomy.request_types):
        place = ("request_types", index)
        if kind.queue not in queues:
            message = f"no queue is called {kind.queue}"
            yield origins.fault("file", "taxonomy.yaml", message, *place, "queue")
        if labels.index(kind.label) != index:
            message = f"{kind.label} is defined twice"
            yield origins.fault("file", "taxonomy.yaml", message, *place)
    routing = pack.routing
    if routing.fallback not in queues:
        message = f"no queue is called {routing.fallback}"
        yield origins.fault("file", "routing.yaml", message, "fallback")
    if missing := {"low", "medium", "high", "critical"} - set(routing.priority):
        message = f"says no priority for {', '.join(sorted(missing))}"
        yield origins.fault("file", "routing.yaml", message, "priority")
    known = types(pack) | {name: type_ for name, (type_, _) in AFTER_RULES.items()}
    for index, review in enumerate(routing.review):
        for part in ("all", "any"):
            for leaf, text in enumerate(getattr(review.when, part)):
                try:
                    compile_condition(text, known)
                except ValueError as error:
                    leaf_at = ("review", index, "when", part, leaf)
                    yield origins.fault("file", "routing.yaml", str(error), *leaf_at)


def _note_faults(pack: Pack, origins: Origins) -> Iterator[Fault]:
    ids = [section.id for section in pack.note.sections]
    for index, section in enumerate(pack.note.sections):
        place = ("sections", index)
        if ids.index(section.id) != index:
            yield origins.fault("file", "note.yaml", f"{section.id} is defined twice", *place)
        for at, label in enumerate(section.request_types):
            if pack.kind(label) is None:
                message = f"no request type is called {label}"
                yield origins.fault("file", "note.yaml", message, *place, "request_types", at)


def _draft_faults(pack: Pack, origins: Origins) -> Iterator[Fault]:
    """The words of drafts are used for everybody: they may promise nothing and name no number."""
    drafts = pack.drafts
    if drafts is None:
        return

    def fault(message: str, *place: str | int) -> Fault:
        return origins.fault("file", "drafts.yaml", message, *place)

    labels = {kind.label for kind in pack.taxonomy.request_types}
    if "default" not in drafts.bodies:
        yield fault("has no body called default", "bodies")
    for label in sorted(set(drafts.bodies) - labels - {"default"}):
        yield fault(f"no request type is called {label}", "bodies", label)
    for index, label in enumerate(drafts.none_for_types):
        if label not in labels:
            yield fault(f"no request type is called {label}", "none_for_types", index)
    categories = {rule.category for rule in pack.rules}
    for index, name in enumerate(drafts.none_when_flags):
        if name not in categories:
            yield fault(f"no rule raises {name}", "none_when_flags", index)
    texts: list[tuple[tuple[str, ...], str]] = [
        ((name,), getattr(drafts, name)) for name in DRAFT_TEXTS
    ]
    texts += [(("bodies", label), text) for label, text in drafts.bodies.items()]
    for place, text in texts:
        if kind := new_statement(text, (), drafts.promises):
            yield fault(f"states a {kind}; only calls and articles may", *place)
        if says(text, (*drafts.banned, *drafts.tone)):
            yield fault("uses words that this file bans", *place)


def _notify_faults(pack: Pack, origins: Origins) -> Iterator[Fault]:
    """Whoever a rule or a level names must be somebody whom the file knows."""
    if ("file", "notify.yaml") not in origins:
        return
    notify = pack.notify

    def fault(message: str, *place: str | int) -> Fault:
        return origins.fault("file", "notify.yaml", message, *place)

    categories = {rule.category for rule in pack.rules}
    for index, name in enumerate(notify.at_any_hour):
        if name not in categories:
            yield fault(f"no rule raises {name}", "at_any_hour", index)
    if notify.fallback is not None and notify.fallback not in notify.owners:
        yield fault(f"no owner is called {notify.fallback!r}", "fallback")
    circle = next((name for name in notify.owners if notify.circles(name)), None)
    if circle is not None:
        yield fault(f"{circle!r} comes again above itself", "owners", circle, "up")
    for name, owner in notify.owners.items():
        if owner.up is not None and owner.up not in notify.owners:
            yield fault(f"no owner is called {owner.up!r}", "owners", name, "up")
    if notify.fallback is not None or not notify.owners:
        return
    for rule in pack.rules:
        for index, name in enumerate(rule.action.notify):
            if name not in notify.owners:
                message = f"notify.yaml knows no {name!r}, and has no fallback"
                yield origins.fault("rules", rule.id, message, "action", "notify", index)


def _rule_faults(pack: Pack, origins: Origins, rule: Rule) -> Iterator[Fault]:
    known = types(pack)
    for part in ("all", "any"):
        for leaf, text in enumerate(getattr(rule.when, part)):
            try:
                compile_condition(text, known)
            except ValueError as error:
                yield origins.fault("rules", rule.id, str(error), "when", part, leaf)
    for name in slots(rule.why):
        if name not in known:
            yield origins.fault("rules", rule.id, f"no fact is called {name!r}", "why")
    queues = {queue.id for queue in pack.routing.queues}
    if rule.action.queue and rule.action.queue not in queues:
        message = f"no queue is called {rule.action.queue}"
        yield origins.fault("rules", rule.id, message, "action", "queue")
    for kind, examples in (("match", rule.examples.match), ("no_match", rule.examples.no_match)):
        for index, example in enumerate(examples):
            if unknown := sorted(set(example.note) - _NOTE_FACTS):
                message = f"an example's note says nothing about {', '.join(unknown)}"
                yield origins.fault("rules", rule.id, message, "examples", kind, index)


def _example_faults(pack: Pack, origins: Origins, rule: Rule) -> Iterator[Fault]:
    tree = compile_when(rule.when, types(pack))
    wanted = {name for condition in tree.conditions for name in condition.names}
    for kind, examples in (("match", rule.examples.match), ("no_match", rule.examples.no_match)):
        for index, example in enumerate(examples):
            transcript, note = _acted(example)
            facts = gather(transcript, note, example.metadata, pack, wanted)
            if tree.evaluate(facts)["fired"] != (kind == "match"):
                does = "does not fire on its" if kind == "match" else "fires on its"
                message = f"{rule.id} {does} {kind} example {index + 1}"
                yield origins.fault("rules", rule.id, message, "examples", kind, index)


def _acted(example: Example) -> tuple[RedactedTranscript, CaseNote]:
    turns = tuple(_turns(example.turns))
    said = example.note
    confidence = float(said.get("word_confidence", 1.0))
    transcript = RedactedTranscript("example", "en", turns, 0.0, confidence=confidence)
    note = CaseNote(
        call="example",
        status="done",
        request_type=RequestType(
            str(said.get("request_type", "other")),
            float(said.get("request_confidence", 1.0)),
            "human" if said.get("request_decision") == "human" else "auto",
        ),
        urgency="normal",
        reason=None,
        summary=(),
        facts=(),
        actions=(),
        commitments=(),
        outcome=CallOutcome(said.get("outcome", "unclear"), ()),
        missing_information=(),
        unverified=(),
        measures={},
        provenance={},
    )
    return transcript, note


def _turns(lines: Iterable[str]) -> Iterator[RedactedTurn]:
    for place, line in enumerate(lines):
        speaker, _, text = line.partition(":")
        words = tuple(Word(word, None, None) for word in text.split() if comparable(word))
        yield RedactedTurn(place, speaker.strip(), 0, None, None, words)
