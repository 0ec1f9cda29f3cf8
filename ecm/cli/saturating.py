"""Points of sources marked as lower bounds where a tier of the plan that stood was full."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import cached_property

import numpy as np

from ecm.cli.session import Session
from ecm.model.plan import Plan
from ecm.model.points import Points, joined
from ecm.store import Entry, Store, applied_between
from ecm.store.history import History
from ecm.telemetry import at_capacity, plan_limits


class Marker:
    """Marks what one run collects; journal and plans are read once."""

    def __init__(self, session: Session, history: History) -> None:
        self._session = session
        self._history = history
        self._plans: dict[str, Plan] = {}

    def marked(self, points: Points, start: datetime, end: datetime) -> Points:
        """Return `points`, all of [start, end), as they are to be written: lower bounds where a tier was full.

        With them such points of the history as only now turn out to be: a tier's load comes from more than one source,
        and is not known before the last of them. StoreError where journal or history cannot be read.
        """
        full_pct = self._session.settings.telemetry.saturated_at_pct
        if full_pct is None or not len(points):
            return points
        stood = applied_between(self._entries, start, end)
        if not stood:
            return points
        limits = [plan_limits(self._plan(digest), (first, last), full_pct) for digest, first, last in stood]
        held = self._history.read(start, end)
        series = tuple(dict.fromkeys((*held.series, *points.series)))
        whole = joined([held.named(series), points.named(series)], series).latest()
        new = whole.chosen(np.flatnonzero(at_capacity(whole, limits) & ~whole.saturated))
        return joined([points.named(series), replace(new, saturated=np.ones(len(new), np.bool_))], series)

    @cached_property
    def _store(self) -> Store:
        return self._session.store()

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        return self._store.journal()

    def _plan(self, digest: str) -> Plan:
        if digest not in self._plans:
            self._plans[digest] = self._store.plan(digest)
        return self._plans[digest]
