"""`calls erase`, `hold`, `unhold`, `holds`: what they do. Prints ids, kinds and counts only."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voice_pipeline.cli import show
from voice_pipeline.config import Settings, load_settings
from voice_pipeline.erasing import Checked, Erasing, Preview
from voice_pipeline.errors import BadInput
from voice_pipeline.kit import Kit
from voice_pipeline.opening import has_store
from voice_pipeline.store.requests import Erasure
from voice_pipeline.store.rows import Scope

FAULT = 1  # exit code: something is left


@dataclass(frozen=True, slots=True)
class Order:
    """What `calls erase` is asked to do."""

    calls: Sequence[str]
    file: Path | None
    customer: str | None
    phone: Path | None  # a file that holds the number
    tenant: str
    reason: str
    by: str
    preview: bool
    approve: str | None
    verify: bool
    receipt: Path | None
    out: Sequence[Path]
    corrections: Sequence[Path]
    as_json: bool


def erase(order: Order, *, data: Path | None, config: Path | None) -> int:
    """Preview, propose, carry out or check an erasure.

    Raises:
        BadInput: nothing or two things to erase, no reason, nobody who decides.
        Permanent: a call is under legal hold (code `legal_hold`).
    """
    with open_kit(data, config) as (kit, settings):
        erasing = Erasing(
            kit.store, kit.engine, lambda text: kit.scrub(text, False),
            out=order.out, corrections=order.corrections,
        )  # fmt: skip
        if order.receipt is not None:
            return _report(erasing.check_receipt(_text(order.receipt)), order.as_json)
        if order.approve is not None:
            return _carry_out(erasing, order, order.approve, four_eyes=settings.erase.four_eyes)
        calls, scope = [*order.calls, *_listed(order.file)], Scope(order.tenant)
        if order.phone is not None:
            calls += erasing.of_phone(kit.phone_key(_text(order.phone)), scope)
        if order.verify:
            return _report(erasing.check(_meant(erasing, kit, calls)), order.as_json)
        if order.preview:
            known = erasing.of_customer(order.customer, scope) if order.customer else calls
            return _preview(erasing.preview(known), order.as_json)
        asked = erasing.propose(
            scope, calls=calls, customer=order.customer, reason=order.reason, by=order.by
        )
        if settings.erase.four_eyes:
            return _proposed(asked, order.as_json)
        return _carry_out(erasing, order, asked.id, four_eyes=False)


def hold(
    call: str | None, *, customer: str | None, tenant: str, reason: str, by: str, lift: bool,
    data: Path | None, config: Path | None,
) -> int:  # fmt: skip
    """Put a call or a customer's calls under legal hold, or lift the hold."""
    with open_kit(data, config) as (kit, _):
        reason, by = " ".join(reason.split()), " ".join(by.split())
        if not reason or not by:
            raise BadInput("a hold needs --reason and --by: who decides, and why", code="no_reason")
        if call is not None and kit.store.register.get(call, Scope(tenant)) is None:
            raise BadInput(f"no call has the id {call}", code="not_found")
        act = kit.store.holds.lift if lift else kit.store.holds.place
        done = act(
            tenant=tenant, call=call, customer=customer, reason=kit.scrub(reason, False), by=by
        )
        if lift and not done:
            raise BadInput("no such hold stands; `calls holds` shows them", code="not_held")
        if call is not None:
            kit.store.register.tell(call, "call.hold_lifted" if lift else "call.on_hold")
    print(f"{done} hold(s) lifted" if lift else f"hold {done} stands")
    return 0


def holds(*, every: bool, as_json: bool, data: Path | None, config: Path | None) -> int:
    """List the legal holds that stand, or all there ever were."""
    with open_kit(data, config) as (kit, _):
        found = kit.store.holds.every(standing=not every)
    if as_json:
        rows = [{name: getattr(one, name) for name in one.__dataclass_fields__} for one in found]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return 0
    for one in found:
        what = f"call {one.call}" if one.call else f"customer {one.customer_ref or '(erased)'}"
        end = f", lifted {_day(one.released_at)} by {one.released_by}" if one.released_at else ""
        print(f"{one.number}  {what}  since {_day(one.at)} by {one.by}: {one.reason}{end}")
    return 0


