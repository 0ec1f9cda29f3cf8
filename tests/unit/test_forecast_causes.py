"""Events and holidays found in the fleet file and in calendars."""

from datetime import UTC, datetime, timedelta

import pytest

from ecm.forecast import ForecastError
from ecm.forecast.causes import causes_by_application, causes_of
from ecm.model.fleet import Event
from tests.traces import a_fleet

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
SPAN = (START, 15, 14 * 96)
NAMES = (("corp", "mail"), ("corp", "web"), ("partner", "gateway"))


def an_event(name="launch", day=3, hour=14, **scope):
    start = START + timedelta(days=day, hours=hour)
    return Event(id=name, kind="launch", start=start, end=start + timedelta(hours=4), **scope)


def labels(fleet, application):
    return [c.label for c in causes_of(fleet, application, SPAN)]


def test_scope_is_region_vpn_and_application():
    events = (
        an_event("everywhere"),
        an_event("here", region="us-east-1"),
        an_event("abroad", region="eu-west-1"),
        an_event("abroad-too", region="eu-west-1", vpn="corp"),
        an_event("of-corp", vpn="corp"),
        an_event("of-mail", application="mail"),
        an_event("mail-here", application="mail", vpn="corp", region="us-east-1"),
    )
    fleet = a_fleet(NAMES, events=events)
    assert labels(fleet, "mail") == ["everywhere", "here", "mail-here", "of-corp", "of-mail"]
    assert labels(fleet, "web") == ["everywhere", "here", "of-corp"]
    assert labels(fleet, "gateway") == ["everywhere", "here"]


def test_many_applications_at_once_are_as_one_by_one():
    events = (an_event("all"), an_event("of-mail", application="mail"), an_event("of-partner", vpn="partner", day=5))
    fleet = a_fleet(NAMES, events=events, holidays="US", time_zone="America/New_York")
    span = (datetime(2025, 12, 20, tzinfo=UTC), 15, 80 * 96)
    together = causes_by_application(fleet, ("web", "mail", "gateway"), span)
    assert together == tuple(causes_of(fleet, a, span) for a in ("web", "mail", "gateway"))
    assert [len(causes) for causes in together] == [5, 6, 6]


def test_a_step_belongs_to_an_occurrence_that_covers_half_of_it():
    def bounds(begin, end):
        event = Event(id="e", kind="k", start=START + timedelta(minutes=begin), end=START + timedelta(minutes=end))
        return [(c.first, c.after) for c in causes_of(a_fleet(NAMES, events=(event,)), "web", SPAN)]

    assert bounds(60, 120) == [(4, 8)]
    assert bounds(67, 113) == [(4, 8)]
    assert bounds(68, 112) == [(5, 7)]
    assert bounds(-300, -15) == []
    assert bounds(-300, 15) == [(-20, 1)]
    assert bounds(1, 5) == []
    assert bounds(14 * 1440, 14 * 1440 + 60) == []


def test_a_holiday_is_a_day_of_the_wall_clock(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "de")
    # Easter of 2026 lies after the change of clocks on 2026-03-29: the day begins at 22:00 UTC.
    fleet = a_fleet(NAMES, holidays="DE", time_zone="Europe/Berlin")
    span = (datetime(2026, 4, 1, tzinfo=UTC), 15, 10 * 96)
    friday, monday = causes_of(fleet, "web", span)
    assert monday.label == "holiday Easter Monday"
    assert (monday.first, monday.after) == (5 * 96 - 8, 6 * 96 - 8)
    assert monday.when == "on Monday"
    assert (friday.kind, friday.stated) == ("holiday", None)
    # The day on which clocks go forward has 23 hours: an event from midnight to midnight is still that day.
    berlin = Event(
        id="sunday",
        kind="k",
        start=datetime(2026, 3, 28, 23, tzinfo=UTC),
        end=datetime(2026, 3, 29, 22, tzinfo=UTC),
    )
    fleet = a_fleet(NAMES, events=(berlin,), time_zone="Europe/Berlin")
    (sunday,) = causes_of(fleet, "web", (datetime(2026, 3, 28, tzinfo=UTC), 15, 3 * 96))
    assert (sunday.after - sunday.first, sunday.when) == (23 * 4, "on Sunday")


def test_times_are_shown_in_the_zone_of_the_vpn():
    fleet = a_fleet(NAMES, events=(an_event(hour=14), an_event("late", hour=22)), time_zone="Europe/Berlin")
    assert [c.when for c in causes_of(fleet, "web", SPAN)] == [
        "on Thursday 15:00 to 19:00",
        "from Thursday 23:00 to Friday 03:00",
    ]


def test_a_country_without_calendar_is_named():
    with pytest.raises(ForecastError, match="no calendar of holidays for 'XX' of VPN corp"):
        causes_of(a_fleet(NAMES, holidays="XX"), "web", SPAN)
