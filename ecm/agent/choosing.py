"""The firewall's map of choices: filled from the accepted overlay, emptied when it ends.

A chain without a way to its exit from here is not chosen, so that an application goes on by the base's chain as it
would have done without a lease.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ecm.agent.firewall import Firewall
from ecm.agent.overlay import OverlayError, Overlays, statements
from ecm.agent.version import VersionError
from ecm.model.document import Document
from ecm.model.overlay import LIFE_S, Overlay, OverlayRule

WORN_S: Final = LIFE_S / 2
"""Elements with less to live are written anew where the overlay goes on; that takes half a second for a full map."""


@dataclass(frozen=True)
class _Made:
    """What the map was made from last; another ruleset has an empty map."""

    lost: frozenset[str]
    rules: tuple[OverlayRule, ...]
    ends: float
    """When its elements go, seconds of the epoch."""
    ruleset: int
    document: Document


class Choices:
    """One node's map. Used by the thread that holds the machinery."""

    def __init__(self, firewall: Firewall, overlays: Overlays) -> None:
        self._firewall = firewall
        self._overlays = overlays
        self._made: _Made | None = None
        self._refused: tuple[Overlay, Document] | None = None
        self.standing: Overlay | None = None
        """The overlay whose choices new flows take."""
        self._seen: Overlay | None = None
        self.lost: frozenset[str] = frozenset()
        """Chains that it chooses and that have no way to their exit."""

    @property
    def unseen(self) -> bool:
        """Whether an overlay was accepted since the last `look`."""
        return self._overlays.held is not self._seen

    def look(self, document: Document, has_route: Callable[[int], bool]) -> None:
        """Find the chains without a way to their exit; `has_route` says whether a table has a default route."""
        overlay, terms = self._overlays.held, document.overlay
        self._seen = overlay
        if overlay is None or terms is None:
            self.lost = frozenset()
            return
        chosen = {rule.chain for rule in overlay.rules}
        tables = {c.chain: c.table for item in terms.applications for c in item.choices if c.chain in chosen}
        self.lost = frozenset(c for c, table in sorted(tables.items()) if table is not None and not has_route(table))

    def follow(self, document: Document, now: float) -> None:
        """Make the map what the accepted overlay says at `now`, seconds of the epoch, where it is not yet.

        One transaction, checked by `nft` before it: a packet meets the choices before it or those after it. An overlay
        that the base's document does not allow, or that nft refuses, leaves none: what it replaces may not outlive it.
        """
        if document.overlay is None:
            self.standing, self._made = None, None
            return
        wanted = self._wanted(document, now)
        if not self._holds(wanted, document, now):
            try:
                self._replace(wanted, document, now)
            except (OverlayError, VersionError) as error:
                self._overlays.refuse(error if isinstance(error, OverlayError) else OverlayError("ruleset", str(error)))
                if wanted is not None:
                    self._refused = (wanted, document)
                wanted = None
                self._replace(None, document, now)
        self.standing = wanted

    def _wanted(self, document: Document, now: float) -> Overlay | None:
        """Return the accepted overlay, unless it has ended or was refused under this document."""
        held, refused = self._overlays.held, self._refused
        if held is None or held.not_after.timestamp() <= now:
            return None
        return None if refused and refused[0] is held and refused[1] is document else held

    def _holds(self, wanted: Overlay | None, document: Document, now: float) -> bool:
        """Return whether the map is what `wanted` says, for long enough."""
        made = self._made
        if made is None:  # what another run of the agent left goes by itself
            return wanted is None
        if made.ruleset != self._firewall.loads or made.document is not document:
            return False
        if wanted is None:
            return not made.rules
        if made.lost != self.lost:
            return False
        if wanted is not self.standing and wanted.rules != made.rules:
            return False
        ends = wanted.not_after.timestamp()
        return not wanted.rules or made.ends == ends or WORN_S <= made.ends - now <= ends - now

    def _replace(self, overlay: Overlay | None, document: Document, now: float) -> None:
        text = statements(overlay, document, now, self.lost)
        self._firewall.check(text)
        self._firewall.fill(text)
        rules, ends = (overlay.rules, overlay.not_after.timestamp()) if overlay else ((), 0.0)
        self._made = _Made(self.lost, rules, ends, self._firewall.loads, document)

    def status(self, now: float) -> dict[str, Any]:
        """Return what a person may want to know of the overlay."""
        standing, overlays = self.standing, self._overlays
        return {
            "serial": standing.serial if standing else None,
            "base": standing.base if standing else None,
            "rules": len(standing.rules) if standing else 0,
            "lost": sorted(self.lost),
            "ends_in_s": round(max(0.0, standing.not_after.timestamp() - now), 1) if standing else 0.0,
            "refused": {str(reason): count for reason, count in sorted(overlays.refused.items())},
            "problem": overlays.problem or overlays.fault,
        }
