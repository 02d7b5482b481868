"""Keeps escalations in time: writes down who is to be told now, and tells them, once each.

A notice is written down before it is sent, with a key that the target knows it by again. Refuses
to send anything of a call's content: a notice names the call, category, severity, times and a link.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from voice_pipeline.delivery.targets import Target, Targets
from voice_pipeline.errors import BadInput, Misconfigured, PipelineError, Retryable
from voice_pipeline.escalating.timing import next_step
from voice_pipeline.policy.notify import Notify
from voice_pipeline.ports import Parcel
from voice_pipeline.store import Store
from voice_pipeline.store.escalated import EscalationRow, NoticeRow

log = logging.getLogger(__name__)

TICK = 5.0  # seconds between looks
AT_ONCE = 200  # escalations of one look
IN_HAND = 20  # notices taken up at once
LEASE = 300.0  # seconds; a process that dies is known sooner
FIRST_WAIT, LONGEST_WAIT = 5.0, 300.0  # seconds until a notice is tried again
WRONG_WAIT = 900.0  # seconds, while settings or credentials are wrong
PAUSED_WAIT = 60.0  # seconds between looks at a target that somebody paused
EVENT = "escalation.due"


class Keeper:
    """Tells people of escalations for one process; many may work on one database."""

    def __init__(
        self, store: Store, targets: Targets, notify: Callable[[], Notify], who: str
    ) -> None:
        """
        Args:
            store: where escalations are.
            targets: by which people are reached.
            notify: who is told, and when, as of now.
            who: id of this process's executor.
        """
        self._book, self._outbox = store.escalations, store.outbox
        self._targets, self._notify, self._who = targets, notify, who
        self._stop = threading.Event()

    def work(self) -> None:
        """Look every few seconds until `stop` is called."""
        for name in self.unknown_ways():
            log.error("notify.yaml names the target %s, which the settings do not have", name)
        while not self._stop.is_set():
            try:
                self.look()
            except (PipelineError, SQLAlchemyError) as error:
                log.warning("escalations were not looked at: %s", type(error).__name__)
            self._stop.wait(TICK)

    def unknown_ways(self) -> list[str]:
        """Return the ways to reach people that are no targets of the settings."""
        try:
            owners = self._notify().owners.values()
        except Misconfigured:  # whoever needs the pack says what is wrong with it
            return []
        ways = {way for owner in owners for way in owner.ways}
        return sorted(ways - set(self._targets.names))

    def stop(self) -> None:
        self._stop.set()

    def look(self) -> int:
        """Decide what is due now and send it; return how many notices were tried."""
        self.decide()
        return self.send()

    def decide(self) -> int:
        """Write down the notices that are due now; return of how many escalations."""
        notify = self._notify()
        if not notify.reaches:  # nobody can be told: all is as it was when somebody can
            return 0
        now, count = self._book.clock(), 0
        for row in self._book.due(AT_ONCE):
            step = next_step(row, notify, now)
            if self._book.step(row, step) and step.ways:
                count += 1
        return count

    def send(self) -> int:
        """Send what was written down; return how many notices were tried."""
        notify, count = self._notify(), 0
        away: dict[str, PipelineError] = {}  # targets that did not take one just now, and why
        while rows := self._book.claim(self._who, lease=LEASE, limit=IN_HAND):
            for row in rows:
                if (error := away.get(row.target)) is not None:
                    later = self._book.clock() + FIRST_WAIT
                    self._book.put_off(row, later, error.code, error.message)
                    continue
                try:
                    count += self._send(row, notify, away)
                except SQLAlchemyError as error:  # its lease runs out, and somebody looks first
                    log.warning("a notice could not be kept: %s", type(error).__name__)
        return count

    # ------------------------------------------------------------ one notice

    def _send(self, row: NoticeRow, notify: Notify, away: dict[str, PipelineError]) -> bool:
        """Send one; return whether it was tried."""
        try:
            about = self._book.get(row.escalation)
        except BadInput:  # its call was erased since it was taken up
            return False
        now = self._book.clock()
        if about.state != "open":
            self._book.call_off(row)
            return False
        if not notify.ignores_quiet(about.category):
            allowed = notify.calendar.next_allowed(now)
            if allowed > now:  # it failed for so long that the evening has come
                self._book.put_off(row, allowed, None, None)
                return False
        state = self._outbox.targets().get(row.target)
        if state is not None and state.paused_by is not None:
            self._book.put_off(row, now + PAUSED_WAIT, "paused", "a person paused the target")
            return False
        try:
            target = self._target(row.target)
            parcel = notice(row, about, target, notify)
            receipt = None if parcel.first_try else target.connector.find(parcel)
            if receipt is None:
                target.connector.deliver(parcel)
        except Misconfigured as error:
            away[row.target] = error
            self._book.put_off(row, now + WRONG_WAIT, error.code, error.message)
            log.error("a notice cannot be sent", extra={"call": row.call, "code": error.code})
        except Retryable as error:
            away[row.target] = error
            self._book.put_off(row, now + _wait(row.attempts, error), error.code, error.message)
            log.warning("notice not sent yet", extra={"call": row.call, "code": error.code})
        except PipelineError as error:
            self._book.refuse(row, error.code, error.message)
            log.error("notice refused", extra={"call": row.call, "code": error.code})
        else:
            self._book.sent(row)
            log.info("notice sent", extra={"call": row.call})
        return True

    def _target(self, name: str) -> Target:
        target = self._targets.get(name)
        if not target.connector.traits.notices:
            raise Misconfigured(
                f"the target {name} takes notes, no notices; name another in notify.yaml",
                code="no_notices",
            )
        return target


def notice(row: NoticeRow, about: EscalationRow, target: Target, notify: Notify) -> Parcel:
    """Return a notice as a parcel without a note; its fields say the rest, none of it content."""
    link = target.link(row.call)
    due = _time(about.due_at, notify)
    names = ", ".join(json.loads(row.names))
    subject = f"{_KINDS[row.kind]}: {about.category} ({about.severity}), due {due}"
    text = [
        f"For {names}: {subject}.",
        f"Call {row.call}, rule {about.rule}, escalation {about.id}.",
        *([f"Evidence: {link}"] if link else []),
        f"To stop these notices: voice-pipeline escalations acknowledge {about.id}",
    ]
    fields = {
        "subject": subject, "text": "\n".join(text), "kind": row.kind, "category": about.category,
        "severity": about.severity, "rule": about.rule, "owner": about.owner, "names": names,
        "due_at": due, "level": str(row.level), "escalation": about.id, "call_id": row.call,
    }  # fmt: skip
    return Parcel(
        key=row.key, call=row.call, number=row.number, event=EVENT, note={}, fields=fields,
        metadata={}, at=_time(row.made_at, notify), link=link, first_try=row.attempts <= 1,
    )  # fmt: skip


_KINDS = {"reminder": "Due soon", "due": "Due now", "overdue": "Overdue"}


def _time(at: float | None, notify: Notify) -> str:
    if at is None:
        return ""
    return datetime.fromtimestamp(at, notify.calendar.zone).isoformat(timespec="seconds")


def _wait(attempts: int, error: Retryable) -> float:
    if error.after is not None:
        return error.after
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempts - 1, 10))
    return float(longest * random.uniform(0.5, 1.0))
