"""Plan: from sizings and assignments to the desired state, stable against what stands, with its evidence and cost."""

from ecm.plan.build import PlanInputs, desired_state
from ecm.plan.changes import changes
from ecm.plan.cost import Prices, cost, node_prices, traffic_price
from ecm.plan.evidence import application_evidence, tier_evidence
from ecm.plan.rollout import image_because
from ecm.plan.standing import NoFreeNumberError, Standing, running_placements

__all__ = [
    "NoFreeNumberError",
    "PlanInputs",
    "Prices",
    "Standing",
    "application_evidence",
    "changes",
    "cost",
    "desired_state",
    "image_because",
    "node_prices",
    "running_placements",
    "tier_evidence",
    "traffic_price",
]
