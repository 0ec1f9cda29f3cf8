"""What plans cost while they stood, shared among the applications by their load. Whole numbers: it adds up exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from ecm.model.catalog import Catalog
from ecm.model.fleet import Role
from ecm.model.plan import Plan
from ecm.model.spend import ApplicationSpend, Both, ChainTraffic, Charge, Line, Stood, VpnSpend

HEADROOM: Final = ""
UNMEASURED: Final = "?"
"""Who pays where no application does; neither can be an application's name."""
_KBIT_PER_GB: Final = 8_000_000
_KBIT_PER_MB: Final = 8_000
_HOUR: Final = 3600
_PER: Final = {"compute": _HOUR, "shared": _HOUR, "traffic": _KBIT_PER_GB * 100}
"""What divides a category's sums into micro-USD."""


@dataclass(frozen=True)
class Span:
    """A plan while it stood, and the load meanwhile."""

    plan: Plan
    when: Stood
    applications: tuple[str, ...]
    """The rows of `kbit`."""
    kbit: npt.NDArray[np.int64]
    """(applications, steps): what each step brought, kilobits; 0 where it is not known."""
    known: npt.NDArray[np.bool_]
    """Shape of `kbit`."""
    seconds: npt.NDArray[np.int64]
    """Length of each step; together the time for which the plan stood."""

    def rows(self, applications: Sequence[str]) -> list[int]:
        """Return the rows of those of `applications` that have one."""
        return [i for i, name in enumerate(self.applications) if name in applications]

    def expected(self) -> Span:
        """Return the same at the load that the plan was priced at: the P50 of its window, all the time."""
        seconds = int(self.seconds.sum())
        loads = {f.application: f.window_p50_mbps for f in self.plan.forecasts}
        kbit = np.array([[load * 1000 * seconds] for load in loads.values()], dtype=np.int64)
        known = np.ones(kbit.shape, dtype=np.bool_)
        return Span(self.plan, self.when, tuple(loads), kbit, known, np.array([seconds], dtype=np.int64))


@dataclass
class _Bill:
    """Charges by category, item and who pays; in micro-USD times what `_PER` divides by."""

    owed: dict[str, Counter[str]] = field(default_factory=lambda: {c: Counter() for c in _PER})
    items: dict[str, Counter[str]] = field(default_factory=lambda: {c: Counter() for c in _PER})

    def add(self, category: str, item: str, shares: Mapping[str, int]) -> None:
        self.owed[category].update(shares)
        self.items[category][item] += sum(shares.values())

    def charges(self) -> dict[str, Charge]:
        """Return what each pays; the charges of a category add up to its total, rounded once."""
        found = {c: apportioned(_rounded(sum(owed.values()), _PER[c]), owed) for c, owed in self.owed.items()}
        payers = sorted({name for owed in self.owed.values() for name in owed} | {HEADROOM, UNMEASURED})
        return {p: Charge(**{f"{c}_usd_micro": shares.get(p, 0) for c, shares in found.items()}) for p in payers}

    def lines(self) -> tuple[Line, ...]:
        """Return each item, so that they add up to the same total."""
        made = []
        for category, items in self.items.items():
            total = _rounded(sum(items.values()), _PER[category])
            made += [Line(item=i, cost_usd_micro=usd) for i, usd in apportioned(total, items).items()]
        return tuple(sorted(made, key=lambda line: line.item))


@dataclass(frozen=True)
class Shares:
    """Everything that a period cost, shared."""

    applications: tuple[ApplicationSpend, ...]
    vpns: tuple[VpnSpend, ...]
    chains: tuple[ChainTraffic, ...]
    headroom: Both
    unmeasured: Both
    total: Both
    lines: tuple[Line, ...]


