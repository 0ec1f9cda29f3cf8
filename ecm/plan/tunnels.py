"""K: parallel tunnels between each two nodes of neighbouring tiers."""

from __future__ import annotations

from ecm.model.catalog import Catalog
from ecm.model.contract import TUNNELS_PER_PAIR
from ecm.model.plan import TierPlan


def tunnels_per_pair(upstream: TierPlan, downstream: TierPlan, catalog: Catalog) -> int:
    """Return K = ceil(C_pair / min(5 Gbit/s, C_core)), 1 to 4.

    C_pair is what two nodes may have to carry between them when they are the last of their tiers: the lesser of the
    largest node on each side. C_core is the lesser of what one core encrypts and decrypts, on the slower side. Each
    tunnel costs a BFD session, so a pair that one core serves has one.
    """
    pair = min(_largest(upstream), _largest(downstream))
    tunnel = min(catalog.shape(shape).tunnel_mbps for tier in (upstream, downstream) for shape in _shapes(tier))
    return max(1, min(TUNNELS_PER_PAIR, -(-pair // tunnel)))


def _largest(tier: TierPlan) -> int:
    return max(slot.capacity_mbps for slot in tier.slots)


def _shapes(tier: TierPlan) -> set[str]:
    return {node.shape for slot in tier.slots for node in slot.nodes}
