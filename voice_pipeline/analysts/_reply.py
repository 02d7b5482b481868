"""What a language model may answer: a closed form, read strictly, and never believed.

The model names statements and where they stand. It returns no ids, routes, flags or dates, and
nothing that it leaves out is taken away from a note. A reply that does not fit is refused with
sentences that a model can repair it by.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

SCHEMA_VERSION = 1

_LIST = 200  # items; what is kept is far less, a longer list is a machine gone wrong
_FAULTS = 6  # sentences for a repair
# What limits a value is checked here; servers that enforce schemas do not know all of these.
_UNSENT = frozenset({"title", "maxLength", "maxItems", "minimum", "default", "description"})

Text = Annotated[str, StringConstraints(max_length=600, strip_whitespace=True)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cited(_Form):
    turn: int = Field(ge=0)
    quote: Annotated[str, StringConstraints(max_length=4000, strip_whitespace=True)]


Cites = Annotated[tuple[Cited, ...], Field(max_length=_LIST)]


class Item(_Form):
    text: Text
    evidence: Cites


class Promised(_Form):
    who: Literal["agent", "customer"]
    what: Text
    due_text: Text
    evidence: Cites


class Ending(_Form):
    value: Literal["resolved", "partial", "unresolved", "unclear"]
    evidence: Cites


class Feeling(_Form):
    value: Literal["positive", "neutral", "negative"]
    evidence: Cites


class Suggested(_Form):
    category: str
    evidence: Cites


Items = Annotated[tuple[Item, ...], Field(max_length=_LIST)]


class Reply(_Form):
    """One answer about one window of a call."""

    request_type: str
    reason: Items
    summary: Items
    facts: Items
    actions: Items
    commitments: Annotated[tuple[Promised, ...], Field(max_length=_LIST)]
    outcome: Ending
    open_questions: Items
    cancellation_reason: Items
    sentiment_start: Feeling
    sentiment_end: Feeling
    concerns: Annotated[tuple[Suggested, ...], Field(max_length=_LIST)]
    unknowns: Annotated[tuple[Text, ...], Field(max_length=_LIST)]


class Unfit(Exception):
    """The reply cannot be used; `faults` says why, without repeating what it says."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


def schema(request_types: Sequence[str], categories: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of a reply: flat, every key required, no other key allowed."""
    whole = Reply.model_json_schema()
    flat: dict[str, Any] = _inlined(whole, whole.get("$defs", {}))
    flat["properties"]["request_type"] = {"type": "string", "enum": list(request_types)}
    concern = flat["properties"]["concerns"]["items"]["properties"]
    concern["category"] = {"type": "string", "enum": list(categories)}
    return flat


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(inner, definitions) for inner in node]
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        return _inlined(definitions[str(node["$ref"]).rpartition("/")[2]], definitions)
    found = {
        key: {name: _inlined(inner, definitions) for name, inner in value.items()}
        if key == "properties"
        else _inlined(value, definitions)
        for key, value in node.items()
        if key not in _UNSENT and key != "$defs"
    }
    if found.get("type") == "object":
        found["required"] = list(found["properties"])
        found["additionalProperties"] = False
    return found


def read(content: str) -> Reply:
    """Read a reply, also one that stands in a fence or among prose.

    Raises:
        Unfit: it holds no JSON object, or one that is not the form.
    """
    try:
        return Reply.model_validate(json_in(content))
    except ValidationError as error:
        raise Unfit(
            [
                f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
                for fault in error.errors(
                    include_url=False, include_input=False, include_context=False
                )[:_FAULTS]
            ]
        ) from None


def json_in(content: str) -> Any:
    """Return the JSON object of a reply: all of it, or what its outermost braces hold.

    Raises:
        Unfit: there is none.
    """
    first, last = content.find("{"), content.rfind("}")
    for text in (content, content[first : last + 1] if 0 <= first < last else ""):
        try:
            found = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    raise Unfit(["it is not one JSON object"])


def _no_constant(name: str) -> Any:
    raise ValueError(name)