def shared(standing: Sequence[Span], catalog: Catalog) -> Shares:
    """Return what the plans cost while they stood, and who pays it.

    A tier's nodes are paid by what each application used of the tier's capacity, or of the load where that is more; the
    rest is headroom. Addresses and balancers are paid by the load of the tier that has them, traffic by its own bytes.
    Nodes cost what their plan says; `catalog` has the prices of traffic.
    """
    measured, expected = _bill(standing, catalog), _bill([s.expected() for s in standing], catalog)
    paid, owed = measured.charges(), expected.charges()
    costs = {p: Both(measured=paid.get(p, Charge()), forecast=owed.get(p, Charge())) for p in {*paid, *owed}}
    routes = {route.application: route for s in standing for route in s.plan.desired.applications}
    sent, carried = _sent(standing)
    applications = tuple(
        ApplicationSpend(
            application=name,
            vpn=route.vpn,
            chain=route.chain,
            megabytes=sent[name] // _KBIT_PER_MB,
            cost=costs.get(name, Both(measured=Charge(), forecast=Charge())),
        )
        for name, route in sorted(routes.items(), key=lambda item: (item[1].vpn, item[0]))
    )
    return Shares(
        applications=applications,
        vpns=_vpns(applications, sent),
        chains=tuple(
            ChainTraffic(chain=chain, vpn=vpn, megabytes=kbit // _KBIT_PER_MB)
            for (vpn, chain), kbit in sorted(carried.items())
        ),
        headroom=costs[HEADROOM],
        unmeasured=costs[UNMEASURED],
        total=added(costs.values()),
        lines=measured.lines(),
    )


def apportioned(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return `total` shared in proportion to `weights`, in whole numbers that add up to it: largest remainders first.

    Where all weights are 0, `total` has to be 0 too.
    """
    whole = sum(weights.values())
    if whole == 0:
        if total:
            raise ValueError("nobody to share among")
        return dict.fromkeys(weights, 0)
    shares = {name: total * weight // whole for name, weight in weights.items()}
    left = sorted(weights, key=lambda name: (-(total * weights[name] % whole), name))
    for name in left[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def added(costs: Iterable[Both]) -> Both:
    """Return the sum."""
    found = tuple(costs)
    return Both(measured=_sum(c.measured for c in found), forecast=_sum(c.forecast for c in found))


def _sum(charges: Iterable[Charge]) -> Charge:
    total: Counter[str] = Counter()
    for charge in charges:
        total.update(charge.model_dump())
    return Charge(**total)


def _bill(standing: Sequence[Span], catalog: Catalog) -> _Bill:
    bill = _Bill()
    for one in standing:
        seconds = int(one.seconds.sum())
        for line in one.plan.cost.lines:
            if line.standing and line.after_usd_micro_per_hour:
                category = "compute" if line.item.startswith("compute ") else "shared"
                bill.add(category, line.item, _line(one, line.item, line.after_usd_micro_per_hour * seconds))
        for item, per_gb, hops in _traffic(one.plan, catalog):
            sent = {name: int(one.kbit[i].sum()) for i, name in enumerate(one.applications) if name in hops}
            bill.add("traffic", item, {name: kbit * per_gb * hops[name] for name, kbit in sent.items()})
    return bill


def _traffic(plan: Plan, catalog: Catalog) -> Iterator[tuple[str, int, dict[str, int]]]:
    """Give each price of traffic: its line, 100 times micro-USD per GB, and how often each application pays it."""
    price, model = catalog.bandwidth, catalog.traffic
    tiers = {chain.id: len(chain.tiers) for chain in plan.desired.chains}
    once = {route.application: 1 for route in plan.desired.applications}
    between = {route.application: tiers[route.chain] - 1 for route in plan.desired.applications}
    yield "traffic entry", price.nlcu_usd_per_hour * 100, once
    yield "traffic between zones", price.cross_zone_usd_per_gb * model.cross_zone_pct, between
    yield "traffic to the internet", price.internet_usd_per_gb * model.internet_pct, once


def _line(one: Span, item: str, owed: int) -> dict[str, int]:
    """Share `owed` of a line among its parts, and each part among those who use it."""
    parts = _parts(one.plan, item)
    found: Counter[str] = Counter()
    for name, part in apportioned(owed, {name: part.weight for name, part in parts.items()}).items():
        found.update(_used(one, parts[name], part))
    return dict(found)


@dataclass(frozen=True)
class _Part:
    """Part of a line of cost: its weight in the line, who uses it, and the capacity that was paid for, if any."""

    weight: int
    applications: frozenset[str]
    capacity_mbps: int | None = None


def _parts(plan: Plan, item: str) -> dict[str, _Part]:
    desired = plan.desired
    users = {
        tier.id: frozenset(
            route.application
            for route in desired.applications
            if any(chain.id == route.chain and tier.id in chain.tiers for chain in desired.chains)
        )
        for tier in desired.tiers
    }
    if item.startswith("compute "):
        tier = item.removeprefix("compute ")
        capacity = next((evidence.capacity_mbps for evidence in plan.tiers if evidence.tier == tier), 0)
        return {tier: _Part(1, users[tier], capacity)}
    entries = [tier.id for tier in desired.tiers if tier.role is Role.INGRESS]
    if item == "load balancers":
        return {tier: _Part(1, users[tier]) for tier in entries}
    if item == "public addresses":
        exits = {tier.id: sum(len(s.nodes) for s in tier.slots) for tier in desired.tiers if tier.exits}
        zones = dict.fromkeys(entries, len(desired.network.zones))
        addresses = Counter(exits) + Counter(zones)
        return {tier: _Part(number, users[tier]) for tier, number in addresses.items()}
    return {item: _Part(1, frozenset(route.application for route in desired.applications))}


def _used(one: Span, part: _Part, owed: int) -> dict[str, int]:
    """Share `owed` by use while the load of all users is known; the rest of the time is not measured."""
    rows = one.rows(sorted(part.applications))
    known = one.known[rows].all(axis=0) if len(rows) == len(part.applications) else np.zeros(len(one.seconds), bool)
    measured = int(one.seconds[known].sum())
    rest = int(one.seconds.sum()) - measured
    over = apportioned(owed, {HEADROOM: measured, UNMEASURED: rest})
    weights = {one.applications[i]: int(one.kbit[i, known].sum()) for i in rows}
    load = sum(weights.values())
    idle = max((part.capacity_mbps or 0) * 1000 * measured - load, 0)
    weights[HEADROOM] = idle if load or idle else 1
    return {UNMEASURED: over[UNMEASURED], **apportioned(over[HEADROOM], weights)}


def _sent(standing: Sequence[Span]) -> tuple[Counter[str], dict[tuple[str, str], int]]:
    """Return kilobits by application, and by VPN and chain."""
    sent: Counter[str] = Counter()
    carried: Counter[tuple[str, str]] = Counter()
    for one in standing:
        carried.update({(chain.vpn, chain.id): 0 for chain in one.plan.desired.chains})
        for route in one.plan.desired.applications:
            kbit = sum(int(one.kbit[i].sum()) for i in one.rows([route.application]))
            sent[route.application] += kbit
            carried[route.vpn, route.chain] += kbit
    return sent, carried


def _vpns(applications: Sequence[ApplicationSpend], sent: Mapping[str, int]) -> tuple[VpnSpend, ...]:
    return tuple(
        VpnSpend(
            vpn=vpn,
            megabytes=sum(sent[a.application] for a in applications if a.vpn == vpn) // _KBIT_PER_MB,
            cost=added([a.cost for a in applications if a.vpn == vpn]),
        )
        for vpn in sorted({a.vpn for a in applications})
    )


def _rounded(amount: int, per: int) -> int:
    return (2 * amount + per) // (2 * per)
