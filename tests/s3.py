"""An S3 server for tests: moto's, in this process. An emulator: it shows what is asked of a bucket
and what is done with the answers, not how a real one fails."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from voice_pipeline.store.blobs import Bucket

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of the server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str) -> Bucket:
    """An empty bucket, with a prefix to keep to."""
    name = f"calls-{next(_NUMBERS)}"
    client(s3_server).create_bucket(Bucket=name)
    return Bucket(f"s3://{name}/kept/here", s3_server, "us-east-1", "invented", "invented")


def client(address: str) -> boto3.client:
    """Return another program's view of the server."""
    return boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="invented",
        aws_secret_access_key="invented",
    )


def objects(bucket: Bucket) -> list[str]:
    """Return every key of the bucket, from its root."""
    assert bucket.endpoint is not None
    name = bucket.url.split("/")[2]
    found = client(bucket.endpoint).list_objects_v2(Bucket=name).get("Contents", [])
    return [each["Key"] for each in found]
