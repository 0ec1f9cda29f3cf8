"""What the service measures of itself, for Prometheus: each process states its own answers, and what the book holds."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from ecm.model.exposition import Metric, exposition
from ecm.serve.desk import Desk
from ecm.serve.lease import TierLoad
from ecm.serve.publisher import Published

BOUNDS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds of the histogram of answer times."""


class Measures:
    """Counts since the process began."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int]] = Counter()
        self._times = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one answer; `route` is the path as declared, so that there are few."""
        self._answers[route, status] += 1
        self._times[bisect_left(BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    def page(
        self, desk: Desk, loads: Iterable[TierLoad], leases: Mapping[str, int], published: Published | None = None
    ) -> str:
        """Return the page that Prometheus reads."""
        overlays = _overlays(published) if published else ()
        return exposition([*self._own(), *_desk(desk), *_book(tuple(loads), leases), *overlays])

    def _own(self) -> Iterator[Metric]:
        yield Metric(
            "ecm_serve_answers_total",
            "counter",
            "Answers by route and status.",
            tuple(({"route": r, "status": str(s)}, float(n)) for (r, s), n in sorted(self._answers.items())),
        )
        running, buckets = 0, []
        for bound, count in zip((*BOUNDS_S, float("inf")), self._times, strict=True):
            running += count
            buckets.append(({"le": "+Inf" if bound == float("inf") else f"{bound:g}"}, float(running)))
        # The three families of one histogram, as the text format spells them.
        yield Metric("ecm_serve_answer_seconds_bucket", "counter", "Answers within so many seconds.", tuple(buckets))
        yield Metric("ecm_serve_answer_seconds_sum", "counter", "Seconds of all answers.", (({}, self._sum_s),))
        yield Metric("ecm_serve_answer_seconds_count", "counter", "Number of all answers.", (({}, float(running)),))


def _desk(desk: Desk) -> Iterator[Metric]:
    yield Metric("ecm_serve_commits_total", "counter", "Transactions.", (({}, float(desk.groups)),))
    yield Metric("ecm_serve_orders_total", "counter", "Requests that wrote.", (({}, float(desk.grouped)),))
    yield Metric("ecm_serve_commit_seconds_total", "counter", "Seconds that commits took.", (({}, desk.commit_s),))
    yield Metric(
        "ecm_serve_plan_applied_number", "gauge", "The journal's number.", (({}, float(desk.offer.rooms.applied)),)
    )


def _book(loads: tuple[TierLoad, ...], leases: Mapping[str, int]) -> Iterator[Metric]:
    yield Metric(
        "ecm_serve_leases",
        "gauge",
        "Leases that have not expired.",
        tuple(({"application": name}, float(count)) for name, count in sorted(leases.items())),
    )
    yield Metric(
        "ecm_serve_tier_room_mbps",
        "gauge",
        "Mbit/s of a tier beside its planned load.",
        tuple(({"tier": load.tier}, float(load.room_mbps)) for load in loads),
    )
    yield Metric(
        "ecm_serve_tier_promised_mbps",
        "gauge",
        "Mbit/s of a tier that are promised.",
        tuple(({"tier": load.tier}, float(load.promised_mbps)) for load in loads),
    )


def _overlays(published: Published) -> Iterator[Metric]:
    yield Metric(
        "ecm_serve_overlay_leads", "gauge", "Whether this process writes overlays.", (({}, float(published.leads)),)
    )
    rows = sorted(published.overlays.items())
    for name, text, values in (
        ("serial", "Serial of the overlay that was written last.", [o.serial for _, o in rows]),
        ("rules", "Its rules.", [len(o.rules) for _, o in rows]),
        ("ends_timestamp_seconds", "When it ends.", [o.not_after.timestamp() for _, o in rows]),
    ):
        samples = tuple(({"vpn": vpn}, float(value)) for (vpn, _), value in zip(rows, values, strict=True))
        yield Metric(f"ecm_serve_overlay_{name}", "gauge", text, samples)
    yield Metric("ecm_serve_overlay_writes_total", "counter", "Overlays written.", (({}, float(published.writes)),))
    yield Metric(
        "ecm_serve_overlay_failures_total", "counter", "Overlays not written.", (({}, float(published.failures)),)
    )
    yield Metric(
        "ecm_serve_overlay_left_out", "gauge", "Leases that no rule carries.", (({}, float(len(published.left_out))),)
    )
