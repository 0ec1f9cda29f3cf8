"""A VPN's forecast is that of the sum of its applications: coherent in every scenario, never negative, never more."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ecm.forecast.totals import totals
from ecm.forecast.whole import quantiles
from ecm.model.base import MAX_MBPS
from tests.forecasts import a_forecast
from tests.traces import a_fleet

NAMES = (("corp", "mail"), ("corp", "web"), ("lab", "dev"), ("corp", "zip"))
FLEET = a_fleet(NAMES)
MADE = a_forecast(FLEET, {name: 100 for _, name in NAMES}).applications
FIRST, TAIL = 2, 1100


@st.composite
def scenarios(draw):
    """Loads of four applications with a common part, from none to all of it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, steps = draw(st.integers(1, 600)), draw(st.integers(3, 12))
    common = rng.gamma(draw(st.sampled_from([0.3, 5.0])), 40, (1, count, steps))
    own = rng.gamma(draw(st.sampled_from([0.3, 5.0])), 40, (len(MADE), count, steps))
    share = draw(st.sampled_from([0.0, 0.5, 1.0]))
    return np.rint(share * common + (1 - share) * own)


@settings(max_examples=150, deadline=None)
@given(scenarios())
def test_the_quantiles_of_a_vpn_are_those_of_the_sum_of_its_applications(loads):
    corp, lab = totals(MADE, loads, FIRST, TAIL)
    assert (corp.vpn, corp.applications) == ("corp", ("mail", "web", "zip"))
    assert (lab.vpn, lab.applications) == ("lab", ("dev",))
    for one, rows in ((corp, [1, 2, 3]), (lab, [0])):
        total = loads[rows].sum(axis=0)
        assert (one.p50_mbps, one.p90_mbps, one.p99_mbps) == quantiles(total, TAIL)
        peaks = total[:, FIRST:].max(axis=1)
        for share, found in ((0.5, one.window_p50_mbps), (0.9, one.window_p90_mbps), (0.99, one.window_p99_mbps)):
            assert found >= one.recent_peak_mbps
            covered = (peaks <= found).mean()
            assert covered >= share - 1e-9
        for low, middle, high in zip(one.p50_mbps, one.p90_mbps, one.p99_mbps, strict=True):
            assert 0 <= low <= middle <= high


@settings(max_examples=60, deadline=None)
@given(scenarios())
def test_applications_whose_peaks_fall_together_add_up_exactly(loads):
    """Where all go up and down together the quantile of the sum is the sum of the quantiles: the dependence decides."""
    alike = np.repeat(loads[:1], len(MADE), axis=0)
    corp, lab = totals(MADE, alike, FIRST, 1000)
    assert corp.p99_mbps == tuple(3 * q for q in lab.p99_mbps)
    assert corp.p50_mbps == tuple(3 * q for q in lab.p50_mbps)


def test_a_sum_beyond_what_a_plan_holds_is_cut():
    corp, _ = totals(MADE, np.full((len(MADE), 50, 6), 9e6), FIRST, TAIL)
    assert corp.window_p50_mbps == corp.window_p99_mbps == MAX_MBPS


def test_peaks_that_do_not_meet_are_not_paid_for_twice():
    rng = np.random.default_rng(1)
    loads = np.rint(rng.gamma(2, 40, (len(MADE), 600, 6)))
    corp, _ = totals(MADE, loads, FIRST, TAIL)
    alone = sum(quantiles(loads[row, :, FIRST:].max(axis=1)[:, None], TAIL)[2][0] for row in (1, 2, 3))
    assert corp.window_p99_mbps < 0.85 * alone
