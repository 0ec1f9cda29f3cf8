"""What `policies/` says: QoS profiles, security levels and limits; every constant that shapes a decision."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from ecm.model.base import CountryCode, Frozen, Mbps, Name, Region, Text, UsdPrice, UtcTime
from ecm.model.fleet import Role


class OnViolation(StrEnum):
    """What to do when no chain meets a profile."""

    STRICT = "strict"
    """Refuse."""
    FALLBACK = "fallback"
    """Take the chain that misses latency, loss and outage least; security is never relaxed."""
    BEST_EFFORT = "best_effort"
    """As fallback, and never a reason to add a node."""


class TrafficClass(Frozen):
    """A class of traffic: one listener port at the entry, one mark, one DSCP."""

    id: Name
    listener_port: Annotated[int, Field(ge=1024, le=65535)]
    dscp: Annotated[int, Field(ge=0, le=63)]
    share_pct: Annotated[int, Field(ge=1, le=100)]
    """Guaranteed share of a node when classes compete."""


class QosProfile(Frozen):
    """What an application needs."""

    id: Name
    traffic_class: Name
    latency_ms: Annotated[int, Field(ge=1, le=10_000)]
    """p95, one way, entry of the chain to its exit, the access line not included."""
    bandwidth_mbps: Mbps
    """Bandwidth that must be there even when the forecast is lower."""
    security_level: Annotated[int, Field(ge=0, le=9)]
    max_outage_s: Annotated[int, Field(ge=1, le=86_400)]
    loss_pct: Annotated[float, Field(gt=0, le=100)]
    priority: Annotated[int, Field(ge=1, le=9)]
    """1 is served first."""
    violated_minute_usd: UsdPrice
    """Price of one minute in which the tier is short; with a node's price it gives the planning quantile."""
    planning_quantile_permille: Annotated[int, Field(ge=500, le=999)] | None = None
    """Set directly; none: from money."""
    on_violation: OnViolation = OnViolation.STRICT


