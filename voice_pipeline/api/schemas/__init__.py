"""JSON Schemas of what integrations read, one file a version: none changes once it was released.

A field may be added within a version. One that goes, or means something else, makes a new file.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

NAMES = ("event-1", "note-1", "note-event-1")


def schema(name: str) -> dict[str, Any]:
    """Return a schema of NAMES.

    Raises:
        KeyError: there is none of that name.
    """
    if name not in NAMES:
        raise KeyError(name)
    text = (resources.files(__name__) / f"{name}.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
