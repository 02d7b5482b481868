"""Where blobs lie: a folder, or a bucket of an S3 server. Refuses what it was not asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from voice_pipeline.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Bucket:
    """A place on an S3 server."""

    url: str  # s3://BUCKET/PREFIX
    endpoint: str | None = None  # of a server that is not Amazon's
    region: str | None = None
    # None: what the machine itself is given (role, instance profile, AWS_* variables)
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)


def open_blobs(folder: Path, bucket: Bucket | None) -> ObjectStore:
    """Return the bucket, or the folder where none is given. Nothing is asked of the server yet.

    Raises:
        Misconfigured: the URL names no bucket, or an option does not fit (code `blobs_url`).
    """
    if bucket is None:
        return LocalStore(folder)
    place = urlsplit(bucket.url)
    if place.scheme != "s3" or not place.netloc or place.query or place.fragment:
        raise Misconfigured("`blobs.url` takes s3://BUCKET or s3://BUCKET/PREFIX", code="blobs_url")
    if (bucket.access_key is None) != (bucket.secret_key is None):
        raise Misconfigured(
            "`blobs` takes `access_key` and `secret_key`, or neither of them", code="blobs_url"
        )
    options = {
        "aws_endpoint": bucket.endpoint,
        "aws_region": bucket.region,
        "aws_access_key_id": bucket.access_key,
        "aws_secret_access_key": bucket.secret_key,
        "aws_checksum_algorithm": "sha256",  # the server checks what it was sent
        "aws_copy_if_not_exists": "multipart",  # a key that is taken stays as it is
    }
    try:
        return S3Store(
            place.netloc,
            prefix=place.path.strip("/") or None,
            config=cast(Any, {k: v for k, v in options.items() if v is not None}),
            client_options={
                "timeout": timedelta(seconds=60),
                "connect_timeout": timedelta(seconds=10),
                "allow_http": (bucket.endpoint or "").startswith("http://"),
            },
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=60)},
        )
    except (BaseError, ValueError) as error:
        raise Misconfigured(
            f"`blobs` does not describe a bucket ({type(error).__name__}); "
            "check endpoint and region",
            code="blobs_url",
        ) from None
