"""Small random fleets: one VPN, three chains over shared tiers, a few applications with random profiles."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from hypothesis import strategies as st

from ecm import intent
from ecm.intent import Intent
from ecm.model.fleet import Application, Chain, Fleet, Network, Role, Tier, Vpn
from ecm.model.policy import OnViolation, Qos, QosProfile

ROOT = Path(__file__).resolve().parents[2]
BASE = intent.load(ROOT, "prod")
ZONES = ("us-east-1a", "us-east-1b")
CHAINS = {"direct": ("in", "out"), "guarded": ("in", "mid", "out"), "other": ("in", "out-b")}


@dataclass(frozen=True)
class Wanted:
    """An application to be: its profile and the chains that people allow it."""

    profile: QosProfile
    chains: tuple[str, ...] = ()


def an_intent(wanted: tuple[Wanted, ...], chains: dict[str, tuple[str, ...]] | None = None) -> Intent:
    """An intent of one VPN with one application per `wanted`, `app-0` and up, and the production policies."""
    chains = chains or CHAINS
    roles = {"in": Role.INGRESS, "mid": Role.TRANSIT}
    used = sorted({t for tiers in chains.values() for t in tiers})
    fleet = Fleet(
        stack="small",
        region="us-east-1",
        zones=ZONES,
        network=Network(vpc_cidr=IPv4Network("10.0.0.0/16")),
        vpns=(Vpn(id="v", client_cidr=IPv4Network("100.64.0.0/16")),),
        applications=tuple(
            Application(
                id=f"app-{n}",
                vpn="v",
                profile=w.profile.id,
                destinations=(IPv4Network("198.51.100.0/24"),),
                chains=tuple(c for c in w.chains if c in chains),
            )
            for n, w in enumerate(wanted)
        ),
        tiers=tuple(
            Tier(
                id=t,
                role=roles.get(t, Role.EGRESS),
                image="vpne-arm64",
                shapes=("c6gn.large",) if t == "out-b" else ("c6gn.large", "c6gn.medium"),
                pre_shared_key=t != "out-b",
                inspection=t != "out-b",
            )
            for t in used
        ),
        chains=tuple(Chain(id=c, vpn="v", tiers=tiers) for c, tiers in chains.items()),
    )
    qos = Qos(classes=BASE.qos.classes, profiles=tuple(w.profile for w in wanted))
    return BASE.model_copy(update={"fleet": fleet, "qos": qos})


@st.composite
def applications(draw: st.DrawFn) -> tuple[Wanted, ...]:
    """One to four applications; most requirements can be met by some chain, all are strict."""
    return tuple(_wanted(draw, n) for n in range(draw(st.integers(1, 4))))


def _wanted(draw: st.DrawFn, number: int) -> Wanted:
    profile = QosProfile.model_validate(
        {
            "id": f"p-{number}",
            "traffic_class": "silver",
            "latency_ms": draw(st.sampled_from([20, 20, 20, 6, 6, 6, 4, 3])),
            "bandwidth_mbps": draw(st.sampled_from([0, 50, 400])),
            "security_level": draw(st.sampled_from([0, 1, 1, 1, 2, 2, 2, 3])),
            "max_outage_s": draw(st.sampled_from([300, 300, 300, 60, 60, 30, 30, 10])),
            "loss_pct": draw(st.sampled_from([1, 1, 0.1, 0.1, 0.012])),
            "priority": 3,
            "violated_minute_usd": draw(st.sampled_from([0, 0.02, 1])),
            "on_violation": OnViolation.STRICT,
        }
    )
    allowed = draw(st.sampled_from([(), (), ("direct", "guarded"), ("guarded",), ("other", "guarded"), ("other",)]))
    return Wanted(profile, allowed)


def loads() -> st.SearchStrategy[list[int]]:
    """Loads of four applications, Mbit/s."""
    return st.lists(st.integers(0, 1500), min_size=4, max_size=4)
