"""Hands a released note to one target: a row before the write, a receipt after, never twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from voice_pipeline.domain import CaseNote, Receipt, Ref
from voice_pipeline.errors import Misconfigured, Permanent
from voice_pipeline.ports import Connector
from voice_pipeline.store import Store


def deliver(
    note: Ref[CaseNote],
    payload: Mapping[str, Any],
    target: str,
    *,
    connector: Connector,
    store: Store,
) -> Receipt | None:
    """Deliver once, however often this is called or killed.

    Args:
        note: names the call and the revision (the note's hash).
        payload: what the target gets: the note as JSON.
        target: the target's name as the operator wrote it, for example `folder:out`.

    Returns:
        The receipt, or None where the target refused for good (the row says why).

    Raises:
        Retryable: the target did not answer; call again later.
    """
    key = delivery_key(note, target)
    row = store.open_delivery(key, note.call, target, note.sha256)
    receipt = connector.find(key)  # a write may have succeeded just before a crash
    if receipt is None and row.state == "delivered":
        return Receipt(connector.name, key, row.external_id or "", row.delivered_at or "")
    if receipt is None:
        store.count_attempt(key)
        try:
            receipt = connector.deliver(key, payload)
        except (Permanent, Misconfigured) as error:
            store.refuse_delivery(key, error.message)
            return None
    store.close_delivery(receipt)
    return receipt


def delivery_key(note: Ref[CaseNote], target: str) -> str:
    """Return the idempotency key of a note's revision at a target."""
    text = "\n".join((note.call, target, note.sha256))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
