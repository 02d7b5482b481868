"""What is redacted and how: a policy file with a hash, read once, checked before use.

Decides nothing about finding; refuses unknown keys, labels, profiles and patterns that could
backtrack for ever.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from redaction.labels import LABELS
from redaction.patterns import check_pattern
from redaction.recognizers import Plugged, read_plugged

Action = Literal["placeholder", "last_four", "keep"]

_HERE = Path(__file__).parent / "policies"
PROFILES = ("precise", "balanced", "paranoid")
LAST_FOUR_ALLOWED = frozenset(
    {"CARD_NUMBER", "SSN", "PHONE", "ACCOUNT_NUMBER", "IBAN", "TAX_ID", "MEDICAL_ID", "CUSTOM"}
)


@dataclass(frozen=True, slots=True)
class Custom:
    """Something an organisation wants gone: a pattern or a list of phrases."""

    id: str
    label: str
    pattern: str = ""  # on normalised text, case ignored
    phrases: tuple[str, ...] = ()
    score: float = 0.8


@dataclass(frozen=True, slots=True)
class Policy:
    """What to redact, and how."""

    id: str
    version: int
    profile: str
    digits_without_context: int
    digits_with_context: int
    threshold: float  # 0..1
    agent_first_name: Literal["keep", "redact"]
    references: Literal["keep", "redact"]
    presidio: bool
    actions: Mapping[str, Action]
    rules_off: frozenset[str]
    custom: tuple[Custom, ...] = ()
    language: str = "en"
    names_model: float = 0.0  # how sure the names model must be, 0..1; 0: it is not asked
    recognizers: tuple[Plugged, ...] = ()  # of the organisation's own
    sha256: str = field(default="", compare=False)
    # its whole content in canonical JSON, of which `sha256` is the hash
    text: str = field(default="", compare=False, repr=False)

    def action(self, label: str) -> Action:
        return self.actions.get(label, "placeholder")

    def on(self, rule: str) -> bool:
        return rule not in self.rules_off


_KEYS = {
    "id", "version", "profile", "digits_without_context", "digits_with_context", "threshold",
    "agent_first_name", "references", "presidio", "actions", "rules_off", "custom", "language",
    "names_model", "recognizers",
}  # fmt: skip


def load_policy(source: str | Path = "balanced") -> Policy:
    """Load a redaction policy.

    Args:
        source: a profile name (precise, balanced, paranoid) or the path of a policy file. A file
            may name a profile and give only what differs from it.

    Raises:
        ValueError: unknown profile, key, label or action, or a pattern that is refused.
        OSError: the file cannot be read.
    """
    if isinstance(source, str) and source in PROFILES:
        raw = _read(_HERE / f"{source}.yaml")
    else:
        path = Path(source)
        if isinstance(source, str) and not path.suffix:
            raise ValueError(f"no such profile; there are: {', '.join(PROFILES)}")
        own = _read(path)
        profile = own.get("profile", "balanced")
        if profile not in PROFILES:
            raise ValueError(f"no such profile; there are: {', '.join(PROFILES)}")
        raw = _read(_HERE / f"{profile}.yaml")
        actions = {**raw["actions"], **(own.get("actions") or {})}
        raw = {**raw, **own, "actions": actions}
    return parse_policy(raw)


def parse_policy(raw: Mapping[str, Any]) -> Policy:
    """Check the content of a policy file and give it its hash."""
    if unknown := set(raw) - _KEYS:
        raise ValueError(f"unknown keys in the policy: {', '.join(sorted(map(str, unknown)))}")
    custom = tuple(_custom(item) for item in raw.get("custom") or ())
    own = {item.label for item in custom}
    actions = dict(raw.get("actions") or {})
    for label, action in actions.items():
        if label not in LABELS and label not in own:
            raise ValueError(f"unknown label {label} in actions; docs list the labels")
        if action not in ("placeholder", "last_four", "keep"):
            raise ValueError(f"{label}: an action is placeholder, last_four or keep")
        if action == "last_four" and label not in LAST_FOUR_ALLOWED:
            raise ValueError(f"{label}: last_four would give the value away; use placeholder")
    canonical = json.dumps(
        {key: raw[key] for key in sorted(raw)}, sort_keys=True, separators=(",", ":"), default=str
    )
    try:
        return Policy(
            id=str(raw["id"]),
            version=int(raw["version"]),
            profile=str(raw["profile"]),
            digits_without_context=int(raw["digits_without_context"]),
            digits_with_context=int(raw["digits_with_context"]),
            threshold=float(raw["threshold"]),
            agent_first_name=raw["agent_first_name"],
            references=raw["references"],
            presidio=bool(raw["presidio"]),
            actions=actions,
            rules_off=frozenset(raw.get("rules_off") or ()),
            custom=custom,
            language=str(raw.get("language", "en")),
            names_model=_share(raw.get("names_model", False)),
            recognizers=read_plugged(raw.get("recognizers") or ()),
            sha256=hashlib.sha256(canonical.encode()).hexdigest(),
            text=canonical,
        )
    except KeyError as error:
        raise ValueError(f"the policy lacks {error}") from None


def _share(value: Any) -> float:
    if value is False:
        return 0.0
    if isinstance(value, (int, float)) and value is not True and 0 < value <= 1:
        return float(value)
    raise ValueError("names_model is off, or how sure the model must be: above 0, at most 1")


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name} is not YAML: {error}") from None
    if not isinstance(raw, dict):
        raise ValueError(f"{path.name} is no policy: it must be keys and values")
    return raw


def _custom(item: Any) -> Custom:
    if not isinstance(item, dict) or not item.get("id"):
        raise ValueError("a custom recognizer needs an id and a pattern or phrases")
    if unknown := set(item) - {"id", "label", "pattern", "phrases", "score"}:
        raise ValueError(f"{item['id']}: unknown keys {', '.join(sorted(map(str, unknown)))}")
    pattern, phrases = item.get("pattern") or "", tuple(item.get("phrases") or ())
    if bool(pattern) == bool(phrases):
        raise ValueError(f"{item['id']}: give either a pattern or phrases")
    label = str(item.get("label", "CUSTOM"))
    if not re.fullmatch(r"[A-Z][A-Z0-9_]{1,39}", label):
        raise ValueError(f"{item['id']}: a label is upper case letters, digits and _")
    if pattern:
        try:
            check_pattern(str(pattern))
        except ValueError as error:
            raise ValueError(f"{item['id']}: {error}") from None
    return Custom(
        str(item["id"]),
        label,
        str(pattern),
        tuple(map(str, phrases)),
        float(item.get("score", 0.8)),
    )