class Qos(Frozen):
    """`policies/qos.yaml`."""

    classes: tuple[TrafficClass, ...] = Field(min_length=1)
    profiles: tuple[QosProfile, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _known_classes(self) -> Self:
        classes = [c.id for c in self.classes]
        for profile in self.profiles:
            if profile.traffic_class not in classes:
                raise ValueError(f"profiles.{profile.id}.traffic_class: {profile.traffic_class!r} is not in classes")
        for what, values in (
            ("classes: id", classes),
            ("classes: listener_port", [c.listener_port for c in self.classes]),
            ("profiles: id", [p.id for p in self.profiles]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"{what} is used twice")
        return self


class Fact(StrEnum):
    """A checkable fact about a tier; `policies/security.yaml` names what proves it."""

    ENCRYPTED_LINKS = "encrypted_links"
    PRE_SHARED_KEY = "pre_shared_key"
    INSPECTION = "inspection"
    NO_PUBLIC_ADDRESS = "no_public_address"
    ALLOWED_JURISDICTION = "allowed_jurisdiction"
    DEDICATED_TENANCY = "dedicated_tenancy"


class FactRule(Frozen):
    """How a fact is proven and to which roles it applies."""

    fact: Fact
    proof: Text
    roles: tuple[Role, ...] = (Role.INGRESS, Role.TRANSIT, Role.EGRESS)
    """A tier of another role is not asked for this fact."""


class SecurityLevel(Frozen):
    """A level and the facts it adds to the level below."""

    level: Annotated[int, Field(ge=1, le=9)]
    title: Text
    requires: tuple[Fact, ...] = Field(min_length=1)


class Jurisdiction(Frozen):
    """The country a region stands in."""

    region: Region
    country: CountryCode


class Security(Frozen):
    """`policies/security.yaml`."""

    facts: tuple[FactRule, ...]
    levels: tuple[SecurityLevel, ...]
    """Ordered, 1 first; level 0 requires nothing."""
    allowed_countries: tuple[CountryCode, ...]
    jurisdictions: tuple[Jurisdiction, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if [level.level for level in self.levels] != list(range(1, len(self.levels) + 1)):
            raise ValueError("levels: must count up from 1 without a gap")
        known = {rule.fact for rule in self.facts}
        for level in self.levels:
            for fact in level.requires:
                if fact not in known:
                    raise ValueError(f"levels.{level.level}.requires: {fact!r} has no entry in facts that proves it")
        return self


class Lead(Frozen):
    """What passes between a decision and healthy capacity, minutes, each a high quantile of what was measured."""

    decision_period_min: Annotated[int, Field(ge=1, le=1440)]
    approval_min: Annotated[int, Field(ge=0, le=1440)]
    """Counted only where the limits ask for approval of additive changes."""
    up_min: Annotated[int, Field(ge=0, le=240)]
    boot_to_healthy_min: Annotated[int, Field(ge=0, le=240)]
    registration_min: Annotated[int, Field(ge=0, le=240)]
    mesh_join_min: Annotated[int, Field(ge=0, le=240)]


class FreezeWindow(Frozen):
    """A time in which nothing is changed."""

    start: UtcTime
    end: UtcTime
    reason: Text

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise ValueError("freeze window: end must be later than start")
        return self


class Quotas(Frozen):
    """Account quotas, as data."""

    vcpus: Annotated[int, Field(ge=1)]
    network_interfaces: Annotated[int, Field(ge=1)]
    elastic_ips: Annotated[int, Field(ge=1)]
    load_balancers: Annotated[int, Field(ge=1)]
    routes_per_table: Annotated[int, Field(ge=1)]


class Approval(Frozen):
    """Which plans go ahead without a person."""

    additive_automatic: bool
    """A plan that only adds nodes, weights or client peers, or replaces dead nodes, approves itself."""
    draining_automatic: bool = False
    """So does one that also drains, replaces or removes nodes: sessions move before they go, the load stays held."""
    automatic_budget_step_usd_per_hour: UsdPrice
    """Above this rise of standing charges a person decides, additive or not; traffic follows the load and is out."""


class Forecasting(Frozen):
    """How loads are forecast."""

    lstm: bool = False
    """Whether the LSTM is tried beside the other models, where there are enough series; needs the extra `lstm`."""


Port = Annotated[int, Field(ge=1, le=65_535)]


TagKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9:_-]{0,127}$")]
IamAction = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*:[A-Z][A-Za-z0-9]{0,80}$")]


class Guardrails(Frozen):
    """What the policy pack `policies/guardrails` allows, beside the limits of guard."""

    world_open_udp_ports: tuple[Port, ...]
    """UDP ports that may be open to everybody: the listeners of the tunnels."""
    min_zones_per_tier: Annotated[int, Field(ge=1, le=6)]
    required_tags: tuple[TagKey, ...]
    wildcard_resource_actions: tuple[IamAction, ...]
    """IAM actions that AWS lets nobody narrow to a resource."""


class Limits(Frozen):
    """`policies/limits.yaml`: what guard enforces and the constants of sizing."""

    max_nodes_added: Annotated[int, Field(ge=1)]
    max_nodes_removed: Annotated[int, Field(ge=0)]
    min_healthy_nodes: Annotated[int, Field(ge=1, le=16)]
    """Floor of active nodes of every tier."""
    max_nodes_per_tier: Annotated[int, Field(ge=1, le=16)]
    budget_usd_per_hour: UsdPrice
    telemetry_max_age_min: Annotated[int, Field(ge=1)]
    telemetry_min_days: Annotated[int, Field(ge=1, le=365)]
    catalog_max_age_days: Annotated[int, Field(ge=1)]
    plan_ttl_min: Annotated[int, Field(ge=5, le=10_080)]
    max_utilisation_permille: Annotated[int, Field(ge=100, le=950)]
    """rho: the share of a node's capacity that may be planned for (0.6 to 0.75 keeps queueing delay flat)."""
    quantile_min_permille: Annotated[int, Field(ge=500, le=999)]
    quantile_max_permille: Annotated[int, Field(ge=500, le=999)]
    lead: Lead
    hold_min: Annotated[int, Field(ge=5, le=1440)]
    """How long capacity bought now must last; at least the next decision's lead."""
    drain_min: Annotated[int, Field(ge=3, le=240)]
    """From draining to removal: detection plus 120 s of UDP flow idle time at the least."""
    unhealthy_after_min: Annotated[int, Field(ge=1, le=240)]
    """A running node unhealthy for longer gets a new generation."""
    image_canary_min: Annotated[int, Field(ge=0, le=10_080)] = 30
    """A new image stands on one node of each tier for so long, healthy, before the others get it."""
    image_max_unavailable_pct: Annotated[int, Field(ge=0, le=100)] = 25
    """Share of a tier's nodes that may be down or changing their image at a time; one always may."""
    unavailable_ttl_min: Annotated[int, Field(ge=5, le=1440)]
    """For how long a (shape, zone) without capacity is left out."""
    churn_usd_per_node: UsdPrice
    """Price of taking one running node away, spread over the hold; stops changes that pay nothing."""
    churn_usd_per_application: UsdPrice
    """Price of moving an application to another chain."""
    approval: Approval
    quotas: Quotas
    guardrails: Guardrails
    freeze: tuple[FreezeWindow, ...] = ()
    forecast: Forecasting = Forecasting()

    @property
    def lead_min(self) -> int:
        """Minutes from a decision to healthy capacity."""
        approval = 0 if self.approval.additive_automatic else self.lead.approval_min
        lead = self.lead
        return (
            lead.decision_period_min
            + approval
            + lead.up_min
            + lead.boot_to_healthy_min
            + lead.registration_min
            + lead.mesh_join_min
        )

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.quantile_min_permille > self.quantile_max_permille:
            raise ValueError("quantile_min_permille is above quantile_max_permille")
        if self.hold_min < self.lead_min:
            raise ValueError(f"hold_min {self.hold_min} is below the next decision's lead of {self.lead_min} min")
        if self.min_healthy_nodes > self.max_nodes_per_tier:
            raise ValueError("min_healthy_nodes is above max_nodes_per_tier")
        return self
