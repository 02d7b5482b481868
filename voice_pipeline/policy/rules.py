"""Evaluates rules over facts. Every rule, every condition, always: the tree is the trace.

Conditions are `rule-engine` expressions with a typed context, so a misspelt fact or a comparison of
a number with a text is caught when the pack is loaded, not on the call that needed the rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rule_engine

from voice_pipeline.domain import Escalation, Escalations, Evidence
from voice_pipeline.policy.facts import Fact, Facts, Type, Value
from voice_pipeline.policy.pack import Rule, When
from voice_pipeline.spoken.numbers import said

MAX_EVIDENCE = 6  # quotes on one flag; the trace has the turns of all
UNKNOWN_SPEAKER = "It is not known for sure who said it."  # ends the reason of such a flag
SEVERITIES = ("low", "medium", "high", "critical")

_ENGINE_TYPES = {
    "yes/no": rule_engine.DataType.BOOLEAN,
    "number": rule_engine.DataType.FLOAT,
    "text": rule_engine.DataType.STRING,
    "list": rule_engine.DataType.ARRAY(rule_engine.DataType.STRING),
}
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Condition:
    """One expression, compiled."""

    text: str
    names: tuple[str, ...]  # the facts it looks at
    rule: Any  # rule_engine.Rule

    def holds(self, facts: Facts) -> bool:
        return bool(self.rule.matches({name: _plain(facts[name].value) for name in self.names}))


@dataclass(frozen=True, slots=True)
class Tree:
    """A compiled `when`: all of `all`, and at least one of `any` where there are any."""

    all: tuple[Condition, ...]
    any: tuple[Condition, ...]

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return (*self.all, *self.any)

    def evaluate(self, facts: Facts) -> Mapping[str, Any]:
        """Return the trace: every condition with its value and the facts it looked at."""
        every = [_traced(condition, facts) for condition in self.all]
        some = [_traced(condition, facts) for condition in self.any]
        fired = all(leaf["value"] for leaf in every) and (
            not some or any(leaf["value"] for leaf in some)
        )
        return {"fired": fired, "all": every, "any": some}


def compile_condition(text: str, types: Mapping[str, Type]) -> Condition:
    """Compile one expression.

    Raises:
        ValueError: the expression is not one, names an unknown fact, compares what cannot be
            compared, or is neither true nor false; the message says which.
    """
    asked: list[str] = []

    def resolve(name: str) -> Any:
        if name not in types:
            raise rule_engine.errors.SymbolResolutionError(name)
        asked.append(name)
        return _ENGINE_TYPES[types[name]]

    try:
        rule = rule_engine.Rule(text, context=rule_engine.Context(type_resolver=resolve))
    except rule_engine.errors.SymbolResolutionError as error:
        raise ValueError(
            f"no fact is called {error.symbol_name!r}{_near(error.symbol_name, types)}"
        ) from None
    except rule_engine.errors.EngineError as error:
        raise ValueError(f"{text!r} is not an expression: {error.message}") from None
    result = rule.statement.expression.result_type
    if result != rule_engine.DataType.BOOLEAN:
        raise ValueError(f"{text!r} is a {result.name.lower()}, not a yes or no; compare it")
    return Condition(text, tuple(dict.fromkeys(asked)), rule)


def _near(name: str, types: Mapping[str, Type]) -> str:
    import difflib

    close = difflib.get_close_matches(name, types, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def compile_when(when: When, types: Mapping[str, Type]) -> Tree:
    """Compile a rule's conditions.

    Raises:
        ValueError: see `compile_condition`.
    """
    return Tree(
        tuple(compile_condition(text, types) for text in when.all),
        tuple(compile_condition(text, types) for text in when.any),
    )


class Ruleset:
    """A pack's rules, compiled once."""

    def __init__(self, rules: Sequence[Rule], types: Mapping[str, Type], sha256: str) -> None:
        self._rules = [(rule, compile_when(rule.when, types)) for rule in rules]
        self._sha256 = sha256

    def evaluate(self, facts: Facts) -> Escalations:
        """Evaluate every rule; flags come most severe first."""
        flags: list[Escalation] = []
        trace: list[Mapping[str, Any]] = []
        for rule, tree in self._rules:
            result = tree.evaluate(facts)
            trace.append(
                {"rule": rule.id, "version": rule.version, "category": rule.category, **result}
            )
            if result["fired"]:
                flags.append(_flag(rule, tree, facts))
        flags.sort(key=lambda flag: -SEVERITIES.index(flag.severity))
        return Escalations(tuple(flags), self._sha256, tuple(trace))


def _flag(rule: Rule, tree: Tree, facts: Facts) -> Escalation:
    looked_at = dict.fromkeys(name for condition in tree.conditions for name in condition.names)
    for name in slots(rule.why):
        looked_at.setdefault(name)
    held = [condition for condition in tree.conditions if condition.holds(facts)]
    why = _SLOT.sub(lambda slot: spelled(facts[slot[1]].value), rule.why)
    said = [facts[name] for condition in held for name in condition.names]
    if any(fact.value is True for fact in said) and all(
        fact.by_unknown for fact in said if fact.value is True
    ):
        why = f"{why} {UNKNOWN_SPEAKER}"
    return Escalation(
        rule=rule.id,
        version=rule.version,
        category=rule.category,
        severity=rule.severity,
        why=why,
        evidence=tuple(dict.fromkeys(_quotes(held, facts)))[:MAX_EVIDENCE],
        inputs={name: _plain(facts[name].value) for name in looked_at},
        action=rule.action.model_dump(mode="json"),
    )


def _quotes(conditions: Sequence[Condition], facts: Facts) -> Iterator[Evidence]:
    for condition in conditions:
        for name in condition.names:
            yield from facts[name].evidence


def slots(why: str) -> tuple[str, ...]:
    """Return the facts that a why sentence names in braces."""
    return tuple(_SLOT.findall(why))


def spelled(value: Value) -> str:
    """Write a fact's value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return said(value)
    return value if isinstance(value, str) else ", ".join(value)


def _plain(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _traced(condition: Condition, facts: Facts) -> Mapping[str, Any]:
    return {
        "condition": condition.text,
        "value": condition.holds(facts),
        "facts": {name: _seen(facts[name]) for name in condition.names},
    }


def _seen(fact: Fact) -> Mapping[str, Any]:
    return {
        "value": _plain(fact.value),
        "turns": sorted({evidence.turn for evidence in fact.evidence}),
    }
