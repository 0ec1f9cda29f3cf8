"""The review of a plan: everything that a person needs to say yes or no, as one value with a versioned schema.

`report.json` is this model; the Markdown and the page are drawn from it and from nothing else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from ecm.model.base import Digest, Frozen, Mbps, MicroUsd, Name, Text, UtcTime, Zone
from ecm.model.forecast import Grid
from ecm.model.plan import Decision, LimitHit, PlannedEvent
from ecm.model.refusal import Because

FORMAT = 1
"""Version of the schema: counts up where a reader of the one before would misread."""
Seconds = Annotated[int, Field(ge=0)]


class ChangeClass(StrEnum):
    """What a change does to those who use the VPNs."""

    COSMETIC = "cosmetic"
    """Pulled in place, tags, alarms: no node comes or goes, no session moves."""
    ADDITIVE = "additive"
    """Something is added; what carries traffic is not touched."""
    DRAINING = "draining"
    """Nodes take no new traffic and their sessions move before they go."""
    DISRUPTIVE = "disruptive"
    """Flows take another path, or something goes that may carry some."""


WORST_FIRST = (ChangeClass.DISRUPTIVE, ChangeClass.DRAINING, ChangeClass.ADDITIVE, ChangeClass.COSMETIC)


class Answer(StrEnum):
    """The verdict on a plan at the moment of the review."""

    NOTHING = "nothing to do"
    READY = "approved, ready to apply"
    AUTOMATIC = "within the automatic limits"
    APPROVAL = "needs approval"
    BLOCKED = "blocked by a policy"
    FAILED = "the preview failed"
    REFUSED = "refused by guard"
    FROZEN = "frozen"
    STALE = "inputs too old"
    EXPIRED = "expired"
    SUPERSEDED = "another plan was applied since"


class Verdict(Frozen):
    """What a reader needs first."""

    answer: Answer
    summary: Text
    """What changes, in one sentence."""
    change_class: ChangeClass | None
    """The worst of all changes; none: nothing changes."""
    approval_needed: bool
    decision: Decision
    """Guard's."""
    reasons: tuple[str, ...]
    hits: tuple[LimitHit, ...]
    commands: tuple[Text, ...]
    """What applies exactly this plan, or what to do instead; in this order."""
    advice: Text
    """What the commands are for."""
    rollback: Text
    """The command that returns to the plan before."""
    rollback_note: Text
    digest: Digest
    basis: Digest | None
    serial: int
    made_at: UtcTime
    expires_at: UtcTime


class ClassedChange(Frozen):
    """One change of the plan, with its class."""

    change_class: ChangeClass
    kind: Text
    subject: Text
    detail: Text


class ZoneRow(Frozen):
    """A tier in one zone."""

    zone: Zone
    nodes_before: int
    nodes_after: int
    draining: int
    carried_mbps: Mbps
    """By the tier's active nodes of this zone at full utilisation."""


class Choice(Frozen):
    """Why not one node less, or one more."""

    text: Text
    usd_micro_per_hour: int
    violated_s: Seconds


class TierRow(Frozen):
    """A tier before and after."""

    tier: Name
    vpn: Name
    role: Text
    chains: tuple[Name, ...]
    applications: tuple[Name, ...]
    nodes_before: int
    nodes_after: int
    zones: tuple[ZoneRow, ...]
    planned_mbps: Mbps
    quantile_permille: int
    p50_mbps: Mbps
    p90_mbps: Mbps
    p99_mbps: Mbps
    """Of the maximum over the sizing window."""
    before_mbps: Mbps | None
    """Carried whole by the nodes that stood before; none: not known."""
    capacity_mbps: Mbps
    usable_mbps: Mbps
    headroom_p50_pct: int | None
    headroom_p90_pct: int | None
    headroom_p99_pct: int | None
    """Of what is held after the worst loss against the load, in per cent of the load; none: no load."""
    after_zone_loss_mbps: Mbps
    zone_loss_survived: bool
    after_node_losses_mbps: Mbps
    node_losses_survived: bool
    violated_before_s: Seconds | None
    violated_after_s: Seconds | None
    """Expected over the sizing window without and with the change; none: the plan does not say."""
    usd_micro_per_hour: MicroUsd
    not_less: Choice | None
    not_more: Choice | None
    because: tuple[Because, ...]
    band_p50_mbps: tuple[Mbps, ...]
    band_p90_mbps: tuple[Mbps, ...]
    band_p99_mbps: tuple[Mbps, ...]
    """Per step of the review's grid."""


class ChainZone(Frozen):
    """A chain's nodes in one zone, over all its tiers."""

    zone: Zone
    nodes_before: int
    nodes_after: int


class ChainRow(Frozen):
    """A chain: as good as its weakest tier."""

    chain: Name
    vpn: Name
    tiers: tuple[Name, ...]
    applications: tuple[Name, ...]
    zones: tuple[ChainZone, ...]
    weakest_tier: Name
    headroom_p50_pct: int | None
    headroom_p90_pct: int | None
    headroom_p99_pct: int | None
    zone_loss_survived: bool
    node_losses_survived: bool
    violated_before_s: Seconds | None
    violated_after_s: Seconds | None
    """The sum over its tiers, which bounds the chain's from above, at most the window."""
    latency_us: int
    loss_ppm: int


