"""The return route of each client: on the node where its freshest handshake is, and on no other.

A node that hears a client anew (a handshake, or packets of its session) claims it: a route in the agent's table whose
metric is the claim's stamp, in seconds of the epoch. BIRD announces it with the stamp as tag and a metric that is lower
the later the stamp is, so that the other tiers turn to the newer claim before the older one is withdrawn. Siblings'
claims come back by BIRD in a table of their own, and a node that has not heard the client since then withdraws.

A stamp is at least one above every claim that the node knows of (a Lamport clock), so a sibling whose clock is ahead
cannot hold a client that has moved away from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

HELD_S: Final = 180
"""WireGuard's REJECT_AFTER_TIME: a session without a handshake for so long is over."""
MAX_STAMP: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class Heard:
    """What WireGuard says of a client."""

    interface: str
    handshake: int
    """Of the freshest handshake, in seconds of the epoch; 0 for none."""
    received: int
    """Bytes."""


@dataclass(frozen=True)
class Claim:
    """A route to a client."""

    interface: str
    stamp: int


@dataclass
class Claims:
    """What this node claims, look by look; pure, so that any order of events can be tried."""

    held: dict[str, Claim] = field(default_factory=dict)
    _last: dict[str, Heard] = field(default_factory=dict)
    _first_look: bool = True

    def look(self, heard: Mapping[str, Heard], siblings: Mapping[str, int], now: int) -> Mapping[str, Claim]:
        """Return the claims after a look; `siblings` has each client's highest stamp of another node."""
        found = {}
        for address, client in heard.items():
            stamp = self._stamp(address, client, siblings.get(address), now)
            if stamp is not None:
                found[address] = Claim(client.interface, min(stamp, MAX_STAMP))
        self._last = dict(heard)
        self._first_look = False
        self.held = found
        return found

    def _stamp(self, address: str, client: Heard, sibling: int | None, now: int) -> int | None:
        """Return the stamp to claim a client with; None: not this node's."""
        if client.handshake == 0 or now - client.handshake >= HELD_S:
            return None
        held, before = self.held.get(address), self._last.get(address)
        if before is None:
            fresh = not self._first_look
        else:
            fresh = client.handshake > before.handshake or client.received > before.received
        if held is not None and (sibling is None or sibling < held.stamp):
            return held.stamp
        if sibling is not None:
            return max(client.handshake, sibling + 1) if fresh else None
        return client.handshake if fresh or self._first_look else None
