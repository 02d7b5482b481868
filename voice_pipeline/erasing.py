"""Erasing calls for good: who may say so, in which order things go, and a receipt for it.

One asks, and where four eyes are wanted another agrees. Refuses calls under legal hold, erasures
without a reason or a name, and to call gone what is not: the receipt names what lies out of reach.
"""

from __future__ import annotations

import glob
import json
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from redaction.log import Signer, canonical, fingerprint
from voice_pipeline.corrections import Corrections
from voice_pipeline.engine.durable import Engine
from voice_pipeline.errors import BadInput, Permanent
from voice_pipeline.policy.pack import Retention
from voice_pipeline.store import Store
from voice_pipeline.store.erasure import counted
from voice_pipeline.store.requests import Erasure, Requests
from voice_pipeline.store.rows import Scope

PURPOSE = b"voice-pipeline erasure receipt 1\n"  # no other signature of this key can stand here
CORRECTIONS = "corrections.jsonl"  # in the data folder, where there is one
RETENTION = "retention"  # who asks and why, when it is the policy
DAY = 86_400.0  # seconds
KEYS_DAYS = 7  # after which an upload that is sent again is a new call
LONGEST_REASON = 500  # letters
EVERY_CALL = 100_000  # calls in one erasure; more are several
STAYS = [
    "the call's id, tenant, queue, state and times",
    "numbers, types and times of its events",
    "who decided about it and when, without the reasons",
    "rows of the access log that name its id",
    "this receipt, and the id in erasures.jsonl, so that no restored backup brings it back",
]
BEYOND = [
    "backups of the data folder and the database: a restored one is erased again when opened",
    "exports of redaction logs, and results that were downloaded or written elsewhere",
    "what a model server that was used keeps by itself",
]
POSTGRESQL = "rows that PostgreSQL has marked as dead, until it vacuums, and archives of its WAL"


@dataclass(frozen=True, slots=True)
class Preview:
    """What an erasure would take."""

    calls: tuple[str, ...]
    counts: dict[str, int]  # by kind
    held: dict[str, list[int]]  # call -> numbers of the legal holds it is under


@dataclass(frozen=True, slots=True)
class Checked:
    """What a search for remains found."""

    calls: tuple[str, ...]
    remains: dict[str, list[str]]  # call -> what is left of it; calls with nothing are left out
    signer: str | None = None  # fingerprint of who signed the receipt


