"""Opens the store that the settings name; looks up secrets that they only point at."""

from __future__ import annotations

from voice_pipeline.config import Settings, given_secret
from voice_pipeline.store import Store


def open_store(settings: Settings) -> Store:
    """Open or create the store.

    Raises:
        Misconfigured: a place cannot be used, or a secret is not where the settings say.
    """
    return Store(
        settings.data,
        database=given_secret(settings.database) if settings.database else None,
    )


def has_store(settings: Settings) -> bool:
    """Tell whether there is a store already, so that a question does not make an empty one."""
    return settings.database is not None or (settings.data / "calls.db").is_file()
