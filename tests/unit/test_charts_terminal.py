"""The chart in characters: where dots, shades and marks stand."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from ecm.charts.panel import Panel, Quantiles, Span
from ecm.cli.bands import LEAST_COLUMNS, ROWS, chart
from tests.charts import START, a_panel


def lines(panel: Panel, width: int = 100) -> list[str]:
    return [line.plain for line in chart(panel, width)]


def rows(panel: Panel, width: int = 100) -> list[str]:
    """The plot alone, each row without the axis."""
    return [line[9:] for line in lines(panel, width)[1 : 1 + ROWS]]


def test_a_flat_load_is_one_line_at_its_height() -> None:
    plot = rows(Panel("x", START, 15, (50.0, 50.0, 100.0, 100.0)))
    assert plot[0] == " " * 45 + "⢸" + "⠉" * 45
    assert set(plot[4][:45]) <= {"⠒", "⠤", "⠉"}
    assert [r for r in (1, 2, 3) if plot[r].strip()] == [1, 2, 3]  # the jump is joined
    assert [r for r in (5, 6, 7, 8) if plot[r].strip()] == []


def test_ticks_are_round_and_hold_the_highest_value() -> None:
    labels = [line.split("┤")[0].strip() for line in lines(a_panel())[1 : 1 + ROWS] if "┤" in line]
    assert labels == ["240", "180", "120", "60", "0"]


def test_shades_lie_above_the_p50_from_now_on() -> None:
    plot = rows(Panel("x", START, 15, (50.0,) * 8, (Quantiles(25, 50, 100),) * 8))
    for row in (0, 1, 2, 3):
        assert plot[row].strip() == "┊" + "░" * 45
    assert plot[5].strip() == "┊" + "▒" * 45
    assert [plot[row].strip() for row in (7, 8)] == ["┊", "┊"]
    assert all(row[:45].strip(" ⠉⠒⠤⣀") == "" for row in plot)


def test_a_value_that_is_missing_is_a_gap() -> None:
    plot = rows(Panel("x", START, 15, (10.0, math.nan, 10.0)))
    drawn = [c for c in range(91) if any(len(r) > c and r[c] != " " for r in plot)]
    assert drawn
    assert not [c for c in drawn if 31 < c < 59]


def test_a_peak_survives_where_steps_share_a_column() -> None:
    for at in (2500, 2507, 2513, 2519):
        load = [10.0] * 5000
        load[at] = 100.0
        assert rows(Panel("x", START, 5, tuple(load)))[0].strip()


def test_events_and_the_window_stand_below_their_times() -> None:
    said = lines(a_panel())
    window = next(line for line in said if "sizing window" in line)
    event = next(line for line in said if "launch adds 38 %" in line)
    # 11 of 14 hours in 91 columns
    assert window.index("├") == event.index("├") == 9 + int(91 * 11 / 14)
    assert event.index("┤") < window.index("┤") == 99


def test_a_long_event_has_a_line_of_its_own() -> None:
    long = Span("x" * 95, START + timedelta(hours=1), START + timedelta(hours=2))
    said = lines(replace(a_panel(), events=(long,)))
    at = next(i for i, line in enumerate(said) if "x" * 20 in line)
    assert said[at + 1].strip().startswith("├")
    assert all(len(line) <= 100 for line in said)


def test_dates_where_the_day_begins() -> None:
    said = lines(Panel("x", START - timedelta(hours=3), 60, (1.0,) * 6))
    labels = said[ROWS + 2].split()
    assert labels[:4] == ["21:00", "22:00", "23:00", "Nov"]


def test_nothing_to_draw() -> None:
    assert lines(Panel("x", START, 15, ()))[1] == "  no load measured and none forecast"
    assert len(lines(Panel("x", START, 15, (math.nan,)))) == ROWS + 4
    assert [line.split("┤")[0].strip() for line in lines(Panel("x", START, 15, (0.0,)))[1:10:2]] == list("43210")


LOADS = st.one_of(st.just(math.nan), st.floats(0, 1e7))


@given(
    st.lists(LOADS, max_size=300),
    st.lists(st.tuples(st.floats(0, 1e7), st.floats(0, 1e7), st.floats(0, 1e7)).map(sorted), max_size=60),
    st.integers(0, 200),
)
def test_any_numbers_fit_in_the_width(load: list[float], bands: list[list[float]], width: int) -> None:
    panel = Panel("x", START, 15, tuple(load), tuple(Quantiles(*q) for q in bands))
    if not load and not bands:
        return
    said = lines(panel, width)
    assert len(said) == ROWS + 4
    assert all(len(line) <= max(9 + LEAST_COLUMNS, width) for line in said[1 : ROWS + 2])
    drawn = "".join(rows(panel, width))
    assert any("\u2801" <= c <= "\u28ff" for c in drawn) == any(map(math.isfinite, [*load, *(q[0] for q in bands)]))
