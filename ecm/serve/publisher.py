"""Writing overlays to where nodes look: when leases or the plan change, and again before the last one ends.

Of the processes on one machine one writes, whichever first locks the signing key's file; it compiles from the book, so
that every process's decisions are in it, and the lock is free as soon as it ends, however it does. On several machines
each looks at what another has written before it writes, and goes on from there.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from ecm.model.contract import overlay_key
from ecm.model.overlay import Overlay
from ecm.serve.book import Reader
from ecm.serve.errors import BookError
from ecm.serve.lease import milliseconds
from ecm.serve.offer import Offer
from ecm.serve.overlay import Compiled, LeftOut, compiled
from ecm.signing import SignatureError, SigningKey, open_overlay, sign_overlay

_LOG: Final = logging.getLogger(__name__)
REWRITE: Final = timedelta(seconds=20)
"""From one overlay to the next where nothing changed: three may be lost before nodes go back to the base."""
PAUSE_S: Final = 0.5
"""Between two looks at the book, where looking takes a twentieth of it at most."""
REST: Final = 10
"""So many times as long as a look took until the next one: a tenth of a processor at most."""
LONGEST_S: Final = 5.0
_MOST: Final = 1_000_000


class Target(Protocol):
    """Where nodes look, by key."""

    def read(self, key: str) -> bytes | None:
        """Return an object, None where there is none; OSError."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Write an object; OSError."""
        ...


@dataclass(frozen=True)
class Publication:
    """Where overlays go, and who signs them."""

    target: Target
    key: SigningKey
    lock: Path
    """The signing key's file."""


@dataclass
class Published:
    """What came of it, for people and Prometheus."""

    leads: bool = False
    writes: int = 0
    failures: int = 0
    problem: str = ""
    overlays: Mapping[str, Overlay] = field(default_factory=dict)
    """What was written last, by VPN."""
    left_out: tuple[LeftOut, ...] = ()


class Publisher:
    """One process's part in it. `turn` is called by one thread at a time."""

    def __init__(self, publication: Publication, reader: Reader) -> None:
        """`reader` is this object's own."""
        self._publication = publication
        self._reader = reader
        self._lock: int | None = None
        self._last: tuple[tuple[str, tuple[str, ...]], Mapping[str, Compiled]] | None = None
        self.published = Published()

    def close(self) -> None:
        """Let another process write from now on."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self.published.leads = False

    def turn(self, offer: Offer, now: datetime) -> float:
        """Write what has changed or is about to end, and return in how many seconds to look again.

        What the target or the book refuses is said and tried again: nodes keep what they have until it ends.
        """
        began = time.monotonic()
        if not self._leads():
            return 1.0
        terms = offer.plan.desired.overlay
        if terms is None or self._publication.key.public not in terms.signers:
            self._say(
                "the applied plan's nodes do not take this service's overlays: ecm serve key says what is missing"
            )
            return LONGEST_S
        try:
            self._write(offer, now)
        except (OSError, BookError) as error:
            self.published.failures += 1
            self._say(f"overlays cannot be written: {error}")
            return 1.0
        self._say("")
        return min(max(PAUSE_S, REST * (time.monotonic() - began)), LONGEST_S)

    def _write(self, offer: Offer, now: datetime) -> None:
        left_out: list[LeftOut] = []
        for vpn, made in self._compiled(offer, now).items():
            left_out += made.left_out
            before = self.published.overlays.get(vpn)
            if not self._is_due(made, before, offer, now):
                continue
            standing = self._standing(vpn, offer)
            if self._is_due(made, standing, offer, now):
                serials = (o.serial + 1 for o in (before, standing) if o is not None)
                standing = made.overlay(offer.plan, vpn, max((milliseconds(now), *serials)), now)
                self._publication.target.write(overlay_key(vpn), sign_overlay(standing, self._publication.key))
                self.published.writes += 1
            if standing is not None:
                self.published.overlays = {**self.published.overlays, vpn: standing}
        if tuple(left_out) != self.published.left_out:
            for item in left_out[:10]:
                _LOG.warning("lease %s is not in the overlay: %s", item.lease, item.why)
        self.published.left_out = tuple(left_out)

    def _compiled(self, offer: Offer, now: datetime) -> Mapping[str, Compiled]:
        """Return what the book's leases ask for, by VPN; compiled again only where a lease or the plan has changed."""
        of = offer.digest, self._reader.ids(now)
        if self._last is None or self._last[0] != of:
            leases = self._reader.leases(now, applications=None, after="", most=_MOST)
            vpns = sorted(v.id for v in offer.plan.desired.vpns)
            self._last = of, {vpn: compiled(leases, offer.plan, vpn) for vpn in vpns}
        return self._last[1]

    def _is_due(self, made: Compiled, before: Overlay | None, offer: Offer, now: datetime) -> bool:
        if before is None or before.rules != made.rules or before.base != offer.digest:
            return True
        # A clock that was set back must not keep silent for as long as it was wrong.
        return not timedelta() <= now - before.issued_at < REWRITE

    def _standing(self, vpn: str, offer: Offer) -> Overlay | None:
        """Return what this process or another has written: serials go on from there, whatever the clock says."""
        data = self._publication.target.read(overlay_key(vpn))
        terms = offer.plan.desired.overlay
        if data is None or terms is None:
            return None
        try:
            return open_overlay(data, terms.signers)
        except SignatureError:
            return None

    def _leads(self) -> bool:
        if self._lock is not None:
            return True
        handle = os.open(self._publication.lock, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._lock = handle
        self.published.leads = True
        return True

    def _say(self, problem: str) -> None:
        if problem and problem != self.published.problem:
            _LOG.error("%s", problem)
        self.published.problem = problem
