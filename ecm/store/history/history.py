"""The history itself: append, read, compact. Whoever reads finds one generation, whole, whatever else happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from ecm.model.base import canonical, digest_bytes
from ecm.model.points import MANIFEST, Points, joined
from ecm.model.series import SeriesKey
from ecm.store.history.manifest import Day, Manifest, Part, Reached, parsed
from ecm.store.history.parts import decoded, encoded
from ecm.store.history.rollup import rolled
from ecm.store.objects import RETRIES, Objects, StoreError

_Span = tuple[datetime | None, datetime | None]
"""From the first until before the second; None: without a bound."""
_MANY: Final = 32
"""Parts of a day that is not over before they are made one."""


@dataclass(frozen=True)
class Retention:
    """How long points are kept, in whole days before today (UTC)."""

    raw_days: int = 56
    """As they were measured."""
    keep_days: int = 400
    """As means over 15 minutes: a year, and what a forecast compares with it."""


@dataclass(frozen=True)
class Appended:
    """What an append did with its points."""

    points: int
    """Taken in, one for each series and time."""
    late: int
    """Left out: of days that are kept as means alone."""
    changed: bool
    """False where all of them stood there as the newest already."""


@dataclass(frozen=True)
class Compacted:
    """What a compaction did."""

    days: int
    """Days rewritten."""
    dropped: int
    """Days that were too old."""
    swept: int
    """Objects removed that no manifest names any more."""


class History:
    """Points of many series below `prefix` in `objects`.

    Parts are written first, under names that no other write can have; then the manifest is replaced while it is still
    the one that was read, else all of it is done again. So a crash leaves at most parts that nothing names, and
    `compact` removes those of generations that can no longer come to be.
    """

    def __init__(self, objects: Objects, prefix: str = "") -> None:
        self._objects = objects
        self._prefix = f"{prefix}/" if prefix else ""

    # reading

    def manifest(self) -> Manifest:
        """Return what the history consists of now; empty where there is none."""
        return self._held()[0]

    def read(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        means: bool = False,
        wanted: Callable[[SeriesKey], bool] | None = None,
    ) -> Points:
        """Return the points from `start` until before `end` of the series that are `wanted`, sorted, none twice.

        As they were measured, or as `means` over 15 minutes. Days of which only means are left are means either way.
        StoreError where a part is missing or damaged.
        """
        for _ in range(RETRIES):
            manifest = self.manifest()
            try:
                return self._read(manifest, (start, end), means, wanted)
            except _GoneError as gone:
                if self.manifest().generation == manifest.generation:
                    raise StoreError(
                        f"history {self._prefix}{gone.name}: the object is missing; bring it back from a backup"
                    ) from None
        raise StoreError(f"history {self._prefix}: rewritten all the time; try again")

    def _read(
        self,
        manifest: Manifest,
        span: _Span,
        means: bool,
        wanted: Callable[[SeriesKey], bool] | None,
    ) -> Points:
        ids = None
        if wanted is not None:
            ids = np.array([i for i, key in enumerate(manifest.series) if wanted(key)], dtype=np.int32)
        days = [
            d
            for d in manifest.days
            if (span[0] is None or d.day >= span[0].astimezone(UTC).date())
            and (span[1] is None or d.day <= span[1].astimezone(UTC).date())
        ]
        # A mean needs all that was measured in its quarter of an hour.
        parts = [self._day(day, manifest.series, ids, None if means else span) for day in days]
        points = joined(parts, manifest.series)
        for bound, keep in ((span[0], np.greater_equal), (span[1], np.less)):
            if bound is not None:
                points = points.chosen(keep(points.stamps, _stamp(bound)))
        return points.latest()

    def _day(
        self, day: Day, series: tuple[SeriesKey, ...], ids: npt.NDArray[np.int32] | None, span: _Span | None
    ) -> Points:
        """Return the points of a day from the parts that meet `span`; None: means."""
        if day.rollup is not None and (span is None or not day.raw):
            return decoded(self._bytes(day.rollup), series, ids)
        met = [part for part in day.raw if span is None or _meets(part, span)]
        raw = joined([decoded(self._bytes(part), series, ids) for part in met], series).latest()
        return rolled(raw) if span is None else raw

    def _bytes(self, part: Part) -> bytes:
        held = self._objects.get(self._prefix + part.name)
        if held is None:
            raise _GoneError(part.name)
        if digest_bytes(held[0]) != part.digest:
            raise StoreError(
                f"history {self._prefix}{part.name}: damaged: its bytes are not those that were written; "
                "bring it back from a backup"
            )
        return held[0]

    # writing

    def append(self, points: Points, reached: Reached | None = None) -> Appended:
        """Take in `points`; each replaces what stood at its series and time. All of them, or none where it fails.

        With them, in the same step, how far their source was `reached`.
        """
        for _ in range(RETRIES):
            manifest, version = self._held()
            series = (*manifest.series, *_new(points.series, manifest.series))
            mine = points.named(series).latest()
            closed = np.array([d.day for d in manifest.days if d.closed], dtype="datetime64[D]")
            taken = mine.chosen(~np.isin(mine.stamps.astype("datetime64[D]"), closed))
            late = len(mine) - len(taken)
            changed, days = self._with(manifest, taken)
            marks = _marked(manifest.reached, reached)
            if not changed and marks == manifest.reached:
                return Appended(len(taken), late, changed=False)
            update = {"generation": manifest.generation + 1, "series": series, "days": days, "reached": marks}
            if self._swap(manifest.model_copy(update=update), version):
                return Appended(len(taken), late, changed=changed)
        raise StoreError(f"history {self._prefix}: others write to it all the time; try again")

    def _with(self, manifest: Manifest, points: Points) -> tuple[bool, tuple[Day, ...]]:
        days = {day.day: day for day in manifest.days}
        changed = False
        of_day = points.stamps.astype("datetime64[D]")
        for when in np.unique(of_day):
            day: date = when.item()
            held = days.get(day, Day(day=day))
            data = encoded(points.chosen(of_day == when))
            if held.raw and held.raw[-1].digest == digest_bytes(data):
                continue
            part = self._put(data, points.stamps[of_day == when], (day, manifest.generation + 1))
            days[day] = Day(day=day, raw=(*held.raw, part))
            changed = True
        return changed, tuple(days[day] for day in sorted(days))

    def compact(
        self, now: datetime, keep: Retention | None = None, said: Callable[[int, int], None] | None = None
    ) -> Compacted:
        """Make one part of the parts of each day, means of the days that are over, and drop what is too old.

        `said` hears how many days of how many are done. Each day is a write of its own, so that a compaction that was
        cut off goes on where it stood.
        """
        keep, today = keep or Retention(), now.astimezone(UTC).date()
        closed, gone = today - timedelta(days=keep.raw_days), today - timedelta(days=keep.keep_days)
        due = [d.day for d in self.manifest().days if _due(d, today, closed, gone)]
        for number, day in enumerate(due):
            self._rewrite(day, (today, closed, gone))
            if said is not None:
                said(number + 1, len(due))
        swept = self._sweep()
        return Compacted(sum(d >= gone for d in due), sum(d < gone for d in due), swept)

    def _rewrite(self, when: date, bounds: tuple[date, date, date]) -> None:
        today, closed, gone = bounds
        for _ in range(RETRIES):
            manifest, version = self._held()
            day = next((d for d in manifest.days if d.day == when), None)
            if day is None or not _due(day, today, closed, gone):
                return
            after = None if when < gone else self._compacted(day, manifest, bounds)
            days = tuple(d if d.day != when else after for d in manifest.days if d.day != when or after)
            update = {"generation": manifest.generation + 1, "days": days}
            if self._swap(manifest.model_copy(update=update), version):
                return
        raise StoreError(f"history {self._prefix}: others write to it all the time; try again")

    def _compacted(self, day: Day, manifest: Manifest, bounds: tuple[date, date, date]) -> Day:
        today, closed, _ = bounds
        place = (day.day, manifest.generation + 1)
        raw, rollup = day.raw, day.rollup
        points = self._day(Day(day=day.day, raw=raw), manifest.series, None, (None, None))
        if len(raw) > 1:
            raw = (self._put(encoded(points), points.stamps, place),)
        if rollup is None and day.day < today:
            means = rolled(points)
            rollup = self._put(encoded(means), means.stamps, place)
        return Day(day=day.day, raw=() if day.day < closed else raw, rollup=rollup)

    def _sweep(self) -> int:
        """Remove parts that no manifest names and none can name any more."""
        manifest = self.manifest()
        named = {self._prefix + part.name for part in manifest.parts()}
        swept = 0
        for key in self._objects.keys(f"{self._prefix}days/"):
            generation = int(key.rsplit("/", 1)[1].partition("-")[0])
            if key in named or generation > manifest.generation:
                continue
            held = self._objects.get(key)
            swept += held is not None and self._objects.delete(key, held[1])
        return swept

    def _put(self, data: bytes, stamps: npt.NDArray[np.datetime64], place: tuple[date, int]) -> Part:
        digest = digest_bytes(data)
        name = f"days/{place[0].isoformat()}/{place[1]:08d}-{digest.removeprefix('sha256:')[:32]}.parquet"
        self._objects.create(self._prefix + name, data)
        first, last = (value.item().replace(tzinfo=UTC) for value in (stamps.min(), stamps.max()))
        return Part(name=name, digest=digest, rows=len(stamps), first=first, last=last)

    def _held(self) -> tuple[Manifest, str | None]:
        held = self._objects.get(self._prefix + MANIFEST)
        return (Manifest(), None) if held is None else (parsed(held[0], self._prefix + MANIFEST), held[1])

    def _swap(self, manifest: Manifest, version: str | None) -> bool:
        key, data = self._prefix + MANIFEST, canonical(manifest)
        return self._objects.create(key, data) if version is None else self._objects.replace(key, data, version)


class _GoneError(Exception):
    """A part that the manifest names is not there: compacted away since, or lost."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _due(day: Day, today: date, closed: date, gone: date) -> bool:
    """Whether compaction has something to do with `day`."""
    if day.day < gone:
        return True
    if day.day < closed and day.raw:
        return True
    return len(day.raw) > _MANY if day.day >= today else len(day.raw) > 1 or day.rollup is None


def _new(points: tuple[SeriesKey, ...], held: tuple[SeriesKey, ...]) -> tuple[SeriesKey, ...]:
    known = set(held)
    return tuple(key for key in dict.fromkeys(points) if key not in known)


def _marked(held: tuple[Reached, ...], reached: Reached | None) -> tuple[Reached, ...]:
    if reached is None:
        return held
    others = [mark for mark in held if mark.source != reached.source]
    return tuple(sorted([*others, reached], key=lambda mark: mark.source))


def _meets(part: Part, span: _Span) -> bool:
    start, end = span
    return (start is None or part.last >= start) and (end is None or part.first < end)


def _stamp(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
