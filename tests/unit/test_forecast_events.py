"""Events, holidays and daylight saving."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ecm.forecast import ForecastError, predict
from ecm.model.fleet import Event
from ecm.telemetry import generate, read, write_table
from tests.traces import a_fleet

NAMES = (("corp", "web"),)
AS_OF = datetime(2026, 3, 5, 13, 30, tzinfo=UTC)
"""A Thursday."""


THIS_AFTERNOON = AS_OF.replace(hour=14, minute=0)


def an_event(start=THIS_AFTERNOON, hours=4, factor=None, name="launch", kind="launch"):
    return Event(id=name, kind=kind, start=start, end=start + timedelta(hours=hours), expected_factor=factor)


def a_history(tmp_path, fleet, end=AS_OF, days=42):
    write_table(generate(fleet, end=end, days=days, interval_min=15), tmp_path / "t.parquet")
    return read(tmp_path / "t.parquet", fleet=a_fleet(NAMES))


def predicted(history, fleet, as_of=AS_OF):
    return predict(history, fleet, as_of=as_of, lead_min=30, hold_min=120).applications[0]


def test_a_stated_effect_raises_the_forecast_and_says_so(tmp_path):
    history = a_history(tmp_path, a_fleet(NAMES))
    plain = predicted(history, a_fleet(NAMES))
    told = predicted(history, a_fleet(NAMES, events=(an_event(factor=1.38),)))
    assert told.window_p50_mbps == pytest.approx(1.38 * plain.window_p50_mbps, rel=0.02)
    assert told.window_p90_mbps > 1.3 * plain.window_p90_mbps
    assert told.event_effects == ("launch adds 38 % (-13 to 119 %) on Thursday 14:00 to 18:00 (prior from fleet file)",)
    assert plain.event_effects == ()
    # Two steps before the event are as they were.
    assert told.p50_mbps[:2] == plain.p50_mbps[:2]


def test_an_effect_is_learnt_from_earlier_occurrences(tmp_path):
    past = tuple(
        an_event(AS_OF.replace(hour=10, minute=0) - timedelta(days=d), factor=2.0, name=f"launch-{d}") for d in (9, 21)
    )
    history = a_history(tmp_path, a_fleet(NAMES, events=past))
    unstated = tuple(e.model_copy(update={"expected_factor": None}) for e in past)
    coming = an_event()
    plain = predicted(history, a_fleet(NAMES, events=unstated))
    learnt = predicted(history, a_fleet(NAMES, events=(*unstated, coming)))
    assert learnt.window_p50_mbps == pytest.approx(2.0 * plain.window_p50_mbps, rel=0.12)
    (text,) = learnt.event_effects
    assert text.startswith("launch adds ")
    assert text.endswith("on Thursday 14:00 to 18:00 (learnt from 2 occurrences)")
    other = predicted(history, a_fleet(NAMES, events=(*unstated, an_event(kind="campaign", name="campaign"))))
    assert other.event_effects == ("campaign on Thursday 14:00 to 18:00: effect unknown, none assumed",)
    both = predicted(history, a_fleet(NAMES, events=(*unstated, an_event(factor=1.0))))
    assert plain.window_p50_mbps * 1.3 < both.window_p50_mbps < learnt.window_p50_mbps
    assert "(fleet file and 2 occurrences)" in both.event_effects[0]


def test_a_past_event_does_not_raise_the_forecast_of_the_same_time_a_week_later(tmp_path):
    past = an_event(AS_OF.replace(hour=14, minute=0) - timedelta(days=7), factor=3.0)
    history = a_history(tmp_path, a_fleet(NAMES, events=(past,)))
    without = a_history(tmp_path, a_fleet(NAMES))
    cleaned = predicted(history, a_fleet(NAMES, events=(past,)))
    never = predicted(without, a_fleet(NAMES))
    assert cleaned.window_p50_mbps == pytest.approx(never.window_p50_mbps, rel=0.07)
    unaware = predicted(history, a_fleet(NAMES))
    assert unaware.window_p50_mbps > 1.1 * cleaned.window_p50_mbps


def test_an_event_of_another_application_changes_nothing(tmp_path):
    names = (("corp", "mail"), ("corp", "web"))
    event = an_event(factor=2.0).model_copy(update={"application": "mail"})
    history = a_history(tmp_path, a_fleet(NAMES))
    wide = history.model_copy(
        update={"applications": ("mail", "web"), "vpns": ("corp", "corp"), "mbps": np.repeat(history.mbps, 2, axis=0)}
    )
    with_event = predict(wide, a_fleet(names, events=(event,)), as_of=AS_OF, lead_min=30, hold_min=120)
    mail, web = with_event.applications
    assert mail.window_p50_mbps > 1.8 * web.window_p50_mbps
    assert web.event_effects == ()


def test_holidays_are_learnt_and_raise_the_forecast(tmp_path):
    # US holidays: Thanksgiving 2025-11-27, Christmas 2025-12-25, New Year 2026-01-01: all Thursdays.
    zone = "America/New_York"
    days = [datetime(2025, 11, 27, 5, tzinfo=UTC), datetime(2025, 12, 25, 5, tzinfo=UTC)]
    loud = tuple(an_event(d, hours=24, factor=1.6, name=f"day-{i}", kind="day") for i, d in enumerate(days))
    as_of = datetime(2026, 1, 1, 15, tzinfo=UTC)
    history = a_history(
        tmp_path, a_fleet(NAMES, events=loud, time_zone=zone), end=datetime(2026, 1, 1, 4, tzinfo=UTC), days=45
    )
    unaware = predicted(history, a_fleet(NAMES, time_zone=zone), as_of)
    aware = predicted(history, a_fleet(NAMES, time_zone=zone, holidays="US"), as_of)
    # Unaware of the calendar, part of the effect comes from last week's Thursday, which was Christmas.
    assert aware.window_p50_mbps > 1.2 * unaware.window_p50_mbps
    (text,) = aware.event_effects
    assert text.startswith("holiday New Year's Day adds ")
    assert text.endswith(" on Thursday (learnt from 2 occurrences)")
    assert 50 <= int(text.split(" adds ")[1].split(" ")[0]) <= 70


def test_a_country_without_a_calendar_is_an_error(tmp_path):
    history = a_history(tmp_path, a_fleet(NAMES))
    with pytest.raises(ForecastError, match="no calendar of holidays for 'XX'"):
        predicted(history, a_fleet(NAMES, holidays="XX"))


def test_days_follow_the_wall_clock_over_a_change_of_time(tmp_path):
    """After the change the day begins an hour earlier in UTC; the forecast knows before it has seen one such day."""
    zone = "Europe/Berlin"
    fleet = a_fleet(NAMES, time_zone=zone)
    # Clocks go forward on 2026-03-29 at 01:00 UTC; the morning rise of Monday lies an hour earlier than last Monday's.
    as_of = datetime(2026, 3, 30, 3, 30, tzinfo=UTC)
    actual = a_history(tmp_path, fleet, end=as_of + timedelta(hours=4)).mbps[0]
    history = a_history(tmp_path, fleet, end=as_of)
    steps = 6 * 4
    coming = actual[-16:]

    def error(time_zone):
        forecast = predict(
            history, a_fleet(NAMES, time_zone=time_zone), as_of=as_of, lead_min=30, hold_min=steps * 15 - 30
        )
        path = np.median(forecast.scenarios[0], axis=0)[:16]
        return np.abs(path / coming - 1).mean()

    assert error(zone) < 0.08
    assert error("UTC") > 1.5 * error(zone)
