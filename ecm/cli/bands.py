"""A forecast drawn in characters: measured load and P50 as lines of braille dots, P90 and P99 as shades above."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rich.text import Text

from ecm.charts.panel import Panel

ROWS: Final = 9
"""Rows of the plot; with ticks at every second one, four steps from zero to the top."""
LEAST_COLUMNS: Final = 20
MOST_COLUMNS: Final = 96
_MARGIN: Final = 9
"""Columns of the y axis with its labels."""
_DOTS: Final = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille character by column and row of its dots (Unicode 15, chapter 21.1, Braille Patterns)."""
_TICKS: Final = tuple(timedelta(minutes=m) for m in (15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080))
_TICK_COLUMNS: Final = 9
"""Columns between two labels of the time axis at least."""
_NICE: Final = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
_NOTHING: Final = 0.01
"""Mbit/s: where all is below, the scale is that of no load."""
_MEASURED: Final = "bold"
_P50: Final = "cyan"
_SHADE: Final = "blue"
_EVENT: Final = "magenta"


@dataclass(frozen=True)
class _Scale:
    """Where times and loads lie."""

    panel: Panel
    columns: int
    top: float

    @property
    def steps(self) -> int:
        return len(self.panel.measured) + len(self.panel.bands)

    def span(self, part: int, parts: int) -> slice:
        """Return the steps of one of `parts` equal parts of the time axis, at least one."""
        first = part * self.steps // parts
        return slice(first, max(first + 1, (part + 1) * self.steps // parts))

    def dot(self, value: float) -> int:
        """Return the row of dots of a load, counted from the bottom."""
        return min(4 * ROWS - 1, max(0, round(value / self.top * (4 * ROWS - 1))))

    def column(self, when: datetime) -> int:
        """Return the column of a time, within the plot."""
        share = (when - self.panel.start) / (self.panel.end - self.panel.start)
        return min(self.columns - 1, max(0, int(share * self.columns)))


def chart(panel: Panel, width: int) -> tuple[Text, ...]:
    """Return the lines of `panel` in at most `width` columns (never fewer than 29); times in UTC.

    A column shows the highest value of its steps. Styles are colours only: without them nothing is lost.
    """
    title = Text.assemble((panel.title, "bold"), ": Mbit/s; times in UTC")
    if panel.end <= panel.start:
        return title, Text("  no load measured and none forecast")
    scale = _Scale(panel, min(MOST_COLUMNS, max(LEAST_COLUMNS, width - _MARGIN)), _top(panel))
    cells = _cells(scale)
    plot = [_line(scale, row, cells) for row in range(ROWS)]
    spans = [("sizing window", panel.window.start, panel.window.end, _SHADE)] if panel.window else []
    spans += [(event.label, event.start, event.end, _EVENT) for event in panel.events]
    below = [line for span in spans for line in _span(scale, *span)]
    return (title, *plot, *_time_axis(scale), *below, *(Text(f"  {note}") for note in panel.notes), _legend())


def _legend() -> Text:
    return Text.assemble(
        " " * _MARGIN, ("⠉⠉", _MEASURED), " measured  ", ("⠉⠉", _P50), " P50 from ┊ on  ",
        ("▒▒", _SHADE), " to P90  ", ("░░", _SHADE), " to P99",
    )  # fmt: skip


def _top(panel: Panel) -> float:
    """Return the upper end of the scale: four steps of a round number."""
    values = (*panel.measured, *(q.p99 for q in panel.bands))
    highest = max((v for v in values if math.isfinite(v)), default=0.0)
    if highest < _NOTHING:
        return 4.0
    power = 10.0 ** math.floor(math.log10(highest / 4))
    return 4 * next(n * power for n in _NICE if n * power * 4 >= highest * (1 - 1e-9))


def _cells(scale: _Scale) -> dict[tuple[int, int], tuple[str, str]]:
    """Return character and style of each cell (row from the top, column) that is not blank."""
    cells = {(row, scale.column(scale.panel.now)): ("┊", "dim") for row in range(ROWS) if scale.panel.bands}
    cells |= dict(_shades(scale))
    lines = (*scale.panel.measured, *(math.nan for _ in scale.panel.bands))
    ahead = (*(math.nan for _ in scale.panel.measured), *(q.p50 for q in scale.panel.bands))
    return cells | _braille(scale, ahead, _P50) | _braille(scale, lines, _MEASURED)


def _shades(scale: _Scale) -> Iterable[tuple[tuple[int, int], tuple[str, str]]]:
    count = len(scale.panel.measured)
    for column in range(scale.columns):
        span = scale.span(column, scale.columns)
        bands = scale.panel.bands[max(0, span.start - count) : max(0, span.stop - count)]
        if not bands:
            continue
        low, middle, high = (max(getattr(q, name) for q in bands) for name in ("p50", "p90", "p99"))
        for row in range(ROWS - 1 - scale.dot(high) // 4, ROWS - scale.dot(low) // 4):
            inner = ROWS - 1 - row <= scale.dot(middle) // 4
            yield (row, column), ("▒" if inner else "░", _SHADE)


def _braille(scale: _Scale, values: Sequence[float], style: str) -> dict[tuple[int, int], tuple[str, str]]:
    """Return a line through `values`; neighbouring dots are joined, a value that is missing is a gap."""
    bits: dict[tuple[int, int], int] = {}
    before: int | None = None
    for x in range(2 * scale.columns):
        known = [v for v in values[scale.span(x, 2 * scale.columns)] if math.isfinite(v)]
        if not known:
            before = None
            continue
        at = scale.dot(max(known))
        last = at if before is None else before
        for y in range(min(at, last + 1), max(at, last - 1) + 1):
            place = (ROWS - 1 - y // 4, x // 2)
            bits[place] = bits.get(place, 0) | _DOTS[x % 2][3 - y % 4]
        before = at
    return {place: (chr(0x2800 + pattern), style) for place, pattern in bits.items()}


def _line(scale: _Scale, row: int, cells: dict[tuple[int, int], tuple[str, str]]) -> Text:
    tick = row % 2 == 0
    label = f"{scale.top * (ROWS - 1 - row) / (ROWS - 1):g}" if tick else ""
    line = Text(f"{label:>{_MARGIN - 2}} {'┤' if tick else '│'}")
    for column in range(scale.columns):
        character, style = cells.get((row, column), (" ", ""))
        line.append(character, style)
    line.rstrip()
    return line


def _time_axis(scale: _Scale) -> tuple[Text, Text]:
    """Return the axis and its labels: times of day, and the date where the day begins."""
    total = scale.panel.end - scale.panel.start
    every = next((t for t in _TICKS if scale.columns * (t / total) >= _TICK_COLUMNS), total)
    marks, labels = ["─"] * scale.columns, [" "] * (scale.columns + _MARGIN)
    midnight = scale.panel.start.replace(hour=0, minute=0, second=0, microsecond=0)
    when = midnight + every * -((midnight - scale.panel.start) // every)
    while when < scale.panel.end:
        column = scale.column(when)
        marks[column] = "┬"
        text = f"{when:%H:%M}" if (when.hour, when.minute) != (0, 0) else f"{when:%b %d}"
        labels[column : column + len(text)] = text
        when += every
    return Text(" " * (_MARGIN - 1) + "└" + "".join(marks)), Text((" " * _MARGIN + "".join(labels)).rstrip())


def _span(scale: _Scale, label: str, start: datetime, end: datetime, style: str) -> tuple[Text, ...]:
    """Return a span of time with its text: beside it on a side that has room, else on a line of its own before it."""
    first, last = scale.column(start), scale.column(end - timedelta(microseconds=1))
    mark = (("│" if last == first else "├" + "─" * (last - first - 1) + "┤"), style)
    left, width = first + _MARGIN, scale.columns + _MARGIN
    if len(label) < left:
        return (Text.assemble(" " * (left - len(label) - 1), label, " ", mark),)
    if last + 2 + _MARGIN + len(label) <= width:
        return (Text.assemble(" " * left, mark, " ", label),)
    text = label if len(label) <= width else label[: width - 1] + "…"
    return Text(" " * min(left, width - len(text)) + text), Text.assemble(" " * left, mark)
