"""Does a stage once: its sealed result is kept under stage, version and inputs, and found again.

Tells how long it took, to progress, tallies, traces and logs; never what it gave.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from voice_pipeline.codec import decode, encode
from voice_pipeline.domain import Recording, Ref
from voice_pipeline.errors import Permanent, PipelineError, Retryable
from voice_pipeline.ports import Stage
from voice_pipeline.store import Store
from voice_pipeline.tracing import Tracing

log = logging.getLogger(__name__)

FORGOTTEN = "input_forgotten"


class Memo:
    """What stages gave, and how they come to give it."""

    def __init__(
        self, store: Store, tracing: Tracing, reached: Callable[[str, str], object]
    ) -> None:
        """
        Args:
            reached: told of each point of a stage's life.
        """
        self._store, self._tracing, self._reached = store, tracing, reached

    def do(self, stage: Stage[Any], refs: Sequence[Ref[Any]]) -> Ref[Any]:
        """Run one stage, or return what it gave before on the same inputs."""
        call = refs[0].call
        key = _key(stage, refs)
        kept = self._store.result(call, stage.name, key)
        if kept is not None:
            self._store.note_progress(call, stage.name, 1.0, 0.0)
            return kept
        with self._tracing.span(
            f"stage {stage.name}", lambda: self.trace(call), call=call, stage=stage.name
        ):
            try:
                return self._make(stage, refs, key)
            except PipelineError as error:
                log.warning("stage failed", extra=_facts(call, stage, code=error.code))
                if isinstance(error, Retryable):
                    self._store.count({("retries", stage.name): 1.0})
                raise

    def _make(self, stage: Stage[Any], refs: Sequence[Ref[Any]], key: str) -> Ref[Any]:
        store, call = self._store, refs[0].call
        self._reached(stage.name, "before")
        if stage.lane == "gpu":  # the one that takes long enough to be watched
            store.note_progress(call, stage.name, 0.0)
        started = time.perf_counter()
        given = [self._given(ref) for ref in refs]
        made = stage.do(*given)
        self._reached(stage.name, "made")
        ref = store.shelf.put(call, type(made).__name__, encode(made))
        self._reached(stage.name, "stored")
        seconds = time.perf_counter() - started
        audio = sum(one.duration for one in given if isinstance(one, Recording))
        store.keep_result(stage.name, key, ref, seconds, audio)
        log.info("stage done", extra=_facts(call, stage, seconds=round(seconds, 3)))
        return ref

    def read(self, ref: Ref[Any]) -> Any:
        return decode(self._store.shelf.get(ref))

    def trace(self, call: str) -> str | None:
        """Return the traceparent of a call's upload."""
        row = self._store.register.get(call)
        return row.trace if row else None

    def _given(self, ref: Ref[Any]) -> Any:
        try:
            return self.read(ref)
        except Permanent as error:
            if error.code != "erased":
                raise
            self._store.check_kept(ref.call)
            self._store.invalidate(ref)  # the next attempt makes it anew
            raise Permanent(
                f"the {ref.kind} of this call is no longer kept", code=FORGOTTEN
            ) from error


def _facts(call: str, stage: Stage[Any], **more: Any) -> dict[str, Any]:
    return {"call": call, "stage": stage.name, **more}


def _key(stage: Stage[Any], refs: Sequence[Ref[Any]]) -> str:
    text = json.dumps([stage.name, stage.version, [[r.kind, r.sha256] for r in refs]])
    return hashlib.sha256(text.encode()).hexdigest()
