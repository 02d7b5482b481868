"""Token buckets: how often somebody may ask. In memory, so each process counts for itself.

Decides by a name (a principal, an address) and a clock. Refuses with the seconds to wait. N
processes behind one balancer let through up to N times the rate.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from voice_pipeline.access.principal import TooMany

MOST = 10_000  # names; the one that asked longest ago is forgotten first


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float  # seconds, monotonic


class Buckets:
    """One bucket a name, filled at `rate`, holding at most `burst`."""

    def __init__(self, rate: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            rate: tokens a second, above 0.
            burst: tokens of a full bucket, at least 1.
            now: seconds, never going back.
        """
        self._rate, self._burst, self._now = rate, float(burst), now
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Take a token.

        Raises:
            TooMany: there is none yet.
        """
        with self._lock:
            bucket = self._filled(name)
            self._refuse_empty(bucket)
            bucket.tokens -= 1
            self._buckets[name] = bucket
            self._buckets.move_to_end(name)
            if len(self._buckets) > MOST:
                self._buckets.popitem(last=False)

    def check(self, name: str) -> None:
        """Refuse as `take` would, and take nothing.

        Raises:
            TooMany: there is no token yet.
        """
        with self._lock:
            self._refuse_empty(self._filled(name))

    def _filled(self, name: str) -> _Bucket:
        now = self._now()
        bucket = self._buckets.get(name) or _Bucket(self._burst, now)
        tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
        return _Bucket(tokens, now)

    def _refuse_empty(self, bucket: _Bucket) -> None:
        if bucket.tokens < 1:
            wait = (1 - bucket.tokens) / self._rate
            raise TooMany("too many requests; wait and try again", wait=wait)


def network(address: str) -> str:
    """Return what an address is counted as: itself, or its /64, which one IPv6 host has whole."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return str(parsed)
