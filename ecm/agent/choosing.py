"""The firewall's map of choices: filled from the accepted overlay, emptied when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ecm.agent.firewall import Firewall
from ecm.agent.overlay import OverlayError, Overlays, statements
from ecm.agent.version import VersionError
from ecm.model.document import Document
from ecm.model.overlay import Overlay


@dataclass(frozen=True)
class _Made:
    """What the map was made from last; another ruleset has an empty map."""

    serial: int | None
    ruleset: int
    document: Document


class Choices:
    """One node's map. Used by the thread that holds the machinery."""

    def __init__(self, firewall: Firewall, overlays: Overlays) -> None:
        self._firewall = firewall
        self._overlays = overlays
        self._made: _Made | None = None
        self.standing: Overlay | None = None
        """The overlay whose choices new flows take."""

    def follow(self, document: Document, now: float) -> None:
        """Make the map what the accepted overlay says at `now`, seconds of the epoch, where it is not yet.

        One transaction, checked by `nft` before it: a packet meets the choices before it or those after it. An overlay
        that the base's document does not allow, or that nft refuses, leaves none: what it replaces may not outlive it.
        """
        if document.overlay is None:
            self.standing, self._made = None, None
            return
        wanted = self._overlays.held
        if wanted is not None and wanted.not_after.timestamp() <= now:
            wanted = None
        made = _Made(wanted.serial if wanted else None, self._firewall.loads, document)
        if made == self._made:
            return
        try:
            self._replace(wanted, document, now)
        except (OverlayError, VersionError) as error:
            self._overlays.refuse(error if isinstance(error, OverlayError) else OverlayError("ruleset", str(error)))
            self._replace(None, document, now)
            wanted = None
        self._made, self.standing = made, wanted

    def _replace(self, overlay: Overlay | None, document: Document, now: float) -> None:
        text = statements(overlay, document, now)
        self._firewall.check(text)
        self._firewall.fill(text)

    def status(self, now: float) -> dict[str, Any]:
        """Return what a person may want to know of the overlay."""
        standing, overlays = self.standing, self._overlays
        return {
            "serial": standing.serial if standing else None,
            "base": standing.base if standing else None,
            "rules": len(standing.rules) if standing else 0,
            "ends_in_s": round(max(0.0, standing.not_after.timestamp() - now), 1) if standing else 0.0,
            "refused": {str(reason): count for reason, count in sorted(overlays.refused.items())},
            "problem": overlays.problem or overlays.fault,
        }
