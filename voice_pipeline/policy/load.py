"""Loads a policy pack, or refuses it whole: a pack with a fault is never used in part.

A pack that was loaded once is kept as long as its files stay the same.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from voice_pipeline.errors import Misconfigured
from voice_pipeline.policy.assemble import fingerprint
from voice_pipeline.policy.check import faults_of
from voice_pipeline.policy.pack import Pack

DEFAULT = Path(__file__).parent / "default"
MAX_FAULTS_SHOWN = 5


def load_pack(path: Path | None = None) -> Pack:
    """Load a pack; None is the one that comes with the product.

    Raises:
        Misconfigured: the pack has faults; `voice-pipeline policy check` lists all of them.
    """
    folder = (path or DEFAULT).resolve()
    return _loaded(folder, fingerprint(folder))


@lru_cache(maxsize=8)
def _loaded(folder: Path, sha256: str) -> Pack:
    pack, faults = faults_of(folder)
    if pack is None or faults:
        shown = "; ".join(str(fault) for fault in faults[:MAX_FAULTS_SHOWN])
        more = len(faults) - MAX_FAULTS_SHOWN
        raise Misconfigured(
            f"the policy pack cannot be used: {shown}" + (f"; and {more} more" if more > 0 else ""),
            code="policy_pack",
        )
    return pack
