"""A fleet of thousands of applications and its forecast: few large VPNs, many small ones, tiers shared by chains.

VPN number k of n has a share of the applications in proportion to 1 / k (Zipf), and of the chains in proportion to the
square root of that. Every VPN has one ingress tier on all of its chains; each egress tier is on a direct chain and on
one through a transit tier with inspection and pre-shared keys, and each transit tier is shared by several of those.
Half of the applications may use the chains of a few egress tiers alone, as destinations that know those addresses ask
for, and a quarter only those with the transit tier; confidential ones find their security level on every other egress.
"""

from __future__ import annotations

import math
from ipaddress import IPv4Network

import numpy as np
import numpy.typing as npt

from benchmarks.fleets import AS_OF, POOL, ROOT
from ecm import intent
from ecm.intent import Intent
from ecm.model.demand import Forecast
from ecm.model.fleet import Application, Chain, Fleet, Network, Role, Tier, Vpn
from ecm.model.forecast import ApplicationForecast
from ecm.model.policy import Qos

SEED = 11
SCENARIOS, STEPS, WINDOW_FIRST = 400, 12, 4
"""Of a forecast, as `ecm plan` makes it for a few weeks of history on a grid of 15 min."""
INTERVAL_MIN = 15
PROFILES = {"bulk": (0.5, 1), "interactive": (0.35, 5), "confidential": (0.1, 5), "realtime": (0.05, 10)}
"""Share of the applications, and promised bandwidth in Mbit/s: less than in the example policies, whose applications
are far larger."""
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")