class Erasing:
    """Erasures of one data folder, out of store, journal, corrections and result folders."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        scrub: Callable[[str], str],
        *,
        out: Iterable[Path] = (),
        corrections: Iterable[Path] = (),
    ) -> None:
        """
        Args:
            store: what is kept.
            engine: its journal goes too.
            scrub: redacts what a person wrote.
            out: folders in which `process` wrote results.
            corrections: files of people's corrections; the next fit knows nothing of the call.
        """
        self._store, self._engine, self._scrub = store, engine, scrub
        beside = [store.root.parent] if store.root.name == ".state" else []  # of `process`
        self._out = [*beside, *out]
        self._corrections = [store.root / CORRECTIONS, *corrections]
        self.requests = Requests(store.database, store.signing_seed())

    @cached_property
    def _signer(self) -> Signer:
        return Signer.from_seed(self._store.signing_seed())

    # ------------------------------------------------------------ asking

    def of_customer(self, customer: str, scope: Scope) -> tuple[str, ...]:
        """Return the calls of a customer, by the reference that they were handed in with."""
        find = self._store.register.find
        rows = find(scope, filters={"customer_ref": customer}, limit=EVERY_CALL)
        return tuple(row.call for row in rows)

    def of_phone(self, key: str, scope: Scope) -> tuple[str, ...]:
        """Return the calls that came from a number, by its key.

        Raises:
            BadInput: there is none (code `not_found`).
        """
        find = self._store.register.find
        rows = find(scope, filters={"phone_key": key}, limit=EVERY_CALL)
        if not rows:
            raise BadInput("there is no call from this number", code="not_found")
        return tuple(row.call for row in rows)

    def preview(self, calls: Sequence[str]) -> Preview:
        """Say what would go, by kind, and what is under legal hold; nothing is changed."""
        counts, held = [], {}
        for call in calls:
            runs = self._engine.remains(call)
            files = len(self._folders(call))
            parts = {"runs in the journal": runs, "result folders": files}
            parts["corrections"] = sum(self._corrected(call))
            counts.append(self._store.eraser.contents(call))
            counts.append({name: number for name, number in parts.items() if number})
            if numbers := self._store.holds.on(call):
                held[call] = numbers
        return Preview(tuple(calls), counted(counts), held)

    def propose(
        self,
        scope: Scope,
        *,
        calls: Sequence[str] = (),
        customer: str | None = None,
        reason: str,
        by: str,
    ) -> Erasure:
        """Keep that somebody asks for an erasure; nothing is erased yet.

        Raises:
            BadInput: no reason or name (`no_reason`), nothing to erase, or a call that is not
                there or not in scope (`not_found`).
            Permanent: a call is under legal hold (code `legal_hold`); the request is kept, refused.
        """
        reason, by = self._checked(reason, by)
        if bool(calls) == bool(customer):
            raise BadInput("name calls, or a customer, not both", code="nothing_to_erase")
        unknown = [call for call in calls if self._store.register.get(call, scope) is None]
        if unknown:
            raise BadInput(
                f"no call has the id {', '.join(unknown[:5])}; nothing was erased", code="not_found"
            )
        found = self.of_customer(customer, scope) if customer else tuple(dict.fromkeys(calls))
        if not found:
            raise BadInput("there is no call of this customer", code="not_found")
        asked = self.requests.add(
            scope.tenant, calls=found, customer=customer, reason=reason, by=by
        )
        self._refuse_held(asked, found, by)
        return asked

    def confirm(
        self,
        erasure: str,
        *,
        by: str,
        four_eyes: bool,
        tenant: str | None = None,
        done: Callable[[str], None] = lambda _call: None,
    ) -> Erasure:
        """Carry an erasure out; one that was killed half-way goes on, one that is done stays.

        Args:
            erasure: its id.
            by: who agrees.
            four_eyes: whether that must be somebody else than who asked.
            tenant: whose it must be; None: whoever's.
            done: called with each call that is erased.

        Raises:
            BadInput: the same person, or there is no such erasure.
            Permanent: a call is under legal hold by now, or the erasure was refused.
        """
        asked = self.requests.get(erasure, tenant)
        if asked.state == "done":
            return asked
        if asked.state == "refused":
            raise Permanent("this erasure was refused; ask anew", code="erasure_refused")
        _, by = self._checked(asked.reason, by)
        if four_eyes and _same(by, asked.asked_by):
            raise BadInput(
                "whoever asked for an erasure cannot agree to it; ask somebody else",
                code="four_eyes",
            )
        calls = self.requests.calls(asked)
        self._refuse_held(asked, calls, by)
        counts, sent = [], []
        for call in calls:
            sent += self._sent(call)
            counts.append(self._erase(call, asked.id))
            done(call)
        tidy = self._store.eraser.tidy()
        receipt = self._receipt(asked, by, calls, counted(counts), sent, tidy=tidy)
        return self.requests.end(asked.id, "done", by=by, receipt=json.dumps(receipt))

    def retire(self, before: float) -> list[Erasure]:
        """Erase calls that have ended and were received before that; the policy asks for it.

        Args:
            before: seconds since the epoch.
        """
        done = []
        for tenant, calls in self._store.aged(before).items():
            asked = self.requests.add(
                tenant, calls=calls, customer=None, reason=RETENTION, by=RETENTION
            )
            done.append(self.confirm(asked.id, by=RETENTION, four_eyes=False))
        return done

    def purge(self, retention: Retention) -> int:
        """Destroy what is older than the policy allows; return how many raw recordings that was.

        Nothing under legal hold goes. Every call that goes whole has a receipt.
        """
        now = time.time()
        self.finish()
        self._store.sweep()
        self._store.forget_keys(now - KEYS_DAYS * DAY)
        if retention.results_days is not None:
            self.retire(now - retention.results_days * DAY)
        return self._store.purge_raw_audio(now - retention.raw_audio_days * DAY)

    def finish(self) -> int:
        """End erasures that a killed process or a restored backup left half done."""
        calls = self._store.eraser.unended()
        for call in calls:
            self._store.shelf.delete_call(call)
            self._erase_outside(call)
            self._store.eraser.ended(call)
        if calls:
            self._store.eraser.tidy()
        return len(calls)

    # ------------------------------------------------------------ proving

    def check(self, calls: Sequence[str]) -> Checked:
        """Search everything in reach for what is left of calls that were erased."""
        remains = {}
        for call in calls:
            found = self._store.eraser.remains(call)
            if runs := self._engine.remains(call):
                found.append(f"journal: {runs} run(s)")
            found += [f"{folder}: a result folder" for folder in self._folders(call)]
            found += [f"corrections: {count} line(s)" for count in self._corrected(call) if count]
            if found:
                remains[call] = found
        return Checked(tuple(calls), remains)

    def check_receipt(self, text: str) -> Checked:
        """Check a receipt's signature, then search for what it says was erased.

        Raises:
            BadInput: it is no receipt, or was changed after it was signed (code `receipt`).
        """
        receipt = read_receipt(text)
        found = self.check(receipt["calls"])
        return Checked(found.calls, found.remains, fingerprint(receipt["public_key"]))

    # ------------------------------------------------------------ inside

    def _erase(self, call: str, erasure: str) -> dict[str, int]:
        gone = self._store.erase(call, erasure)
        outside = self._erase_outside(call)
        self._store.eraser.ended(call)
        return counted([gone, outside])

    def _erase_outside(self, call: str) -> dict[str, int]:
        """Remove what is not in the store: runs, corrections, result folders."""
        gone = {
            "runs in the journal": self._engine.erase(call),
            "corrections": sum(Corrections(file).forget(call) for file in self._corrections),
            "result folders": 0,
        }
        for folder in self._folders(call):
            shutil.rmtree(folder)
            gone["result folders"] += 1
        return {name: number for name, number in gone.items() if number}

    def _folders(self, call: str) -> list[Path]:
        """Return the result folders of a call, and those that were never finished."""
        name = glob.escape(call)
        found = [one for out in self._out for one in (*out.glob(name), *out.glob(f".{name}.*"))]
        return [folder for folder in found if folder.is_dir()]

    def _corrected(self, call: str) -> list[int]:
        return [sum(one.call == call for one in Corrections(file)) for file in self._corrections]

    def _sent(self, call: str) -> list[dict[str, Any]]:
        """Return what was delivered: those copies are not ours to erase."""
        return [
            {"call": call, "target": row.target, "external_id": row.external_id,
             "delivered_at": row.delivered_at}
            for row in self._store.outbox.of(call)
            if row.state == "delivered"
        ]  # fmt: skip

    def _refuse_held(self, asked: Erasure, calls: Sequence[str], by: str) -> None:
        held = [call for call in calls if self._store.holds.on(call)]
        if not held:
            return
        self.requests.end(asked.id, "refused", by=by, receipt=None)
        raise Permanent(
            f"{len(held)} of {len(calls)} call(s) are under legal hold ({', '.join(held[:5])}); "
            "nothing was erased: lift the hold, or leave them out",
            code="legal_hold",
        )

    def _receipt(
        self,
        asked: Erasure,
        by: str,
        calls: Sequence[str],
        counts: dict[str, int],
        sent: Sequence[dict[str, Any]],
        *,
        tidy: bool,
    ) -> dict[str, Any]:
        beyond = [*BEYOND]
        if self._store.database.dialect.name == "postgresql":
            beyond.append(POSTGRESQL)
        if not tidy:
            beyond.append("the database's log of changes and merged index, until the next purge")
        receipt: dict[str, Any] = {
            "receipt": "voice-pipeline erasure 1",
            "erasure": asked.id,
            "tenant": asked.tenant,
            "asked": json.loads(asked.asked),
            "reason": asked.reason,
            "asked_by": asked.asked_by,
            "asked_at": _utc(asked.at),
            "approved_by": by,
            "erased_at": _utc(time.time()),
            "calls": list(calls),
            "erased": counts,
            "stays": STAYS,
            "out_of_reach": {"delivered": list(sent), "more": beyond},
            "public_key": self._signer.public_key,
        }
        return receipt | {"signature": self._signer.sign(PURPOSE + canonical(receipt))}

    def _checked(self, reason: str, by: str) -> tuple[str, str]:
        reason, by = " ".join(reason.split()), " ".join(by.split())
        if not reason or not by or len(reason) > LONGEST_REASON or len(by) > 200:
            raise BadInput(
                f"say why, in at most {LONGEST_REASON} letters, and who decides", code="no_reason"
            )
        return self._scrub(reason), by


def read_receipt(text: str) -> dict[str, Any]:
    """Return a receipt that says what was signed.

    Raises:
        BadInput: it is no receipt, or was changed after it was signed (code `receipt`).
    """
    try:
        receipt = json.loads(text)
        signed = {name: value for name, value in receipt.items() if name != "signature"}
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(receipt["public_key"]))
        public.verify(bytes.fromhex(receipt["signature"]), PURPOSE + canonical(signed))
        if not all(isinstance(call, str) for call in receipt["calls"]):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError, InvalidSignature) as error:
        raise BadInput(
            "this is no receipt of an erasure, or it was changed after it was signed",
            code="receipt",
        ) from error
    return dict(receipt)


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