class Move(Frozen):
    """Sessions that leave nodes."""

    subject: Text
    """`tier NAME` or `application NAME`."""
    when: Text
    share_permille: Annotated[int, Field(ge=0, le=1000)]
    """Of the subject's traffic, by weight."""
    clients: int | None
    """Registered clients among them at most, where sessions end at the subject; none: it has none of its own."""


class ProfileOutage(Frozen):
    """The longest outage that this change itself may cause to a profile's sessions, against its budget."""

    profile: Name
    applications: tuple[Name, ...]
    expected_s: Seconds
    budget_s: Seconds
    cause: Text

    @property
    def kept(self) -> bool:
        """Whether the outage stays within the budget."""
        return self.expected_s <= self.budget_s


class CostRow(Frozen):
    """One part of the hourly cost."""

    item: Text
    before_usd_micro_per_hour: MicroUsd
    after_usd_micro_per_hour: MicroUsd


class CostChange(Frozen):
    """What the change costs."""

    before_usd_micro_per_hour: MicroUsd
    after_usd_micro_per_hour: MicroUsd
    difference_usd_micro_per_hour: int
    difference_permille: int | None
    """Of what it cost before; none: it cost nothing."""
    prices_as_of: Text
    lines: tuple[CostRow, ...]


class RouteRow(Frozen):
    """An application's way."""

    application: Name
    vpn: Name
    profile: Name | None
    chain_before: Name | None
    chain: Name
    traffic_class: Name
    destinations: tuple[Text, ...]
    ports: tuple[Text, ...]
    not_met: tuple[Text, ...]
    kept_out: tuple[Text, ...]


class CheckRow(Frozen):
    """A health check of a tier's nodes."""

    tier: Name
    check: Text
    nodes: int
    draining: int
    """Nodes that answer it with 503 on purpose."""


class ForecastRow(Frozen):
    """The forecast that the plan rests on."""

    subject: Text
    model: Text
    last_mbps: Mbps
    p50_mbps: Mbps
    p90_mbps: Mbps
    p99_mbps: Mbps
    recent_peak_mbps: Mbps
    coverage_permille: int | None
    notes: tuple[Text, ...]


class InputRow(Frozen):
    """One input of the plan."""

    name: Text
    digest: Digest | None
    age_min: int | None
    """Since it was measured or written down; none: it has no date."""
    state: Text
    """`unchanged` or `changed since the plan` where it was compared, else empty."""


class StepRow(Frozen):
    """An operation of the engine on one resource; no value of a property is kept."""

    change_class: ChangeClass
    op: Text
    type: Text
    name: Text
    properties: tuple[str, ...]


class PolicyRow(Frozen):
    """What a policy says of a resource."""

    policy: str
    pack: str
    enforcement: str
    resource: str
    message: str

    @property
    def stops(self) -> bool:
        """Whether it stops the apply."""
        return self.enforcement == "mandatory"


class EngineState(StrEnum):
    """How far the engine was asked."""

    NOT_ASKED = "not asked"
    FAILED = "failed"
    DONE = "done"


class EngineView(Frozen):
    """What Pulumi says that it would do."""

    state: EngineState
    note: str
    """Why it was not asked, or how it failed; empty when it is done."""
    counts: tuple[tuple[Text, int], ...] = ()
    steps: tuple[StepRow, ...] = ()
    messages: tuple[str, ...] = ()
    """Warnings and errors."""


class Policies(Frozen):
    """What the policy pack said."""

    packs: tuple[str, ...]
    """Packs that ran."""
    rows: tuple[PolicyRow, ...]


class DriftView(Frozen):
    """Differences between the state and the cloud; nothing of them is the plan's doing."""

    state: EngineState
    note: str
    steps: tuple[StepRow, ...] = ()


class ConfigDiff(Frozen):
    """A unified diff of one rendered file, the same for every node named."""

    file: str
    nodes: tuple[str, ...]
    lines: tuple[str, ...]
    left_out: int
    """Lines beyond what is kept."""


class ConfigDiffs(Frozen):
    """Differences of what nodes read."""

    note: str
    changed: int
    added: int
    removed: int
    diffs: tuple[ConfigDiff, ...]


class Measured(Frozen):
    """Load of a tier's applications before the plan; -1 stands for what was not measured."""

    tier: Name
    mbps: tuple[int, ...]
    """Per step of the grid, the last one ends where the grid starts."""


class Review(Frozen):
    """The whole report."""

    format: Literal[1] = 1
    stack: Name
    region: Text
    reviewed_at: UtcTime
    ecm_version: Text
    verdict: Verdict
    changes: tuple[ClassedChange, ...]
    """Worst first."""
    chains: tuple[ChainRow, ...]
    tiers: tuple[TierRow, ...]
    moves: tuple[Move, ...]
    outages: tuple[ProfileOutage, ...]
    cost: CostChange
    routes: tuple[RouteRow, ...]
    checks: tuple[CheckRow, ...]
    forecasts: tuple[ForecastRow, ...]
    because: tuple[Because, ...]
    """Of applications; tiers carry their own."""
    inputs: tuple[InputRow, ...]
    engine: EngineView
    policies: Policies
    drift: DriftView
    configs: ConfigDiffs
    grid: Grid | None
    events: tuple[PlannedEvent, ...]
    measured: tuple[Measured, ...]
    max_utilisation_permille: int
