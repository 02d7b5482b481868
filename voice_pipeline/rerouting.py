"""Lets a person correct where a call goes, and counts how often that was needed.

The note keeps the route that the policy gave; a correction stands beside it with who, why and when.
It refuses queues that the policy does not know, and corrections without a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from voice_pipeline.domain import Route, RouteChange
from voice_pipeline.errors import BadInput
from voice_pipeline.policy.pack import Pack
from voice_pipeline.store import Store
from voice_pipeline.store.routes import Numbered, RouteChanges

LONGEST_REASON = 500  # letters


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a call is, and how it got there."""

    call: str
    given: Route  # by the policy
    queue: str  # where it is now
    owner: str
    changes: tuple[Numbered, ...]


@dataclass(frozen=True, slots=True)
class Corrected:
    """How many routes people did not leave as they were; a change that was undone counts not."""

    queue: str  # as given; "" is all of them
    routed: int
    corrected: int


class Rerouting:
    """Corrections of the routes of finished calls.

    Args:
        routes: the route that the policy gave to each finished call.
        scrub: redacts what a person wrote.
    """

    def __init__(
        self, store: Store, pack: Pack, routes: Mapping[str, Route], scrub: Callable[[str], str]
    ) -> None:
        self._changes = RouteChanges(store)
        self._pack, self._routes, self._scrub = pack, routes, scrub

    def standing(self, call: str) -> Standing:
        """Return where a call is.

        Raises:
            BadInput: no finished call with a route has this id (code `not_found`).
            Permanent: it was erased (code `erased`).
        """
        if call not in self._routes:
            raise BadInput(
                f"no finished call has the id {call}; `calls list` shows them", code="not_found"
            )
        given, changes = self._routes[call], tuple(self._changes.of(call))
        queue = changes[-1].change.after if changes else given.queue
        owner = given.owner if queue == given.queue else self._pack.queue_owner(queue)
        return Standing(call, given, queue, owner, changes)

    def correct(self, call: str, queue: str, *, reason: str, by: str) -> Standing:
        """Move a call to another queue.

        Raises:
            BadInput: an unknown call or queue, the queue that it is in, or no reason or name.
        """
        known = [one.id for one in self._pack.routing.queues]
        if queue not in known:
            raise BadInput(
                f"the policy has no queue {queue!r}; it has {', '.join(known)}",
                code="unknown_queue",
            )
        standing = self.standing(call)
        if standing.queue == queue:
            raise BadInput(f"call {call} is in {queue} already", code="same_queue")
        return self._add(standing, queue, reason, by, None)

    def undo(self, call: str, *, reason: str, by: str) -> Standing:
        """Take back the last change that stands; the history keeps both.

        Raises:
            BadInput: nothing is there to be undone (code `nothing_to_undo`).
        """
        standing = self.standing(call)
        undone = {one.change.undoes for one in standing.changes}
        open_ = [
            one
            for one in standing.changes
            if one.change.undoes is None and one.number not in undone
        ]
        if not open_:
            raise BadInput(
                f"call {call} is where the policy put it; there is nothing to undo",
                code="nothing_to_undo",
            )
        return self._add(standing, open_[-1].change.before, reason, by, open_[-1].number)

    def _add(
        self, standing: Standing, queue: str, reason: str, by: str, undoes: int | None
    ) -> Standing:
        reason, by = " ".join(reason.split()), " ".join(by.split())
        if not reason or not by:
            raise BadInput(
                "a correction needs --reason and --by: who decides, and why", code="no_reason"
            )
        if len(reason) > LONGEST_REASON:
            raise BadInput(
                f"the reason is longer than {LONGEST_REASON} letters; say it shorter",
                code="no_reason",
            )
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._changes.add(
            RouteChange(standing.call, standing.queue, queue, by, self._scrub(reason), at, undoes)
        )
        return self.standing(standing.call)

    def figures(self) -> list[Corrected]:
        """Return how many routes were corrected, all of them first, then by queue given."""
        now = self._changes.queues()
        rows: dict[str, list[bool]] = {"": []}
        for call, route in sorted(self._routes.items(), key=lambda item: item[1].queue):
            moved = now.get(call, route.queue) != route.queue
            rows[""].append(moved)
            rows.setdefault(route.queue, []).append(moved)
        return [Corrected(queue, len(moved), sum(moved)) for queue, moved in rows.items()]
