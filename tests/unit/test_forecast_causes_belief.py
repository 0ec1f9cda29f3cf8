"""What is expected of an occurrence: prior, learnt, decayed, under way; and that the interval covers."""

import math

import numpy as np
import pytest

from ecm.forecast.belief import HALF_LIFE_DAYS, Learnt, expected, student_nine_tenths, updated


def learnt(*factors, error=0.05, age_days=7.0):
    ages = np.full(len(factors), age_days) if np.isscalar(age_days) else np.array(age_days, dtype=float)
    return Learnt(np.log(np.array(factors, dtype=float)), np.full(len(factors), error**2), ages)


def width(belief):
    return math.log(belief.interval80[1] / belief.interval80[0])


def test_nothing_known_assumes_nothing_and_says_how_far_that_may_be_off():
    belief = expected(None, learnt())
    assert (belief.factor, belief.basis, belief.sigma) == (1.0, "", 0.3)
    assert belief.interval80 == pytest.approx((1 / 1.469, 1.469), rel=1e-3)


def test_from_the_prior_to_what_was_learnt():
    beliefs = [expected(1.2, learnt(*[2.0] * count)) for count in range(9)]
    factors = [b.factor for b in beliefs]
    assert factors[0] == pytest.approx(1.2)
    assert factors == sorted(factors)
    assert factors[1] < math.sqrt(1.2 * 2.0)
    assert factors[8] > 1.85
    assert beliefs[0].basis == "prior from fleet file"
    assert beliefs[1].basis == "fleet file and 1 occurrence"
    assert beliefs[8].basis == "fleet file and 8 occurrences"


def test_the_interval_narrows_with_every_occurrence_that_agrees():
    widths = [width(expected(None, learnt(*[1.4] * count))) for count in range(1, 10)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.6 * widths[0]
    assert width(expected(None, learnt(1.1, 1.9, 1.1, 1.9))) > 1.5 * width(expected(None, learnt(*[1.4] * 4)))


def test_sigma_is_that_of_the_normal_with_the_same_interval():
    belief = expected(1.5, learnt(1.3, 1.6))
    assert belief.sigma * 2 * 1.2815515655 == pytest.approx(width(belief))


def test_an_uncertain_measurement_counts_less():
    one = Learnt(np.log([1.2, 2.0]), np.array([0.01**2, 0.5**2]), np.full(2, 7.0))
    other = Learnt(one.log, one.variance[::-1], one.age_days)
    assert expected(None, one).factor < 1.35
    assert expected(None, other).factor > 1.75


def test_older_occurrences_count_less():
    assert expected(None, learnt(1.2, 2.0, age_days=(7, 7))).factor == pytest.approx(math.sqrt(2.4))
    aged = expected(None, learnt(1.2, 2.0, error=0.0, age_days=(7 + HALF_LIFE_DAYS, 7)))
    assert math.log(aged.factor) == pytest.approx((0.5 * math.log(1.2) + math.log(2.0)) / 1.5)
    # With age the fleet file's word gains weight again, and the interval widens.
    fresh, old = (expected(1.1, learnt(2.0, 2.0, 2.0, age_days=days)) for days in (7, 4 * HALF_LIFE_DAYS))
    assert old.factor < 1.35
    assert fresh.factor > 1.6
    assert width(expected(None, learnt(1.4, age_days=2 * HALF_LIFE_DAYS))) > 1.5 * width(expected(None, learnt(1.4)))


def test_a_learnt_fall_is_believed_less_than_a_rise():
    rise, fall = (
        expected(None, learnt(2.0, 2.0, error=0.0, age_days=0)),
        expected(None, learnt(0.5, 0.5, error=0.0, age_days=0)),
    )
    assert rise.factor == pytest.approx(2.0)
    assert fall.factor == pytest.approx(0.5 ** (2 / 3))
    assert fall.interval80[0] <= 0.5 <= fall.interval80[1]
    assert expected(0.5, learnt()).factor == pytest.approx(0.5)


def test_what_was_measured_of_an_occurrence_moves_the_rest_of_it():
    before = expected(1.4, learnt())
    early = updated(before, math.log(2.0), 0.1**2, 0.1)
    late = updated(before, math.log(2.0), 0.02**2, 0.9)
    assert before.factor < early.factor < late.factor < 2.0
    assert late.factor > 1.95
    assert before.sigma > early.sigma > late.sigma
    assert updated(before, math.log(2.0), 5.0**2, 0.1).factor == pytest.approx(1.4, rel=0.01)
    assert late.basis == "prior from fleet file and what was measured of it"
    assert updated(expected(None, learnt()), math.log(2.0), 0.01, 0.5).basis == "measured so far"


@pytest.mark.parametrize(("freedom", "quantile"), [(2, 1.8856), (3, 1.6377), (5, 1.4759), (10, 1.3722), (1000, 1.2824)])
def test_the_quantile_of_student(freedom, quantile):
    # Published tables of the t distribution, one tail of 0.1.
    assert student_nine_tenths(freedom) == pytest.approx(quantile, abs=0.003)


@pytest.mark.parametrize("between", [0.1, 0.15, 0.25])
def test_eight_in_ten_lie_in_the_interval(between):
    """Kinds with a mean of their own, of whose occurrences each differs, measured with an error."""
    rng = np.random.default_rng(20260305)
    inside = 0
    draws = 400
    for _ in range(draws):
        kind = rng.uniform(math.log(0.8), math.log(2.5))
        true = rng.normal(kind, between, 6)
        error = 0.08
        found = Learnt(true[:5] + rng.normal(0, error, 5), np.full(5, error**2), np.linspace(28, 2, 5))
        low, high = expected(None, found).interval80
        inside += low <= math.exp(true[5]) <= high
    assert 0.70 <= inside / draws <= (0.97 if between < 0.15 else 0.95)
