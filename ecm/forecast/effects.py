"""What events and holidays did to a load, and what the next ones are expected to do."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.belief import Expected, Learnt, expected, updated
from ecm.forecast.causes import Cause
from ecm.forecast.measuring import FACTORS, Flags, Gauge, Measurements, Spans
from ecm.forecast.season import Season


@dataclass(frozen=True)
class Effects:
    """Factors of one application's events and holidays over history and horizon."""

    measured: Values
    """(history): the measured factor where an occurrence is over, else the expected one; 1 outside."""
    expected: Values
    """(history + horizon): the factor that was expected before each occurrence; of one that is under way, in the
    horizon, what is expected by now."""
    sigma: Values
    """(history + horizon): standard deviation of the logarithm of `expected`; 0 outside."""
    causes: tuple[tuple[Cause, Expected], ...]
    """Sorted by first step, with what is expected of each by the end of the history."""

    def texts(self, first: int, after: int) -> tuple[str, ...]:
        """Return a line for every occurrence within the steps [first, after)."""
        return tuple(text_of(c, e) for c, e in self._within(first, after))

    def may_lower(self, first: int, after: int) -> bool:
        """Return whether an occurrence within [first, after) lowers the load or has an unknown effect."""
        return any(e.factor < 1 or not e.basis for _, e in self._within(first, after))

    def lowers(self, steps: int) -> Flags:
        """Return at which of the first `steps` steps an occurrence lowers the load or has an unknown effect."""
        found = np.zeros(steps, dtype=np.bool_)
        for cause, belief in self.causes:
            if belief.factor < 1 or not belief.basis:
                found[max(cause.first, 0) : max(cause.after, 0)] = True
        return found

    def _within(self, first: int, after: int) -> tuple[tuple[Cause, Expected], ...]:
        return tuple((c, e) for c, e in self.causes if c.first < after and c.after > first)


def effects(values: Values, causes: tuple[Cause, ...], season: Season, horizon: int) -> Effects:
    """Return the factors of `causes` for the load `values`, shape (history,), and `horizon` steps after it.

    What is expected of an occurrence comes from those of its kind that had ended when it began, as far as they could
    then be measured, and from the fleet file. One that is under way when the history ends is measured as far as it
    went, and the rest of it is expected to follow; so the history cut off at a step gives what was known at that step.
    """
    length = len(values)
    causes = tuple(sorted(causes, key=lambda c: (c.first, c.after, c.kind, c.label)))
    past, now = np.ones(length), np.zeros(length + horizon)
    if not causes:
        return Effects(past, np.exp(now), now, ())
    variance = np.zeros(length + horizon)
    record = _Record.of(values, causes, season)
    rated = []
    for index, cause in enumerate(causes):
        belief = record.before(index)
        by_now, done = record.by_now(index, belief)
        rated.append((cause, by_now))
        past[max(cause.first, 0) : max(cause.after, 0)] *= done
        for steps, known in (
            (slice(max(cause.first, 0), min(cause.after, length)), belief),
            (slice(max(cause.first, length), cause.after), by_now),
        ):
            now[steps] += math.log(known.factor)
            variance[steps] += known.sigma**2
    return Effects(np.clip(past, *FACTORS), np.clip(np.exp(now), *FACTORS), np.sqrt(variance), tuple(rated))


@dataclass(frozen=True)
class _Record:
    """Every occurrence of one application, measured as far as the history allows."""

    causes: tuple[Cause, ...]
    season: Season
    length: int
    over: Measurements
    """As measured at its end, or at the end of the history: nothing of the day after it is used."""
    settled: Measurements
    """As measured a day after its end."""
    of_kind: dict[str, Steps]

    @classmethod
    def of(cls, values: Values, causes: tuple[Cause, ...], season: Season) -> _Record:
        length = len(values)
        first, after = np.array([c.first for c in causes]), np.array([c.after for c in causes])
        count = len(causes)
        spans = Spans(np.tile(first, 2), np.tile(np.minimum(after, length), 2), np.repeat([False, True], count))
        found = _measured(values, spans, _depth(first, after, length), season)
        over, settled = (Measurements(found.log[s], found.variance[s]) for s in (slice(count), slice(count, None)))
        kinds = np.array([c.kind for c in causes])
        of_kind = {kind: np.flatnonzero(kinds == kind) for kind in set(kinds.tolist())}
        return cls(causes, season, length, over, settled, of_kind)

    def before(self, index: int) -> Expected:
        """Return what was expected of an occurrence before it began."""
        cause = self.causes[index]
        known_until = min(cause.first, self.length)
        same = [i for i in self.of_kind[cause.kind] if self.causes[i].after <= known_until]
        logs, variances, ages = [], [], []
        for i in same:
            found = self._at(i, known_until)
            if np.isfinite(found.log[i]):
                logs.append(found.log[i])
                variances.append(found.variance[i])
                ages.append((cause.first - self.causes[i].after) / self.season.day)
        return expected(cause.stated, Learnt(np.array(logs), np.array(variances), np.array(ages)))

    def by_now(self, index: int, before: Expected) -> tuple[Expected, float]:
        """Return what is expected of the rest of an occurrence, and the factor of what is past of it."""
        cause = self.causes[index]
        found = self._at(index, self.length)
        log, error = float(found.log[index]), float(found.variance[index])
        if cause.first >= self.length or not math.isfinite(log):
            return before, before.factor
        if cause.after <= self.length:
            return before, math.exp(log)
        share = (self.length - cause.first) / (cause.after - cause.first)
        rest = updated(before, log, error, share)
        return rest, rest.factor

    def _at(self, index: int, until: int) -> Measurements:
        """Return the measurements in which an occurrence uses nothing from the step `until` on."""
        return self.settled if self.causes[index].after + self.season.day <= until else self.over


def _measured(values: Values, spans: Spans, depth: Steps, season: Season) -> Measurements:
    """Measure by week where a week and a day were past, else, or where that fails, by day."""
    found = Gauge.by_week(values, depth, season).measure(spans)
    started = spans.first < len(values)
    early = np.flatnonzero(started & ((spans.first < season.week + season.day) | ~np.isfinite(found.log)))
    if not len(early):
        return found
    some = Spans(spans.first[early], spans.after[early], spans.settled[early])
    until = int(some.after.max()) + season.day
    by_day = Gauge.by_day(values[:until], depth[:until], season).measure(some)
    log, variance = found.log.copy(), found.variance.copy()
    log[early], variance[early] = by_day.log, by_day.variance
    return Measurements(log, variance)


def _depth(first: Steps, after: Steps, length: int) -> Steps:
    """Return how many occurrences cover every step."""
    change = np.zeros(length + 1, dtype=np.int64)
    np.add.at(change, np.clip(first, 0, length), 1)
    np.add.at(change, np.clip(after, 0, length), -1)
    depth: Steps = np.cumsum(change[:-1])
    return depth


def text_of(cause: Cause, expected: Expected) -> str:
    """Return the line for people about one occurrence, 500 characters at most."""
    return _text(cause, expected)[:500]


def _text(cause: Cause, expected: Expected) -> str:
    if not expected.basis:
        return f"{cause.label} {cause.when}: effect unknown, none assumed"
    percent, low, high = (round((f - 1) * 100) for f in (expected.factor, *expected.interval80))
    verb, ends = (f"adds {percent} %", (low, high)) if percent >= 0 else (f"takes {-percent} %", (-high, -low))
    return f"{cause.label} {verb} ({ends[0]} to {ends[1]} %) {cause.when} ({expected.basis})"
