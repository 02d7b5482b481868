"""Opens the store that the settings name; looks up secrets that they only point at."""

from __future__ import annotations

from voice_pipeline.config import Settings, given_secret, secret
from voice_pipeline.errors import Misconfigured
from voice_pipeline.store import Store
from voice_pipeline.store.blobs import Bucket
from voice_pipeline.store.keys import parse_key


def open_store(settings: Settings) -> Store:
    """Open or create the store.

    Raises:
        Misconfigured: a place cannot be used, or a secret is not where the settings say.
    """
    if settings.other_master_keys and settings.master_key is None:
        raise Misconfigured(
            "`other_master_keys` needs `master_key`: the key that seals from now on"
        )
    named = [settings.master_key, *settings.other_master_keys]
    return Store(
        settings.data,
        database=given_secret(settings.database) if settings.database else None,
        bucket=_bucket(settings),
        master_keys=[parse_key(secret(name), "master_key") for name in named if name],
        signing_key=(
            parse_key(secret(settings.signing_key), "signing_key") if settings.signing_key else None
        ),
    )


def has_store(settings: Settings) -> bool:
    """Tell whether there is a store already, so that a question does not make an empty one."""
    return settings.database is not None or (settings.data / "calls.db").is_file()


def _bucket(settings: Settings) -> Bucket | None:
    chosen = settings.blobs
    if chosen is None:
        return None
    return Bucket(
        chosen.url,
        endpoint=chosen.endpoint,
        region=chosen.region,
        access_key=secret(chosen.access_key) if chosen.access_key else None,
        secret_key=secret(chosen.secret_key) if chosen.secret_key else None,
    )
