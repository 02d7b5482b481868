"""Articles for tests: one line says what differs from an ordinary one."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from voice_pipeline.knowledge.article import Article

TODAY = date(2026, 11, 24)
HEADER: dict[str, Any] = {
    "id": "refund-times",
    "title": "How long a refund takes",
    "owner": "Ana Ruiz",
    "audience": "[agent, customer]",
    "status": "approved",
    "reviewed_until": "2027-03-31",
    "version": 1,
    "locale": "en",
}
BODY = "A refund to a card arrives within five working days."


def text_of(body: str = BODY, **changed: Any) -> str:
    """Return an article file; a key set to None is left out."""
    header = {key: value for key, value in (HEADER | changed).items() if value is not None}
    lines = "\n".join(f"{key}: {value}" for key, value in header.items())
    return f"---\n{lines}\n---\n{body}\n"


def write(folder: Path, name: str = "a.md", body: str = BODY, **changed: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text_of(body, **changed), "utf-8")
    return path


def article(name: str = "refund-times", body: str = BODY, **changed: Any) -> Article:
    facts: dict[str, Any] = {
        "version": 1,
        "title": "How long a refund takes",
        "owner": "Ana Ruiz",
        "audience": ("agent", "customer"),
        "locale": "en",
        "reviewed_until": date(2027, 3, 31),
    }
    return Article(id=name, body=body, **(facts | changed))
