"""What a report of a backtest is made of: plain rows, so that this package knows nothing of who measured them.

A figure that was not measured is None or NaN; both are shown as a dash, never as zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ecm.charts.panel import Span


@dataclass(frozen=True)
class PolicyRow:
    """One policy at one setting over the test span."""

    name: str
    knob: str
    """Its setting in words, such as `target 0.7`."""
    violation_min: float
    """Minutes with more load than the ready nodes carry."""
    violation_share: float
    """Of the measured minutes."""
    unserved_share: float
    """Load above capacity over all load."""
    longest_min: float
    """Longest run of violated minutes."""
    instance_hours: float
    usd: float
    ratio_to_clairvoyant: float
    """Instance-hours over those of the cheapest schedule that knows the future and violates nothing."""
    operations: int
    """Scale actions."""
    node_changes: int
    """Nodes launched plus nodes removed."""
    theta_u: float
    theta_o: float
    tau_u: float
    tau_o: float
    upsilon: float
    """SPEC RG elasticity, per cent: under- and over-provisioning by amount and by time, instability (Bauer, Herbst,
    Spinner, Ali-Eldin, Kounev, Chameleon, TPDS 2019; Herbst et al., Ready for Rain, SPEC-RG-2016-01)."""
    coverage: float | None = None
    """Share of steps at or below the planning quantile; None: the policy states none."""


@dataclass(frozen=True)
class Point:
    """One setting of a swept policy."""

    knob: str
    ratio_to_clairvoyant: float
    violation_min: float


@dataclass(frozen=True)
class Curve:
    """A policy swept over its setting."""

    name: str
    points: tuple[Point, ...]
    chosen: int | None = None
    """Index of the point with the policy's default or recommended setting."""


@dataclass(frozen=True)
class Comparison:
    """Ours against a peer at equal instance-hours: violated minutes of ours over the peer's, below 1 is better."""

    peer: str
    violations_vs_peer: float
    low: float
    high: float
    """Its 90 % interval."""


@dataclass(frozen=True)
class ModelRow:
    """One forecasting model on one trace, alone; a model that is not installed has no figures."""

    model: str
    trace: str
    fit_s: float
    update_ms: float
    """Of one new step."""
    share_of_selections: float
    pinball_window: float
    """Mean pinball loss of the window maximum at the planning quantile, in the unit of the trace."""
    within_p99: float | None = None
    """Share of the windows whose maximum stayed within P99."""
    violation_min: float | None = None
    instance_hours: float | None = None
    """Of its own decisions."""
    installed: bool = True


@dataclass(frozen=True)
class HourRow:
    """Steps of one hour of the day: the share above a quantile, and its bootstrap interval."""

    hour: int
    exceedance: float
    low: float
    high: float


@dataclass(frozen=True)
class CoverageRow:
    """How often the load was above a stated quantile."""

    quantile: float
    """Between 0 and 1; the nominal share above it is 1 - quantile."""
    exceedance: float
    low: float
    high: float
    """Its bootstrap interval over days."""
    hours: tuple[HourRow, ...] = ()

    @property
    def nominal(self) -> float:
        """The share of steps that may lie above."""
        return round(1 - self.quantile, 9)


@dataclass(frozen=True)
class Replay:
    """Load against ready capacity, one value per step, both in the unit of the trace."""

    start: datetime
    step_min: int
    load: tuple[float, ...]
    """NaN where nothing was measured."""
    ready: tuple[float, ...]
    """The least capacity that was ready within the step."""
    violated_min: tuple[float, ...]
    """Violated minutes of the step."""
    unit: str = "Mbit/s"
    events: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Backtest:
    """Everything that a report says about one trace."""

    trace: str
    start: datetime
    end: datetime
    ours: str
    """Name of the policy that the verdict is about."""
    policies: tuple[PolicyRow, ...]
    curves: tuple[Curve, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    coverage: tuple[CoverageRow, ...] = ()
    models: tuple[ModelRow, ...] = ()
    replay: Replay | None = None
    settings: tuple[tuple[str, str], ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    """Name and digest of each input."""
