"""How a node knows an application's packets: by destination and port, most specific first."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ecm.model.fields import Checked, Network, Service, Word
from ecm.model.plan import ApplicationRoute
from ecm.render.errors import RenderError
from ecm.render.marks import flow_mark, word
from ecm.render.topology import TierView

_ASCII_DIGITS = frozenset("0123456789")


class Match(Checked):
    """Packets of one application towards, or from, destinations of one prefix length."""

    networks: tuple[Network, ...] = Field(min_length=1)
    to_ports: Service
    from_ports: Service
    mark: Word


class Matches(Checked):
    """Matches in the order in which they are tried; `everywhere` holds those that mean the whole internet."""

    specific: tuple[Match, ...]
    everywhere: tuple[Match, ...]


def matches(view: TierView, applications: tuple[ApplicationRoute, ...]) -> Matches:
    """Return the matches of `applications`: longer prefixes first, then those with ports, then by number.

    A destination of 0.0.0.0/0 means the internet; what belongs to the stack itself is not part of it.
    """
    keyed: list[tuple[tuple[int, bool, int, str], Match]] = []
    chains = {c.id: c.number for c in view.desired.chains if c.vpn == view.vpn.id}
    for application in applications:
        if application.chain not in chains:
            raise RenderError(
                f"application {application.application}: chain",
                application.chain,
                f"is no chain of VPN {view.vpn.id}",
                "plan again",
            )
        number = view.class_number(application.traffic_class)
        mark = word(flow_mark(number, chains[application.chain], application.number))
        for length in {d.prefixlen for d in application.destinations}:
            networks = tuple(sorted({d for d in application.destinations if d.prefixlen == length}))
            for protocol, ports in _services(application):
                match = Match(
                    networks=networks,
                    to_ports=_service(protocol, "d", ports),
                    from_ports=_service(protocol, "s", ports),
                    mark=mark,
                )
                keyed.append(((-length, not ports, application.number, protocol or ""), match))
    keyed.sort(key=lambda pair: pair[0])
    return Matches(
        specific=tuple(m for key, m in keyed if key[0] != 0), everywhere=tuple(m for key, m in keyed if key[0] == 0)
    )


def _services(
    application: ApplicationRoute,
) -> list[tuple[Literal["tcp", "udp"] | None, tuple[tuple[int, int], ...]]]:
    """Return the application's ports by protocol; none: every packet."""
    if not application.ports:
        return [(None, ())]
    found: dict[Literal["tcp", "udp"], set[tuple[int, int]]] = {}
    for text in application.ports:
        protocol, _, span = text.partition("/")
        low, _, high = span.partition("-")
        known = protocol in ("tcp", "udp")
        plain = set(low + high) <= _ASCII_DIGITS and low
        first, last = (int(low), int(high or low)) if plain else (0, 0)
        if not known or not 1 <= first <= last <= 65535:
            raise RenderError(
                f"application {application.application}: ports",
                ascii(text),
                "is not a protocol with a port or range from 1 to 65535",
                "write it as tcp/443 or udp/3478-3481",
            )
        found.setdefault("tcp" if protocol == "tcp" else "udp", set()).add((first, last))
    return [(protocol, _merged(spans)) for protocol, spans in sorted(found.items())]


def _merged(spans: set[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join spans that overlap: an nftables set refuses them."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def _service(protocol: str | None, side: Literal["s", "d"], spans: tuple[tuple[int, int], ...]) -> str:
    if protocol is None:
        return ""
    ports = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
    return f"{protocol} {side}port {{ {ports} }}"
