"""Does a stage once: its sealed result is kept under stage, version and inputs, and found again.

Tells how long it took, to progress, tallies, traces and logs; never what it gave.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from voice_pipeline.codec import decode, encode
from voice_pipeline.domain import Recording, Ref
from voice_pipeline.engine.patience import STORAGE_PAUSES, Watch, patiently
from voice_pipeline.errors import Permanent, PipelineError, Retryable
from voice_pipeline.ports import Stage
from voice_pipeline.store import Store
from voice_pipeline.store.memos import Kept
from voice_pipeline.tracing import Tracing

log = logging.getLogger(__name__)

FORGOTTEN = "input_forgotten"


@dataclass(slots=True)
class Held:
    """What a run has at hand, so that it asks for nothing twice; one thread's."""

    kept: dict[tuple[str, str], Ref[Any]]  # results that were there when it began
    watch: Watch | None = None  # told how the call stands
    records: dict[Ref[Any], Any] = field(default_factory=dict)  # made or read since

    def drop(self, refs: Iterable[Ref[Any]]) -> None:
        for ref in refs:
            self.records.pop(ref, None)


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

    def held(self, call: str, watch: Watch | None = None) -> Held:
        """Look up once what a call's stages gave before."""
        return Held(self._store.results(call), watch)

    def do(self, stage: Stage[Any], refs: Sequence[Ref[Any]], held: Held) -> Ref[Any]:
        """Run one stage, or return what it gave before on the same inputs.

        Raises:
            Permanent: the call was stopped meanwhile (code `cancelled`).
        """
        call = refs[0].call
        key = _key(stage, refs)
        if (known := held.kept.get((stage.name, key))) is not None:
            self._store.note_progress(call, stage.name, 1.0, 0.0)
            return known
        with self._tracing.span(
            f"stage {stage.name}", lambda: self.trace(call), call=call, stage=stage.name
        ):
            try:
                given = self._given(refs, held, stage, key)
                if isinstance(given, Ref):
                    return given
                kept = self._make(stage, call, given, key, held)
            except PipelineError as error:
                log.warning("stage failed", extra=_facts(call, stage, code=error.code))
                if isinstance(error, Retryable):
                    self._store.count({("retries", stage.name): 1.0})
                raise
        held.kept[stage.name, key] = kept.ref
        if held.watch is not None:
            held.watch.row(kept.status, kept.attempt)
        return kept.ref

    def _make(
        self, stage: Stage[Any], call: str, given: Sequence[Any], key: str, held: Held
    ) -> Kept:
        store = self._store
        self._reached(stage.name, "before")
        if stage.lane == "gpu":  # the one that takes long enough to be watched
            store.note_progress(call, stage.name, 0.0)
        started = time.perf_counter()
        made = stage.do(*given)
        self._reached(stage.name, "made")
        data = encode(made)
        ref = patiently(
            lambda: store.shelf.put(call, type(made).__name__, data, checked=False),
            STORAGE_PAUSES,
        )
        self._reached(stage.name, "stored")
        seconds = time.perf_counter() - started
        audio = sum(one.duration for one in given if isinstance(one, Recording))
        kept = patiently(
            lambda: store.keep_result(stage.name, key, ref, seconds, audio), STORAGE_PAUSES
        )
        if kept.ref == ref:
            held.records[ref] = decode(data)  # as whoever takes the call over will read it
        log.info("stage done", extra=_facts(call, stage, seconds=round(seconds, 3)))
        return kept

    def _given(
        self, refs: Sequence[Ref[Any]], held: Held, stage: Stage[Any], key: str
    ) -> list[Any] | Ref[Any]:
        """Read what a stage works on.

        Returns:
            The records; or its result, where another process has gone on meanwhile, and forgot.
        """
        given = []
        for ref in refs:
            try:
                given.append(self.read(ref, held))
            except Permanent as error:
                if error.code != "erased":
                    raise
                self._store.check_kept(ref.call)
                if (known := self._store.result(ref.call, stage.name, key)) is not None:
                    return known
                self._store.invalidate(ref)  # the next attempt makes it anew
                raise Permanent(
                    f"the {ref.kind} of this call is no longer kept", code=FORGOTTEN
                ) from error
        return given

    def read(self, ref: Ref[Any], held: Held | None = None) -> Any:
        """Return a record, from what is at hand or from the shelf."""
        if held is None:
            return decode(self._store.shelf.get(ref))
        if ref not in held.records:
            held.records[ref] = decode(self._store.shelf.get(ref))
        return held.records[ref]

    def trace(self, call: str) -> str | None:
        """Return the traceparent of a call's upload."""
        row = self._store.register.get(call)
        return row.trace if row else None


def _facts(call: str, stage: Stage[Any], **more: Any) -> dict[str, Any]:
    return {"call": call, "stage": stage.name, **more}


def _key(stage: Stage[Any], refs: Sequence[Ref[Any]]) -> str:
    text = json.dumps([stage.name, stage.version, [[r.kind, r.sha256] for r in refs]])
    return hashlib.sha256(text.encode()).hexdigest()
