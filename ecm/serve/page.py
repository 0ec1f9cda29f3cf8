"""The status page: chains, tiers, load and leases, for people. One page, no script, no request, nothing to change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from string import Template
from typing import Final

from ecm.serve.book import Reader
from ecm.serve.lease import Lease, TierLoad
from ecm.serve.offer import Offer
from ecm.serve.service import Service

LEASES: Final = 100
"""Leases of one page."""
_PAGE: Final = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Routes of stack $stack</title>
<style>
:root { --ink: #1b1b1b; --quiet: #555; --paper: #fff; --card: #f5f6f8; --line: #d9dce1; --stop: #a3161b;
  --focus: #0b57d0; color-scheme: light dark }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --quiet: #b0b4ba; --paper: #16181b; --card: #22262b; --line: #3a4047; --stop: #ff8d8d;
    --focus: #a8c7fa }
}
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1200px; padding: 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.35rem; margin: .2rem 0 .4rem } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem }
.scroll { overflow-x: auto } .quiet { color: var(--quiet) } .stop { color: var(--stop); font-weight: 600 }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; width: 100% }
caption { text-align: left; color: var(--quiet); padding: .2rem 0 }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: normal }
th { border-bottom-width: 2px } .number { text-align: right }
meter { width: 7rem } a { color: inherit }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px }
.skip { position: absolute; left: -99rem } .skip:focus { position: static }
</style>
</head>
<body>
<a class="skip" href="#leases">To the leases</a>
<header>
<h1>Routes of stack $stack</h1>
<p>$count leases, $promised Mbit/s promised. Seen $now UTC; <a href="./">look again</a>.</p>
<p class="quiet">Plan $plan, serial $serial, planned $planned UTC.</p>
</header>
<main>
$chains
$tiers
$leases
</main>
</body>
</html>
""")


def status_page(service: Service, reader: Reader, after: str) -> str:
    """Return the page, with the leases whose ids are above `after`."""
    offer, now = service.desk.offer, service.clock()
    leases = reader.leases(now, applications=None, after=after, most=LEASES)
    counts, loads = reader.counts(now), reader.loads()
    return _PAGE.substitute(
        stack=escape(service.settings.stack),
        count=f"{sum(counts.values()):,}",
        promised=f"{reader.promised(now):,}",
        now=f"{now:%Y-%m-%d %H:%M:%S}",
        plan=escape(offer.digest[:19]),
        serial=offer.plan.serial,
        planned=f"{offer.plan.as_of:%Y-%m-%d %H:%M}",
        chains=_chains(offer, loads),
        tiers=_tiers(offer, loads),
        leases=_leases(leases, first=not after),
    )


def _chains(offer: Offer, loads: Sequence[TierLoad]) -> str:
    free = {load.tier: load.free_mbps for load in loads}
    rows = [
        (
            state.chain,
            state.vpn,
            " → ".join(tier.tier for tier in state.tiers),
            str(state.security_level.value),
            f"{state.latency_us.value / 1000:.1f}",
            f"{state.loss_ppm.value / 10_000:.3f}",
            str(state.outage_s.value),
            f"{state.availability_ppm.value / 10_000:.3f}",
            f"{max(0, min(free.get(tier.tier, 0) for tier in state.tiers)):,}",
        )
        for state in offer.states
    ]
    heads = ("Chain", "VPN", "Tiers", "Security", "Latency p95 ms", "Loss %", "Outage s", "Available %", "Free Mbit/s")
    return _table("Chains", "What each chain offers now; free is what its scarcest tier has left.", heads, rows)


def _tiers(offer: Offer, loads: Sequence[TierLoad]) -> str:
    planned_tiers = {tier.tier: tier for tier in offer.plan.tiers}
    rows = []
    for load in loads:
        known = planned_tiers.get(load.tier)
        total = known.usable_mbps if known else load.room_mbps
        forecast = f"{known.load.p50_mbps:,} / {known.load.p99_mbps:,}" if known else "none"
        used = total - load.room_mbps + load.promised_mbps
        share = 100 * used // total if total else 0
        meter = f'<meter min="0" max="100" high="90" value="{min(share, 100)}">{share} %</meter> {share} %'
        over = (
            f'<span class="stop">{-load.free_mbps:,} too many</span>' if load.free_mbps < 0 else f"{load.free_mbps:,}"
        )
        planned = total - load.room_mbps
        numbers = (f"{total:,}", forecast, f"{planned:,}", f"{load.promised_mbps:,}")
        rows.append((escape(load.tier), *numbers, over, meter))
    heads = ("Tier", "Usable Mbit/s", "Forecast P50 / P99", "Planned load", "Promised", "Free", "Taken")
    said = "Usable is what a tier holds after its worst loss; planned load is what the forecast puts on it."
    return _table("Tiers", said, heads, rows, raw=True)


def _leases(leases: Sequence[Lease], *, first: bool) -> str:
    rows = [
        (
            lease.id,
            lease.application,
            lease.chain,
            lease.traffic_class,
            f"{lease.bandwidth_mbps:,}",
            lease.entry,
            lease.mark,
            f"{lease.expires_at:%Y-%m-%d %H:%M:%S}",
        )
        for lease in leases
    ]
    heads = ("Lease", "Application", "Chain", "Class", "Mbit/s", "Entry", "Mark", "Expires UTC")
    said = "In the order in which they were made." if rows else "There is none here."
    back = "" if first else '<a href="./">first page</a> '
    more = f'<a href="./?after={leases[-1].id}">next page</a>' if len(leases) == LEASES else ""
    links = f'<nav aria-label="Pages of leases">{back}{more}</nav>' if back or more else ""
    return _table("Leases", said, heads, rows) + links


def _table(title: str, said: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *, raw: bool = False) -> str:
    """Return a table; `raw` cells are HTML, others are text."""
    name = title.lower()
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{cell if raw else escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">\n<h2 id="{name}-title">{title}</h2>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">\n<table>\n'
        f"<caption>{escape(said)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
        "</div>\n</section>"
    )
