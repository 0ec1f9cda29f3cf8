"""From the source to an accepted overlay: signature, stack and VPN, time, serial, and what the base declares.

Whatever is refused leaves the overlay before it as it was, until that ends; then the base's routing stands alone.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Final, Literal

from ecm.agent.source import Fetched, Source, SourceError
from ecm.agent.state import AcceptedOverlay, State
from ecm.model.base import canonical_json, digest, digest_bytes
from ecm.model.document import CHOICES, Document
from ecm.model.overlay import MAX_LIFE_S, MAX_SKEW_S, Overlay, OverlayRule
from ecm.signing import SignatureError, open_overlay
from ecm.signing.envelope import MAX_OVERLAY_BYTES

Reason = Literal["signature", "stack", "expired", "future", "serial", "undeclared", "ruleset"]
_MAP: Final = f"inet ecm {CHOICES}"


class OverlayError(ValueError):
    """An overlay that this node does not take, and why."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Overlays:
    """The overlay that this node has accepted last. One thread calls `pull`; others read."""

    def __init__(self, source: Source, state: State, signers: tuple[str, ...]) -> None:
        """`signers` are the manifest's: a key that signs the base signs no overlay."""
        self._source = source
        self._state = state
        self._signers = frozenset(signers)
        self._known: str | None = None
        self._for: Document | None = None
        self.held: Overlay | None = None
        self.refused: Counter[Reason] = Counter()
        """How many were refused since the agent started."""
        self.problem = ""
        """Why the one that is offered now is refused."""
        self.fault = ""
        """Why the source does not answer."""

    def pull(self, document: Document, now: float) -> bool:
        """Take what the source offers to a node with `document` at `now`, seconds of the epoch; whether it is new."""
        terms = document.overlay
        if terms is None:
            self.held, self._known, self.problem = None, None, ""
            return False
        if document is not self._for:  # what another base refused may be right under this one, and the reverse
            before = self._for.overlay if self._for else None
            if before is not None and set(before.signers) - set(terms.signers):
                self.held = None  # perhaps by the key that was withdrawn; else it is taken again below
            self._for, self._known = document, None
        try:
            found = self._source.fetch(terms.object, MAX_OVERLAY_BYTES, self._known)
        except SourceError as error:
            self.fault = str(error)
            return False
        self.fault = ""
        if not isinstance(found, Fetched):
            self.problem = self.problem if found else ""
            return False
        try:
            taken = self._judged(found.data, document, now)
        except OverlayError as error:
            self.refuse(error)
            return False
        self._known, self.problem = found.version, ""
        if self.held is not None and taken.serial == self.held.serial:
            return False
        self.held = taken
        return True

    def refuse(self, error: OverlayError) -> None:
        """Count a refusal, once however often the same is offered."""
        if str(error) != self.problem:
            self.refused[error.reason] += 1
        self.problem = str(error)

    def _judged(self, data: bytes, document: Document, now: float) -> Overlay:
        signers = set(document.overlay.signers) - self._signers if document.overlay else ()
        try:
            overlay = open_overlay(data, signers)
        except SignatureError as error:
            raise OverlayError("signature", str(error)) from None
        node = document.node
        if (overlay.stack, overlay.vpn) != (node.stack, node.vpn):
            raise OverlayError(
                "stack", f"the overlay is of {overlay.stack}, VPN {overlay.vpn}, not of {node.stack}, VPN {node.vpn}"
            )
        _check_time(overlay, now)
        marks(overlay, document)
        self._check_serial(overlay, document)
        return overlay

    def _check_serial(self, overlay: Overlay, document: Document) -> None:
        """Refuse a replay; what is accepted is on the disk before anything is made of it.

        Serials count for one set of signers: once a stolen key is withdrawn, the serials that it used bind nobody.
        """
        signers = document.overlay.signers if document.overlay else ()
        under = digest_bytes(canonical_json([overlay.vpn, *sorted(signers)]))
        accepted = self._state.accepted_overlay()
        offered = AcceptedOverlay(under, overlay.serial, digest(overlay))
        if accepted is not None and accepted.under == under and accepted != offered:
            if overlay.serial < accepted.serial:
                raise OverlayError("serial", f"replayed: serial {overlay.serial} is older than {accepted.serial}")
            if overlay.serial == accepted.serial:
                raise OverlayError("serial", f"two overlays have serial {overlay.serial}")
        if accepted != offered:
            self._state.set_accepted_overlay(offered)


def marks(overlay: Overlay, document: Document) -> list[tuple[OverlayRule, str]]:
    """Return each rule with the application's mark in the base; OverlayError where the base declares no such choice."""
    applications = document.overlay.applications if document.overlay is not None else ()
    declared = {
        (item.application, c.chain, c.traffic_class, c.mark): item.base for item in applications for c in item.choices
    }
    found = []
    for rule in overlay.rules:
        base = declared.get((rule.application, rule.chain, rule.traffic_class, rule.mark))
        if base is None:
            raise OverlayError(
                "undeclared",
                f"the base does not let {rule.application} take chain {rule.chain} in class {rule.traffic_class} "
                f"with mark {rule.mark}",
            )
        found.append((rule, base))
    return found


def statements(overlay: Overlay | None, document: Document, now: float, without: frozenset[str] = frozenset()) -> str:
    """Return what makes the firewall's map hold `overlay` and nothing else, until it ends; OverlayError as `marks`.

    Choices of the chains `without` a way are left out. The kernel lets each element go by itself, so that a choice ends
    in time whether or not an agent runs.
    """
    if overlay is None:
        return f"flush map {_MAP}\n"
    seconds = max(1, int(overlay.not_after.timestamp() - now))
    elements = ",\n".join(
        _element(rule, base, seconds) for rule, base in marks(overlay, document) if rule.chain not in without
    )
    return f"flush map {_MAP}\n" + (f"add element {_MAP} {{\n{elements}\n}}\n" if elements else "")


def _element(rule: OverlayRule, base: str, seconds: int) -> str:
    spans = (rule.sources, rule.destinations, rule.protocols, rule.ports)
    key = " . ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
    return f"{key} . {base} timeout {seconds}s : {rule.mark}"


def _check_time(overlay: Overlay, now: float) -> None:
    issued, ends = overlay.issued_at.timestamp(), overlay.not_after.timestamp()
    if ends <= now:
        raise OverlayError("expired", f"serial {overlay.serial} has ended at {overlay.not_after:%H:%M:%S} UTC")
    if issued > now + MAX_SKEW_S or ends > now + MAX_SKEW_S + MAX_LIFE_S:
        at = datetime.fromtimestamp(now, UTC)
        raise OverlayError(
            "future",
            f"serial {overlay.serial} is of {overlay.issued_at:%H:%M:%S} to {overlay.not_after:%H:%M:%S} UTC, here "
            f"it is {at:%H:%M:%S}: more than {MAX_SKEW_S} s ahead, or longer than {MAX_LIFE_S} s",
        )
