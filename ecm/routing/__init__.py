"""Assign: applications to chains, security hard, cost and churn minimised, with a reason for every chain not taken."""

from ecm.routing.assign import Assignment, assign
from ecm.routing.chain import ChainFacts, candidates, chain_facts, failed_requirements, outage_s
from ecm.routing.large import Levels, Linear
from ecm.routing.problem import Problem
from ecm.routing.search import Routes
from ecm.routing.security import tier_level
from ecm.routing.solve import Solution, solve

__all__ = [
    "Assignment",
    "ChainFacts",
    "Levels",
    "Linear",
    "Problem",
    "Routes",
    "Solution",
    "assign",
    "candidates",
    "chain_facts",
    "failed_requirements",
    "outage_s",
    "solve",
    "tier_level",
]
