"""Where a stack's measured load comes from: `endpoint-chain-manager:telemetry` in its configuration."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from ecm.model.base import Frozen, Name
from ecm.model.series import NodeName, Whole

Label = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=128)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s@]+$", max_length=500)]
"""No user and password in it: configuration is no place for them."""
Selector = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^\[\]]*\})?$", max_length=500)]
"""A metric with or without label matchers, such as `ecm_traffic_bytes_total{job="nodes"}`."""


class Kind(StrEnum):
    """What a metric's values are."""

    COUNTER = "counter"
    """Rises until its process starts again."""
    GAUGE = "gauge"
    """The rate itself."""


class Unit(StrEnum):
    """What a metric counts; a gauge counts it per second."""

    BYTES = "bytes"
    KILOBYTES = "kilobytes"
    MEGABYTES = "megabytes"
    BITS = "bits"
    KILOBITS = "kilobits"
    MEGABITS = "megabits"

    @property
    def megabits(self) -> float:
        """Megabits in one of it; kilo is 1000."""
        name = self.value
        bits = 8.0 if name.endswith("bytes") else 1.0
        return bits * (1.0 if name.startswith("mega") else 1e-3 if name.startswith("kilo") else 1e-6)


class Part(Frozen):
    """One part of a series' name: a fixed value, or a label with its values translated."""

    label: Label | None = None
    """The label that holds it."""
    value: Annotated[str, StringConstraints(max_length=128)] | None = None
    """The value itself, the same for all."""
    names: dict[str, str] = Field(default_factory=dict)
    """What the label's values stand for, such as `wg-corp: corp`; a value that is not here stands for itself."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.label is None) == (self.value is None):
            raise ValueError("write either label: or value:")
        return self


class Mapping(Frozen):
    """How labels become VPN, application, tier and node."""

    vpn: Part = Part(label="vpn")
    application: Part = Part(label="application")
    tier: Part = Part(value="")
    """Only the points of ingress tiers, and those that name none, count as demand."""
    node: Part = Part(label="instance")


class Saturation(Frozen):
    """A metric that tells when a node or tier had no more to give, such as the network allowance of an EC2 instance."""

    metric: Selector
    kind: Kind = Kind.COUNTER
    above: float = 0.0
    """Rise per second of a counter, value of a gauge, mean over an interval: above it, points are lower bounds."""
    vpn: Part | None = None
    tier: Part | None = None
    node: Part | None = Part(label="instance")
    """Whose points: those that have all that is named here, spelt as in the points."""

    @model_validator(mode="after")
    def _whose(self) -> Self:
        if self.vpn is None and self.tier is None and self.node is None:
            raise ValueError("name vpn:, tier: or node:, else no point could be told from another")
        return self


class PrometheusSource(Frozen):
    """A metric on a Prometheus server."""

    name: Name
    """Of this source: under it the history remembers how far it was collected."""
    url: Url
    metric: Selector = "ecm_traffic_bytes_total"
    kind: Kind = Kind.COUNTER
    unit: Unit = Unit.BYTES
    mapping: Mapping = Mapping()
    saturated_when: tuple[Saturation, ...] = ()
    """Points of intervals in which one of these holds are lower bounds of the demand."""
    token_file: str | None = None
    """A file with the bearer token to show; read at each run, never kept."""
    ca_file: str | None = None
    """Certificates that the server's is checked by; none: the system's."""


class Statistic(StrEnum):
    """How CloudWatch makes one value of an interval."""

    SUM = "Sum"
    """Of what was counted in it, such as NetworkOut."""
    AVERAGE = "Average"
    """Of a rate per second."""


class CloudWatchSeries(Frozen):
    """One metric's dimensions, and whose load that is: AWS's own metrics know neither VPN nor application."""

    vpn: Name
    application: Name
    tier: Whole = ""
    node: NodeName = ""
    dimensions: Annotated[dict[str, str], Field(min_length=1, max_length=30)]


class CloudWatchSaturation(Frozen):
    """A metric with the dimensions of a source's series that tells when there was no more to give."""

    namespace: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    metric: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    statistic: Statistic = Statistic.SUM
    above: float = 0.0
    """Above it, the points of an interval are lower bounds."""


class CloudWatchSource(Frozen):
    """A metric in CloudWatch, in the region of the stack."""

    name: Name
    namespace: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    metric: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    statistic: Statistic = Statistic.SUM
    unit: Unit = Unit.BYTES
    series: Annotated[tuple[CloudWatchSeries, ...], Field(min_length=1)]
    saturated_when: tuple[CloudWatchSaturation, ...] = ()
    """Points of intervals in which one of these holds are lower bounds of the demand."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        keys = [(s.vpn, s.application, s.tier, s.node) for s in self.series]
        if len(set(keys)) != len(keys):
            raise ValueError("two series are of one VPN, application, tier and node; name the node of each")
        return self


class Collection(Frozen):
    """What is collected, how finely, and for how long it is kept."""

    interval_min: Annotated[int, Field(ge=1, le=60)] = 1
    """Minutes of one point; divides 60."""
    back_fill_days: Annotated[int, Field(ge=1, le=400)] = 14
    """How far the first run of a source goes back."""
    keep_raw_days: Annotated[int, Field(ge=1)] = 56
    keep_days: Annotated[int, Field(ge=1)] = 400
    saturated_at_pct: Annotated[int, Field(ge=50, le=100)] | None = 95
    """Where a tier's load reaches so much of the applied plan's capacity, its points are lower bounds; none: never."""
    prometheus: tuple[PrometheusSource, ...] = ()
    cloudwatch: tuple[CloudWatchSource, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if 60 % self.interval_min:
            raise ValueError("interval_min must divide 60")
        if self.keep_days < self.keep_raw_days:
            raise ValueError("keep_days is less than keep_raw_days")
        names = [p.name for p in self.prometheus] + [c.name for c in self.cloudwatch]
        if len(set(names)) != len(names):
            raise ValueError("two sources have one name")
        return self
