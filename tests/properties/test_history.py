"""The history against a dict, in any order of appends, late and re-sent points, compactions and crashes."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ecm.model.base import digest_bytes
from ecm.model.points import Points
from ecm.model.series import SeriesKey
from ecm.store import Objects
from ecm.store.history import History, Retention

START = datetime(2026, 3, 2, tzinfo=UTC)
SERIES = tuple(SeriesKey(vpn="corp", application=name) for name in ("web", "calls", "bulk"))
KEEP = Retention(raw_days=2, keep_days=6)
HOUR = 60
POINT = st.tuples(st.integers(0, 2), st.integers(0, 4 * 24 - 1), st.integers(0, 9))
"""Series, hour since START, value: hourly points are their own means, so that the dict needs no averages."""


class Memory:
    """Objects in a dict: the promises of the seam and nothing else."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def get(self, key):
        data = self.held.get(key)
        return None if data is None else (data, digest_bytes(data))

    def create(self, key, data):
        return self.held.setdefault(key, data) is data

    def replace(self, key, data, version):
        if (self.get(key) or ("", ""))[1] != version:
            return False
        self.held[key] = data
        return True

    def delete(self, key, version):
        return (self.get(key) or ("", ""))[1] == version and self.held.pop(key) is not None

    def keys(self, prefix):
        return tuple(sorted(key for key in self.held if key.startswith(prefix)))


class CrashError(Exception):
    """The process died."""


class Crashing:
    """Objects of a process that dies before its write number `left`."""

    def __init__(self, inner: Objects, left: int) -> None:
        self.inner, self.left = inner, left
        self.get, self.keys = inner.get, inner.keys

    def _write(self) -> None:
        if self.left == 0:
            raise CrashError
        self.left -= 1

    def create(self, key, data):
        self._write()
        return self.inner.create(key, data)

    def replace(self, key, data, version):
        self._write()
        return self.inner.replace(key, data, version)

    def delete(self, key, version):
        self._write()
        return self.inner.delete(key, version)


def as_points(rows: list[tuple[int, int, int]]) -> Points:
    series, hours, values = (np.array([row[i] for row in rows]) for i in range(3))
    stamps = np.datetime64(START.replace(tzinfo=None), "us") + hours * np.timedelta64(HOUR, "m")
    return Points(SERIES, series.astype(np.int32), stamps, values.astype(float), values > 7)


class HistoryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.objects = Memory()
        self.history = History(self.objects)
        self.want: dict[tuple[int, int], int] = {}
        self.closed: set[int] = set()

    def _found(self, *, means: bool = False) -> dict[tuple[int, int], int]:
        found = self.history.read(means=means)
        hours = (found.stamps - np.datetime64(START.replace(tzinfo=None), "us")) // np.timedelta64(HOUR, "m")
        whose = [SERIES.index(found.series[i]) for i in found.index]
        assert (found.saturated == (found.mbps > 7)).all()
        rows = list(zip(whose, hours.tolist(), found.mbps.astype(int).tolist(), strict=True))
        assert len({row[:2] for row in rows}) == len(rows), "a point stands twice"
        return {(series, hour): value for series, hour, value in rows}

    def _after(self, rows: list[tuple[int, int, int]]) -> dict[tuple[int, int], int]:
        return self.want | {(s, h): v for s, h, v in rows if h // 24 not in self.closed}

    @rule(rows=st.lists(POINT, min_size=1, max_size=30))
    def append(self, rows) -> None:
        after = self._after(rows)
        done = self.history.append(as_points(rows))
        assert done.points + done.late == len({row[:2] for row in rows})
        self.want = after

    @rule(rows=st.lists(POINT, min_size=1, max_size=30), left=st.integers(0, 4))
    def crash_in_append(self, rows, left) -> None:
        before, after = self.want, self._after(rows)
        try:
            History(Crashing(self.objects, left)).append(as_points(rows))
        except CrashError:
            self.want = self._found()
            assert self.want in (before, after)
        else:
            self.want = after

    @rule(days=st.integers(0, 4))
    def compact(self, days) -> None:
        self.history.compact(START + timedelta(days=days), KEEP)
        self._close()
        manifest = self.history.manifest()
        named = {part.name for part in manifest.parts()}
        left = set(self.objects.keys("days/")) - named
        # What a crash left of a write that another may still be about to finish stays until the next write.
        assert all(f"/{manifest.generation + 1:08d}-" in key for key in left)

    @rule(days=st.integers(0, 4), left=st.integers(0, 9))
    def crash_in_compact(self, days, left) -> None:
        with contextlib.suppress(CrashError):
            History(Crashing(self.objects, left)).compact(START + timedelta(days=days), KEEP)
        self._close()

    def _close(self) -> None:
        self.closed = {(d.day - START.date()).days for d in self.history.manifest().days if d.closed}

    @invariant()
    def holds_what_went_in(self) -> None:
        assert self._found() == self.want
        assert self._found(means=True) == self.want


HistoryMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestHistory = HistoryMachine.TestCase
