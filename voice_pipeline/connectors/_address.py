"""Which address a target's server is asked at, and whose certificates are believed.

Decides by the address that is connected to, never by a name. Refuses private addresses unless the
target allows them.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from voice_pipeline.addresses import is_public
from voice_pipeline.errors import Misconfigured, Retryable


def address_of(host: str, port: int, *, private: bool) -> str:
    """Return the address to connect to; the one that was looked at is the one that is asked.

    Raises:
        Retryable: the name leads nowhere just now (code `target_unreachable`).
        Misconfigured: it leads into the house, and may not (code `target_address`).
    """
    try:
        told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Retryable(
            f"the server's name leads nowhere ({type(error).__name__})", code="target_unreachable"
        ) from None
    addresses = [str(one[4][0]) for one in told]
    if not private and not all(is_public(one) for one in addresses):
        raise Misconfigured(
            "the server has a private, loopback or link-local address; set `private = true` "
            "in the target's options if it is yours",
            code="target_address",
        )
    return addresses[0]


def trusted(ca: Path | None) -> ssl.SSLContext:
    """Return a context that checks certificates, against `ca` where one is given."""
    try:
        return ssl.create_default_context(cafile=str(ca) if ca else None)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(
            f"{ca}: no certificates to be read ({type(error).__name__})", code="target_certificate"
        ) from None
