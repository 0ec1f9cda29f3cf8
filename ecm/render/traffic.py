"""The context of `tc/*.batch`: classes share each WireGuard interface before encryption.

The firewall puts the queue's id into the packet's priority, which HTB obeys by itself: no filter is needed.
"""

from __future__ import annotations

from ecm.model.fields import Checked, Interface, Number
from ecm.render.topology import NodeView

CONTROL_PERMILLE = 10
"""Guaranteed to OSPF, BFD and ICMP, which carry no mark."""


class Share(Checked):
    """A class's part of an interface; it may borrow all that is idle."""

    queue: Number
    priority: Number
    rate_kbit: Number


class Traffic(Checked):
    """Everything that `tc/*.batch` interpolates."""

    interfaces: tuple[Interface, ...]
    capacity_kbit: Number
    control_kbit: Number
    shares: tuple[Share, ...]


def queue(traffic_class: int) -> int:
    """Return the minor id of a class's queue, in digits that `tc` and `nft` both read as hexadecimal."""
    return 10 + traffic_class


def traffic(node: NodeView) -> Traffic:
    """Return the context of one node: every class has its `share_pct` of the node's capacity, normalised."""
    view = node.tier
    capacity = node.slot.capacity_mbps * 1000
    control = max(capacity * CONTROL_PERMILLE // 1000, 64)
    total = sum(c.share_pct for c in view.classes)
    ranked = sorted(view.classes, key=lambda c: (-c.dscp, c.number))
    shares = tuple(
        Share(
            queue=queue(c.number),
            priority=ranked.index(c) + 1,
            rate_kbit=max((capacity - control) * c.share_pct // total, 64),
        )
        for c in view.classes
    )
    edges = tuple(f"edge{c.number}" for c in view.classes) if view.enters else ()
    return Traffic(
        interfaces=edges + tuple(link.interface for link in node.links),
        capacity_kbit=max(capacity, 1000),
        control_kbit=control,
        shares=shares,
    )
