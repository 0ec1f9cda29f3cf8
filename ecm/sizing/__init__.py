"""Size: from the joint forecast of a tier's applications to the cheapest nodes that hold it after the worst loss."""

from ecm.sizing.capacity import NodeCapacity, node_capacity
from ecm.sizing.costing import Costing
from ecm.sizing.floors import Floors, least_loads
from ecm.sizing.load import Demand, LoadSource, planning_quantile, tier_load, without_unexplained_fall
from ecm.sizing.mix import Candidate, TierNeed, cheapest_mix
from ecm.sizing.risk import risk
from ecm.sizing.survival import survivable
from ecm.sizing.tier import Sizer, TierContext

__all__ = [
    "Candidate",
    "Costing",
    "Demand",
    "Floors",
    "LoadSource",
    "NodeCapacity",
    "Sizer",
    "TierContext",
    "TierNeed",
    "cheapest_mix",
    "least_loads",
    "node_capacity",
    "planning_quantile",
    "risk",
    "survivable",
    "tier_load",
    "without_unexplained_fall",
]
