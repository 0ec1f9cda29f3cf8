"""Load measured while a tier was saturated is a lower bound: a plateau at capacity does not become the forecast."""

from datetime import timedelta

import numpy as np
import pytest

from ecm.forecast.bounds import LIFT, told
from ecm.model.base import canonical
from tests.unit.test_forecast_predict import END, a_history, history_of, predicted

CAPACITY = 250.0


def capped(*, flagged, days=21):
    """Two loads whose peaks come up to 340; the first one is cut off at its tier's capacity, at midday."""
    end = END + timedelta(hours=2)
    history = a_history(days=days, end=end)
    values = history.mbps.copy()
    at_capacity = np.zeros(values.shape, dtype=bool)
    at_capacity[0] = values[0] > CAPACITY
    values[at_capacity] = CAPACITY
    made = history_of(values, end=end)
    return made.model_copy(update={"saturated": at_capacity if flagged else None}), history


def test_a_plateau_at_capacity_does_not_become_the_forecast():
    (blind, whole), (told_so, _) = capped(flagged=False), capped(flagged=True)
    end = whole.end
    truth, low, high = (predicted(h, as_of=end).applications for h in (whole, blind, told_so))
    assert low[0].window_p90_mbps <= 1.15 * CAPACITY
    assert high[0].window_p50_mbps >= CAPACITY * LIFT * 0.95
    assert high[0].window_p90_mbps >= 0.95 * truth[0].window_p90_mbps
    assert high[0].recent_peak_mbps == CAPACITY * LIFT
    assert high[0].incidents[0] == (
        "saturated up to 2026-03-05 12:00 UTC: 250 Mbit/s is a lower bound, the demand is taken as 30 % above it"
    )
    assert high[1].recent_peak_mbps == truth[1].recent_peak_mbps


def test_a_history_without_the_flag_is_what_it_was():
    history = a_history(days=9)
    none = history.model_copy(update={"saturated": None})
    false = type(history)(**{n: getattr(history, n) for n in type(history).model_fields} | {
        "saturated": np.zeros(history.mbps.shape, dtype=bool)})  # fmt: skip
    assert false.digest == history.digest == none.digest
    assert canonical(predicted(false)) == canonical(predicted(history))
    flags = np.zeros(history.mbps.shape, dtype=bool)
    flags[0, -1] = True
    assert history.model_copy(update={"saturated": flags}).digest != history.digest
    with pytest.raises(ValueError, match="saturated has shape"):
        type(history).model_validate(history.model_dump() | {"saturated": flags[:, 1:]})


def test_a_bound_tells_an_error_only_where_every_forecast_was_below():
    actual = np.array([[10.0, 13.0, 10.0], [10.0, 13.0, 10.0], [10.0, 10.0, 10.0]])
    bound = np.array([[False, True, False]] * 2 + [[False] * 3])
    paths = np.array(
        [[[9.0, 9.0, 9.0], [9.0, 9.9, 9.0], [9.0, 12.0, 9.0]], [[9.0, 11.0, 9.0], [9.0, 9.5, 9.0], [9.0] * 3]]
    )
    found = told(actual, bound, paths, 1)
    assert np.isnan(found[0, 1:]).all()
    assert found[0, 0] == 10.0
    assert found[1].tolist() == [10.0, 10.0, 10.0]
    assert found[2].tolist() == [10.0, 10.0, 10.0]
