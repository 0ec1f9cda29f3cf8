"""What holds of effects for any occurrences: causality, order, scale."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ecm.forecast.causes import Cause
from ecm.forecast.effects import effects
from ecm.forecast.season import Season

SEASON = Season(60)
LENGTH = 24 * 30
HORIZON = 48


@st.composite
def occurrences(draw):
    """Up to eight occurrences of two kinds, from before the history to after the horizon."""
    found = []
    for number in range(draw(st.integers(1, 8))):
        first = draw(st.integers(-30, LENGTH + HORIZON))
        hours = draw(st.sampled_from([1, 4, 24, 60]))
        stated = draw(st.sampled_from([None, None, 0.7, 1.5]))
        found.append(Cause(f"c{number}", draw(st.sampled_from("ab")), first, first + hours, stated, "then"))
    return tuple(found)


def a_load(seed):
    rng = np.random.default_rng(seed)
    load = rng.gamma(20, 5, LENGTH) * (1 + 0.5 * np.sin(np.arange(LENGTH) * 2 * np.pi / 24))
    load[rng.random(LENGTH) < 0.05] = np.nan
    return load


@settings(max_examples=60, deadline=None)
@given(occurrences(), st.integers(0, 5), st.integers(1, LENGTH - 1))
def test_what_was_expected_does_not_change_with_what_came_later(causes, seed, until):
    """Cut or scrambled after a step, the history gives the same expectations of all that began up to it."""
    load = a_load(seed)
    scrambled = load.copy()
    scrambled[until:] = load[until:][::-1] * 7
    whole = effects(load, causes, SEASON, HORIZON)
    other = effects(scrambled, causes, SEASON, HORIZON)
    cut = effects(load[:until], causes, SEASON, LENGTH - until + HORIZON)
    for (cause, now), (_, then), (_, live) in zip(whole.causes, other.causes, cut.causes, strict=True):
        if cause.first <= until and cause.after <= LENGTH:
            assert now == then
        # An occurrence under way is known better than before it began.
        if cause.first == until or cause.after <= until:
            assert now == live
    assert np.array_equal(whole.expected[:until], other.expected[:until])
    assert np.array_equal(whole.expected[:until], cut.expected[:until])
    assert np.array_equal(whole.sigma[:until], cut.sigma[:until])


@settings(max_examples=40, deadline=None)
@given(occurrences(), st.integers(0, 5), st.integers(1, 200), st.sampled_from("ab"))
def test_an_occurrence_still_to_come_changes_nothing_before_it(causes, seed, ahead, kind):
    load = a_load(seed)
    first = LENGTH + ahead % HORIZON
    later = Cause("later", kind, first, first + 4, 3.0, "then")
    without, given_too = effects(load, causes, SEASON, HORIZON), effects(load, (*causes, later), SEASON, HORIZON)
    assert np.array_equal(without.measured, given_too.measured)
    assert np.array_equal(without.expected[:first], given_too.expected[:first])
    assert {c.label: e for c, e in without.causes}.items() <= {c.label: e for c, e in given_too.causes}.items()


@settings(max_examples=40, deadline=None)
@given(st.data(), occurrences(), st.integers(0, 5))
def test_the_order_of_events_is_irrelevant(data, causes, seed):
    load = a_load(seed)
    shuffled = tuple(data.draw(st.permutations(causes)))
    one, other = effects(load, causes, SEASON, HORIZON), effects(load, shuffled, SEASON, HORIZON)
    assert one.causes == other.causes
    assert np.array_equal(one.measured, other.measured)
    assert np.array_equal(one.expected, other.expected)
    assert np.array_equal(one.sigma, other.sigma)


@settings(max_examples=40, deadline=None)
@given(occurrences(), st.integers(0, 5), st.floats(1e-3, 1e3))
def test_the_unit_of_the_load_is_irrelevant(causes, seed, scale):
    load = a_load(seed)
    one, other = effects(load, causes, SEASON, HORIZON), effects(load * scale, causes, SEASON, HORIZON)
    assert np.allclose(one.measured, other.measured, rtol=1e-9)
    assert np.allclose(one.expected, other.expected, rtol=1e-9)
    assert np.allclose(one.sigma, other.sigma, rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(occurrences(), st.integers(0, 5), st.sampled_from(["zero", "nan", "constant", "burst", "two"]))
def test_any_load_gives_sane_factors(causes, seed, what):
    load = a_load(seed)
    load = {
        "zero": load * 0,
        "nan": load * np.nan,
        "constant": np.full(LENGTH, 5.0),
        "burst": np.where(np.arange(LENGTH) % 97 == 0, 1e9, load),
        "two": load[:2],
    }[what]
    found = effects(load, causes, SEASON, HORIZON)
    for factors in (found.measured, found.expected):
        assert np.isfinite(factors).all()
        assert factors.min() >= 0.1
        assert factors.max() <= 20
    assert np.isfinite(found.sigma).all()
    for _, belief in found.causes:
        assert belief.interval80[0] <= belief.factor <= belief.interval80[1]
        assert belief.sigma > 0