def _carry_out(erasing: Erasing, order: Order, erasure: str, *, four_eyes: bool) -> int:
    asked = erasing.requests.get(erasure)
    total = len(erasing.requests.calls(asked))
    with show.steps("erasing", total) as step:
        done = erasing.confirm(
            erasure, by=order.by, four_eyes=four_eyes, done=lambda _call: step()
        )  # fmt: skip
    receipt: dict[str, Any] = json.loads(done.receipt or "{}")
    if order.as_json:
        print(json.dumps(receipt, ensure_ascii=False, indent=2))
        return 0
    counts = ", ".join(f"{number} {kind}" for kind, number in receipt["erased"].items())
    print(f"erased {len(receipt['calls'])} call(s), erasure {done.id}: {counts or 'nothing left'}")
    for copy in receipt["out_of_reach"]["delivered"]:
        print(f"  not ours to erase: {copy['target']} {copy['external_id']} (call {copy['call']})")
    for rest in receipt["out_of_reach"]["more"]:
        print(f"  out of reach: {rest}")
    print(f"check it: voice-pipeline calls erase {done.id} --verify; the receipt: --json")
    return 0


def _proposed(asked: Erasure, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"erasure": asked.id, "state": asked.state}))
    else:
        print(
            f"proposed as {asked.id}; nothing is erased until somebody else agrees:\n"
            f"  voice-pipeline calls erase --approve {asked.id} --by NAME"
        )
    return 0


def _preview(found: Preview, as_json: bool) -> int:
    if as_json:
        document = {"calls": list(found.calls), "would_erase": found.counts, "held": found.held}
        print(json.dumps(document, indent=2))
        return 0
    print(f"would erase {len(found.calls)} call(s):")
    for kind, number in found.counts.items():
        print(f"  {number} {kind}")
    for call, numbers in found.held.items():
        print(f"  call {call} is under legal hold {numbers[0]}: it would be refused")
    return 0


def _report(found: Checked, as_json: bool) -> int:
    if as_json:
        document = {
            "calls": list(found.calls), "remains": found.remains, "signer": found.signer,
        }  # fmt: skip
        print(json.dumps(document, indent=2))
    else:
        if found.signer:
            print(f"the receipt is whole, signed by {found.signer}")
        for call, remains in found.remains.items():
            for one in remains:
                print(f"{call}: {one}")
        left = f"something is left of {len(found.remains)}" if found.remains else "nothing is left"
        print(f"{len(found.calls)} call(s) searched for: {left}")
    return FAULT if found.remains else 0


def _meant(erasing: Erasing, kit: Kit, names: Sequence[str]) -> list[str]:
    """Return calls by their ids, or by that of an erasure that names them."""
    if not names:
        raise BadInput("name calls, or an erasure", code="nothing_to_erase")
    known = {one.id: one for one in erasing.requests.every()}
    found: list[str] = []
    for name in names:
        receipt = known[name].receipt if name in known else None
        if receipt is not None:
            found += json.loads(receipt)["calls"]
        elif name in known:
            found += erasing.requests.calls(known[name])
        elif kit.store.register.get(name) is not None:
            found.append(name)
        else:
            raise BadInput(f"no call and no erasure has the id {name}", code="not_found")
    return list(dict.fromkeys(found))


def _listed(file: Path | None) -> list[str]:
    """Return the ids in a file, one a line."""
    lines = _text(file).splitlines() if file is not None else []
    return [line.strip() for line in lines if line.strip()]


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: cannot be read ({type(error).__name__})", code="unreadable") from (
            None
        )


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


@contextmanager
def open_kit(data: Path | None, config: Path | None) -> Iterator[tuple[Kit, Settings]]:
    """Open a data folder that is there already.

    Raises:
        BadInput: there is none (code `not_found`).
    """
    settings = load_settings(config, data=data)
    if not has_store(settings):
        raise BadInput(
            f"{settings.data}: no data folder here; name one with --data", code="not_found"
        )
    with Kit(settings) as kit:
        yield kit, settings
