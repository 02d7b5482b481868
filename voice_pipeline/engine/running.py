"""A call under way, as `pipeline.understand` sees it: `ports.Run` over the memo and the lanes.

A stage that stays with its call is no step of the engine's: the memo has its result, so a run
that begins anew finds it there. What other workers do for it, and what is started for good, is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from voice_pipeline.domain import Ref
from voice_pipeline.engine.memo import Held, Memo
from voice_pipeline.engine.patience import LONG, Watch, patiently
from voice_pipeline.engine.queues import Lanes
from voice_pipeline.ports import Stage

Elsewhere = Callable[[Stage[Any], Sequence[Ref[Any]]], Ref[Any]]
Forget = Callable[[Sequence[Ref[Any]]], None]


class DurableRun:
    """One call's run; what it made or read stays at hand until it ends."""

    def __init__(
        self,
        memo: Memo,
        held: Held,
        watch: Watch,
        lanes: Lanes,
        *,
        elsewhere: Elsewhere,
        forget: Forget,
    ) -> None:
        """
        Args:
            elsewhere: has a stage done by the workers of its lane, and waits.
            forget: destroys records.
        """
        self._memo, self._held, self._watch, self._lanes = memo, held, watch, lanes
        self._elsewhere, self._forget = elsewhere, forget

    def step(self, stage: Stage[Any], *refs: Ref[Any]) -> Any:
        """Do a stage, unless it was done; afterwards see whether the call was stopped."""
        if stage.lane in self._lanes.names:  # always: the order of the journal must not vary
            ref = self._elsewhere(stage, refs)
            self._watch.ask()
            return ref
        begun = time.monotonic()
        ref = patiently(lambda: self._memo.do(stage, refs, self._held))
        if time.monotonic() - begun > LONG:
            self._watch.ask()
        return ref

    def look(self, ref: Ref[Any], /) -> Any:
        return patiently(lambda: self._memo.read(ref, self._held))

    def forget(self, *refs: Ref[Any]) -> None:
        self._held.drop(refs)
        patiently(lambda: self._forget(refs))
