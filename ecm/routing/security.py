"""A tier's security level, computed from facts; nobody types it."""

from __future__ import annotations

from ecm.model.fleet import Tenancy, Tier
from ecm.model.policy import Fact, Security


def tier_level(tier: Tier, *, exits: bool, region: str, security: Security) -> int:
    """Return the highest level whose facts, and those of every level below, all hold for `tier`; 0 when none does."""
    held = _facts(tier, exits=exits, region=region, security=security)
    reached = 0
    for level in security.levels:
        if not all(fact in held for fact in level.requires):
            break
        reached = level.level
    return reached


def _facts(tier: Tier, *, exits: bool, region: str, security: Security) -> frozenset[Fact]:
    country = {j.region: j.country for j in security.jurisdictions}.get(region)
    true = {
        Fact.ENCRYPTED_LINKS: True,  # render knows no other link between tiers than WireGuard
        Fact.PRE_SHARED_KEY: tier.pre_shared_key,
        Fact.INSPECTION: tier.inspection,
        Fact.NO_PUBLIC_ADDRESS: not exits,
        Fact.ALLOWED_JURISDICTION: country in security.allowed_countries,
        Fact.DEDICATED_TENANCY: tier.tenancy is Tenancy.DEDICATED,
    }
    exempt = {rule.fact for rule in security.facts if tier.role not in rule.roles}
    return frozenset(fact for fact, holds in true.items() if holds or fact in exempt)
