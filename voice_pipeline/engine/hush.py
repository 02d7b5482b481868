"""What the engine's library may say: what is critical, and through our own log.

Its own console handler would keep the stream of whoever came first in the process, write what it
likes, and fail when that stream is closed.
"""

from __future__ import annotations

import logging


def hush() -> None:
    """Take away DBOS's own handlers; with one in place it makes no other."""
    log = logging.getLogger("dbos")
    for handler in list(log.handlers):
        log.removeHandler(handler)
    log.addHandler(logging.NullHandler())
    log.propagate = True
    log.setLevel(logging.CRITICAL)
