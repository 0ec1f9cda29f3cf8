"""Plans that take overlays, leases and overlays of them, for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network

from ecm import signing
from ecm.model.fleet import WayIn
from ecm.model.overlay import Overlay, OverlayRule
from ecm.model.plan import Desired, OverlayChoice, OverlayPlan, Plan
from ecm.serve.lease import Lease
from ecm.serve.overlay import compiled
from tests.builders import a_digest, a_plan, a_route
from tests.unit.render_states import three_tiers

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
SERVICE = signing.new_key()
"""The routing service's key."""


def choosing(**changes) -> Desired:
    """Two chains that branch at the edge: `web` may take both, `secret` the guarded one; `vpc` comes by a route."""
    values = {
        "applications": (
            a_route("web", 1, chain="guarded", destinations=(IPv4Network("203.0.113.0/24"),), ports=()),
            a_route(
                "bulk", 2, chain="fast", traffic_class="silver", destinations=(IPv4Network("0.0.0.0/0"),), ports=()
            ),
            a_route("secret", 3, chain="guarded", destinations=(IPv4Network("198.51.100.0/24"),), ports=()),
            a_route("vpc", 4, chain="fast", destinations=(IPv4Network("192.0.2.0/24"),), way_in=WayIn.VPC_ROUTE),
        ),
        "overlay": OverlayPlan(
            signers=(SERVICE.public,),
            choices=(
                OverlayChoice(application="bulk", chains=("fast", "guarded")),
                OverlayChoice(application="secret", chains=("guarded",)),
                OverlayChoice(application="vpc", chains=("fast", "guarded")),
                OverlayChoice(application="web", chains=("fast", "guarded")),
            ),
        ),
    }
    return three_tiers(**(values | changes))


def a_choosing_plan(**changes) -> Plan:
    """A plan of `choosing`."""
    return a_plan(choosing(**changes))


def asked(chain: str = "fast", number: int = 1, application: str = "web", **changes) -> Lease:
    """The `number`-th lease, each made a second after the one before it."""
    made = NOW + timedelta(seconds=number)
    values = {
        "id": f"{number:032x}",
        "application": application,
        "vpn": "corp",
        "chain": chain,
        "tiers": ("edge", "out"),
        "bandwidth_mbps": 5,
        "entry": "corp.vpn.example.com:51820",
        "traffic_class": "silver" if application == "bulk" else "gold",
        "mark": "0x10200001",
        "plan": a_digest("plan"),
        "made_at": made,
        "expires_at": made + timedelta(seconds=600),
    }
    return Lease(**(values | changes))


def an_overlay(*leases: Lease, serial: int = 1, now: datetime = NOW, **changes) -> Overlay:
    """The overlay of `leases`, or of one that moves `web` to the fast chain."""
    made = compiled(leases or (asked(),), a_choosing_plan(), "corp").overlay(a_choosing_plan(), "corp", serial, now)
    return Overlay.model_validate(made.model_dump() | changes)


def packet(rules: tuple[OverlayRule, ...], application: str, at: tuple[int, int, int, int]) -> list[OverlayRule]:
    """The rules that fit a packet: source, destination, protocol and port."""
    return [
        rule
        for rule in rules
        if rule.application == application
        and int(rule.sources[0]) <= at[0] <= int(rule.sources[1])
        and int(rule.destinations[0]) <= at[1] <= int(rule.destinations[1])
        and rule.protocols[0] <= at[2] <= rule.protocols[1]
        and rule.ports[0] <= at[3] <= rule.ports[1]
    ]
