"""What a stack cost over a period, and who brought that about."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ecm.model.base import Digest, Frozen, MicroUsd, Name, Text, UtcTime

Megabytes = Annotated[int, Field(ge=0)]
"""Of 10^6 bytes, rounded down."""


class Charge(Frozen):
    """Money by what it was paid for, micro-USD over the whole period."""

    compute_usd_micro: MicroUsd = 0
    """Nodes."""
    shared_usd_micro: MicroUsd = 0
    """Public addresses, load balancers, interface endpoints."""
    traffic_usd_micro: MicroUsd = 0
    """The load balancers' capacity units, traffic between zones and to the internet."""

    @property
    def total_usd_micro(self) -> int:
        """All of it."""
        return self.compute_usd_micro + self.shared_usd_micro + self.traffic_usd_micro


class Both(Frozen):
    """A charge as measured, and as the plans expected it."""

    measured: Charge
    forecast: Charge
    """The same nodes at the load that each plan was priced at: the P50 of its window."""


class ApplicationSpend(Frozen):
    """What one application cost."""

    application: Name
    vpn: Name
    chain: Name
    """By the last plan of the period that has it."""
    megabytes: Megabytes
    """Measured, download plus upload, counted once: where its clients come in."""
    cost: Both


class ChainTraffic(Frozen):
    """What one chain carried."""

    chain: Name
    vpn: Name
    megabytes: Megabytes


class VpnSpend(Frozen):
    """The sum over a VPN's applications."""

    vpn: Name
    megabytes: Megabytes
    cost: Both


class Line(Frozen):
    """One part of the total, as in a plan's cost."""

    item: Text
    cost_usd_micro: MicroUsd
    """Measured."""


class Stood(Frozen):
    """A plan, and when it stood within the period."""

    plan: Digest
    start: UtcTime
    end: UtcTime
    prices_as_of: Text
    """Day of the prices of its nodes."""


class Spend(Frozen):
    """The cost of a period: applications, headroom and what was not measured add up to the total, exactly."""

    start: UtcTime
    end: UtcTime
    plans: tuple[Stood, ...] = Field(min_length=1)
    """In time order; before the first of them nothing stood, or it is not known what."""
    traffic_prices_as_of: Text
    applications: tuple[ApplicationSpend, ...]
    """Sorted by VPN and application."""
    vpns: tuple[VpnSpend, ...]
    chains: tuple[ChainTraffic, ...]
    headroom: Both
    """What nobody used: capacity above the load, and what is shared while nobody sends."""
    unmeasured: Both
    """Of times when the load of an application that shares it is not known."""
    total: Both
    lines: tuple[Line, ...]
