"""The routing service for tests: one VPN, two chains, tokens, a clock that tests move; in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fastapi.testclient import TestClient

from ecm.model.fleet import Role
from ecm.model.policy import QosProfile
from ecm.model.request import ChainState, Stated, TierRoom
from ecm.serve.app import make_app
from ecm.serve.database import Place
from ecm.serve.offer import Offer, Terms
from ecm.serve.service import Settings
from ecm.serve.tokens import Token, Tokens
from tests.builders import a_chain, a_desired, a_plan, a_route, a_tier
from tests.leases import CHAINS, NOW, ROOM, STACK

ASKED = {"application": "web", "vpn": "corp", "bandwidth_mbps": 10, "ttl_s": 60}
LEVELS = {"short": 1, "long": 3}


def a_state(chain: str, room: dict[str, int]) -> ChainState:
    """A chain; the longer one is slower, dearer and more secure."""
    length = len(CHAINS[chain])
    numbers = {
        "security_level": LEVELS[chain],
        "latency_us": 1000 * length,
        "loss_ppm": 20,
        "outage_s": 21,
        "availability_ppm": 999_000,
        "marginal_usd_micro": length,
    }
    return ChainState(
        chain=chain,
        vpn="corp",
        region="us-east-1",
        tiers=tuple(TierRoom(tier=t, residual_mbps=room[t], origin="tests") for t in CHAINS[chain]),
        entry="corp.vpn.example.com",
        **{name: Stated(value=value, origin="tests") for name, value in numbers.items()},
    )


def a_profile(**changes) -> QosProfile:
    """Wants little."""
    values = {
        "id": "usual",
        "traffic_class": "gold",
        "latency_ms": 50,
        "bandwidth_mbps": 5,
        "security_level": 1,
        "max_outage_s": 60,
        "loss_pct": 1,
        "priority": 3,
        "violated_minute_usd": 0,
    }
    return QosProfile(**(values | changes))


def an_offer(applied: int = 1, room: dict[str, int] | None = None) -> Offer:
    """What the `applied`-th plan offers."""
    tiers = (a_tier("in"), a_tier("mid", Role.TRANSIT), a_tier("out", Role.EGRESS))
    chains = tuple(a_chain(CHAINS[name], name, number) for number, name in enumerate(sorted(CHAINS), 1))
    routes = (a_route("payroll", 2, chain="long"), a_route("web", 1, chain="short"))
    plan = a_plan(a_desired(tiers=tiers, chains=chains, applications=routes), serial=applied)
    states = tuple(a_state(name, ROOM if room is None else room) for name in sorted(CHAINS))
    terms = {"payroll": Terms(a_profile(security_level=3), states), "web": Terms(a_profile(), states)}
    return Offer(applied, plan, states, terms)


@dataclass
class World:
    """What the service sees of the outside."""

    place: Place
    at: datetime = NOW
    offer: Offer = field(default_factory=an_offer)

    def clock(self) -> datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def token(self, *applications: str, operator: bool = False, days: float = 30) -> str:
        """Make a token; a service that runs knows it within a second."""
        tokens = Tokens(self.place, STACK)
        ends = self.at + timedelta(days=days)
        wanted = Token(
            id="", applications=applications, operator=operator, made_at=self.at, expires_at=ends, who="tests"
        )
        made = tokens.make(wanted)
        tokens.close()
        return made

    def settings(self, rate_per_s: float = 1e6) -> Settings:
        """Nothing is read again but when a test says so."""
        return Settings(self.place, STACK, self.clock, lambda: self.offer, refresh_s=3600, rate_per_s=rate_per_s)


@contextmanager
def served(world: World, settings: Settings | None = None) -> Iterator[Callable[[str], TestClient]]:
    """Run the service for a block; what it yields makes the client of a token."""
    app = make_app(settings or world.settings())
    with TestClient(app) as client:

        def of(token: str) -> TestClient:
            made = TestClient(app, headers={"Authorization": f"Bearer {token}"})
            made.portal = client.portal
            return made

        yield of
