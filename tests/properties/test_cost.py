"""What a period cost is shared without a micro-USD more or less, and nobody pays for another's load."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecm.model.plan import Plan
from ecm.model.spend import Both, Charge, Stood
from ecm.plan.spend import Shares, Span, apportioned, shared
from tests.reviews import AS_OF, HIGH, LOW, decided, prod

PLANS = (decided(prod(), LOW), decided(prod(), HIGH))
NAMES = tuple(sorted(route.application for route in PLANS[0].desired.applications))
CATALOG = prod().catalog


def span(plan: Plan, mbps: np.ndarray, seconds: list[int], start: int = 0) -> Span:
    first, last = AS_OF + timedelta(seconds=start), AS_OF + timedelta(seconds=start + sum(seconds))
    when = Stood(plan=plan.digest, start=first, end=last, prices_as_of=plan.cost.prices_as_of)
    lengths = np.array(seconds, dtype=np.int64)
    kbit = np.rint(np.nan_to_num(mbps) * 1000).astype(np.int64) * lengths
    return Span(plan, when, NAMES, kbit, ~np.isnan(mbps), lengths)


@st.composite
def spans(draw: st.DrawFn) -> tuple[Span, ...]:
    found = []
    for _ in range(draw(st.integers(1, 4))):
        seconds = draw(st.lists(st.integers(1, 7200), min_size=1, max_size=5))
        value = st.one_of(st.just(0.0), st.just(float("nan")), st.floats(0, 90_000))
        row = st.lists(value, min_size=len(seconds), max_size=len(seconds))
        mbps = np.array(draw(st.lists(row, min_size=len(NAMES), max_size=len(NAMES))))
        found.append(span(draw(st.sampled_from(PLANS)), mbps, seconds))
    return tuple(found)


def payers(made: Shares) -> list[Both]:
    return [*(a.cost for a in made.applications), made.headroom, made.unmeasured]


@settings(max_examples=60, deadline=None)
@given(spans())
def test_all_shares_add_up_to_what_the_plans_cost(found: tuple[Span, ...]) -> None:
    made = shared(found, CATALOG)
    for kind in ("compute", "shared", "traffic"):
        for which in ("measured", "forecast"):
            paid = [getattr(getattr(cost, which), f"{kind}_usd_micro") for cost in payers(made)]
            assert sum(paid) == getattr(getattr(made.total, which), f"{kind}_usd_micro")
            assert min(paid) >= 0
    assert sum(line.cost_usd_micro for line in made.lines) == made.total.measured.total_usd_micro
    standing = sum(s.plan.cost.standing_after * int(s.seconds.sum()) for s in found) / 3600
    for charge in (made.total.measured, made.total.forecast):
        assert charge.compute_usd_micro + charge.shared_usd_micro == pytest.approx(standing, abs=1.01)
    assert {v.vpn: v.cost.measured.total_usd_micro for v in made.vpns} == {
        v.vpn: sum(a.cost.measured.total_usd_micro for a in made.applications if a.vpn == v.vpn) for v in made.vpns
    }


@settings(max_examples=200)
@given(st.integers(0, 10**18), st.dictionaries(st.text(max_size=3), st.integers(0, 10**15), min_size=1))
def test_a_share_is_its_proportion_to_less_than_one(total: int, weights: dict[str, int]) -> None:
    if not sum(weights.values()):
        weights = {**weights, "": 1}
    shares = apportioned(total, weights)
    assert sum(shares.values()) == total
    for name, weight in weights.items():
        assert abs(shares[name] * sum(weights.values()) - total * weight) < sum(weights.values())


def constant(**loads: float) -> np.ndarray:
    return np.array([[loads.get(name, 0.0)] for name in NAMES])


def test_a_node_is_paid_by_what_was_used_of_its_tier_and_the_rest_is_headroom() -> None:
    plan = PLANS[1]
    one = plan.desired.applications[0]
    chain = next(c for c in plan.desired.chains if c.id == one.chain)
    loads = {one.application: 100.0}
    made = shared([span(plan, constant(**loads), [3600])], CATALOG)
    prices = {line.item: line.after_usd_micro_per_hour for line in plan.cost.lines}
    capacity = {evidence.tier: evidence.capacity_mbps for evidence in plan.tiers}
    want = sum(prices[f"compute {tier}"] * 100 / capacity[tier] for tier in chain.tiers)
    paid = {a.application: a for a in made.applications}
    assert paid[one.application].cost.measured.compute_usd_micro == pytest.approx(want, abs=len(chain.tiers))
    assert paid[one.application].megabytes == 100 * 450
    compute = sum(price for item, price in prices.items() if item.startswith("compute "))
    assert made.headroom.measured.compute_usd_micro == pytest.approx(compute - want, abs=len(chain.tiers))
    others = [a.cost.measured for name, a in paid.items() if name != one.application]
    assert set(others) == {Charge()}, "who sent nothing pays nothing"


def test_traffic_costs_what_the_plan_says_where_it_is_as_expected() -> None:
    plan = PLANS[1]
    made = shared([span(plan, constant(**dict.fromkeys(NAMES, float(HIGH))), [3600])], CATALOG)
    assert made.total.measured == made.total.forecast
    assert made.total.measured.total_usd_micro == pytest.approx(plan.cost.after, abs=5)
    assert made.unmeasured.measured == Charge()


def test_more_than_the_capacity_leaves_no_headroom_and_unknown_time_is_nobodys() -> None:
    plan = PLANS[0]
    over = shared([span(plan, constant(**dict.fromkeys(NAMES, 90_000.0)), [3600])], CATALOG)
    assert over.headroom.measured == Charge()
    half = np.concatenate((constant(**dict.fromkeys(NAMES, 50.0)), constant(**dict.fromkeys(NAMES, np.nan))), axis=1)
    made = shared([span(plan, half, [1800, 1800])], CATALOG)
    standing = made.total.measured.compute_usd_micro + made.total.measured.shared_usd_micro
    assert made.unmeasured.measured.total_usd_micro == pytest.approx(standing / 2, abs=2)
