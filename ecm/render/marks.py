"""The 32-bit packet mark: what it says about a flow, and how it steers a packet.

Conntrack mark of a flow, bit 31 first::

    class 4 | chain 8 | node towards the exit 5 | node towards the clients 5 | application 10

The two node fields pin the flow's neighbours on this node; they are meaningful once the flow's first packet has passed.
While a packet is being routed its own mark carries the chain, one of the two node fields and, in place of the class,
the steering bits below; after routing it carries the flow's mark, so that queueing sees the class. A packet that
WireGuard has encrypted carries the class only: chain 0 tells it apart.
"""

from __future__ import annotations

from ecm.render.errors import RenderError

CLASS_SHIFT, CHAIN_SHIFT, FORWARD_SHIFT, REPLY_SHIFT = 28, 20, 15, 10
CLASS_MASK = 0xF0000000
CHAIN_MASK = 0x0FF00000
FORWARD_MASK = 0x000F8000
REPLY_MASK = 0x00007C00
APPLICATION_MASK = 0x000003FF
ALL = 0xFFFFFFFF

STEER = 0x40000000
"""Set on every steered packet."""
STEER_PINNED = 0x20000000
STEER_REPLY = 0x10000000


def flow_mark(traffic_class: int, chain: int, application: int) -> int:
    """Return the mark of a new flow; RenderError when a number does not fit its field."""
    _fits("class number", traffic_class, 1, 15)
    _fits("chain number", chain, 1, 250)
    _fits("application number", application, 0, APPLICATION_MASK)
    return traffic_class << CLASS_SHIFT | chain << CHAIN_SHIFT | application


def outer_mark(traffic_class: int) -> int:
    """Return the mark of packets that a tunnel interface of this class sends."""
    _fits("class number", traffic_class, 1, 15)
    return traffic_class << CLASS_SHIFT


def chain_mark(chain: int) -> int:
    """Return the chain field of a mark."""
    _fits("chain number", chain, 1, 250)
    return chain << CHAIN_SHIFT


def pin(node: int, *, forward: bool) -> int:
    """Return the field that pins a flow's neighbour: towards the exit, or towards the clients."""
    _fits("node number", node, 0, 31)
    return node << (FORWARD_SHIFT if forward else REPLY_SHIFT)


def word(mark: int) -> str:
    """Return a mark or mask as every tool reads it."""
    return f"0x{mark:08x}"


def _fits(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise RenderError(what, value, f"a packet mark holds {low} to {high}", "number it again within that range")
