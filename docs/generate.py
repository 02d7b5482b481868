"""Writes docs/reference.md, and tables of log.md, security.md and integrations/, from the code. A
test fails when one is stale.

python docs/generate.py [--check]
"""

from __future__ import annotations

import base64
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from redaction.log_events import COMMON, EVENTS, FIELDS, MEANINGS
from voice_pipeline.access.permissions import PERMISSIONS, ROLES, Role
from voice_pipeline.adapters import KINDS, load, names
from voice_pipeline.cli import app
from voice_pipeline.config import Settings
from voice_pipeline.policy.load import load_pack

WITH_TABLES = ("log.md", "security.md", "integrations/README.md")
DOCS = Path(__file__).parent
# What the references on the pages of the connectors lead to here: invented.
SECRETS = {"env:CHAT_WEBHOOK": "https://chat.example.com/hooks/1"}
WHSEC = "whsec_" + base64.b64encode(b"invented for the documentation").decode()
GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page() -> str:
    return "\n".join([*_head(), *_commands(), *_settings(), *_adapters(), *_rules()]) + "\n"


def with_tables(page: str) -> str:
    """A page with its tables made anew; the prose between them is written by hand."""
    tables = {
        "events": _events,
        "fields": _fields,
        "roles": _roles,
        "permissions": _permissions,
        "connectors": _connectors,
    }
    return GENERATED.sub(
        lambda found: found[1] + "\n".join(tables[found[2]]()) + "\n" + found[3],
        (DOCS / page).read_text("utf-8"),
    )


def _connectors() -> Iterator[str]:
    """What each connector declares, built with the options that its page shows."""
    yield "| connector | once | a later revision | finds the customer | live | least rights |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name in names("connectors"):
        page = DOCS / "integrations" / f"{name.replace('_', '-')}.md"
        if not page.exists():
            continue
        block = re.search(
            r"^ *```toml\n(.*?)^ *```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        assert block, f"{page.name} shows no target"
        (target,) = tomllib.loads(block[1])["targets"].values()
        offer = {"secret": lambda reference: SECRETS.get(reference, WHSEC)}
        traits = load("connectors", target["use"]).build(target["options"], offer=offer).traits
        once = "the target" if traits.idempotent else "looked for"
        cells = [
            f"[`{name}`]({page.name})",
            once if traits.idempotent or traits.searchable else "nobody",
            "same record" if traits.updates else "another one",
            "yes" if traits.matches else "",
            "yes" if traits.live else "**no**",
            ", ".join(f"`{scope}`" for scope in traits.scopes),
        ]
        yield f"| {' | '.join(cells)} |"


def _roles() -> Iterator[str]:
    yield "| role | what it is |\n| --- | --- |"
    for role, meaning in ROLES.items():
        yield f"| `{role}` | {meaning} |"


def _permissions() -> Iterator[str]:
    yield f"| permission | what | {' | '.join(Role)} | logged |"
    yield "| --- | --- |" + " --- |" * (len(Role) + 1)
    for permission in PERMISSIONS.values():
        marks = " | ".join("yes" if role in permission.roles else "" for role in Role)
        logged = "yes" if permission.looks else ""
        yield f"| `{permission.name}` | {permission.meaning} | {marks} | {logged} |"


def _events() -> Iterator[str]:
    yield "| event | when | always | where it applies |\n| --- | --- | --- | --- |"
    for name, (needed, allowed) in EVENTS.items():
        always = ", ".join(f"`{field}`" for field in FIELDS if field in needed - COMMON)
        where = ", ".join(f"`{field}`" for field in FIELDS if field in allowed - COMMON)
        yield f"| `{name}` | {MEANINGS[name]} | {always} | {where} |"
    always = "`count`, `root`, `prev_hash`, `public_key`, `signature`"
    yield f"| `head` | {MEANINGS['head']} | {always} | |"


def _fields() -> Iterator[str]:
    yield "| field | what |\n| --- | --- |"
    for name, meaning in FIELDS.items():
        yield f"| `{name}` | {meaning} |"


def _head() -> Iterator[str]:
    yield "# Reference"
    yield ""
    yield "Written by `make docs` from the code; edit the code, not this page."


def _commands() -> Iterator[str]:
    yield "\n## Commands"
    for name, command in _walk(get_command(app), "voice-pipeline"):
        yield f"\n### `{name}`\n"
        yield (command.help or "").strip()
        if command.epilog:
            yield f"\n{command.epilog.strip()}"
        parameters = [p for p in command.params if p.name not in ("help", "context")]
        if parameters:
            yield "\n| parameter | what |\n| --- | --- |"
        for parameter in parameters:
            shown = ", ".join(parameter.opts) if parameter.opts[0].startswith("-") else (
                (parameter.name or "").upper()
            )  # fmt: skip
            yield f"| `{shown}` | {getattr(parameter, 'help', None) or ''} |"


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inside = getattr(command, "commands", None)
    if inside is None:
        yield name, command
        return
    for word, child in inside.items():
        yield from _walk(child, f"{name} {word}")


def _settings() -> Iterator[str]:
    yield "\n## Settings\n"
    yield "In a TOML file named by `--config`, or as environment variables `VOICE_PIPELINE_<NAME>`"
    yield "(`VOICE_PIPELINE_TRANSCRIBER__USE=pocketsphinx`). Unknown keys are errors.\n"
    yield "| setting | what |\n| --- | --- |"
    for name, field in Settings.model_fields.items():
        yield f"| `{name}` | {field.description} |"


def _adapters() -> Iterator[str]:
    yield "\n## Adapters\n"
    yield "| kind | names |\n| --- | --- |"
    for kind in KINDS:
        yield f"| {kind} | {', '.join(f'`{name}`' for name in names(kind))} |"


def _rules() -> Iterator[str]:
    pack = load_pack()
    yield f"\n## Escalation rules of the pack `{pack.id}` {pack.version}\n"
    yield "| rule | category | severity | why | due |\n| --- | --- | --- | --- | --- |"
    for rule in pack.rules:
        due = rule.action.due or ""
        yield f"| `{rule.id}` | {rule.category} | {rule.severity} | {rule.why} | {due} |"


if __name__ == "__main__":
    pages = [(DOCS / "reference.md", page())]
    pages += [(DOCS / name, with_tables(name)) for name in WITH_TABLES]
    for path, text in pages:
        if "--check" not in sys.argv:
            path.write_text(text, "utf-8")
        elif path.read_text("utf-8") != text:
            sys.exit(f"docs/{path.relative_to(DOCS)}: run `make docs`")
