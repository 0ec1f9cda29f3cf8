"""K: as many tunnels between two nodes as their traffic needs cores, and no more."""

from __future__ import annotations

import pytest

from ecm.intent import load
from ecm.model.catalog import Catalog
from ecm.model.fleet import Role
from ecm.model.plan import TierPlan
from ecm.plan.tunnels import tunnels_per_pair
from tests.builders import a_node, a_slot, a_tier
from tests.properties.fleets import ROOT

CATALOG = load(ROOT, "prod").catalog


def tier(shape: str, capacity_mbps: int) -> TierPlan:
    slot = a_slot("edge", nodes=(a_node(shape=shape),), capacity_mbps=capacity_mbps)
    return a_tier("edge", Role.TRANSIT, slots=(slot,))


@pytest.mark.parametrize(
    ("up", "down", "tunnels"),
    [
        (("c6gn.medium", 1000), ("c6gn.medium", 1535), 1),  # 1,000 of a core's 2,000 Mbit/s
        (("t4g.small", 122), ("t4g.small", 122), 1),  # two cores, and no use for the second
        (("c7gn.large", 1500), ("c7gn.large", 3000), 1),  # exactly one core's 1,500 Mbit/s
        (("c7gn.large", 1501), ("c7gn.large", 3000), 2),
        (("c7gn.large", 3000), ("c7gn.large", 3000), 2),
        (("c7gn.xlarge", 2545), ("c7gn.xlarge", 5000), 3),  # 2,545 Mbit/s over cores that decrypt 1,000
        (("c7gn.xlarge", 5000), ("c7gn.xlarge", 5000), 4),  # five would be needed: there are four lanes
        (("c6gn.medium", 1000), ("c7gn.xlarge", 5000), 1),  # the weaker node bounds the pair
    ],
)
def test_as_many_tunnels_as_cores_are_needed(up: tuple[str, int], down: tuple[str, int], tunnels: int) -> None:
    assert tunnels_per_pair(tier(*up), tier(*down), CATALOG) == tunnels


def test_one_flow_of_a_fast_core_is_still_held_to_five_gigabit() -> None:
    fast = CATALOG.shape("c7gn.large").model_copy(update={"encrypt_mbps": 40_000, "decrypt_mbps": 40_000})
    assert fast.tunnel_mbps == 5000
    catalog: Catalog = CATALOG.model_copy(update={"shapes": (fast,)})
    assert tunnels_per_pair(tier("c7gn.large", 10_001), tier("c7gn.large", 12_000), catalog) == 3
