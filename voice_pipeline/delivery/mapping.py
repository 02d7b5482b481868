"""Field mappings: which text of a note goes into which field of a target.

A mapping is a table of field -> Jinja2 template, checked before the first note: every value that
it names must exist and be allowed to leave. Refuses templates that would print a removed field,
and, at run time, one that meets a value that is not there: half a sentence is no note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined, Template, TemplateError, UndefinedError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from voice_pipeline.delivery.wording import shortened
from voice_pipeline.errors import Misconfigured, Permanent

NAMES = ("note", "call", "metadata", "text", "link", "event", "number", "customer")
LARGEST = 256 << 10  # characters that one field may become before a target's own limit

_environment = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
)
# a mapping is data of an operator: no loops that fill the memory
_environment.globals = {}


class Mapped:
    """One target's mapping, checked."""

    def __init__(
        self, templates: Mapping[str, str], allowed: Sequence[str], limits: Mapping[str, int]
    ) -> None:
        """
        Args:
            templates: field of the target -> Jinja2 template.
            allowed: fields of note.json that may leave.
            limits: characters that a field takes.

        Raises:
            Misconfigured: a template does not parse, or names what does not exist or may not
                leave (code `mapping`).
        """
        self._limits = limits
        self._templates: dict[str, Template] = {}
        for name, text in templates.items():
            try:
                tree = _environment.parse(text)
                _check(name, tree, allowed)
                self._templates[name] = _environment.from_string(text)
            except TemplateError as error:
                raise Misconfigured(
                    f"mapping: {name}: not a template ({error.message})", code="mapping"
                ) from None

    def fields(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the target's fields; one that comes out empty is left out.

        Args:
            values: what the templates may name, by NAMES.

        Raises:
            Permanent: a template names a value that this note does not have (code `mapping`).
        """
        made = {}
        for name, template in self._templates.items():
            try:
                text = template.render(values).strip()
            except UndefinedError as error:
                raise Permanent(
                    f"the mapping of {name} names what this note does not have: {error.message}; "
                    "test for it with `{% if %}`",
                    code="mapping",
                ) from None
            except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
                raise Permanent(
                    f"the mapping of {name} cannot be worked out ({type(error).__name__})",
                    code="mapping",
                ) from None
            limit = min(self._limits.get(name, LARGEST), LARGEST)
            if text:
                made[name] = shortened(text, limit, values.get("link"), values["call"])
        return made


def read_mapping(file: Path) -> dict[str, str]:
    """Read a mapping: YAML, a table of field to template.

    Raises:
        Misconfigured: there is none to be read, or it has another form (code `mapping`).
    """
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Misconfigured(
            f"{file}: no mapping to be read ({type(error).__name__})", code="mapping"
        ) from None
    if not isinstance(found, dict) or not all(
        isinstance(k, str) and isinstance(v, str | int | float) for k, v in found.items()
    ):
        raise Misconfigured(
            f"{file}: a mapping is a table of field to template, for example "
            "`Subject: \"{{ note.request_type.label }}\"`",
            code="mapping",
        )  # fmt: skip
    return {name: str(template) for name, template in found.items()}


def _check(name: str, tree: nodes.Template, allowed: Sequence[str]) -> None:
    unknown = sorted(meta.find_undeclared_variables(tree) - set(NAMES))
    if unknown:
        raise Misconfigured(
            f"mapping: {name}: there is no {unknown[0]}; templates may name {', '.join(NAMES)}",
            code="mapping",
        )
    for field in _named(tree):
        if field not in allowed:
            raise Misconfigured(
                f"mapping: {name}: note.{field} does not exist or may not leave; the target's "
                f"`fields` allow {', '.join(allowed)}",
                code="mapping",
            )
    if _loose(tree):
        raise Misconfigured(
            f"mapping: {name}: name the fields of the note one by one (note.reason.text); the "
            "whole note is `text`",
            code="mapping",
        )


def _named(tree: nodes.Template) -> Iterator[str]:
    """Yield the fields of the note that a template names."""
    for dotted in tree.find_all(nodes.Getattr):
        if _is_note(dotted.node):
            yield dotted.attr
    for indexed in tree.find_all(nodes.Getitem):
        if _is_note(indexed.node) and isinstance(indexed.arg, nodes.Const):
            yield str(indexed.arg.value)


def _is_note(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "note"


def _loose(tree: nodes.Template) -> bool:
    """Say whether a template uses the note otherwise than by a field that it names."""
    used = sum(1 for node in tree.find_all(nodes.Name) if _is_note(node))
    return used != sum(1 for _ in _named(tree))
