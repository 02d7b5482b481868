"""Which targets there are, what each may get, and which of them a call goes to.

A target is a table of the settings, or `KIND:PLACE` as people write it for one run: `folder:DIR`,
which gets the whole note at once, as the result folder does. Refuses names that are neither.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voice_pipeline import adapters
from voice_pipeline.config import NOTE_FIELDS, Settings, secret
from voice_pipeline.config import Target as TargetSettings
from voice_pipeline.delivery.mapping import Mapped, read_mapping
from voice_pipeline.errors import Misconfigured
from voice_pipeline.ports import Connector
from voice_pipeline.store.outbox import Wish

EVERY = (*NOTE_FIELDS, "sentiment", "suggestions", "no_article", "unverified", "provenance")


@dataclass(frozen=True, slots=True)
class Target:
    """One target, built."""

    name: str
    connector: Connector
    settings: TargetSettings
    mapped: Mapped
    by_hand: bool = False  # KIND:PLACE: all of the note, and nothing waits

    def link(self, call: str) -> str | None:
        form = self.settings.link
        return form.replace("{call}", call) if form else None


class Targets:
    """The targets of one installation; each connector is built once a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.targets
        self._built: dict[str, Target] = {}
        self._building = threading.Lock()

    @property
    def names(self) -> list[str]:
        """The targets of the settings."""
        return sorted(self._settings)

    def get(self, name: str) -> Target:
        """Return a target, built.

        Raises:
            Misconfigured: there is none of that name (code `target`), or its settings do not fit.
        """
        with self._building:
            if name not in self._built:
                self._built[name] = self._build(name)
            return self._built[name]

    def settings(self, name: str) -> TargetSettings | None:
        """Return the settings of a target without building it; None: it has none."""
        return self._settings.get(name)

    def rates(self) -> Mapping[str, float]:
        return {name: target.rate for name, target in self._settings.items()}

    def automatic(self, tenant: str, queue: str | None) -> tuple[str, ...]:
        """Return the targets that a finished call goes to by itself."""
        return tuple(
            name
            for name, target in sorted(self._settings.items())
            if target.automatic
            and target.tenant == tenant
            and (not target.queues or queue in target.queues)
        )

    def wishes(self, names: Sequence[str], *, review: bool) -> list[Wish]:
        """Return what to put into the outbox for these targets.

        Args:
            review: whether a person has to approve the note first.
        """
        found = []
        for name in names:
            settings = self._settings.get(name)
            waits = review and settings is not None and settings.before_approval == "wait"
            found.append(Wish(name, "unapproved" if waits else "waiting"))
        return found

    def close(self) -> None:
        for target in self._built.values():
            target.connector.close()

    def _build(self, name: str) -> Target:
        settings = self._settings.get(name)
        if settings is None:
            return self._by_hand(name)
        try:
            own = read_mapping(settings.mapping) if settings.mapping else None
            offer = {"secret": secret} | ({} if own is None else {"mapped": list(own)})
            connector: Connector = adapters.load("connectors", settings.use).build(
                settings.options, offer=offer
            )
            if unknown := sorted(set(settings.fields) - set(EVERY)):
                raise Misconfigured(
                    f"fields: a note has no {unknown[0]}; it has {', '.join(EVERY)}", code="target"
                )
            traits = connector.traits
            given = traits.mapping if own is None else own
            mapped = Mapped(given, settings.fields, traits.limits)
        except Misconfigured as error:
            raise Misconfigured(f"target {name}: {error.message}", code=error.code) from error
        return Target(name, connector, settings, mapped)

    def _by_hand(self, name: str) -> Target:
        kind, separator, place = name.partition(":")
        if not separator or not place:
            listed = ", ".join(self._settings) or "none"
            raise Misconfigured(
                f"no target is called {name!r}; the settings have: {listed}; for one run "
                "--deliver also takes KIND:PLACE, for example --deliver folder:notes",
                code="target",
            )
        connector: Connector = adapters.load("connectors", kind).build(
            {"path": Path(place).absolute()}
        )
        settings = TargetSettings(use=kind, fields=list(EVERY), before_approval="send", rate=1000.0)  # type: ignore[call-arg]
        return Target(name, connector, settings, Mapped({}, EVERY, {}), by_hand=True)
