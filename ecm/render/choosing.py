"""What an overlay may choose: for each application its mark in the base, and its marks on other chains."""

from __future__ import annotations

from ecm.model.document import FORWARD_TABLES, ChainMark, Choosable
from ecm.model.fleet import WayIn
from ecm.model.plan import ApplicationRoute, ChainPlan, Desired
from ecm.render.errors import RenderError
from ecm.render.marks import flow_mark, word


def choosable(desired: Desired, vpn: str) -> tuple[Choosable, ...]:
    """Return what is declared for each application of `vpn`, by name; nothing where the stack takes no overlay.

    Every chain of a VPN begins at its ingress tier, where flows are marked, so a choice never asks a client to connect
    elsewhere. Workloads have their way back on chains that carry workloads in the base, and may take no other.
    """
    if desired.overlay is None:
        return ()
    allowed = {choice.application: set(choice.chains) for choice in desired.overlay.choices}
    routes = sorted((a for a in desired.applications if a.vpn == vpn), key=lambda a: a.application)
    chains = {c.id: c for c in desired.chains if c.vpn == vpn}
    with_workloads = {a.chain for a in routes if a.way_in is WayIn.VPC_ROUTE}
    found = []
    for route in routes:
        named = allowed.get(route.application, set()) | {route.chain}
        marks = tuple(
            _mark(desired, route, chain)
            for name, chain in sorted(chains.items())
            if name in named and (route.way_in is WayIn.CLIENT or name in with_workloads)
        )
        base = next((m.mark for m in marks if m.chain == route.chain), None)
        if base is None:
            raise RenderError(
                f"application {route.application}: chain", route.chain, f"is no chain of VPN {vpn}", "plan again"
            )
        found.append(Choosable(application=route.application, base=base, choices=marks))
    return tuple(found)


def _mark(desired: Desired, route: ApplicationRoute, chain: ChainPlan) -> ChainMark:
    number = next(c.number for c in desired.classes if c.id == route.traffic_class)
    mark = word(flow_mark(number, chain.number, route.number))
    table = FORWARD_TABLES + chain.number if len(chain.tiers) > 1 else None
    return ChainMark(chain=chain.id, traffic_class=route.traffic_class, mark=mark, table=table)
