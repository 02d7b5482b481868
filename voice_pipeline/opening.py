"""Opens what the settings name, store and tracing; looks up secrets that they only point at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa
from obstore.store import ObjectStore

from voice_pipeline import __version__
from voice_pipeline.config import Settings, given_secret, secret
from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.store import Store
from voice_pipeline.store.blobs import Bucket, open_blobs
from voice_pipeline.store.database import check_schema, open_database
from voice_pipeline.store.keys import parse_key
from voice_pipeline.tracing import Tracing, exporting


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


def build_tracing(settings: Settings) -> Tracing:
    """Return tracing to the collector of the settings; off where they name none."""
    chosen = settings.telemetry
    if chosen.otlp_endpoint is None:
        return Tracing()
    headers = {name: given_secret(value) for name, value in chosen.otlp_headers.items()}
    return exporting(chosen.otlp_endpoint, headers, __version__)


def has_store(settings: Settings) -> bool:
    """Tell whether there is a store already, so that a question does not make an empty one."""
    return settings.database is not None or (settings.data / "calls.db").is_file()


def open_bucket(settings: Settings, url: str) -> ObjectStore:
    """Open another bucket or prefix on the server of `blobs`, or on Amazon's where none is set.

    Args:
        url: s3://BUCKET or s3://BUCKET/PREFIX.

    Raises:
        Misconfigured: the URL names no bucket (code `blobs_url`).
    """
    chosen = _bucket(settings)
    return open_blobs(settings.data, replace(chosen, url=url) if chosen else Bucket(url))


@contextmanager
def databases(settings: Settings) -> Iterator[tuple[sa.Engine, sa.Engine]]:
    """Open the register's and the engine's database to look at them; nothing is made or moved up.

    Raises:
        BadInput: there is no store (code `not_found`).
        Misconfigured: it is of another release (code `other_schema`), or does not answer.
    """
    if not has_store(settings):
        raise BadInput(
            f"{settings.data}: no data folder of this product; name it with --data",
            code="not_found",
        )
    url = given_secret(settings.database) if settings.database else None
    register = open_database(url, settings.data / "calls.db")
    journal = settings.data / "engine.db"
    engine = open_database(url, journal) if url is None and journal.is_file() else register
    try:
        check_schema(register)
        yield register, engine
    finally:
        engine.dispose()
        register.dispose()


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
