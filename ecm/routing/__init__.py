"""Assign: applications to chains, security hard, cost and churn minimised, with a reason for every chain not taken."""

from ecm.routing.assign import Assignment, Routes, assign
from ecm.routing.chain import ChainFacts, chain_facts
from ecm.routing.security import tier_level

__all__ = ["Assignment", "ChainFacts", "Routes", "assign", "chain_facts", "tier_level"]
