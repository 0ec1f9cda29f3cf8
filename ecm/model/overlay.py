"""The overlay: which new flows of a VPN take another chain than the base says, until when, and by whose plan.

It chooses among what the base declares and nothing else: a rule moves packets that the base already knows as an
application's to one of the chains that the base lists for that application, in the application's own class. It can
neither let a packet in nor make one another application's.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from ecm.model.base import Digest, Frozen, Name, UtcTime
from ecm.model.fields import Word

MAX_RULES: Final = 2048
"""Of a VPN: what a node puts in the place of as many others within a second."""
LIFE_S: Final = 90
"""From issue to end: so long a service that died goes on choosing."""
MAX_LIFE_S: Final = 300
"""What a node accepts at most."""
MAX_SKEW_S: Final = 30
"""How far ahead of a node's clock an overlay may have been issued."""
ADDRESSES: Final = (IPv4Address(0), IPv4Address(0xFFFFFFFF))
PROTOCOLS: Final = (0, 255)
PORTS: Final = (0, 65_535)

Protocol = Annotated[int, Field(ge=0, le=255)]
PortNumber = Annotated[int, Field(ge=0, le=65_535)]


class OverlayRule(Frozen):
    """Packets of one application, and the chain that their flows take; the ranges include both ends."""

    application: Name
    sources: tuple[IPv4Address, IPv4Address] = ADDRESSES
    destinations: tuple[IPv4Address, IPv4Address] = ADDRESSES
    protocols: tuple[Protocol, Protocol] = PROTOCOLS
    ports: tuple[PortNumber, PortNumber] = PORTS
    """Of the destination."""
    chain: Name
    traffic_class: Name
    mark: Word
    """Of the application's flows on that chain."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for first, last in (self.sources, self.destinations, self.protocols, self.ports):
            if first > last:  # type: ignore[operator]
                raise ValueError(f"a range ends before it begins: {first} to {last}")
        return self

    @property
    def order(self) -> tuple[str, int, int, int, int]:
        """Where the rule stands among the others."""
        starts = (int(self.sources[0]), int(self.destinations[0]), self.protocols[0], self.ports[0])
        return (self.application, *starts)


class Overlay(Frozen):
    """The payload that the routing service signs for the ingress nodes of one VPN."""

    version: Literal[1] = 1
    stack: Name
    vpn: Name
    serial: Annotated[int, Field(ge=0)]
    """Higher in each that is written, at least the milliseconds of the epoch: a node never goes back."""
    base: Digest
    """The plan that it was made for."""
    issued_at: UtcTime
    not_after: UtcTime
    """From then on the base's routing stands alone."""
    rules: Annotated[tuple[OverlayRule, ...], Field(max_length=MAX_RULES)]
    """In `order`; no two fit one packet."""

    @model_validator(mode="after")
    def _sorted(self) -> Self:
        order = [rule.order for rule in self.rules]
        if any(one >= other for one, other in pairwise(order)):
            raise ValueError("rules: two are the same or out of order")
        if not self.issued_at < self.not_after:
            raise ValueError("not_after: is not after issued_at")
        return self
