"""`calls approve`, `reject`, `edit`, `release`, `rerun`, `discard`, `decisions`: what they do."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from voice_pipeline.cli.erase import open_kit
from voice_pipeline.domain import Ref
from voice_pipeline.errors import BadInput, PipelineError
from voice_pipeline.kit import Kit
from voice_pipeline.reviewing import decision_json
from voice_pipeline.store.decisions import Decision

HELD = 5  # exit code: the call is held again
POLL = 0.1  # seconds between looks at a run
PATIENCE = 3.0  # seconds in which a delivery that fails is tried again


def decide(
    call: str, decision: str, *, reason: str, by: str, changes: Path | None = None,
    later: bool = False, as_json: bool, data: Path | None, config: Path | None,
) -> int:  # fmt: skip
    """Carry out one decision; a call that goes on is worked on here, unless `later`.

    Raises:
        BadInput: see `Reviewing`.
    """
    with open_kit(data, config) as (kit, _):
        made = _decided(kit, call, decision, reason, by, changes)
        code = 0
        if made.decision in ("released", "rerun") and not later:
            code = _work(kit, call)
        row = kit.store.register.get(call)
        assert row is not None
        shown = decision_json(made) | {"call_id": call, "status": row.status, "review": row.review}
    if as_json:
        print(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        print(f"{call}: {made.decision} by {made.by}; the call is {row.status}")
    return code


def decisions(call: str, *, as_json: bool, data: Path | None, config: Path | None) -> int:
    """List what was decided about a call."""
    with open_kit(data, config) as (kit, _):
        found = [decision_json(one) for one in kit.store.decisions.of(call)]
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return 0
    for one in found:
        print(f"{one['at']}  {one['decision']} by {one['by']}: {one['reason']}")
    return 0


def _decided(
    kit: Kit, call: str, decision: str, reason: str, by: str, changes: Path | None
) -> Decision:
    desk = kit.reviewing
    if decision == "edit":
        return desk.edit(call, _changes(changes), reason=reason, by=by)
    if decision == "release":
        return desk.release(call, reason=reason, by=by)
    if decision == "rerun":
        return desk.rerun(call, kit.plan(), reason=reason, by=by)
    if decision == "discard":
        return desk.discard(call, reason=reason, by=by)
    return desk.decide(call, decision, reason=reason, by=by)


def _work(kit: Kit, call: str) -> int:
    """Work on a call that waits, here, until it has ended again."""
    row = kit.store.register.get(call)
    assert row is not None
    received: Ref[Any] = Ref(call, "Received", row.received_sha256 or "")
    plan, targets = row.plan or kit.plan(), json.loads(row.targets)
    run = kit.engine.start_again(received, plan, targets, row.attempt)
    while True:
        while not kit.engine.finished(run):
            time.sleep(POLL)
        try:
            outcome = kit.engine.outcome(run)
        except PipelineError as error:
            if not kit.engine.again(run, error):
                raise
            run = kit.engine.start(received, plan, targets)
            continue
        kit.courier.settle(call, targets, PATIENCE)
        return HELD if outcome.status == "held" else 0


def _changes(file: Path | None) -> dict[str, Any]:
    """Read the fields that a person changed.

    Raises:
        BadInput: there is no file, or it holds no JSON object (code `edit`).
    """
    if file is None:
        raise BadInput("name a JSON file of the fields to change with --changes", code="edit")
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
        document = json.loads(text)
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: no JSON to be read ({type(error).__name__})", code="edit") from (
            None
        )
    if not isinstance(document, dict):
        raise BadInput(f'{file}: not an object such as {{"urgency": "high"}}', code="edit")
    return document
