"""The context of `tc/*.batch`: classes share each WireGuard interface before encryption, by the mark's class."""

from __future__ import annotations

from ecm.render import marks
from ecm.render.fields import Checked, Interface, Number, Word
from ecm.render.topology import NodeView

CONTROL_PERMILLE = 10
"""Guaranteed to OSPF, BFD and ICMP, which carry no mark."""


class Share(Checked):
    """A class's part of an interface; it may borrow all that is idle."""

    minor: Number
    mark: Word
    priority: Number
    rate_kbit: Number


class Traffic(Checked):
    """Everything that `tc/*.batch` interpolates."""

    interfaces: tuple[Interface, ...]
    capacity_kbit: Number
    control_kbit: Number
    class_mask: Word = marks.word(marks.CLASS_MASK)
    shares: tuple[Share, ...]


def traffic(node: NodeView) -> Traffic:
    """Return the context of one node: every class has its `share_pct` of the node's capacity, normalised."""
    view = node.tier
    capacity = node.slot.capacity_mbps * 1000
    control = max(capacity * CONTROL_PERMILLE // 1000, 64)
    total = sum(c.share_pct for c in view.classes)
    ranked = sorted(view.classes, key=lambda c: (-c.dscp, c.number))
    shares = tuple(
        Share(
            minor=10 + c.number,
            mark=marks.word(marks.outer_mark(c.number)),
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