def intent_of(vpns: int, chains: int, applications: int) -> Intent:
    """Return the production policies with such a fleet; two chains a VPN at least."""
    base = intent.load(ROOT, "prod")
    random = np.random.default_rng(SEED)
    share = 1 / np.arange(1, vpns + 1)
    sizes = _apportioned(share, applications, least=1)
    branches = _apportioned(np.sqrt(share), chains // 2, least=1)
    pools = POOL.subnets(new_prefix=22)
    ids = [f"v{n:04d}" for n in range(vpns)]
    tiers, all_chains, apps = list[Tier](), list[Chain](), list[Application]()
    for vpn, size, egresses in zip(ids, sizes.tolist(), branches.tolist(), strict=True):
        tiers += _tiers(vpn, egresses)
        all_chains += _chains(vpn, egresses)
        apps += _applications(vpn, size, egresses, random)
    fleet = Fleet(
        stack="bench",
        region="us-east-1",
        zones=ZONES,
        network=Network(vpc_cidr=IPv4Network("10.0.0.0/16")),
        vpns=tuple(Vpn(id=v, client_cidr=next(pools)) for v in ids),
        applications=tuple(apps),
        tiers=tuple(tiers),
        chains=tuple(all_chains),
    )
    profiles = tuple(
        p.model_copy(update={"bandwidth_mbps": PROFILES[p.id][1]}) for p in base.qos.profiles if p.id in PROFILES
    )
    return base.model_copy(update={"fleet": fleet, "qos": Qos(classes=base.qos.classes, profiles=profiles)})


def forecast_of(fleet: Fleet, *, changed: float = 0.0) -> Forecast:
    """Return a forecast: levels of a heavy tail, shocks that a VPN's applications share, and noise of their own.

    `changed` is the mean change of load against 0: each application changes by a factor of its own around it.
    """
    random = np.random.default_rng(SEED)
    ids = sorted(a.id for a in fleet.applications)
    vpn_of = {a.id: a.vpn for a in fleet.applications}
    vpns = sorted({a.vpn for a in fleet.applications})
    level = np.minimum(random.lognormal(1.5, 0.9, len(ids)), 150.0)
    shocks = dict(zip(vpns, 0.05 * random.standard_normal((len(vpns), SCENARIOS, 1)), strict=True))
    drift = dict(zip(vpns, 0.02 * random.standard_normal((len(vpns), SCENARIOS, STEPS)), strict=True))
    if changed:
        level = level * (1 + changed * random.uniform(0, 2, len(ids)))
    scenarios = np.empty((len(ids), SCENARIOS, STEPS))
    for row, (name, mbps) in enumerate(zip(ids, level, strict=True)):
        own = 0.15 * random.standard_normal((SCENARIOS, 1)) + 0.05 * random.standard_normal((SCENARIOS, STEPS))
        scenarios[row] = np.maximum(np.rint(mbps * (1 + shocks[vpn_of[name]] + drift[vpn_of[name]] + own)), 0)
    return Forecast(
        start=AS_OF,
        interval_min=INTERVAL_MIN,
        window_first_step=WINDOW_FIRST,
        applications=tuple(_row(a, vpn_of[a], scenarios[n]) for n, a in enumerate(ids)),
        scenarios=scenarios,
        earlier=np.empty((0, len(ids), SCENARIOS, STEPS - WINDOW_FIRST)),
        tail_factor_permille=1050,
    )


def _row(application: str, vpn: str, scenarios: npt.NDArray[np.float64]) -> ApplicationForecast:
    p50, p90, p99 = (np.quantile(scenarios, q, axis=0).astype(int).tolist() for q in (0.5, 0.9, 0.99))
    w50, w90, w99 = np.quantile(scenarios[:, WINDOW_FIRST:].max(axis=1), (0.5, 0.9, 0.99)).astype(int).tolist()
    return ApplicationForecast(
        application=application,
        vpn=vpn,
        model="generated",
        p50_mbps=tuple(p50),
        p90_mbps=tuple(p90),
        p99_mbps=tuple(p99),
        window_p50_mbps=w50,
        window_p90_mbps=w90,
        window_p99_mbps=w99,
        recent_peak_mbps=w50,
        last_mbps=p50[0],
        unexplained_fall=False,
        coverage_permille=900,
    )


def _apportioned(share: npt.NDArray[np.float64], total: int, *, least: int) -> npt.NDArray[np.int64]:
    """Return whole numbers in proportion to `share`, none below `least`, whose sum is `total`."""
    if total < least * len(share):
        raise ValueError(f"{total} do not give {len(share)} VPNs {least} each")
    found = least + np.floor((total - least * len(share)) * share / share.sum()).astype(np.int64)
    found[: total - found.sum()] += 1
    return found


def _transits(egresses: int) -> int:
    return math.ceil(egresses / 3)


def _tiers(vpn: str, egresses: int) -> list[Tier]:
    shapes = ("c6gn.medium", "c6gn.large", "c6gn.xlarge")
    ingress = Tier(
        id=f"{vpn}-in", role=Role.INGRESS, image="vpne-arm64", shapes=shapes, pre_shared_key=True, inspection=True
    )
    transit = [
        Tier(
            id=f"{vpn}-mid-{n}",
            role=Role.TRANSIT,
            image="vpne-arm64",
            shapes=shapes,
            pre_shared_key=True,
            inspection=True,
        )
        for n in range(_transits(egresses))
    ]
    egress = [
        Tier(
            id=f"{vpn}-out-{n}",
            role=Role.EGRESS,
            image="vpne-arm64",
            shapes=shapes[: 2 + n % 2],
            pre_shared_key=n % 2 == 0,
            inspection=n % 2 == 0,
        )
        for n in range(egresses)
    ]
    return [ingress, *transit, *egress]


def _chains(vpn: str, egresses: int) -> list[Chain]:
    found = []
    for n in range(egresses):
        found.append(Chain(id=f"{vpn}-direct-{n}", vpn=vpn, tiers=(f"{vpn}-in", f"{vpn}-out-{n}")))
        tiers = (f"{vpn}-in", f"{vpn}-mid-{n % _transits(egresses)}", f"{vpn}-out-{n}")
        found.append(Chain(id=f"{vpn}-guarded-{n}", vpn=vpn, tiers=tiers))
    return found


def _applications(vpn: str, count: int, egresses: int, random: np.random.Generator) -> list[Application]:
    anywhere = (IPv4Network("0.0.0.0/0"),)
    profiles = random.choice(list(PROFILES), count, p=[share for share, _ in PROFILES.values()])
    return [
        Application(
            id=f"{vpn}-a{n:04d}",
            vpn=vpn,
            profile=str(profile),
            destinations=anywhere,
            chains=_allowed(vpn, range(0, egresses, 2 if profile == "confidential" else 1), random),
        )
        for n, profile in enumerate(profiles)
    ]


def _allowed(vpn: str, egresses: range, random: np.random.Generator) -> tuple[str, ...]:
    """Return the chains that people allow: all for half of the applications, those of some egress tiers for others."""
    some = sorted(random.choice(egresses, min(len(egresses), int(random.integers(2, 5))), replace=False).tolist())
    near, guarded = random.random() < 0.5 and len(egresses) > 1, random.random() < 0.25
    if not near and not guarded:
        return ()
    kinds = ("guarded",) if guarded else ("direct", "guarded")
    return tuple(f"{vpn}-{kind}-{n}" for n in (some if near else egresses) for kind in kinds)
